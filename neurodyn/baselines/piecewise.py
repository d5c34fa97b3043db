"""A piecewise-linear recurrent network that drives all modalities, and the target read out of its states.

The network's dynamics are a prior that experts of each modality correct, bin by bin
(:mod:`neurodyn.variational.plrnn`). It is trained on the observations alone, as a sequential variational
autoencoder; the target is read out of the filtered state by ridge regression.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from neurodyn.baselines.latent import LatentBaseline

if TYPE_CHECKING:
    from neurodyn.recurrent.inputs import InputScaling
    from neurodyn.variational.model import SequenceModel


@dataclass(frozen=True, repr=False)
class PiecewiseLinearRnn(LatentBaseline):
    """Multimodal piecewise-linear recurrent network, fitted without the target.

    The deviation is that of the error on blocks of the training data kept out, wider where samples are missing and the
    state is known less well.

    Parameters
    ----------
    latent
        States of the network.
    hidden
        Units of the layer between a modality's observations and its expert.
    steps
        Most gradient steps; training ends before where the bound on blocks kept out has stopped growing.
    seed
        Of weights, windows and states.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.

    Notes
    -----
    The recognition model knows the past only: there is no smoothed estimate. The target is not seen in training: states
    follow what varies most in the observations, which need not be what the target depends on.

    Reference
    ---------
    Kramer, Bommer, Tombolini, Koppe & Durstewitz (2022), Reconstructing nonlinear dynamical systems from multi-modal
    time series, ICML.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> network = nd.baselines.PiecewiseLinearRnn(3, hidden=8, steps=20).fit(batch)
    >>> network.predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    title: ClassVar[str] = "plrnn"

    def _model(self, scaling: "InputScaling") -> "SequenceModel":
        from neurodyn.variational.plrnn import PlrnnModel

        return PlrnnModel(scaling.counts, scaling.channels, self.latent, self.hidden)
