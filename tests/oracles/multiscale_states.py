"""Oracles of the linear state-space model with signals and counts: explicit matrices, and SciPy's minimiser.

Signals alone: states and observations of a trial are one Gaussian vector, conditioned by one dense solve. With counts:
the mode of a bin's posterior by a general minimiser that knows nothing of it, its curvature written out.
"""

from typing import NamedTuple

import numpy as np
import scipy


class Joint(NamedTuple):
    """Mean (T n,) and covariance of the states of all bins, before any observation."""

    mean: np.ndarray
    covariance: np.ndarray


def simulated(model, shape: tuple[int, int], seed: int):
    """States, signals and counts of trials of the model, bin by bin."""
    random, (trials, bins) = np.random.default_rng(seed), shape
    states = np.zeros((trials, bins, len(model.initial_mean)))
    states[:, 0] = random.multivariate_normal(model.initial_mean, model.initial_covariance, trials)
    for t in range(1, bins):
        noise = random.multivariate_normal(np.zeros(states.shape[-1]), model.process_noise, trials)
        states[:, t] = states[:, t - 1] @ model.transition.T + noise
    signals = states @ model.emission.T + model.offset
    signals += np.sqrt(model.observation_noise) * random.normal(size=signals.shape)
    return states, signals, random.poisson(np.exp(states @ model.loadings.T + model.baseline)).astype(np.float64)


def joint_states(model, bins: int) -> Joint:
    """The states of a trial as one Gaussian vector: ``x = M e`` of the first state and the noises, all independent."""
    n, power = len(model.initial_mean), np.linalg.matrix_power
    reach = np.zeros((bins, n, bins, n))
    for t in range(bins):
        for s in range(t + 1):
            reach[t, :, s] = power(model.transition, t - s)
    reach = reach.reshape(bins * n, bins * n)
    noise = scipy.linalg.block_diag(model.initial_covariance, *[model.process_noise] * (bins - 1))
    start = np.concatenate([model.initial_mean, np.zeros((bins - 1) * n)])
    return Joint(reach @ start, reach @ noise @ reach.T)


def conditioned(model, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Means (T, n) and covariance (T, n, T, n) of all states given the signals observed, and their log-likelihood."""
    bins, n, seen = len(values), len(model.initial_mean), np.flatnonzero(observed)
    mean, covariance = joint_states(model, bins)
    emission = np.kron(np.eye(bins), model.emission)[seen]
    noise = np.diag(np.tile(model.observation_noise, bins)[seen])
    expected = emission @ mean + np.tile(model.offset, bins)[seen]
    spread = emission @ covariance @ emission.T + noise
    gain = np.linalg.solve(spread, emission @ covariance).T
    found = covariance - gain @ emission @ covariance
    log_likelihood = 0.0
    if len(seen):
        log_likelihood = scipy.stats.multivariate_normal(expected, spread).logpdf(values.ravel()[seen])
    mean = mean + gain @ (values.ravel()[seen] - expected)
    return mean.reshape(bins, n), found.reshape(bins, n, bins, n), float(log_likelihood)


def filtered(model, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (T, n) and covariances (T, n, n) of each state given the bins up to its own."""
    means, covariances = [], []
    for t in range(len(values)):
        known = observed & (np.arange(len(values)) <= t)[:, None]
        mean, covariance, _ = conditioned(model, values, known)
        means.append(mean[t])
        covariances.append(covariance[t, :, t])
    return np.stack(means), np.stack(covariances)


def negative_log_posterior(model, mean, covariance, bin_, state: np.ndarray) -> float:
    """Of one bin, up to a constant, from the densities of SciPy."""
    values, observed, counts, counted = bin_
    signal = model.emission @ state + model.offset
    total = scipy.stats.norm(signal, np.sqrt(model.observation_noise)).logpdf(values)[observed].sum()
    rate = np.exp(model.loadings @ state + model.baseline)
    total += scipy.stats.poisson(rate).logpmf(counts)[counted].sum()
    return -float(total + scipy.stats.multivariate_normal(mean, covariance).logpdf(state))


def mode(model, mean, covariance, bin_) -> tuple[np.ndarray, np.ndarray]:
    """Where the posterior of a bin is highest, by a simplex and then BFGS, and the inverse of its curvature there."""
    _, observed, _, counted = bin_

    def cost(state):
        return negative_log_posterior(model, mean, covariance, bin_, state)

    rough = scipy.optimize.minimize(cost, mean, method="Nelder-Mead", options={"maxiter": 4000})
    found = scipy.optimize.minimize(cost, rough.x, method="BFGS", options={"gtol": 1e-7}).x
    rate = np.exp(model.loadings @ found + model.baseline)
    signals, spikes = model.emission[observed], model.loadings[counted]
    curvature = np.linalg.inv(covariance) + signals.T @ np.diag(1 / model.observation_noise[observed]) @ signals
    return found, np.linalg.inv(curvature + spikes.T @ np.diag(rate[counted]) @ spikes)
