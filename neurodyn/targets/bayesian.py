r"""All linear read-outs that the data leave possible: the posterior of weights and noise, by Hamiltonian Monte Carlo.

The target is linear in the features. Its noise is unknown and may differ from bin to bin: the logarithm of its variance
is linear in whatever is known of a bin before its error is, such as what was lost lately. Each dimension has its own
parameters:

.. math::
    y_t = b + w^\top z_t + \varepsilon_t, \qquad \varepsilon_t \sim \mathcal N(0, v_t), \qquad
    \log v_t = \beta + \gamma^\top s_t, \\
    w_i \sim \mathcal N(0, \sigma^2), \qquad \log\sigma \sim \mathcal N(-1, 1), \qquad b \sim \mathcal N(0, 1), \qquad
    \beta \sim \mathcal N(0, 2^2), \qquad \gamma_j \sim \mathcal N(0, 1)

with features :math:`z`, sources :math:`s` and target standardised. Errors that last are worth fewer bins than there
are: the log-likelihood is multiplied by the share of the bins that count as independent
(:func:`neurodyn.targets.independent_bins`), so that intervals of the weights do not narrow with the sampling rate.

Reference: Gelman et al. (2013), Bayesian Data Analysis, chapters 14 and 15.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.errors import InputError, import_extra
from neurodyn.sampler import Sampler, draw_sites, largest_r_hat
from neurodyn.targets.linear import LinearTarget
from neurodyn.targets.variance import LogLinearVariance

MOST_BINS = 2048
"""Most bins that are sampled with: of more, so many are taken evenly, and count for all of them."""
PRIOR_CONSTANT = 2.0
"""How far the log variance is expected to lie from that of the target."""
PRIOR_SCALE = -1.0
"""Logarithm of what a weight is expected to be in standard units; the logarithm has a deviation of one."""
USUAL = Sampler(accept=0.95)
"""Smaller steps than usual: few bins leave the scale of the weights open."""
PIECE = 1024
"""Bins whose variance is worked out at once for all draws."""
TINY = 1e-12
"""Least deviation, relative to the largest, of a feature or source that says anything."""


@dataclass(frozen=True)
class TargetPosterior:
    """Draws of a linear read-out and of its noise.

    Parameters
    ----------
    weights, intercept
        (chains, draws, features, dims), (chains, draws, dims): in target units, per feature unit.
    constant, slopes
        (chains, draws, dims), (chains, draws, sources, dims): log variance in squared target units where all sources
        are zero, and per unit of each source.
    diverging
        (chains, draws): a step that the sampler could not follow; any at all throws doubt on the draws.
    features, sources, dims
        What each is called.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import TargetPosterior
    >>> rng = np.random.default_rng(0)  # draws as fit_bayesian_target returns them, of two chains
    >>> weights, zeros = rng.normal(3.0, 0.1, size=(2, 500, 1, 1)), np.zeros((2, 500, 1))
    >>> none = np.zeros((2, 500), bool)
    >>> posterior = TargetPosterior(weights, zeros, zeros, np.zeros((2, 500, 0, 1)), none, ("x",), (), ("speed",))
    >>> mean, variance = posterior.predict(np.array([[0.0], [10.0]]), np.zeros((2, 0, 1)))
    >>> mean.round(0).ravel().tolist(), variance.round(0).ravel().tolist()  # farther out, the weight matters more
    ([0.0, 30.0], [1.0, 2.0])
    """

    weights: Float[np.ndarray, "chains draws features dims"] = field(repr=False)
    intercept: Float[np.ndarray, "chains draws dims"] = field(repr=False)
    constant: Float[np.ndarray, "chains draws dims"] = field(repr=False)
    slopes: Float[np.ndarray, "chains draws sources dims"] = field(repr=False)
    diverging: Bool[np.ndarray, "chains draws"] = field(repr=False)
    features: tuple[str, ...]
    sources: tuple[str, ...]
    dims: tuple[str, ...]

    @property
    def r_hat(self) -> float:
        """Largest potential scale reduction of a parameter (:func:`neurodyn.sampler.largest_r_hat`)."""
        return largest_r_hat(self._draws().values())

    def interval(self, level: float = 0.95) -> Float[np.ndarray, "2 features dims"]:
        """Bounds of the weights between which the posterior has this share, as much of it left out on either side."""
        tails = [50 * (1 - level), 100 - 50 * (1 - level)]
        return np.percentile(self.weights, tails, axis=(0, 1))

    def predict(
        self, features: Float[np.ndarray, "bins features"], sources: Float[np.ndarray, "bins sources dims"]
    ) -> tuple[Float[np.ndarray, "bins dims"], Float[np.ndarray, "bins dims"]]:
        """Mean and variance of the predictive distribution: the noise, and what is not known of the weights.

        Parameters
        ----------
        features, sources
            In the order and units of those that were fitted on.
        """
        mean = features @ self.weights.mean(axis=(0, 1)) + self.intercept.mean(axis=(0, 1))
        return mean, self._noise(sources) + self._spread(features)

    def _noise(self, sources: np.ndarray) -> np.ndarray:
        """Mean variance of the noise over all draws."""
        pieces = (sources[first : first + PIECE] for first in range(0, len(sources), PIECE))
        slopes = self.slopes.reshape(self.diverging.size, *self.slopes.shape[2:])
        constant = self.constant.reshape(len(slopes), -1)
        means = [np.exp(constant + np.einsum("bsd,nsd->bnd", s, slopes)).mean(axis=1) for s in pieces]
        return np.concatenate(means) if means else np.zeros((0, len(self.dims)))

    def _spread(self, features: np.ndarray) -> np.ndarray:
        """Variance of the mean over all draws."""
        parameters = np.concatenate([self.weights, self.intercept[:, :, None]], axis=2)
        wide, found = np.column_stack([features, np.ones(len(features))]), []
        for d in range(len(self.dims)):
            draws = parameters[..., d].reshape(-1, wide.shape[1])
            covariance = np.atleast_2d(np.cov(draws, rowvar=False, bias=True))
            found.append(np.einsum("bi,ij,bj->b", wide, covariance, wide))
        return np.stack(found, axis=1)

    def mean(self) -> tuple[LinearTarget, LogLinearVariance]:
        """Return the read-out whose parameters are the posterior means, and the variance likewise."""
        dims = len(self.dims)
        weights, intercept = self.weights.mean(axis=(0, 1)), self.intercept.mean(axis=(0, 1))
        constant = self.constant.mean(axis=(0, 1))
        linear = LinearTarget(weights, intercept, np.zeros(dims), np.diag(np.exp(constant)))
        return linear, LogLinearVariance(constant, self.slopes.mean(axis=(0, 1)))

    def to_arviz(self) -> Any:
        """Return the draws as ``arviz.InferenceData``, for its summaries, diagnostics and plots.

        Raises
        ------
        MissingExtraError
            If ArviZ is not installed (extra ``bayes``).
        """
        arviz = import_extra("arviz", "bayes")
        return arviz.from_dict(
            posterior=self._draws(),
            sample_stats={"diverging": self.diverging},
            coords={"feature": list(self.features), "source": list(self.sources), "dim": list(self.dims)},
            dims={
                "weights": ["feature", "dim"],
                "intercept": ["dim"],
                "log_variance": ["dim"],
                "slopes": ["source", "dim"],
            },
        )

    def _draws(self) -> dict[str, np.ndarray]:
        drawn = {"weights": self.weights, "intercept": self.intercept, "log_variance": self.constant}
        return drawn | ({"slopes": self.slopes} if self.sources else {})


def fit_bayesian_target(
    features: Float[np.ndarray, "_bins features"],
    target: Float[np.ndarray, "_bins _dims"],
    sources: Float[np.ndarray, "_bins sources _dims"],
    independent: Float[np.ndarray, " _dims"],
    *,
    seed: int,
    names: tuple[Sequence[str], Sequence[str], Sequence[str]] | None = None,
    sampler: Sampler = USUAL,
) -> TargetPosterior:
    """Draw linear read-outs of a target, and how noisy each bin is, from their posterior.

    Parameters
    ----------
    features, target
        One row per bin.
    sources
        What the log variance of each dimension may depend on, in the same bins; none is possible.
    independent
        How many of the bins count as independent, for each dimension.
    seed
        Of the sampler.
    names
        Of features, sources and dimensions; numbers if None.
    sampler
        How many draws, and how they are made.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, or there are fewer than two bins.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.sampler import Sampler
    >>> from neurodyn.targets import fit_bayesian_target
    >>> rng = np.random.default_rng(0)
    >>> x, noisy = rng.normal(size=(400, 1)), (np.arange(400) % 2.0)[:, None, None]
    >>> y = 3 * x + np.exp(noisy[:, 0]) * rng.normal(size=(400, 1))
    >>> found = fit_bayesian_target(x, y, noisy, np.array([400.0]), seed=0, sampler=Sampler(200, 200))
    >>> low, high = found.interval()[:, 0, 0]
    >>> bool(low < 3 < high), found.slopes.mean().round(0).tolist()  # its deviation is e times as large
    (True, 2.0)
    """
    features, target, sources = (np.asarray(a, np.float64) for a in (features, target, sources))
    bins, dims = target.shape
    if len(features) != bins or sources.shape[:1] != (bins,) or sources.shape[2:] != (dims,):
        raise InputError(
            f"expected features (bins, n), target (bins, dims) and sources (bins, n, dims) of the same bins, got "
            f"{features.shape}, {target.shape} and {sources.shape}"
        )
    if not all(np.isfinite(part).all() for part in (features, target, sources)):
        raise InputError("features, target and sources must be finite: leave out the bins in which one is missing")
    if bins < 2:
        raise InputError(f"a read-out needs at least two bins, got {bins}")
    labels = names or (_numbers(features.shape[1]), _numbers(sources.shape[1]), _numbers(dims))
    z, s, y = _Standard.of(features), _Standard.of(sources), _Standard.of(target)
    kept = np.linspace(0, bins - 1, min(bins, MOST_BINS)).astype(int)
    of_features, of_sources = z.of_some(features)[kept], s.of_some(sources)[kept]
    # Priors are the same along all axes: along principal ones the posterior has few correlations and is drawn fast.
    axes = _principal(of_features), np.stack([_principal(of_sources[..., d]) for d in range(dims)], axis=2)
    given = {
        "features": of_features @ axes[0].T,
        "sources": np.einsum("bsd,ksd->bkd", of_sources, axes[1]),
        "target": y.of_some(target)[kept],
        "weight": np.minimum(independent, bins) / len(kept),
    }
    drawn, diverging = _draw(given, sampler, seed)
    return _in_units(drawn, diverging, axes, (z, s, y), labels)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _principal(columns: np.ndarray) -> np.ndarray:
    """All principal axes of standardised columns, one per row."""
    return np.linalg.eigh(columns.T @ columns)[1].T


@dataclass(frozen=True)
class _Standard:
    """Centre and scale of each column; the scale of one that does not vary is infinite, so that it has no part."""

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Standard":
        centre, scale = values.mean(axis=0), values.std(axis=0)
        least = TINY * np.maximum(np.abs(centre), scale.max(initial=0.0))
        return cls(centre, np.where(scale > least, scale, np.inf))

    def of_some(self, values: np.ndarray) -> np.ndarray:
        return (values - self.centre) / self.scale


def _draw(given: dict[str, np.ndarray], sampler: Sampler, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    import jax.numpy as jnp

    arguments = {name: jnp.asarray(value, jnp.result_type(float)) for name, value in given.items()}
    z, y = given["features"], given["target"]
    ridge = np.linalg.solve(z.T @ z + np.eye(z.shape[1]), z.T @ y)
    errors = np.square(y - z @ ridge).mean(axis=0)
    scale = np.maximum(np.sqrt(np.square(ridge).mean(axis=0)), 1e-2) if ridge.size else np.ones(y.shape[1])
    start = {
        "scale": scale,
        "weights": ridge,
        "intercept": np.zeros(y.shape[1]),
        "constant": np.log(np.maximum(errors, 1e-9)),
        "slopes": np.zeros(given["sources"].shape[1:]),
    }
    on_device = {name: jnp.asarray(value, jnp.result_type(float)) for name, value in start.items()}
    return draw_sites(_model, on_device, arguments, sampler, seed=seed)


def _model(features: Any, sources: Any, target: Any, weight: Any) -> None:
    """The joint density, in standardised units; see the text of the module."""
    import jax.numpy as jnp
    import numpyro
    from numpyro import distributions as dist

    dims, n_features, n_sources = target.shape[1], features.shape[1], sources.shape[1]
    scale = numpyro.sample("scale", dist.LogNormal(PRIOR_SCALE, 1.0).expand([dims]).to_event(1))
    weights = numpyro.sample("weights", dist.Normal(jnp.zeros((n_features, 1)), scale).to_event(2))
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 1.0).expand([dims]).to_event(1))
    constant = numpyro.sample("constant", dist.Normal(0.0, PRIOR_CONSTANT).expand([dims]).to_event(1))
    slopes = numpyro.sample("slopes", dist.Normal(0.0, 1.0).expand([n_sources, dims]).to_event(2))
    mean = features @ weights + intercept
    log_variance = constant + jnp.einsum("bsd,sd->bd", sources, slopes)
    log_likelihood = -0.5 * (jnp.log(2 * jnp.pi) + log_variance + jnp.square(target - mean) * jnp.exp(-log_variance))
    numpyro.factor("target", jnp.sum(weight * log_likelihood))


def _in_units(
    drawn: dict[str, np.ndarray],
    diverging: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray],
    standards: tuple[_Standard, _Standard, _Standard],
    labels: tuple[Sequence[str], Sequence[str], Sequence[str]],
) -> TargetPosterior:
    """The draws in the units of features, sources and target."""
    z, s, y = standards
    unit = np.where(np.isfinite(y.scale), y.scale, 0.0)
    weights = np.einsum("kf,cnkd->cnfd", axes[0], drawn["weights"]) * unit / z.scale[:, None]
    intercept = y.centre + unit * drawn["intercept"] - np.einsum("f,cnfd->cnd", z.centre, weights)
    slopes = np.einsum("ksd,cnkd->cnsd", axes[1], drawn["slopes"]) / s.scale
    log_unit = 2 * np.log(np.maximum(unit, np.finfo(np.float64).tiny))
    constant = drawn["constant"] + log_unit - np.einsum("sd,cnsd->cnd", s.centre, slopes)
    features, sources, dims = (tuple(part) for part in labels)
    return TargetPosterior(
        weights=weights, intercept=intercept, constant=constant, slopes=slopes, diverging=diverging,
        features=features, sources=sources, dims=dims,
    )  # fmt: skip
