r"""Real values with a full covariance, given the state and possibly the values before: Gaussian and autoregressive.

Both are a regression, ``y_t = W_k phi_t + noise`` with noise of covariance ``S_k``: of a constant (``W`` is the mean),
or of a constant and the last few values. Sums are of the deviations ``r = y - W phi`` from the parameters before the
step, so that values far from zero lose no digits. Where entries of ``y`` are missing, they enter by their distribution
given those that were observed: with the observed ones marked by o,

1. ``E[r] = S_{:,o} S_oo^{-1} r_o``, and
2. ``Cov[r] = S - S_{:,o} S_oo^{-1} S_{o,:}``,

which is zero where ``r`` was observed. Reference: Little & Rubin (2019), Statistical Analysis with Missing Data, 11.2.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.errors import InputError, NumericalError
from neurodyn.markov.emissions.base import (
    Emission,
    Parameters,
    Prepared,
    check_strength,
    checked_parameter,
    library,
    real_sequences,
    time_first,
)
from neurodyn.markov.emissions.diagonal import LOG_2_PI, describe_normal, moments


class Regression(NamedTuple):
    """What is regressed on what."""

    values: Any  # (time, trials, channels)
    design: Any  # (time, trials, terms)
    observed: Any
    """Which values there are, (time, trials, channels); None if a step has all or none."""


@dataclass(frozen=True)
class Linear(Emission):
    """What both have in common; a subclass says what the terms are and under which names the weights are kept."""

    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @abstractmethod
    def design(self, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Terms (time, trials, terms), and the steps (time, trials) at which all of them are known."""

    @abstractmethod
    def weights_of(self, parameters: Parameters) -> Any:
        """Weights (states, channels, terms) of the parameters, in the arrays' own library."""

    @abstractmethod
    def named(self, weights: Any) -> Parameters:
        """Parameters that have these weights."""

    def to_arrays(self, observations: Any) -> Prepared:
        """Values, terms and what was observed."""
        values, lengths = real_sequences(observations)
        values, observed = time_first(values)
        design, known = self.design(values, observed)
        seen = observed.any(axis=-1) & known
        partly = seen & ~observed.all(axis=-1)
        return Prepared(Regression(values, design, observed if partly.any() else None), seen, lengths, values.shape[-1])

    def prior(self, prepared: Prepared) -> Parameters:
        """Mean and variance of the data, and the mean square of each term."""
        values, design, observed = prepared.data
        mask = prepared.seen[..., None] & (np.ones_like(values, bool) if observed is None else observed)
        mean, variance = moments(np.where(mask, values, 0), mask)
        size = (design[prepared.seen] ** 2).mean(axis=0) if prepared.seen.any() else np.ones(design.shape[-1])
        weights = np.zeros((len(mean), len(size)))
        weights[:, 0] = mean  # the first term is the constant
        return {
            "strength": self.strength, "weights": weights, "mean": mean, "variance": variance,
            "precision": self.strength * size,
        }  # fmt: skip

    def natural(self, parameters: Parameters) -> Parameters:
        """Weights, covariance, the inverse of its Cholesky factor and the logarithm of the density's height."""
        xp = library(parameters)
        covariance = parameters["covariance"]
        root = xp.linalg.cholesky(covariance)
        size = covariance.shape[-1]
        log_determinant = 2 * xp.log(xp.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
        return {
            "weights": self.weights_of(parameters), "covariance": covariance, "whiten": xp.linalg.inv(root),
            "height": -0.5 * (size * LOG_2_PI + log_determinant),
        }  # fmt: skip

    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """Log-density of the observed entries; the others are integrated out."""
        if data.observed is None:
            scaled = jnp.einsum("kde,tnke->tnkd", natural["whiten"], _deviation(natural, data))
            return natural["height"] - 0.5 * (scaled**2).sum(axis=-1)

        def step(inputs: tuple[Array, Array]) -> Array:
            deviation, observed = inputs
            root = jnp.linalg.cholesky(_only_observed(natural["covariance"], observed))
            scaled = lax.linalg.triangular_solve(root, deviation[..., None], left_side=True, lower=True)[..., 0]
            heights = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
            count = observed.sum(axis=-1).astype(deviation.dtype)[..., None]
            return -0.5 * (count * LOG_2_PI + (scaled**2).sum(axis=-1)) - heights

        return lax.map(step, (_deviation(natural, data), data.observed))

    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Sums of weights, of products of terms, and of deviations with terms and with each other."""
        deviation = _deviation(natural, data)
        weighted = weights[..., None] * data.design[..., None, :]
        sums = {
            "steps": weights.sum(axis=0),
            "terms": jnp.einsum("tnkp,tnq->nkpq", weighted, data.design),
        }
        if data.observed is None:
            return sums | {
                "cross": jnp.einsum("tnkd,tnkp->nkdp", deviation, weighted),
                "squares": jnp.einsum("tnkd,tnke->nkde", weights[..., None] * deviation, deviation),
            }

        def add(total: tuple[Array, Array], inputs: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
            deviation, observed, weight, terms = inputs
            covariance = natural["covariance"]
            both = (observed[..., None] & observed[..., None, :])[:, None]
            inverse = jnp.linalg.inv(_only_observed(covariance, observed))
            inverse = jnp.where(both, inverse, jnp.zeros_like(inverse))
            gain = covariance @ inverse
            expected = jnp.einsum("nkde,nke->nkd", gain, deviation)
            left = covariance - gain @ covariance
            square = expected[..., None] * expected[..., None, :] + left
            cross = expected[..., None] * terms[..., None, :]
            return (total[0] + cross, total[1] + weight[..., None, None] * square), None

        shape = (*weights.shape[1:], data.values.shape[-1])
        cross = jnp.zeros((*shape, data.design.shape[-1]), weights.dtype)
        squares = jnp.zeros((*shape, shape[-1]), weights.dtype)
        cross, squares = lax.scan(add, (cross, squares), (deviation, data.observed, weights, weighted))[0]
        return sums | {"cross": cross, "squares": squares}

    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """Weighted regression and the covariance of what it leaves, the steps of the prior included."""
        weights, covariance = np.array(self.weights_of(before)), np.array(before["covariance"])
        strength, precision = prior["strength"], np.diag(prior["precision"])
        for state, steps in enumerate(statistics["steps"]):
            if steps + strength <= 0:
                continue
            terms, cross, squares = (statistics[name][state] for name in ("terms", "cross", "squares"))
            offset = weights[state] - prior["weights"]
            change = np.linalg.lstsq(terms + precision, (cross - offset @ precision).T, rcond=None)[0].T
            offset = offset + change
            left = squares - cross @ change.T - change @ cross.T + change @ terms @ change.T
            left += offset @ precision @ offset.T + strength * np.diag(prior["variance"])
            weights[state] += change
            covariance[state] = 0.5 * (left + left.T) / (steps + strength)
            _check_definite(covariance[state], state)
        return {**self.named(weights), "covariance": covariance}

    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """``-1/2 (strength (log|S| + tr(V S^-1)) + tr(S^-1 (W - M) P (W - M)'))``, summed over states.

        V is the diagonal of the data's variances, M the weights that are the data's mean, P the diagonal of
        ``precision``.
        """
        offset = self.weights_of(parameters) - prior["weights"]
        inverse = np.linalg.inv(parameters["covariance"])
        spread = prior["strength"] * np.diag(prior["variance"]) + (offset * prior["precision"]) @ offset.swapaxes(1, 2)
        height = prior["strength"] * np.linalg.slogdet(parameters["covariance"])[1].sum()
        return float(-0.5 * (height + np.einsum("kde,ked->", inverse, spread)))

    def sites(self, parameters: Parameters) -> Parameters:
        """Location, standard deviations and the Cholesky factor of the correlations in place of the covariance."""
        covariance = parameters["covariance"]
        deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        sites = {**parameters, "deviation": deviation}
        del sites["covariance"]
        if covariance.shape[-1] > 1:
            correlation = covariance / (deviation[:, :, None] * deviation[:, None])
            sites["correlation"] = np.linalg.cholesky(correlation)
        return sites

    def check(self, parameters: Parameters, states: int) -> None:
        """Covariances that are symmetric and positive definite."""
        size = self.channels(parameters)
        shape = (states, size, size)
        covariance = checked_parameter(parameters, "covariance", shape, "(states, channels, channels)")
        for state, matrix in enumerate(covariance):
            if not np.allclose(matrix, matrix.T, rtol=1e-6) or np.linalg.eigvalsh(matrix)[0] <= 0:
                raise InputError(f"the covariance of state {state} must be symmetric and positive definite")

    def describe(self, parameters: Parameters, state: int) -> str:
        """Mean and deviation of the first channels."""
        constant = np.asarray(self.weights_of(parameters))[state, :, 0]
        return describe_normal(constant, np.diagonal(parameters["covariance"][state]))

    def draw_covariance(self, states: int, deviation: Any) -> Any:
        """Covariances of these standard deviations, with correlations drawn from an LKJ prior."""
        import numpyro
        import numpyro.distributions as dist

        size = deviation.shape[-1]
        if size == 1:
            return (deviation**2)[..., None]
        factor = numpyro.sample("correlation", dist.LKJCholesky(size, 1.0).expand([states]).to_event(1))
        root = deviation[..., None] * factor
        return root @ jnp.swapaxes(root, -1, -2)


def _deviation(natural: Parameters, data: Regression) -> Float[Array, "time trials states channels"]:
    """What was observed less what each state expects; 0 where nothing was observed."""
    deviation = data.values[..., None, :] - jnp.einsum("kdp,tnp->tnkd", natural["weights"], data.design)
    return deviation if data.observed is None else deviation * data.observed[..., None, :].astype(deviation.dtype)


def _only_observed(
    covariance: Float[Array, "states channels channels"], observed: Bool[Array, "trials channels"]
) -> Float[Array, "trials states channels channels"]:
    """Covariance of the observed entries, with the identity in place of the others."""
    both = (observed[..., None] & observed[..., None, :])[:, None].astype(covariance.dtype)
    return covariance * both + jnp.eye(covariance.shape[-1], dtype=covariance.dtype) * (1 - both)


def noise(covariance: np.ndarray, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of the covariance of each step's state: (trials, time, channels)."""
    drawn = rng.normal(size=(*states.shape, covariance.shape[-1]))
    return np.einsum("ntde,nte->ntd", np.linalg.cholesky(covariance)[states], drawn)


def _check_definite(covariance: np.ndarray, state: int) -> None:
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise NumericalError(
            f"the covariance of state {state} has collapsed onto fewer dimensions than there are channels: "
            "give the emission a strength above 0, or fewer states"
        ) from None
