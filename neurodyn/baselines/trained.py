"""What baselines have in common that are networks trained by gradient steps (:mod:`neurodyn.recurrent`)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from neurodyn.baselines.base import BaselineDecoder, Decoded, FittedOn, check_target, facts_of, kept_out
from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError

if TYPE_CHECKING:
    from neurodyn.recurrent import Body, Network, RecurrentConfig
    from neurodyn.training import History

Trained = TypeVar("Trained", bound="TrainedNetwork")


@dataclass(frozen=True, repr=False)
class TrainedFit(FittedOn):
    """What the training of a network found.

    Attributes
    ----------
    network, scaling
        Weights, and means and scales of the training data, target included.
    history, status
        Course of the training, and how it ended.
    """

    network: "Network"
    scaling: Scaling
    history: "History"
    status: str


@dataclass(frozen=True, repr=False)
class TrainedNetwork(BaselineDecoder[TrainedFit]):
    """Base of the networks, which say what stands between inputs and read-out; it knows the past only."""

    smooths: ClassVar[bool] = False
    label: ClassVar[str]
    config: "RecurrentConfig | None" = None
    progress: bool = True
    fitted_: TrainedFit | None = field(default=None, repr=False)
    steps: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.config is None:
            return
        from neurodyn.recurrent.config import RecurrentConfig

        if not isinstance(self.config, RecurrentConfig):
            raise InputError(f"config: expected a recurrent.RecurrentConfig(...) or None, got {self.config!r}")

    def fit(self: Trained, batch: MultimodalBatch) -> Trained:
        """Train on a batch; returns a fitted copy.

        Raises
        ------
        InputError
            If there is no target, or a channel is never observed.
        NumericalError
            If the loss stops being finite before anything could be kept.
        """
        from neurodyn.recurrent import InputScaling, Network, fit_members, sequences_of
        from neurodyn.training import ProgressBar

        check_usable(batch)
        check_target(batch)
        config, body = self._settings(self._usual() if self.config is None else self.config), self._body()
        scaling, inputs = Scaling.fit(batch), InputScaling.fit(batch)
        inner, held = kept_out(batch)
        sequences = sequences_of(batch, inputs, scaling.target_mean, scaling.target_scale)
        bar = ProgressBar(f"fit {self.label} {'+'.join(batch.names)}") if self.progress else None
        outcome = fit_members(sequences.runs_of(inner), sequences.runs_of(held), config, body=body, progress=bar)
        fitted = TrainedFit(
            **facts_of(batch), network=Network(outcome.parameters, inputs, body), scaling=scaling,
            history=outcome.history, status=outcome.status,
        )  # fmt: skip
        return replace(self, fitted_=fitted)

    def decode_batch(self, fitted: TrainedFit, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        from neurodyn.recurrent import predict

        found, scale = predict(fitted.network, batch), np.asarray(fitted.scaling.target_scale, np.float64)
        return fitted.scaling.target_mean + scale * found.mean, scale * np.sqrt(found.variance)

    def _usual(self) -> "RecurrentConfig":
        """Sizes and course of the training where none are given."""
        raise NotImplementedError

    def _body(self) -> "Body":
        """What stands between inputs and read-out."""
        raise NotImplementedError

    def _title(self) -> str:
        return super()._title() if self.fitted_ is None else f"{super()._title()}, training {self.fitted_.status}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield "bins", f"{1e3 * fitted.width:g} ms"
            yield from fitted.facts_of_data()
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
