"""The epochs of training runs: validate, keep the best, stop in time, lose nothing.

The loop knows a model only as two functions, so that every model of the package is trained by it: one compiled pass
over the training data, and a validation that returns a number to minimise and the parameters it belongs to. Both draw
their randomness from the number of the epoch, which makes a resumed run equal to one that was never interrupted.

A single run (:func:`train`) and several runs in step (:func:`train_together`) go through the same loop. They differ in
how states lie on the device: as they are, or stacked along a member axis. Every run has its own history, best
parameters, patience, status and checkpoint, and the checkpoint is the same for both: a run that was begun alone can go
on beside others, and the other way round.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neurodyn.errors import InputError
from neurodyn.training.checkpoint import load_arrays, load_settings, save_checkpoint
from neurodyn.training.devices import Placement
from neurodyn.training.history import History, raise_if_failed
from neurodyn.training.progress import NoProgress, Progress
from neurodyn.training.states import Device, Single, Stacked, copy

State = TypeVar("State")

RENAMED = {"state/parameters/": "state/weights/"}
"""Arrays of checkpoints that had another name in an earlier version."""


@dataclass(frozen=True)
class LoopConfig:
    """When to validate, when to stop, where to save.

    Parameters
    ----------
    epochs
        The most that are run.
    validate_every
        Epochs between validations (and checkpoints).
    patience
        Validations without a better score before the run stops.
    checkpoint
        File the run is saved to and resumed from; None: not saved.
    identity
        What has to be equal for a checkpoint to be resumed (settings, data sizes).

    Examples
    --------
    >>> from neurodyn.training import LoopConfig
    >>> loop = LoopConfig(epochs=10, validate_every=4)
    >>> [epoch + 1 for epoch in range(10) if loop.validates_after(epoch)]
    [4, 8, 10]
    """

    epochs: int
    validate_every: int = 1
    patience: int = 10
    checkpoint: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def validates_after(self, epoch: int) -> bool:
        """Whether there is a validation at the end of an epoch, the first of which has the number 0."""
        return (epoch + 1) % self.validate_every == 0 or epoch + 1 == self.epochs


@dataclass(frozen=True)
class Outcome(Generic[State]):
    """The best parameters of a run and how it ended ('finished', 'patience', 'interrupted' or 'not finite').

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import LoopConfig, train
    >>> halve, smallest = lambda state, epoch: (state / 2, state), lambda state: (state[0], state)
    >>> outcome = train(jnp.ones(1), halve, smallest, LoopConfig(epochs=3))
    >>> outcome.status, outcome.history.best, outcome.parameters.tolist()
    ('finished', 0.125, [0.125])
    """

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

    Parameters
    ----------
    state
        What an epoch changes.
    run_epoch
        One compiled pass over the training data: (state, epoch) -> (state, losses of its steps).
    validate
        Score to minimise, and the parameters it belongs to.
    config
        When to validate, when to stop, where to save.
    progress
        Called with the mean loss of every epoch and the best score.

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

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import LoopConfig, train
    >>> towards_3 = lambda state, epoch: ((state + 3) / 2, (state - 3) ** 2)
    >>> distance = lambda state: (abs(state[0] - 3), state)
    >>> outcome = train(jnp.zeros(1), towards_3, distance, LoopConfig(epochs=4))
    >>> outcome.parameters.tolist(), outcome.history.loss
    ([2.8125], [9.0, 2.25, 0.5625, 0.140625])
    """
    single = Single(state, run_epoch, validate)
    (outcome,) = _run([state], single, [config], [""], progress or NoProgress())
    return Outcome(outcome.parameters, single.state, outcome.history, outcome.status)


def train_together(
    states: Sequence[State],
    run_epoch: Callable[[State, int, Bool[Array, " member"]], tuple[State, Float[Array, "member step"]]],
    validate: Callable[[State], tuple[Float[Array, " member"], Any]],
    configs: Sequence[LoopConfig],
    labels: Sequence[str],
    *,
    placement: Placement | None = None,
    progress: Progress | None = None,
) -> list[Outcome[State]]:
    """Run the epochs of all members until each is done; Ctrl-C ends those that are not with their best parameters.

    A member that has ended early waits for the others, and its share of every further epoch is computed in vain.

    Parameters
    ----------
    states
        States of each member, of equal shapes.
    run_epoch
        One compiled pass of all members: (state, epoch, whose turn it is) -> (state, losses). Every array of the state
        has a member axis in front, and members whose turn it is not keep theirs (:func:`select_trained`).
    validate
        Score of each member, and the parameters they belong to, with a member axis in front.
    configs
        Settings of each member; they differ in checkpoint and identity only.
    labels
        What each member is called in messages.
    placement
        Where the stacked arrays lie; several devices each hold a share of the members.
    progress
        Called with the mean loss of the members that trained, and the mean of the best scores.

    Returns
    -------
    One outcome per member: its best parameters and its state at its last validation, both as copies on the host.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before a validation of every member has kept usable parameters.
    NumericalError
        If a member's numbers stop being finite before anything of it could be kept; the others are not trained on, but
        those with a checkpoint can be resumed without it.
    InputError
        If a checkpoint holds a run with other settings or its folder does not exist.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import LoopConfig, select_trained, train_together
    >>> halve = lambda states, epoch, turn: (jax.vmap(select_trained)(turn, states / 2, states), states)
    >>> smallest, loops = lambda states: (states[:, 0], states), [LoopConfig(epochs=3)] * 2
    >>> outcomes = train_together([jnp.ones(1), jnp.full(1, 8.0)], halve, smallest, loops, labels=["one", "eight"])
    >>> [outcome.parameters.tolist() for outcome in outcomes]
    [[0.125], [1.0]]
    """
    group = Stacked(states, run_epoch, validate, placement or Placement())
    prefixes = [f"{label}: " for label in labels]
    return _run([copy(state) for state in states], group, configs, prefixes, progress or NoProgress())


def select_trained(turn: Bool[Array, ""], after: State, before: State) -> State:
    """Keep the new state where the member was trained in this epoch, else the old one.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import select_trained
    >>> [float(select_trained(jnp.asarray(turn), jnp.asarray(2.0), jnp.asarray(1.0))) for turn in (True, False)]
    [2.0, 1.0]
    """
    return jax.tree.map(lambda new, old: jnp.where(turn, new, old), after, before)


@dataclass
class _Member(Generic[State]):
    """One run; ``state`` and ``best`` are those of validations. Its status is '' while it runs."""

    config: LoopConfig
    prefix: str
    state: State
    best: Any
    history: History = field(default_factory=History)
    status: str = ""

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.history.loss)

    def settle(self) -> None:
        """End if there is nothing left to do."""
        if self.epoch >= self.config.epochs:
            self.status = self.status or "finished"
        elif self.history.since_best >= self.config.patience:
            self.status = self.status or "patience"

    def add_loss(self, loss: float) -> None:
        """Write the mean loss of an epoch down; one that is not finite ends the run."""
        if math.isfinite(loss):
            self.history.loss.append(loss)
            return
        self.status = "not finite"
        if not math.isfinite(self.history.best):
            raise_if_failed(self.status, self.history, self.prefix)

    def save(self) -> None:
        """Write a checkpoint, if the run has one."""
        if self.config.checkpoint is None:
            return
        settings = {"identity": self.config.identity, "history": vars(self.history)}
        save_checkpoint(self.config.checkpoint, {"state": self.state, "best": self.best}, settings)


def _run(
    states: Sequence[Any],
    device: Device,
    configs: Sequence[LoopConfig],
    prefixes: Sequence[str],
    progress: Progress,
) -> list[Outcome]:
    """Run the epochs of all members until each is done."""
    _check_folders(configs)
    members, first = _start(states, device, configs, prefixes), configs[0]
    try:
        while (epoch := _next_epoch(members)) is not None:
            turn = np.asarray([member.epoch == epoch and not member.status for member in members])
            losses = device.advance(epoch, turn)
            for member, found in _those(members, turn, losses):
                member.add_loss(float(np.mean(found)))
            trained = [(m, number) for m, number in _those(members, turn, range(len(members))) if not m.status]
            if trained and first.validates_after(epoch):
                _validate(trained, device)
            if trained:
                progress.update(epoch + 1, first.epochs, *_means([m for m, _ in trained], members))
    except KeyboardInterrupt:
        for member in members:
            member.status = member.status or "interrupted"
        if not all(math.isfinite(member.history.best) for member in members):  # nothing worth keeping yet
            raise
    finally:
        progress.finish(_status(members))
    for member in members:
        raise_if_failed(member.status, member.history, member.prefix)
    return [Outcome(member.best, member.state, member.history, member.status) for member in members]


def _check_folders(configs: Sequence[LoopConfig]) -> None:
    for path in (config.checkpoint for config in configs):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"cannot write {path}: there is no folder {path.parent}")


def _start(
    states: Sequence[Any], device: Device, configs: Sequence[LoopConfig], prefixes: Sequence[str]
) -> list[_Member]:
    """Members at their beginning, or where their checkpoints left them."""
    _, parameters = device.validate()
    members = []
    for number, (state, config, prefix) in enumerate(zip(states, configs, prefixes, strict=True)):
        member = _Member(config, prefix, state, parameters(number))
        if config.checkpoint is not None and config.checkpoint.exists():
            member.state, member.best, member.history = resume(config, member.state, member.best)
        members.append(member)
    if any(member.history.loss for member in members):
        device.put([member.state for member in members])
    return members


def _next_epoch(members: Sequence[_Member]) -> int | None:
    """Epoch of the members that are least far, which a kill between two checkpoints leaves behind; None: all ended."""
    for member in members:
        member.settle()
    return min((member.epoch for member in members if not member.status), default=None)


def _validate(members: Sequence[tuple[_Member, int]], device: Device) -> None:
    """Keep what is best of members with their numbers, and the states that have come this far."""
    scores, parameters = device.validate()
    for member, number in members:
        member.state = device.state_of(number)
        if member.history.add_validation(float(scores[number])):
            member.best = parameters(number)
        member.save()


def _those(members: Sequence[_Member], turn: np.ndarray, values: Any) -> list[tuple[_Member, Any]]:
    return [(member, value) for member, here, value in zip(members, turn, values, strict=True) if here]


def _means(trained: Sequence[_Member], members: Sequence[_Member]) -> tuple[float, float]:
    """Mean loss of the members that were trained in an epoch, and mean of the best scores of all."""
    return float(np.mean([m.history.loss[-1] for m in trained])), float(np.mean([m.history.best for m in members]))


def _status(members: Sequence[_Member]) -> str:
    """How the runs ended, in one word if they agree."""
    return ", ".join(sorted({member.status or "stopped" for member in members}))


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
    arrays = load_arrays(config.checkpoint, {"state": state, "best": best}, renamed=RENAMED)
    for saved, ours in zip(jax.tree.leaves(arrays["state"]), jax.tree.leaves(state), strict=True):
        wanted = np.asarray(ours).dtype
        if np.issubdtype(wanted, np.floating) and saved.dtype != wanted:
            raise InputError(
                f"{config.checkpoint} was written by a run in {saved.dtype}, this one computes in {wanted}: set "
                "jax_enable_x64 as it was, or choose another file"
            )
    return jax.tree.map(jax.numpy.asarray, arrays["state"]), arrays["best"], History(**settings["history"])
