"""What the baselines have in common that learn a generative model of the observations by gradient steps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_likelihoods,
    check_target,
    facts_of,
    kept_out,
)
from neurodyn.baselines.readout import StateReadOut, States, fit_read_out
from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.given import count, integer, keep_read

if TYPE_CHECKING:
    from typing import Self

    from neurodyn.recurrent.inputs import InputScaling
    from neurodyn.training import History
    from neurodyn.variational.model import SequenceModel

VALIDATE_EVERY = 100
"""Most steps between two validations."""
BATCH, RATE = 16, 5e-3
"""Windows of a step, and Adam's learning rate."""


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    model: "SequenceModel"
    parameters: Mapping[str, Any]
    scaling: "InputScaling"
    filtered: StateReadOut
    history: "History"
    status: str


@dataclass(frozen=True, repr=False)
class LatentBaseline(BaselineDecoder[_Fitted]):
    """Base of `MultimodalVae` and `PiecewiseLinearRnn`: trained on the observations alone, read out by ridge."""

    smooths: ClassVar[bool] = False
    supervised: ClassVar[bool] = False
    title: ClassVar[str]
    latent: int = 16
    hidden: int = field(default=32, kw_only=True)
    steps: int = field(default=1500, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    progress: bool = field(default=False, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        keep_read(self, count, ["latent", "hidden", "steps"])
        keep_read(self, integer, ["seed"])

    def fit(self, batch: MultimodalBatch) -> "Self":
        """Train on the observations of a batch and read the target out; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data. The model takes the observations of all bins but those of context, the read-out the bins
            with a target.

        Raises
        ------
        InputError
            If there is no target, a dimension of it is constant, a channel is never observed, no trial has two bins, or
            a modality is neither Poisson nor Gaussian.
        NumericalError
            If the loss stops being finite before anything could be kept.
        """
        from neurodyn.recurrent import InputScaling, RecurrentConfig
        from neurodyn.training import ProgressBar
        from neurodyn.variational.inference import filtered_states
        from neurodyn.variational.training import fit_model, observed_sequences

        check_usable(batch)
        check_target(batch)
        check_likelihoods(batch, type(self).__name__)
        every = min(VALIDATE_EVERY, self.steps)
        course = RecurrentConfig(
            members=1, batch=BATCH, learning_rate=RATE, steps=self.steps, validate_every=every, seed=self.seed,
            windows_without_channels=0.0,  # these hide bins alone
        )  # fmt: skip
        scaling, (inner, held) = InputScaling.fit(batch), kept_out(batch)
        sequences, model = observed_sequences(batch, scaling), self._model(scaling)
        bar = ProgressBar(f"fit {self.title} {'+'.join(batch.names)}") if self.progress else None
        outcome = fit_model(model, sequences.runs_of(inner), sequences.runs_of(held), course, bar)
        states = States(*filtered_states(model, outcome.parameters, scaling, batch))
        fitted = _Fitted(
            **facts_of(batch), model=model, parameters=outcome.parameters, scaling=scaling,
            filtered=fit_read_out(states, batch), history=outcome.history, status=outcome.status,
        )  # fmt: skip
        return replace(self, fitted_=fitted)

    def _model(self, scaling: "InputScaling") -> "SequenceModel":
        """The model of modalities like these."""
        raise NotImplementedError

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        return fitted.filtered.decode(self._states(fitted, batch))

    def _states(self, fitted: _Fitted, batch: MultimodalBatch) -> States:
        """Filtered states in the bins of a batch that is in the order of the fit."""
        from neurodyn.variational.inference import filtered_states

        return States(*filtered_states(fitted.model, fitted.parameters, fitted.scaling, batch))

    def _title(self) -> str:
        name = type(self).__name__
        return super()._title() if self.fitted_ is None else f"{name}: fitted, training {self.fitted_.status}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield "bins", f"{1e3 * fitted.width:g} ms"
            yield from fitted.facts_of_data()
            yield (
                "training",
                f"{len(fitted.history.loss)} rounds, best validation {fitted.history.best:.4g} nats per bin",
            )
        yield "model", f"{self.latent} latents, {self.hidden} units, up to {self.steps} steps, seed {self.seed}"
