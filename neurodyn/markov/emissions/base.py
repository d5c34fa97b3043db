"""What an emission is: the base of the classes in the table, and how sequences of real values are read.

An emission is a kind of distribution with its settings; the numbers that a model has for it are its *parameters*, a
dictionary of arrays whose first axis is the state. The engine that runs it (`neurodyn.markov.inference`, `.em`,
`.posterior`) knows nothing else about it. Time comes first in prepared data: (time, trials, ...).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from neurodyn.errors import InputError

Parameters: TypeAlias = dict[str, Any]
"""Arrays by name, (states, ...) each: NumPy's in double precision in a model, JAX's while they are computed with."""


class Prepared(NamedTuple):
    """Sequences as an emission computes with them.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import Poisson
    >>> prepared = Poisson().to_arrays([np.array([1.0, 2.0, np.nan]), np.array([4.0, 5.0])])
    >>> prepared.lengths.tolist(), prepared.channels, prepared.seen.T.tolist()
    ([3, 2], 1, [[True, True, False], [True, True, False]])
    """

    data: Any
    """Arrays, or a tuple of arrays, (time, trials, ...); never NaN. What is computed of a step may use that step of
    them alone, since long sequences go through in blocks."""
    seen: Bool[np.ndarray, "time trials"]
    """Whether the step says anything about the state."""
    lengths: Int[np.ndarray, " trials"]
    """Steps of each sequence."""
    channels: int
    """Numbers per step; 1 for symbols."""


class Emission(ABC):
    """Distribution of the observation of a step given the hidden state.

    A subclass is a frozen dataclass of its settings. ``natural``, ``log_probability``, ``statistics`` and ``draw`` run
    in JAX; the rest is NumPy in double precision.

    Attributes
    ----------
    probabilities
        Names of the parameters whose rows are probabilities: a sampler starts inside of their bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import Emission, Poisson
    >>> isinstance(Poisson(), Emission), Poisson().count({"rate": np.array([[1.0, 2.0], [5.0, 0.5]])})
    (True, 4)
    """

    probabilities: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def to_arrays(self, observations: Any) -> Prepared:
        """Check sequences and turn them into arrays; NaN and masked entries are missing.

        Raises
        ------
        InputError
            If they cannot be used; the message says which sequence and step.
        """

    @abstractmethod
    def prior(self, prepared: Prepared) -> Parameters:
        """Prior of the parameters, with whatever it takes from the data (as their variance), as a dictionary."""

    @abstractmethod
    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Random parameters at which a fit may start."""

    @abstractmethod
    def natural(self, parameters: Parameters) -> Parameters:
        """What ``log_probability`` needs of the parameters (logarithms, factors), in the arrays' own library.

        In a fit it is computed once in double precision, before anything is rounded; in a sampler it is traced.
        `library` says which of NumPy and JAX the arrays belong to.
        """

    @abstractmethod
    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """Log-probability (density) of what was observed at each step, given each state."""

    @abstractmethod
    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Sufficient statistics, summed along time with weights (0 where nothing is seen): (trials, states, ...)."""

    @abstractmethod
    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """Most probable parameters given statistics that are summed over trials, (states, ...): the M step.

        A state about which nothing is known keeps its parameters.
        """

    @abstractmethod
    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """Log of the prior that ``maximise`` uses, up to a constant."""

    @abstractmethod
    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Parameters drawn from their prior in a NumPyro model: one ``numpyro.sample`` each, or made of such."""

    @abstractmethod
    def sample(self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator) -> Any:
        """Observations of paths of hidden states: (trials, time, channels), or (trials, time) of symbols."""

    @abstractmethod
    def check(self, parameters: Parameters, states: int) -> None:
        """Raise InputError if the parameters are invalid for this emission.

        Raises
        ------
        InputError
            If a name is missing, or an array has another shape than it must or impossible values.
        """

    @abstractmethod
    def channels(self, parameters: Parameters) -> int:
        """Numbers per step of the sequences that the parameters are for."""

    @abstractmethod
    def count(self, parameters: Parameters) -> int:
        """Number of free parameters, of all states together."""

    @abstractmethod
    def describe(self, parameters: Parameters, state: int) -> str:
        """What a state emits, in a few words."""

    def sites(self, parameters: Parameters) -> Parameters:
        """Values of the sample sites of ``draw`` that give these parameters; the parameters, if not overridden."""
        return {
            name: 0.99 * value + 0.01 / value.shape[-1] if name in self.probabilities else value
            for name, value in parameters.items()
        }


def library(arrays: Parameters) -> Any:
    """Return ``jax.numpy`` if any of the arrays is JAX's, else ``numpy``: functions of the same names."""
    return jnp if any(isinstance(value, jax.Array) for value in arrays.values()) else np


def real_sequences(observations: ArrayLike | Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of real values as one array, NaN where missing and after the end of the shorter ones.

    Parameters
    ----------
    observations
        A list of sequences, (time, channels) or (time,) each, of any lengths; an array (trials, time, channels); or a
        single sequence as an array (time, channels) or (time,). Masked arrays (``numpy.ma``) say what is missing.

    Returns
    -------
    values, lengths
        (trials, time, channels) of float64, and the steps of each sequence.

    Raises
    ------
    InputError
        If there is no sequence, one is empty, their channels differ, or a value is infinite or not a number at all.
    """
    rows = [_real(number, one) for number, one in enumerate(_as_sequences(observations))]
    if not rows:
        raise InputError("expected at least one sequence, got none")
    widths = {row.shape[1] for row in rows}
    if len(widths) > 1:
        raise InputError(f"all sequences must have the same number of channels, got {sorted(widths)}")
    lengths = np.array([len(row) for row in rows])
    values = np.full((len(rows), lengths.max(), widths.pop()), np.nan)
    for place, row in zip(values, rows, strict=True):
        place[: len(row)] = row
    return values, lengths


def time_first(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (time, trials, channels) with 0 for NaN, and where they were observed."""
    turned = np.ascontiguousarray(values.swapaxes(0, 1))
    observed = ~np.isnan(turned)
    return np.where(observed, turned, 0.0), observed


def spread_out(rows: Float[np.ndarray, "n d"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "count d"]:
    """Some of the rows, far from each other: each next one drawn in proportion to its squared distance to those before.

    Reference: Arthur & Vassilvitskii (2007), k-means++, SODA.
    """
    chosen = [rows[rng.integers(len(rows))]]
    nearest = np.full(len(rows), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, ((rows - chosen[-1]) ** 2).sum(axis=1))
        total = nearest.sum()
        chosen.append(rows[rng.choice(len(rows), p=nearest / total if total > 0 else None)])
    return np.stack(chosen)


def check_strength(strength: float) -> None:
    """Raise InputError if the prior strength is negative.

    Raises
    ------
    InputError
        That says what it must be.
    """
    if not strength >= 0:
        raise InputError(f"strength must be 0 or more, got {strength}")


def checked_parameter(parameters: Parameters, name: str, shape: tuple[int | None, ...], axes: str) -> np.ndarray:
    """Parameter of this shape, finite, in double precision; None in the shape stands for any length.

    Raises
    ------
    InputError
        If it is missing, of another shape, or not finite.
    """
    if name not in parameters:
        raise InputError(f"the emission needs the parameter '{name}' {axes}; got {sorted(parameters)}")
    value = np.asarray(parameters[name], np.float64)
    fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    if not fits or not value.size:
        raise InputError(f"{name} must have the shape {axes} with {shape[0]} states, got {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(f"{name} must be finite, got {value[~np.isfinite(value)][0]}")
    return value


def _as_sequences(observations: Any) -> Iterable[Any]:
    if isinstance(observations, np.ndarray) and observations.dtype != object:
        return observations if observations.ndim == 3 else [observations]
    if isinstance(observations, np.ndarray | list | tuple):
        return [observations] if len(observations) and all(np.ndim(one) == 0 for one in observations) else observations
    return [observations]


def _real(number: int, sequence: Any) -> Float[np.ndarray, "time channels"]:
    try:
        masked = np.ma.asarray(sequence, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"sequence {number} must hold numbers, (time, channels) or (time,): {error}") from error
    row = masked.filled(np.nan)
    row = row[:, None] if row.ndim == 1 else row
    if row.ndim != 2 or not row.size:
        raise InputError(
            f"sequence {number} must have the shape (time, channels) or (time,) with at least one step, "
            f"got {np.shape(sequence)}"
        )
    wrong = np.argwhere(np.isinf(row))
    if len(wrong):
        raise InputError(f"sequence {number} is infinite at step {wrong[0][0]}, channel {wrong[0][1]}: NaN is missing")
    return row
