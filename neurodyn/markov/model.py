"""A hidden Markov model with categorical emissions, checked when it is made."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from neurodyn.display import Shown
from neurodyn.errors import InputError
from neurodyn.markov.rows import check_entries, check_row, check_rows, frozen, most_often


@dataclass(frozen=True, eq=False, init=False, repr=False)
class HiddenMarkovModel(Shown):
    """A chain of hidden states, each of which emits one of a few symbols.

    ``P(z[0] = i) = initial[i]``, ``P(z[t+1] = j | z[t] = i) = transitions[i, j]``, ``P(y[t] = s | z[t] = i) =
    emissions[i, s]``, with states and symbols counted from 0.

    The three families of the paper are made by ``linear_chain``, ``fully_connected`` and ``cycle``; any other model by
    this constructor. Anything that ``np.asarray`` takes will do; a read-only copy is kept.

    Parameters
    ----------
    initial
        (states,) probability of each state at the first step.
    transitions
        (states, states) probability of the next state (column) given the present one (row).
    emissions
        (states, symbols) probability of each symbol given the state.
    name
        What the model is called in files and figures.
    trial_steps
        Length of a trial in steps, where nothing else is asked for.

    Raises
    ------
    InputError
        If a shape does not fit, or a row holds something else than probabilities that add up to one.

    Examples
    --------
    >>> from neurodyn import HiddenMarkovModel
    >>> coins = HiddenMarkovModel(
    ...     initial=[1.0, 0.0],
    ...     transitions=[[0.95, 0.05], [0.1, 0.9]],
    ...     emissions=[[0.5, 0.5], [0.9, 0.1]],
    ...     name="two coins",
    ...     trial_steps=100,
    ... )
    >>> coins.states, coins.symbols
    (2, 2)
    """

    initial: Float[np.ndarray, " states"]
    transitions: Float[np.ndarray, "states states"]
    emissions: Float[np.ndarray, "states symbols"]
    name: str
    trial_steps: int

    def __init__(
        self, initial: ArrayLike, transitions: ArrayLike, emissions: ArrayLike, name: str, trial_steps: int
    ) -> None:
        given = {"initial": (initial, 1), "transitions": (transitions, 2), "emissions": (emissions, 2)}
        for field, (values, axes) in given.items():
            object.__setattr__(self, field, _array(field, values, axes))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "trial_steps", trial_steps)
        _check_shapes(self.initial, self.transitions, self.emissions)
        check_row("initial", self.initial)
        for field in ("transitions", "emissions"):
            check_rows(field, getattr(self, field))
        if self.trial_steps < 1:
            raise InputError(f"trial_steps must be at least 1, got {self.trial_steps}")

    @property
    def states(self) -> int:
        """Number of hidden states."""
        return len(self.initial)

    @property
    def symbols(self) -> int:
        """Number of symbols."""
        return self.emissions.shape[1]

    def _title(self) -> str:
        return f"HiddenMarkovModel '{self.name}': {self.states} states, {self.symbols} symbols"

    def _facts(self) -> Iterable[tuple[str, str]]:
        stay = self.transitions.diagonal()
        yield "trial", f"{self.trial_steps} steps"
        yield "staying", f"probability {stay.min():.3g} to {stay.max():.3g} per step"
        for state, (initial, row) in enumerate(zip(self.initial, self.emissions, strict=True)):
            yield f"state {state}", f"initial {initial:.3g}, {most_often(row)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the model as lists, numbers and text that fit in JSON."""
        return {
            "initial": self.initial.tolist(),
            "transitions": self.transitions.tolist(),
            "emissions": self.emissions.tolist(),
            "name": self.name,
            "trial_steps": self.trial_steps,
        }

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "HiddenMarkovModel":
        """Make a model from what ``to_dict`` returned.

        Raises
        ------
        InputError
            If an entry is missing or the numbers are not those of a hidden Markov model.
        """
        names = ("initial", "transitions", "emissions", "name", "trial_steps")
        check_entries(entries, names)
        if not isinstance(entries["name"], str):
            raise InputError(f"the name of a model must be text, got {entries['name']!r}")
        if type(entries["trial_steps"]) is not int:
            raise InputError(f"trial_steps must be a whole number, got {entries['trial_steps']!r}")
        return cls(**{name: entries[name] for name in names})


def _array(name: str, values: Any, axes: int) -> np.ndarray:
    array = frozen(name, values)
    if array.ndim != axes or not array.size:
        shape = "(states,)" if axes == 1 else "(states, states)" if name == "transitions" else "(states, symbols)"
        raise InputError(f"{name} must have the shape {shape}, got {array.shape}")
    return array


def _check_shapes(initial: np.ndarray, transitions: np.ndarray, emissions: np.ndarray) -> None:
    states = len(initial)
    if transitions.shape != (states, states):
        raise InputError(
            f"transitions must have the shape ({states}, {states}) for the {states} states of initial, "
            f"got {transitions.shape}"
        )
    if len(emissions) != states:
        raise InputError(
            f"emissions must have one row for each of the {states} states and one column per symbol, "
            f"got {emissions.shape}"
        )
