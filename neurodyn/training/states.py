"""States of runs on the device, as they are or stacked along a member axis, and copies of them on the host."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.training.devices import Placement

State = TypeVar("State")


@runtime_checkable
class Device(Protocol):
    """States of all members on the device: how they are trained, validated and taken off it."""

    def put(self, states: Sequence[Any]) -> None:
        """Put the states of the members on the device."""
        ...

    def advance(self, epoch: int, turn: np.ndarray) -> np.ndarray:
        """Train those members whose turn it is for an epoch; returns the losses of each."""
        ...

    def validate(self) -> tuple[np.ndarray, Callable[[int], Any]]:
        """Score of each member, and a function from its number to a copy of its parameters."""
        ...

    def state_of(self, number: int) -> Any:
        """State of a member, as it can be saved."""
        ...


class Single(Generic[State]):
    """One run, whose state is not copied on its way: a group of one without the member axis."""

    def __init__(self, state: State, run_epoch: Callable, validate: Callable) -> None:
        self.state, self._run_epoch, self._validate = state, run_epoch, validate

    def put(self, states: Sequence[State]) -> None:
        """Go on from the only state."""
        (self.state,) = states

    def advance(self, epoch: int, turn: np.ndarray) -> np.ndarray:
        """Train for an epoch, whoever's turn it is; returns the losses as a row."""
        self.state, losses = self._run_epoch(self.state, epoch)
        return np.asarray(losses)[None]

    def validate(self) -> tuple[np.ndarray, Callable[[int], Any]]:
        """Score, and a function that copies the parameters."""
        score, parameters = self._validate(self.state)
        return np.asarray([float(score)]), lambda _: copy(parameters)

    def state_of(self, number: int) -> State:
        """The state itself, whatever the number."""
        return self.state


class Stacked(Generic[State]):
    """Several runs with a member axis in front of every array."""

    def __init__(self, states: Sequence[State], run_epoch: Callable, validate: Callable, placement: Placement) -> None:
        self._run_epoch, self._validate, self._placement = run_epoch, validate, placement
        self.put(states)

    def put(self, states: Sequence[State]) -> None:
        """Stack the states; several devices each get a share of them."""
        self._state = jax.tree.map(lambda *leaves: self._placement.split(jnp.stack(leaves), 0), *states)
        self._host: State | None = None

    def advance(self, epoch: int, turn: np.ndarray) -> np.ndarray:
        """Train those whose turn it is for an epoch; returns a row of losses for each."""
        self._host = None
        self._state, losses = self._run_epoch(self._state, epoch, jnp.asarray(turn))
        return np.asarray(losses)

    def validate(self) -> tuple[np.ndarray, Callable[[int], Any]]:
        """Scores, and a function that gives the parameters of one."""
        scores, parameters = self._validate(self._state)
        parameters = copy(parameters)
        return np.asarray(scores), lambda number: part_of(parameters, number)

    def state_of(self, number: int) -> State:
        """The state of one; all are copied from the device once, until they move on."""
        if self._host is None:
            self._host = copy(self._state)
        return part_of(self._host, number)


def part_of(tree: Any, number: int) -> Any:
    """One member's share of stacked arrays, as a copy."""
    return jax.tree.map(lambda leaf: np.array(leaf[number]), tree)


def copy(parameters: Any) -> Any:
    """A copy on the host: compiled epochs reuse the device's buffers, which ``np.asarray`` would only look at."""
    return jax.tree.map(np.array, parameters)
