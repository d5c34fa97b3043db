"""Loadings and baselines of Poisson counts on a Gaussian state, by Newton's method: step 3 of :mod:`.em`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.binning.likelihood import LEAST_COUNT

RIDGE = 1e-2
"""Penalty on squared loadings: it holds those of channels that hardly fire, and is nothing beside a few spikes."""


class CountsGivenStates(NamedTuple):
    """What the loadings of counts are fitted to: one row per bin.

    Products of states and their covariances have the entries of an upper triangle, ``n (n + 1) / 2`` of them: half the
    work of whole matrices.
    """

    inputs: Float[np.ndarray, "bins size"]  # (m, 1)
    products: Float[np.ndarray, "bins products"]  # of the inputs with themselves
    covariances: Float[np.ndarray, "bins entries"]
    counts: Float[np.ndarray, "bins p"]
    counted: Bool[np.ndarray, "bins p"]


class _Derivatives(NamedTuple):
    """Of the expected log-likelihood of each channel of counts: value, gradient, negative curvature."""

    value: Float[np.ndarray, " p"]
    gradient: Float[np.ndarray, "p size"]
    curvature: Float[np.ndarray, "p size size"]


def fit_loadings(
    weights: Float[np.ndarray, "p size"], data: CountsGivenStates, steps: int
) -> tuple[Float[np.ndarray, "p n"], Float[np.ndarray, " p"]]:
    """H and b, step 3, from weights ``(h, b)``; a step that would make a channel less likely is tried shorter."""
    if not len(weights):
        return weights[:, :-1], weights[:, -1]
    centre = np.zeros_like(weights)
    centre[:, -1] = log_means(data.counts, data.counted)  # where a channel without a spike stays

    def derivatives(weights: np.ndarray) -> _Derivatives:
        value, gradient, curvature = _derivatives(weights, data)
        away = weights - centre
        penalty = RIDGE * np.eye(weights.shape[1])
        return _Derivatives(value - RIDGE / 2 * (away**2).sum(axis=1), gradient - RIDGE * away, curvature + penalty)

    now, share = derivatives(weights), np.ones(len(weights))
    for _ in range(steps):
        step = np.linalg.solve(now.curvature, now.gradient[..., None])[..., 0]
        candidate = weights + share[:, None] * step
        found = derivatives(candidate)
        better = found.value >= now.value
        weights = np.where(better[:, None], candidate, weights)
        now = _Derivatives(*(np.where(_like(better, a), a, b) for a, b in zip(found, now, strict=True)))
        share = np.where(better, 1.0, share / 4)
    return weights[:, :-1], weights[:, -1]


def _derivatives(weights: Float[np.ndarray, "p size"], data: CountsGivenStates) -> _Derivatives:
    """Value and gradient as they are; the curvature with ``P_t h`` at its mean over the spikes expected of the channel.

    That is exact where the covariances are alike from bin to bin, and spares an array over channels, bins and states.
    """
    loadings, n = weights[:, :-1], weights.shape[1] - 1
    linear = data.inputs @ weights.T
    counts = np.where(data.counted, data.counts, 0.0)
    # h' P h from the upper triangle of P, in which entries off the diagonal stand for two.
    with np.errstate(over="ignore", invalid="ignore"):  # a step too far gives an infinite rate, and is not taken
        squares = upper_triangles(loadings[:, :, None] * loadings[:, None, :] * (2 - np.eye(n)))
        rate = np.where(data.counted, np.exp(linear + data.covariances @ squares.T / 2), 0.0)
        spread = _whole(rate.T @ data.covariances, n)  # sum of rate times P
        moments = _whole(rate.T @ data.products, n + 1)
        pulled = np.einsum("pij,pj->pi", spread, loadings)  # sum of rate times P h
        gradient = counts.T @ data.inputs - moments[:, n]
        gradient[:, :n] -= pulled
        expected = moments[:, n, n]
        mean_pull = np.concatenate([pulled / np.maximum(expected, LEAST_COUNT)[:, None], 0 * pulled[:, :1]], axis=1)
        cross = moments[:, n, :, None] * mean_pull[:, None, :]
        square = expected[:, None, None] * mean_pull[:, :, None] * mean_pull[:, None, :]
        curvature = moments + cross + cross.transpose(0, 2, 1) + square
        curvature[:, :n, :n] += spread
        return _Derivatives((counts * linear - rate).sum(axis=0), gradient, curvature)


def upper_triangles(matrices: Float[np.ndarray, "rows n n"]) -> Float[np.ndarray, "rows entries"]:
    """Entries of the upper triangles of symmetric matrices."""
    first, second = np.triu_indices(matrices.shape[-1])
    return matrices[:, first, second]


def _whole(entries: Float[np.ndarray, "rows entries"], n: int) -> Float[np.ndarray, "rows n n"]:
    """Symmetric matrices from their upper triangles."""
    place = np.zeros((n, n), np.int64)
    place[np.triu_indices(n)] = np.arange(entries.shape[1])
    return entries[:, np.maximum(place, place.T)]


def _like(flags: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Flags of the first axis with as many axes as an array."""
    return flags.reshape(-1, *[1] * (array.ndim - 1))


def log_means(counts: np.ndarray, counted: np.ndarray) -> Float[np.ndarray, " channels"]:
    """Log of the mean count of each channel."""
    total = np.where(counted, counts, 0.0).sum(axis=0)
    return np.log(np.maximum(total / np.maximum(counted.sum(axis=0), 1), LEAST_COUNT))
