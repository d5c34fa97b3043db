"""A multimodal variational autoencoder with recurrent encoders, and the target read out of its latents.

One gated recurrent unit per modality makes Gaussian experts of what was observed so far, which are multiplied
(:mod:`neurodyn.variational.mvae`). It is trained on the observations alone; the target is read out of the
posterior mean by ridge regression.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from neurodyn.baselines.latent import LatentBaseline
from neurodyn.given import count, keep_read

if TYPE_CHECKING:
    from neurodyn.recurrent.inputs import InputScaling
    from neurodyn.variational.model import SequenceModel


@dataclass(frozen=True, repr=False)
class MultimodalVae(LatentBaseline):
    """Multimodal variational autoencoder of sequences, fitted without the target.

    The deviation is that of the error on blocks of the training data kept out, wider where samples are missing and the
    latents are known less well.

    Parameters
    ----------
    latent
        Latents of a bin.
    hidden
        Units of each modality's encoder, and of the layer of its decoder.
    steps
        Most gradient steps; training ends before where the bound on blocks kept out has stopped growing.
    seed
        Of weights, windows and latents.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.
    lags
        Bins of a datum: what the latents of a bin decode are the observations of so many bins up to it.

    Notes
    -----
    Encoders know the past only: there is no smoothed estimate. The target is not seen in training: latents follow what
    varies most in the observations, which need not be what the target depends on.

    Reference
    ---------
    Wu & Goodman (2018), Multimodal generative models for scalable weakly-supervised learning, NeurIPS 31.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> vae = nd.baselines.MultimodalVae(3, hidden=8, steps=20).fit(batch)
    >>> vae.predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    title: ClassVar[str] = "mvae"
    lags: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_read(self, count, ["lags"])

    def _model(self, scaling: "InputScaling") -> "SequenceModel":
        from neurodyn.variational.mvae import MvaeModel

        return MvaeModel(scaling.counts, scaling.channels, self.latent, self.hidden, self.lags)
