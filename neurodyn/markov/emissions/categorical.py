"""One of a few symbols per step: what `HiddenMarkovModel` emits, as a row of the table."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import xlogy

from neurodyn.errors import InputError
from neurodyn.markov.emissions.base import Emission, Parameters, Prepared, checked_parameter, library
from neurodyn.markov.rows import check_rows, choose, most_often, most_probable_rows
from neurodyn.markov.symbols import MISSING, check_symbols, is_ragged


@dataclass(frozen=True)
class Categorical(Emission):
    """Symbols counted from 0; -1, or a masked entry, where none was seen.

    Its parameter is ``probabilities`` (states, symbols).

    Parameters
    ----------
    symbols
        How many there are.
    concentration
        Of the Dirichlet prior of each row: 1 is uniform; more pulls towards equal probabilities, and keeps a symbol
        that the sequences of a fit happen to lack from being impossible in others.

    Examples
    --------
    >>> Categorical(symbols=3).to_arrays([[0, 2, 1], [1]]).seen.T.tolist()
    [[True, True, True], [True, False, False]]
    """

    symbols: int
    concentration: float = 1.0
    probabilities: ClassVar[tuple[str, ...]] = ("probabilities",)

    def __post_init__(self) -> None:
        if self.symbols < 1:
            raise InputError(f"a model needs at least one symbol, got {self.symbols}")
        if not self.concentration >= 1:
            raise InputError(f"concentration must be at least 1, got {self.concentration}: below, no row is the best")

    def to_arrays(self, observations: Any) -> Prepared:
        """Symbols as integers, 0 in place of missing ones."""
        if isinstance(observations, list | tuple):
            observations = [_filled(one) for one in observations]
        symbols = check_symbols(_filled(observations), self.symbols)
        ragged = is_ragged(observations)
        lengths = [len(one) for one in observations] if ragged else [symbols.shape[1]] * len(symbols)
        turned = np.ascontiguousarray(symbols.T)
        return Prepared(np.maximum(turned, 0), turned >= 0, np.array(lengths), 1)

    def prior(self, prepared: Prepared) -> Parameters:
        """Concentration of every row."""
        return {"concentration": self.concentration}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Draw every row uniformly from all probabilities."""
        return {"probabilities": rng.dirichlet(np.ones(self.symbols), states)}

    def natural(self, parameters: Parameters) -> Parameters:
        """Logarithms; minus infinity for what cannot happen."""
        xp = library(parameters)
        with np.errstate(divide="ignore"):  # a probability of zero is meant
            return {"log": xp.log(parameters["probabilities"])}

    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """``log B[state, symbol]``."""
        return natural["log"].T[data]

    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Expected number of times each state emitted each symbol."""
        seen = jax.nn.one_hot(data, self.symbols, dtype=weights.dtype)
        return {"emitted": jnp.einsum("tnk,tny->nky", weights, seen)}

    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """Expected shares, with what the prior adds."""
        added = prior["concentration"] - 1
        return {"probabilities": most_probable_rows(statistics["emitted"], added, before["probabilities"])}

    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """``sum (concentration - 1) log B``."""
        return float(xlogy(prior["concentration"] - 1, parameters["probabilities"]).sum())

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Dirichlet rows."""
        import numpyro
        import numpyro.distributions as dist

        rows = dist.Dirichlet(jnp.full((states, self.symbols), prior["concentration"])).to_event(1)
        return {"probabilities": numpyro.sample("probabilities", rows)}

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Int[np.ndarray, "trials time"]:
        """One symbol per step."""
        return choose(parameters["probabilities"], states, rng)

    def check(self, parameters: Parameters, states: int) -> None:
        """Rows of probabilities."""
        rows = checked_parameter(parameters, "probabilities", (states, self.symbols), "(states, symbols)")
        check_rows("probabilities", rows)

    def channels(self, parameters: Parameters) -> int:
        """A symbol is one number."""
        return 1

    def count(self, parameters: Parameters) -> int:
        """All but one per row."""
        return parameters["probabilities"].shape[0] * (self.symbols - 1)

    def describe(self, parameters: Parameters, state: int) -> str:
        """Most frequent symbols."""
        return most_often(parameters["probabilities"][state])


def _filled(symbols: Any) -> Any:
    return symbols.filled(MISSING) if isinstance(symbols, np.ma.MaskedArray) else symbols
