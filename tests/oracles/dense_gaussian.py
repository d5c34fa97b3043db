"""Oracle: the joint Gaussian of all latents and observations as explicit matrices, conditioned by a dense solve.

Nothing here is recursive: the covariance of every pair of bins is written down, and conditioning on the observed
entries is one linear solve. It is slow, short and shares no idea with a Kalman filter.
"""

from typing import NamedTuple

import numpy as np


class Joint(NamedTuple):
    """Joint mean and covariance of latents (T n) and observations (T m) of one trial, flattened over time."""

    latent_mean: np.ndarray
    latent_covariance: np.ndarray
    observation_mean: np.ndarray
    observation_covariance: np.ndarray
    cross: np.ndarray  # covariance of latents with observations


def joint_gaussian(model, bins: int) -> Joint:
    """Write down the joint distribution of a ``LinearGaussian`` over ``bins`` bins."""
    a, q, c, r, mu, p = (np.asarray(x, np.float64) for x in model)
    n, m = len(mu), len(r)
    power = np.linalg.matrix_power
    mean = np.concatenate([power(a, t) @ mu for t in range(bins)])
    covariance = np.zeros((bins, n, bins, n))
    for s in range(bins):
        for t in range(bins):
            shared = power(a, s) @ p @ power(a, t).T
            for k in range(min(s, t)):  # noise of the step from bin k to k + 1 reaches both
                shared = shared + power(a, s - k - 1) @ np.diag(q) @ power(a, t - k - 1).T
            covariance[s, :, t] = shared
    covariance = covariance.reshape(bins * n, bins * n)
    emit = np.kron(np.eye(bins), c)
    noise = np.kron(np.eye(bins), np.diag(r))
    assert emit.shape == (bins * m, bins * n)
    return Joint(mean, covariance, emit @ mean, emit @ covariance @ emit.T + noise, covariance @ emit.T)


def condition(joint: Joint, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all latents given the observed entries (time x channel)."""
    keep = np.flatnonzero(observed)
    if not len(keep):
        return joint.latent_mean, joint.latent_covariance
    cross = joint.cross[:, keep]
    weights = np.linalg.solve(joint.observation_covariance[np.ix_(keep, keep)], cross.T).T
    error = values.ravel()[keep] - joint.observation_mean[keep]
    return joint.latent_mean + weights @ error, joint.latent_covariance - weights @ cross.T


def smoothed(model, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (T, n) and covariances (T, n, n) of the latents given all bins."""
    bins, n = len(values), len(model.initial_mean)
    mean, covariance = condition(joint_gaussian(model, bins), values, observed)
    blocks = covariance.reshape(bins, n, bins, n)
    return mean.reshape(bins, n), np.stack([blocks[t, :, t] for t in range(bins)])


def predicted(model, values: np.ndarray, observed: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of ``z[t + ahead]`` given bins up to and including t, for every t."""
    bins, n = len(values), len(model.initial_mean)
    joint = joint_gaussian(model, bins + ahead)
    padding = np.zeros((ahead, values.shape[1]))
    means, covariances = [], []
    for t in range(bins):
        known = np.concatenate([observed, padding.astype(bool)]) & (np.arange(bins + ahead) <= t)[:, None]
        mean, covariance = condition(joint, np.concatenate([values, padding]), known)
        means.append(mean.reshape(-1, n)[t + ahead])
        covariances.append(covariance.reshape(bins + ahead, n, bins + ahead, n)[t + ahead, :, t + ahead])
    return np.stack(means), np.stack(covariances)


def filtered(model, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of ``z[t]`` given bins up to and including t."""
    return predicted(model, values, observed, 0)


def log_likelihood(model, values: np.ndarray, observed: np.ndarray) -> float:
    """Log density of the observed entries of one trial."""
    joint = joint_gaussian(model, len(values))
    keep = np.flatnonzero(observed)
    covariance = joint.observation_covariance[np.ix_(keep, keep)]
    error = values.ravel()[keep] - joint.observation_mean[keep]
    quadratic = error @ np.linalg.solve(covariance, error) if len(keep) else 0.0
    return float(-0.5 * (quadratic + np.linalg.slogdet(covariance)[1] + len(keep) * np.log(2 * np.pi)))
