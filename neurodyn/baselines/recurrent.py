"""A causal recurrent network on the binned observations: what a student writes in twenty lines, made strong.

One gated recurrent unit reads all modalities side by side, zero where a sample is missing, with the share of channels
observed and the age of the last sample. It is trained with dropout, hidden samples, clipped gradients and early
stopping on blocks of time kept out (:mod:`neurodyn.recurrent`, which the multiscale decoder uses too).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from neurodyn.baselines.yardstick import Decoded, FittedOn, Yardstick, check_target, facts_of, kept_out
from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.scaling import Scaling
from neurodyn.display import listed
from neurodyn.errors import InputError
from neurodyn.writing import writing

if TYPE_CHECKING:
    from neurodyn.realtime.decoder import RealtimeDecoder
    from neurodyn.realtime.runner import Frozen
    from neurodyn.recurrent import Network, RecurrentConfig
    from neurodyn.training import History


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    network: "Network"
    scaling: Scaling
    history: "History"
    status: str


@dataclass(frozen=True, repr=False)
class CausalGru(Yardstick[_Fitted]):
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

    smooths: ClassVar[bool] = False
    config: "RecurrentConfig | None" = None
    progress: bool = True
    fitted_: _Fitted | None = field(default=None, repr=False)
    steps: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.config is None:
            return
        from neurodyn.recurrent.config import RecurrentConfig

        if not isinstance(self.config, RecurrentConfig):
            raise InputError(f"config: expected a recurrent.RecurrentConfig(...) or None, got {self.config!r}")

    @classmethod
    def beside(cls, config: "RecurrentConfig | None") -> "CausalGru":
        """The yardstick of a decoder that has such a network: one member, as many steps at most, the same seed."""
        return cls(None if config is None else replace(config, members=1), progress=False)

    def fit(self, batch: MultimodalBatch) -> "CausalGru":
        """Train on a batch; returns a fitted copy.

        Raises
        ------
        InputError
            If there is no target, or a channel is never observed.
        NumericalError
            If the loss stops being finite before anything could be kept.
        """
        from neurodyn.recurrent import InputScaling, Network, RecurrentConfig, fit_members, sequences_of
        from neurodyn.training import Bar

        check_usable(batch)
        check_target(batch)
        config = self._settings(RecurrentConfig(members=1) if self.config is None else self.config)
        scaling, inputs = Scaling.fit(batch), InputScaling.fit(batch)
        inner, held = kept_out(batch)
        sequences = sequences_of(batch, inputs, scaling.target_mean, scaling.target_scale)
        bar = Bar(f"fit gru {'+'.join(batch.names)}") if self.progress else None
        outcome = fit_members(sequences.runs_of(inner), sequences.runs_of(held), config, progress=bar)
        fitted = _Fitted(
            **facts_of(batch), network=Network(outcome.parameters, inputs), scaling=scaling,
            history=outcome.history, status=outcome.status,
        )  # fmt: skip
        return replace(self, fitted_=fitted)

    def _decode(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        from neurodyn.recurrent import predict

        found, scale = predict(fitted.network, batch), np.asarray(fitted.scaling.target_scale, np.float64)
        return fitted.scaling.target_mean + scale * found.mean, scale * np.sqrt(found.variance)

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

    def _title(self) -> str:
        return super()._title() if self.fitted_ is None else f"CausalGru: fitted, training {self.fitted_.status}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield "bins", f"{1e3 * fitted.width:g} ms"
            yield from ((row.name, row._in_short()) for row in fitted.modalities)
            yield "target", listed(fitted.dims)
            best = f", best validation {fitted.history.best:.4g}" if fitted.history.validation else ""
            yield "training", f"{len(fitted.history.loss)} rounds{best}"
        if self.config is None:
            given = {"steps": self.steps, "seed": self.seed}
            told = "".join(f", {name} {value}" for name, value in given.items() if value is not None)
            yield "network", f"as usual: one member{told}"
        else:
            config = self._settings(self.config)
            yield "network", f"{config.members} x {config.hidden} units, up to {config.steps} steps, seed {config.seed}"

    def _settings(self, config: "RecurrentConfig") -> "RecurrentConfig":
        """These settings with the steps and the seed that were given beside them."""
        config = config if self.seed is None else replace(config, seed=self.seed)
        if self.steps is None:
            return config
        return replace(config, steps=self.steps, validate_every=min(config.validate_every, self.steps))
