"""Real values with a full covariance in each state."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.markov.emissions.base import Parameters, Prepared, checked_parameter, spread_out
from neurodyn.markov.emissions.diagonal import draw_location_and_scale
from neurodyn.markov.emissions.linear import Linear, noise


@dataclass(frozen=True)
class Gaussian(Linear):
    """Normal distribution with a full covariance; NaN, or a masked entry, where a value is missing.

    Entries may be missing one by one: they are integrated out. Its parameters are ``mean`` (states, channels) and
    ``covariance`` (states, channels, channels).

    Parameters
    ----------
    strength
        Of the prior, in steps: as if each state had been seen for so many steps more, at the mean of the data and with
        their variances, uncorrelated. It keeps a covariance from collapsing, where the likelihood is infinite. 0 is
        none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import EmConfig, Gaussian, fit_hmm
    >>> rng = np.random.default_rng(0)
    >>> values = [np.repeat([0.0, 5.0], 30)[:, None] + rng.normal(size=(60, 2)) for _ in range(3)]
    >>> fit = fit_hmm(values, 2, emission=Gaussian(), seed=0, config=EmConfig(restarts=2))
    >>> fit.hmm.parameters["mean"].shape, fit.hmm.parameters["covariance"].shape
    ((2, 2), (2, 2, 2))
    """

    def design(self, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The constant, known at every step."""
        shape = values.shape[:2]
        return np.ones((*shape, 1)), np.ones(shape, bool)

    def weights_of(self, parameters: Parameters) -> Any:
        """The means."""
        return parameters["mean"][..., None]

    def named(self, weights: Any) -> Parameters:
        """The means, under their name."""
        return {"mean": weights[..., 0]}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Values of steps that are unlike each other, and the variances of all."""
        prior = self.prior(prepared)
        mean, deviation = prior["mean"], np.sqrt(prior["variance"])
        values, _, observed = prepared.data
        rows = values if observed is None else np.where(observed, values, mean)
        chosen = spread_out((rows[prepared.seen] - mean) / deviation, states, rng) * deviation + mean
        return {"mean": chosen, "covariance": np.tile(np.diag(prior["variance"]), (states, 1, 1))}

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Means within about three standard deviations of the data, deviations around half of theirs, LKJ."""
        mean, deviation = draw_location_and_scale(states, prior["mean"], np.sqrt(prior["variance"]))
        return {"mean": mean, "covariance": self.draw_covariance(states, deviation)}

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Float[np.ndarray, "trials time channels"]:
        """Values."""
        return parameters["mean"][states] + noise(parameters["covariance"], states, rng)

    def check(self, parameters: Parameters, states: int) -> None:
        """Means, and covariances that are symmetric and positive definite."""
        checked_parameter(parameters, "mean", (states, None), "(states, channels)")
        super().check(parameters, states)

    def channels(self, parameters: Parameters) -> int:
        """Columns of the means."""
        return parameters["mean"].shape[1]

    def count(self, parameters: Parameters) -> int:
        """Means, and one triangle of each covariance."""
        states, size = parameters["mean"].shape
        return states * (size + size * (size + 1) // 2)
