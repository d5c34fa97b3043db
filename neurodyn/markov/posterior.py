"""All models of any emission that sequences leave possible: the posterior, by Hamiltonian Monte Carlo."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from neurodyn.errors import import_extra
from neurodyn.markov.config import BayesConfig
from neurodyn.markov.em import best_of_starts, checked
from neurodyn.markov.emissions.base import Emission, Parameters, Prepared
from neurodyn.markov.emissions.table import make_emission
from neurodyn.markov.general import GeneralHmm
from neurodyn.markov.inference import evidence_in, log_path, natural_on_device, on_device
from neurodyn.markov.passes import LogPath, filter_evidence, log_ratio_to, smooth_evidence
from neurodyn.markov.sampler import draw_posterior, inside
from neurodyn.sampler import largest_r_hat


@dataclass(frozen=True)
class GeneralPosterior:
    """Draws from the posterior; the states of every draw are in the order of those of ``start``.

    Parameters
    ----------
    initial, transitions
        (chains, draws, states) and (chains, draws, states, states) probabilities.
    parameters
        Parameters of the emission, by name: (chains, draws, states, ...).
    log_likelihood
        (chains, draws) of all sequences.
    diverging
        (chains, draws): a step that the sampler could not follow; any at all throws doubt on the draws.
    start
        The most probable model, found by expectation maximisation, at which the chains started.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import GeneralHmm, GeneralPosterior
    >>> cells = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], "poisson", {"rate": [[1.0], [9.0]]})
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.dirichlet([9.0, 1.0], size=(2, 200, 2))  # two chains of 200 draws, as fit_posterior returns them
    >>> rates = {"rate": rng.gamma(50.0, 0.02, size=(2, 200, 2, 1)) * np.array([[1.0], [9.0]])}
    >>> none = np.zeros((2, 200), bool)
    >>> posterior = GeneralPosterior(rows[..., 0, :], rows, rates, rng.normal(size=(2, 200)), none, cells)
    >>> posterior.r_hat < 1.05, posterior.hmm(chain=0, draw=10).states
    (True, 2)
    """

    initial: Float[np.ndarray, "chains draws states"]
    transitions: Float[np.ndarray, "chains draws states states"]
    parameters: dict[str, np.ndarray] = field(repr=False)
    log_likelihood: Float[np.ndarray, "chains draws"]
    diverging: Bool[np.ndarray, "chains draws"]
    start: GeneralHmm

    @property
    def r_hat(self) -> float:
        """Largest potential scale reduction of a number (:func:`neurodyn.sampler.largest_r_hat`)."""
        return largest_r_hat(self._draws().values())

    def hmm(self, chain: int, draw: int) -> GeneralHmm:
        """Return one draw as a model."""
        parameters = {name: value[chain, draw] for name, value in self.parameters.items()}
        rows = (self.initial[chain, draw], self.transitions[chain, draw])
        return GeneralHmm(*rows, self.start.emission, parameters, self.start.name)

    def to_arviz(self) -> Any:
        """Return the draws as ``arviz.InferenceData``, for its summaries, diagnostics and plots.

        Raises
        ------
        MissingExtraError
            If ArviZ is not installed (extra ``bayes``).
        """
        arviz = import_extra("arviz", "bayes")
        statistics = {"diverging": self.diverging, "log_likelihood": self.log_likelihood}
        return arviz.from_dict(posterior=self._draws(), sample_stats=statistics)

    def _draws(self) -> dict[str, np.ndarray]:
        return {"initial": self.initial, "transitions": self.transitions, **self.parameters}


def fit_posterior(
    observations: ArrayLike | Sequence[Any],
    states: int,
    *,
    emission: Emission | str,
    seed: int,
    config: BayesConfig | None = None,
    progress_bar: bool = False,
) -> GeneralPosterior:
    """Draw models with any emission of the table from their posterior given sequences, with the states summed out.

    The rows of the path have Dirichlet priors, with ``config.stickiness`` added for staying; the emission has its own.
    Chains start at the best model of `fit_hmm`, and each draw's states are matched to it by where they are in the
    sequences: agreement of the chains is not evidence about models that are far from this one.

    Parameters
    ----------
    observations
        Sequences of what the emission is of, see `fit_hmm`.
    states
        Number of states.
    emission
        What the states emit: an emission, or the name of one that needs no settings.
    seed
        Seed of the start and of the sampler.
    config
        Prior of the path, and sampler; its ``emissions`` is not used.
    progress_bar
        Whether the sampler shows its steps.

    Raises
    ------
    InputError
        If the sequences are invalid for the emission, nothing is observed at all, or there is no state.

    Examples
    --------
    >>> import neurodyn as nd
    >>> try:
    ...     nd.markov.fit_posterior([[1.5, 2.0, 3.0]], states=2, emission="poisson", seed=0)
    ... except nd.InputError as error:
    ...     print(str(error)[:32])
    counts must be whole numbers fro
    """
    config, kind = config or BayesConfig(), make_emission(emission)
    prepared = checked(kind.to_arrays(observations), "step")
    start = best_of_starts(kind, prepared, states, seed, config.em).hmm
    observed = on_device(prepared)
    natural, path = natural_on_device(kind, start.parameters), log_path(start.initial, start.transitions)
    arguments = {
        "observed": observed, "states": states, "emission": kind, "prior": kind.prior(prepared), "config": config,
        "reference": jax.jit(lambda: filter_evidence(path, evidence_in(kind, natural, observed))[1])(),
    }  # fmt: skip
    at = {
        "path_initial": inside(start.initial), "path_transitions": inside(start.transitions),
        **{name: jnp.asarray(value) for name, value in kind.sites(start.parameters).items()},
    }  # fmt: skip
    drawn, diverging = draw_posterior(_model, at, arguments, config, seed=seed, progress_bar=progress_bar)
    return _aligned(drawn, diverging, start, prepared)


def _model(
    observed: tuple[Any, Array],
    states: int,
    emission: Emission,
    prior: Parameters,
    config: BayesConfig,
    reference: Float[Array, "time trials"],
) -> None:
    initial = numpyro.sample("path_initial", dist.Dirichlet(jnp.full(states, config.initial)))
    transitions = numpyro.sample("path_transitions", dist.Dirichlet(config.rows(states)).to_event(1))
    parameters = emission.draw(states, prior)
    for name, value in parameters.items():
        numpyro.deterministic(f"parameter_{name}", value)
    natural = emission.natural(parameters)

    def evidence(some: tuple[Any, Array]) -> Array:
        return evidence_in(emission, natural, some)

    path = LogPath(jnp.log(initial), jnp.log(transitions))
    ratio = log_ratio_to(path, evidence, observed, reference)
    numpyro.factor("observations", numpyro.deterministic("log_likelihood", ratio))


def _aligned(
    drawn: dict[str, np.ndarray], diverging: np.ndarray, start: GeneralHmm, prepared: Prepared
) -> GeneralPosterior:
    prefix = "parameter_"
    parameters = {name.removeprefix(prefix): value for name, value in drawn.items() if name.startswith(prefix)}
    initial, transitions = (
        drawn[name] / drawn[name].sum(axis=-1, keepdims=True) for name in ("path_initial", "path_transitions")
    )
    observed, kind = on_device(prepared), start.emission
    smoothed = jax.jit(partial(_smoothed, kind, observed))
    mine = smoothed(log_path(start.initial, start.transitions), natural_on_device(kind, start.parameters))
    for place in np.ndindex(diverging.shape):
        path = log_path(initial[place], transitions[place])
        one = smoothed(path, natural_on_device(kind, {name: value[place] for name, value in parameters.items()}))
        shared = np.einsum("tnk,tnj->kj", np.asarray(mine, np.float64), np.asarray(one, np.float64))
        order = linear_sum_assignment(-shared)[1]
        initial[place], transitions[place] = initial[place][order], transitions[place][np.ix_(order, order)]
        for value in parameters.values():
            value[place] = value[place][order]
    return GeneralPosterior(initial, transitions, parameters, drawn["log_likelihood"], diverging, start)


def _smoothed(
    kind: Emission, observed: tuple[Any, Array], path: LogPath, natural: Parameters
) -> Float[Array, "time trials states"]:
    """Posterior of the states, 0 where nothing was seen."""
    evidence = evidence_in(kind, natural, observed)
    found = smooth_evidence(path, evidence, filter_evidence(path, evidence)[0])[0]
    return jnp.where(observed[1][..., None], found, jnp.zeros_like(found))
