"""A hidden Markov model with any emission of the table, checked when it is made."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from neurodyn.display import Shown
from neurodyn.errors import InputError
from neurodyn.markov.emissions.base import Emission
from neurodyn.markov.emissions.categorical import Categorical
from neurodyn.markov.emissions.table import make_emission, name_of
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.rows import check_entries, check_row, check_rows, frozen


@dataclass(frozen=True, eq=False, init=False, repr=False)
class GeneralHmm(Shown):
    """A chain of hidden states, each of which emits numbers of some kind: counts, real values, symbols.

    All functions of ``neurodyn.markov`` that take a `HiddenMarkovModel` and sequences take this one as well, unless
    they say that they are about symbols.

    Parameters
    ----------
    initial
        (states,) probability of each state at the first step.
    transitions
        (states, states) probability of the next state (column) given the present one (row).
    emission
        What is emitted: an emission, or the name of one that needs no settings.
    parameters
        Parameters of the emission, by name: arrays whose first axis is the state; read-only copies are kept.
    name
        What the model is called in files and figures.

    Raises
    ------
    InputError
        If a shape does not fit, probabilities are invalid, or the parameters are invalid for the emission.

    Examples
    --------
    >>> import numpy as np
    >>> hmm = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], "poisson", {"rate": [[1.0], [9.0]]})
    >>> hmm
    GeneralHmm 'hmm': 2 states, 1 channel, Poisson
      staying  probability 0.8 to 0.9 per step
      state 0  rates 1 per step
      state 1  rates 9 per step
    """

    initial: Float[np.ndarray, " states"]
    transitions: Float[np.ndarray, "states states"]
    emission: Emission
    parameters: dict[str, np.ndarray]
    name: str

    def __init__(
        self,
        initial: ArrayLike,
        transitions: ArrayLike,
        emission: Emission | str,
        parameters: Mapping[str, Any],
        name: str = "hmm",
    ) -> None:
        first, rows = frozen("initial", initial), frozen("transitions", transitions)
        if first.ndim != 1 or not first.size:
            raise InputError(f"initial must have the shape (states,), got {first.shape}")
        states = len(first)
        if rows.shape != (states, states):
            raise InputError(f"transitions must have the shape ({states}, {states}), got {rows.shape}")
        check_row("initial", first)
        check_rows("transitions", rows)
        kind = make_emission(emission)
        arrays = {key: frozen(key, value) for key, value in parameters.items()}
        kind.check(arrays, states)
        values = {"initial": first, "transitions": rows, "emission": kind, "parameters": arrays, "name": name}
        for field, value in values.items():
            object.__setattr__(self, field, value)

    @property
    def states(self) -> int:
        """Number of hidden states."""
        return len(self.initial)

    @property
    def channels(self) -> int:
        """Numbers per step."""
        return self.emission.channels(self.parameters)

    def reordered(self, order: Int[np.ndarray, " states"]) -> "GeneralHmm":
        """Return the model whose state i is state ``order[i]`` of this one."""
        parameters = {name: value[order] for name, value in self.parameters.items()}
        rows = self.transitions[np.ix_(order, order)]
        return GeneralHmm(self.initial[order], rows, self.emission, parameters, self.name)

    def _title(self) -> str:
        channels = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return f"GeneralHmm '{self.name}': {self.states} states, {channels}, {type(self.emission).__name__}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        stay = self.transitions.diagonal()
        yield "staying", f"probability {stay.min():.3g} to {stay.max():.3g} per step"
        for state in range(self.states):
            yield f"state {state}", self.emission.describe(self.parameters, state)

    def to_dict(self) -> dict[str, Any]:
        """Return the model as lists, numbers and text that fit in JSON.

        Raises
        ------
        InputError
            If its emission is not in the table.
        """
        return {
            "initial": self.initial.tolist(),
            "transitions": self.transitions.tolist(),
            "emission": name_of(self.emission),
            "settings": asdict(self.emission),  # type: ignore[arg-type]
            "parameters": {name: value.tolist() for name, value in self.parameters.items()},
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "GeneralHmm":
        """Make a model from what ``to_dict`` returned.

        Raises
        ------
        InputError
            If an entry is missing or the numbers are not those of a hidden Markov model.
        """
        names = ("initial", "transitions", "emission", "settings", "parameters", "name")
        check_entries(entries, names)
        emission = make_emission(entries["emission"], **entries["settings"])
        return cls(entries["initial"], entries["transitions"], emission, entries["parameters"], entries["name"])


def as_general(hmm: HiddenMarkovModel | GeneralHmm) -> GeneralHmm:
    """Return a model of symbols as one with the categorical emission; any other as it is.

    Examples
    --------
    >>> from neurodyn.markov import linear_chain
    >>> as_general(linear_chain(2)).emission
    Categorical(symbols=3, concentration=1.0)
    """
    if isinstance(hmm, GeneralHmm):
        return hmm
    rows = {"probabilities": hmm.emissions}
    return GeneralHmm(hmm.initial, hmm.transitions, Categorical(hmm.symbols), rows, hmm.name)


def as_symbols(hmm: GeneralHmm, trial_steps: int) -> HiddenMarkovModel:
    """Return a model with the categorical emission as one of symbols, as networks emulate it.

    Parameters
    ----------
    hmm
        The model.
    trial_steps
        Length of a trial in steps, where nothing else is asked for.

    Raises
    ------
    InputError
        If its emission is another one.

    Examples
    --------
    >>> from neurodyn.markov import as_general, as_symbols, linear_chain
    >>> chain = linear_chain(2)
    >>> as_symbols(as_general(chain), chain.trial_steps).emissions.tolist() == chain.emissions.tolist()
    True
    """
    if not isinstance(hmm.emission, Categorical):
        raise InputError(f"expected a model that emits symbols (categorical), got {type(hmm.emission).__name__}")
    return HiddenMarkovModel(hmm.initial, hmm.transitions, hmm.parameters["probabilities"], hmm.name, trial_steps)
