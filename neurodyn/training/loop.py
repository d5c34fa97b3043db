"""The epochs of a training run: validate, keep the best, stop in time, lose nothing.

The loop knows a model only as two functions, so that every model of the package is trained by it:
``run_epoch(state, epoch) -> (state, losses)`` is one compiled pass over the training data, and
``validate(state) -> (score, parameters)`` returns a number to minimise and the parameters it belongs to. Both draw
their randomness from the epoch number, which makes a resumed run equal to one that was never interrupted.
"""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from neurodyn.errors import InputError, NumericalError
from neurodyn.training.checkpoint import load_arrays, load_settings, save_checkpoint
from neurodyn.training.progress import Progress, Silent

State = TypeVar("State")


@dataclass(frozen=True)
class LoopConfig:
    """When to validate, when to stop, where to save.

    Arguments
    ---------
    epochs: the most that are run.
    validate_every: epochs between validations (and checkpoints).
    patience: validations without a better score before the run stops.
    checkpoint: file the run is saved to and resumed from; None: not saved.
    identity: what has to be equal for a checkpoint to be resumed (settings, data sizes).
    """

    epochs: int
    validate_every: int = 1
    patience: int = 10
    checkpoint: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)


@dataclass
class History:
    """What happened in each epoch and at each validation."""

    loss: list[float] = field(default_factory=list)
    validation_epoch: list[int] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Best validation score so far, infinite before the first."""
        return min(self.validation, default=math.inf)

    @property
    def since_best(self) -> int:
        """Validations since the best one."""
        return len(self.validation) - 1 - int(np.argmin(self.validation)) if self.validation else 0


@dataclass(frozen=True)
class Outcome(Generic[State]):
    """The best parameters of a run and how it ended ('finished', 'patience', 'interrupted' or 'not finite')."""

    parameters: Any
    state: State
    history: History
    status: str


def train(
    state: State,
    run_epoch: Callable[[State, int], tuple[State, jax.Array]],
    validate: Callable[[State], tuple[jax.Array, Any]],
    config: LoopConfig,
    progress: Progress | None = None,
) -> Outcome[State]:
    """Run epochs until done; Ctrl-C ends the run with the best parameters so far.

    Returns
    -------
    The best parameters as a copy on the host. ``state`` is the last one; after 'interrupted' its buffers may be gone.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before any validation has kept usable parameters.
    NumericalError
        If the loss or the validation score stops being finite before any validation has kept usable parameters.
        A run that has kept some ends with the status 'not finite' and a RuntimeWarning that says what to try.
    InputError
        If ``config.checkpoint`` holds a run with other settings or its folder does not exist.
    """
    if config.checkpoint is not None and not config.checkpoint.parent.is_dir():
        raise InputError(f"cannot write {config.checkpoint}: there is no folder {config.checkpoint.parent}")
    progress = progress or Silent()
    history, best = History(), copy(validate(state)[1])
    if config.checkpoint is not None and config.checkpoint.exists():
        state, best, history = resume(config, state, best)
    status = "finished"
    try:
        for epoch in range(len(history.loss), config.epochs):
            if history.since_best >= config.patience:
                status = "patience"
                break
            state, losses = run_epoch(state, epoch)
            loss = float(np.mean(np.asarray(losses)))
            if not math.isfinite(loss):
                status = "not finite"
                break
            history.loss.append(loss)
            if (epoch + 1) % config.validate_every == 0 or epoch + 1 == config.epochs:
                best = _validate(state, validate, best, history, epoch)
                save(config, state, best, history)
            progress.update(epoch + 1, config.epochs, loss, history.best)
    except KeyboardInterrupt:
        status = "interrupted"
        if not math.isfinite(history.best):  # nothing worth keeping yet: a real interrupt
            raise
    finally:
        progress.finish(status)
    judge(status, history)
    return Outcome(best, state, history, status)


def judge(status: str, history: History, who: str = "") -> None:
    """Refuse a run that kept nothing; say what to try after one that kept something and then failed.

    Arguments
    ---------
    who: put in front of the message where one of several runs is meant.

    Raises
    ------
    NumericalError
        If no validation was finite.
    """
    advice = "lower the learning rate, or check the data for extreme values"
    if not math.isfinite(history.best):
        what = "training loss" if status == "not finite" else "validation score"
        raise NumericalError(
            f"{who}the {what} stopped being finite by epoch {len(history.loss) + 1}, before anything could be kept: "
            f"{advice}"
        )
    if status == "not finite":
        kept = history.validation_epoch[int(np.argmin(history.validation))]
        warnings.warn(
            f"{who}the training loss stopped being finite in epoch {len(history.loss) + 1}; the parameters of epoch "
            f"{kept} are kept. To train on: {advice}",
            RuntimeWarning,
            stacklevel=3,
        )


def _validate(state, validate, best, history: History, epoch: int):
    score, parameters = validate(state)
    return copy(parameters) if note(float(score), history, epoch) else best


def note(score: float, history: History, epoch: int) -> bool:
    """Write a validation down; returns whether it is the best so far."""
    improved = score < history.best
    history.validation_epoch.append(epoch + 1)
    history.validation.append(score if math.isfinite(score) else math.inf)
    return improved


def copy(parameters: Any) -> Any:
    """A copy on the host: compiled epochs reuse the device's buffers, which ``np.asarray`` would only look at."""
    return jax.tree.map(np.array, parameters)


def save(config: LoopConfig, state: Any, best: Any, history: History) -> None:
    """Write a checkpoint, if the run has one."""
    if config.checkpoint is None:
        return
    save_checkpoint(
        config.checkpoint,
        {"state": state, "best": best},
        {"identity": config.identity, "history": vars(history)},
    )


def resume(config: LoopConfig, state: Any, best: Any) -> tuple[Any, Any, History]:
    """Read the checkpoint of a run back; ``state`` and ``best`` say what shapes to expect.

    Raises
    ------
    InputError
        If it belongs to a run with other settings, or in another precision: it could not be gone on with exactly.
    """
    assert config.checkpoint is not None
    settings = load_settings(config.checkpoint)
    # Through JSON, as the saved one went: tuples come back as lists.
    if settings.get("identity") != json.loads(json.dumps(config.identity)):
        raise InputError(f"{config.checkpoint} belongs to a run with other settings: choose another file or delete it")
    arrays = load_arrays(config.checkpoint, {"state": state, "best": best})
    for saved, ours in zip(jax.tree.leaves(arrays["state"]), jax.tree.leaves(state), strict=True):
        wanted = np.asarray(ours).dtype
        if np.issubdtype(wanted, np.floating) and saved.dtype != wanted:
            raise InputError(
                f"{config.checkpoint} was written by a run in {saved.dtype}, this one computes in {wanted}: set "
                "jax_enable_x64 as it was, or choose another file"
            )
    return jax.tree.map(jax.numpy.asarray, arrays["state"]), arrays["best"], History(**settings["history"])
