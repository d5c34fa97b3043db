"""A causal recurrent network on the binned observations: what a student writes in twenty lines, made strong.

One gated recurrent unit reads all modalities side by side, zero where a sample is missing, with the share of channels
observed and the age of the last sample. It is trained with dropout, hidden samples, clipped gradients and early
stopping on blocks of time kept out (:mod:`neurodyn.recurrent`, which the multiscale decoder uses too).
"""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from neurodyn.baselines.trained import TrainedNetwork
from neurodyn.writing import writing

if TYPE_CHECKING:
    from neurodyn.realtime.decoder import RealtimeDecoder
    from neurodyn.realtime.runner import Frozen
    from neurodyn.recurrent import Body, RecurrentConfig


@dataclass(frozen=True, repr=False)
class CausalGru(TrainedNetwork):
    """Gated recurrent network from the observations to the target, which says of itself how far it may be off.

    Parameters
    ----------
    config
        Sizes and course of the training; None: one member of 128 units.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.
    steps, seed
        Instead of those of ``config``, or of its defaults.

    Reference
    ---------
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, EMNLP.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> from neurodyn.recurrent import RecurrentConfig
    >>> gru = nd.baselines.CausalGru(RecurrentConfig(hidden=8, members=1, steps=20), progress=False).fit(batch)
    >>> gru.predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    label: ClassVar[str] = "gru"

    @classmethod
    def beside(cls, config: "RecurrentConfig | None") -> "CausalGru":
        """The baseline of a decoder that has such a network: one member, as many steps at most, the same seed."""
        return cls(None if config is None else replace(config, members=1), progress=False)

    def realtime(self) -> "RealtimeDecoder":
        """A warmed-up decoder that takes one bin at a time, equal to :meth:`predict`.

        Its latent state is one number that stays at zero, and its rates are the means of the training data.

        Raises
        ------
        InputError
            If not fitted.

        Examples
        --------
        >>> import neurodyn as nd
        >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
        >>> from neurodyn.recurrent import RecurrentConfig
        >>> gru = nd.baselines.CausalGru(RecurrentConfig(hidden=8, members=1, steps=20), progress=False).fit(batch)
        >>> live = gru.realtime()
        >>> live.step({name: values[0] for name, values in batch.observations.items()}, t=0.01).target.shape
        (3,)
        """
        from neurodyn.realtime.decoder import RealtimeDecoder

        return RealtimeDecoder(self._frozen())

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the live decoder to one npz file, for rigs that have NumPy but no JAX, and for ``neurodyn serve``.

        Raises
        ------
        InputError
            If not fitted, or the file cannot be written.
        """
        frozen = self._frozen()
        with writing(path):
            frozen.save(path)

    def _frozen(self) -> "Frozen":
        from neurodyn.baselines.export import freeze

        fitted = self._require()
        return freeze(fitted.network, fitted.scaling, fitted.modalities, fitted.dims, fitted.width)

    def _usual(self) -> "RecurrentConfig":
        from neurodyn.recurrent import RecurrentConfig

        return RecurrentConfig(members=1)

    def _body(self) -> "Body":
        from neurodyn.recurrent import Gated

        return Gated()
