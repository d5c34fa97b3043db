"""All models that sequences leave possible: the posterior over the parameters, by Hamiltonian Monte Carlo."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from neurodyn.errors import import_extra
from neurodyn.kernels.discrete import LogChain
from neurodyn.markov.alignment import reordered, state_order
from neurodyn.markov.config import BayesConfig
from neurodyn.markov.em import fit_em
from neurodyn.markov.inference import filter_trials, log_chain, log_ratio
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampler import draw_posterior, inside
from neurodyn.markov.symbols import check_symbols
from neurodyn.sampler import largest_r_hat

_NAMES = ("initial", "transitions", "emissions")


@dataclass(frozen=True)
class Posterior:
    """Draws from the posterior; the states of every draw are in the order of those of ``start``.

    Parameters
    ----------
    initial, transitions, emissions
        (chains, draws, ...) probabilities, rows as in ``HiddenMarkovModel``.
    log_likelihood
        (chains, draws) of all sequences.
    diverging
        (chains, draws): a step that the sampler could not follow; any at all throws doubt on the draws.
    start
        The most probable model, found by expectation maximisation, at which the chains started.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import HiddenMarkovModel, Posterior
    >>> coins = HiddenMarkovModel([1.0, 0.0], [[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.9, 0.1]], "coins", 100)
    >>> rows = np.random.default_rng(0).dirichlet([9.0, 1.0], size=(2, 200, 2))  # of two chains of draws
    >>> none = np.zeros((2, 200), bool)
    >>> posterior = Posterior(rows[..., 0, :], rows, rows, np.random.default_rng(0).normal(size=(2, 200)), none, coins)
    >>> posterior.r_hat < 1.05, posterior.mean().transitions.round(1).tolist()
    (True, [[0.9, 0.1], [0.9, 0.1]])
    """

    initial: Float[np.ndarray, "chains draws states"]
    transitions: Float[np.ndarray, "chains draws states states"]
    emissions: Float[np.ndarray, "chains draws states symbols"]
    log_likelihood: Float[np.ndarray, "chains draws"]
    diverging: Bool[np.ndarray, "chains draws"]
    start: HiddenMarkovModel

    @property
    def r_hat(self) -> float:
        """Largest potential scale reduction of a probability (:func:`neurodyn.sampler.largest_r_hat`)."""
        return largest_r_hat(getattr(self, name) for name in _NAMES)

    def mean(self) -> HiddenMarkovModel:
        """Return the model whose probabilities are the posterior means."""
        means = (getattr(self, name).mean(axis=(0, 1)) for name in _NAMES)
        return HiddenMarkovModel(*means, name=self.start.name, trial_steps=self.start.trial_steps)

    def to_arviz(self) -> Any:
        """Return the draws as ``arviz.InferenceData``, for its summaries, diagnostics and plots.

        Raises
        ------
        MissingExtraError
            If ArviZ is not installed (extra ``bayes``).
        """
        arviz = import_extra("arviz", "bayes")
        states, symbols = self.start.emissions.shape
        return arviz.from_dict(
            posterior={name: getattr(self, name) for name in _NAMES},
            sample_stats={"diverging": self.diverging, "log_likelihood": self.log_likelihood},
            coords={"state": range(states), "next_state": range(states), "symbol": range(symbols)},
            dims={"initial": ["state"], "transitions": ["state", "next_state"], "emissions": ["state", "symbol"]},
        )


def fit_bayesian(
    symbols: ArrayLike | Sequence[Any],
    states: int,
    *,
    symbol_count: int,
    seed: int,
    config: BayesConfig | None = None,
    progress_bar: bool = False,
) -> Posterior:
    """Draw models from their posterior given sequences, with the states summed out exactly.

    The rows have Dirichlet priors; the likelihood is that of the forward filter. Chains start at the best model of
    ``fit_em`` and each draw's states are matched to it, since numbering states another way changes nothing: that chains
    agree says nothing about models that are far from this one.

    Parameters
    ----------
    symbols
        (trials, time), -1 where missing; or a list of sequences of any lengths.
    states, symbol_count
        Numbers of states and of symbols of the model.
    seed
        Seed of the start and of the sampler.
    config
        Prior and sampler.
    progress_bar
        Whether the sampler shows its steps.

    Raises
    ------
    InputError
        If a symbol is out of range, none is seen at all, or there is no state.

    Examples
    --------
    >>> from neurodyn.markov import fit_bayesian
    >>> fit_bayesian([[0, 1, 2, 1]], states=2, symbol_count=2, seed=0)
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: symbols must be from 0 to 1, -1 where missing; trial 0 has 2 at step 2
    """
    config = config or BayesConfig()
    checked = check_symbols(symbols, symbol_count)
    start = fit_em(checked, states, symbol_count=symbol_count, seed=seed, config=config.em).hmm
    rows = jnp.asarray(checked.T)
    arguments = {
        "symbols": rows, "states": states, "symbol_count": symbol_count, "config": config,
        "reference": jax.jit(filter_trials)(log_chain(start), rows)[1],
    }  # fmt: skip
    at = {name: inside(getattr(start, name)) for name in _NAMES}
    return _aligned(*draw_posterior(_model, at, arguments, config, seed=seed, progress_bar=progress_bar), start)


def _model(
    symbols: Int[Array, "time trials"],
    states: int,
    symbol_count: int,
    config: BayesConfig,
    reference: Float[Array, "time trials"],
) -> None:
    def rows(name: str, concentration: Array) -> Array:
        return jnp.log(numpyro.sample(name, dist.Dirichlet(concentration).to_event(1)))

    initial = jnp.log(numpyro.sample("initial", dist.Dirichlet(jnp.full(states, config.initial))))
    emissions = jnp.full((states, symbol_count), config.emissions)
    chain = LogChain(initial, rows("transitions", config.rows(states)), rows("emissions", emissions))
    numpyro.factor("symbols", numpyro.deterministic("log_likelihood", log_ratio(chain, symbols, reference)))


def _aligned(drawn: dict[str, np.ndarray], diverging: np.ndarray, start: HiddenMarkovModel) -> Posterior:
    parts = {name: drawn[name] for name in _NAMES}
    for chain, draw in np.ndindex(diverging.shape):
        rows = (parts[name][chain, draw] / parts[name][chain, draw].sum(axis=-1, keepdims=True) for name in _NAMES)
        hmm = HiddenMarkovModel(*rows, name=start.name, trial_steps=start.trial_steps)
        hmm = reordered(hmm, state_order(hmm, start))
        for name in _NAMES:
            parts[name][chain, draw] = getattr(hmm, name)
    return Posterior(**parts, log_likelihood=drawn["log_likelihood"], diverging=diverging, start=start)
