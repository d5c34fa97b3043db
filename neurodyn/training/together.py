"""The epochs of several runs in step: one compiled call trains all of them, and each ends as it would have alone.

Every run has its own history, best parameters, patience, status and checkpoint, in the same format as :func:`train`
writes: a run that was begun alone can go on beside others, and the other way round.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neurodyn.errors import InputError
from neurodyn.training.devices import Placement
from neurodyn.training.loop import History, LoopConfig, Outcome, copy, judge, note, resume, save
from neurodyn.training.progress import Progress, Silent

State = TypeVar("State")


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

    Arguments
    ---------
    states: of each member, of equal shapes.
    run_epoch: one compiled pass of all members: (state, epoch, whose turn it is) -> (state, losses). Every array of
        the state has a member axis in front, and members whose turn it is not keep theirs (:func:`hold`).
    validate: score of each member, and the parameters they belong to, with a member axis in front.
    configs: of each member; they differ in checkpoint and identity only.
    labels: what each member is called in messages.
    placement: where the stacked arrays lie; several devices each hold a share of the members.
    progress: told the mean loss of the members that trained, and the mean of the best scores.

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
    """
    placement, progress = placement or Placement(), progress or Silent()
    state = _stack(states, placement)
    members = _start(states, copy(validate(state)[1]), configs, labels)
    if any(member.history.loss for member in members):
        state = _stack([member.state for member in members], placement)
    try:
        while (epoch := _next_epoch(members)) is not None:
            turn = np.asarray([member.epoch == epoch and not member.status for member in members])
            state, losses = run_epoch(state, epoch, jnp.asarray(turn))
            _note_losses(members, turn, np.asarray(losses).mean(axis=1))
            if (epoch + 1) % configs[0].validate_every == 0 or epoch + 1 == configs[0].epochs:
                _validate(members, turn, state, validate(state))
            progress.update(epoch + 1, configs[0].epochs, *_means(members, turn))
    except KeyboardInterrupt:
        for member in members:
            member.status = member.status or "interrupted"
        if not all(math.isfinite(member.history.best) for member in members):  # nothing worth keeping yet
            raise
    finally:
        progress.finish(_status(members))
    for member in members:
        judge(member.status, member.history, f"{member.label}: ")
    return [Outcome(member.best, member.state, member.history, member.status) for member in members]


def hold(turn: Bool[Array, ""], after: State, before: State) -> State:
    """What a member's state is after an epoch: the new one if it was its turn, else the old one."""
    return jax.tree.map(lambda new, old: jnp.where(turn, new, old), after, before)


@dataclass
class _Member(Generic[State]):
    """One run among others; ``state`` and ``best`` are of validations, on the host. Its status is '' while it runs."""

    config: LoopConfig
    label: str
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


def _start(
    states: Sequence[State], parameters: Any, configs: Sequence[LoopConfig], labels: Sequence[str]
) -> list[_Member[State]]:
    """Members at their beginning, or where their checkpoints left them."""
    members = []
    for number, (state, config, label) in enumerate(zip(states, configs, labels, strict=True)):
        member = _Member(config, label, copy(state), _part(parameters, number))
        if config.checkpoint is not None and not config.checkpoint.parent.is_dir():
            raise InputError(f"cannot write {config.checkpoint}: there is no folder {config.checkpoint.parent}")
        if config.checkpoint is not None and config.checkpoint.exists():
            member.state, member.best, member.history = resume(config, member.state, member.best)
        members.append(member)
    return members


def _next_epoch(members: Sequence[_Member]) -> int | None:
    """Epoch of the members that are least far, which a kill between two checkpoints leaves behind; None: all ended."""
    for member in members:
        member.settle()
    return min((member.epoch for member in members if not member.status), default=None)


def _note_losses(members: Sequence[_Member], turn: np.ndarray, losses: np.ndarray) -> None:
    for member, loss in _those(members, turn, losses):
        if math.isfinite(loss):
            member.history.loss.append(float(loss))
        else:
            member.status = "not finite"
            if not math.isfinite(member.history.best):
                judge(member.status, member.history, f"{member.label}: ")


def _validate(members: Sequence[_Member], turn: np.ndarray, state: Any, found: tuple[Array, Any]) -> None:
    """Keep what is best, and a copy of every state that has come this far."""
    scores, parameters, state = np.asarray(found[0]), copy(found[1]), copy(state)
    for member, number in _those(members, turn, range(len(members))):
        if member.status:  # its loss has just stopped being finite
            continue
        member.state = _part(state, number)
        if note(float(scores[number]), member.history, member.epoch - 1):
            member.best = _part(parameters, number)
        save(member.config, member.state, member.best, member.history)


def _those(members: Sequence[_Member], turn: np.ndarray, values: Any) -> list[tuple[_Member, Any]]:
    return [(member, value) for member, here, value in zip(members, turn, values, strict=True) if here]


def _means(members: Sequence[_Member], turn: np.ndarray) -> tuple[float, float]:
    trained = [member.history.loss[-1] for member, _ in _those(members, turn, turn) if member.history.loss]
    return float(np.mean(trained or [math.nan])), float(np.mean([member.history.best for member in members]))


def _status(members: Sequence[_Member]) -> str:
    """How the runs ended, in one word if they agree."""
    return ", ".join(sorted({member.status or "stopped" for member in members}))


def _stack(states: Sequence[State], placement: Placement) -> State:
    """States with a member axis in front of every array."""
    return jax.tree.map(lambda *leaves: placement.split(jnp.stack(leaves), 0), *states)


def _part(tree: Any, number: int) -> Any:
    """One member's share of stacked arrays, as a copy."""
    return jax.tree.map(lambda leaf: np.array(leaf[number]), tree)
