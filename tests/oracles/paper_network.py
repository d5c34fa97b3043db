"""Oracle: the paper's network and its objective in NumPy, from arrays with NaN to the terms of the loss.

Written from the equations (Erturk & Shanechi 2025), trial by trial and bin by bin, with nothing of the package in it:
statistics of the data, tau, embeddings, modality filters, fusion, backbone, decoders and the four terms. Weights come
as plain arrays, what training hides as plain masks.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy

HORIZONS = (0, 1, 2, 3, 4)
LATENT_WEIGHT = 30.0
LARGEST_NORM = 0.9995
"""Bound of the package on the spectral norm of a transition; the paper has none, and starts at 0.9."""


class Dynamics(NamedTuple):
    """``x[t+1] = A x[t] + w``, ``y[t] = C x[t] + r`` with diagonal noise; the first state has mean 0, covariance I."""

    transition: np.ndarray
    emission: np.ndarray
    process_noise: np.ndarray
    observation_noise: np.ndarray


class Part(NamedTuple):
    """One modality: layers are pairs (kernel, bias); dynamics and fusion are None in a network of one modality."""

    counts: bool
    encoder: list
    dynamics: Dynamics | None
    decoder: list
    smoothness: float
    log_variance: np.ndarray | None = None


class Hidden(NamedTuple):
    """What training hides: bins (trial, time) and channels (trial, time, channel) of each modality, entries of a[t]."""

    bins: list
    channels: list
    fused: np.ndarray
    probability: float


def network(layers, inputs):
    """Tanh layers, the last one linear."""
    *hidden, (kernel, bias) = layers
    for weights, shift in hidden:
        inputs = np.tanh(inputs @ weights + shift)
    return inputs @ kernel + bias


def observed_statistics(values):
    """Mean and deviation of each channel over what is observed of all trials."""
    flat = values.reshape(-1, values.shape[-1])
    return np.nanmean(flat, axis=0), np.nanstd(flat, axis=0)


def tau(parts, data):
    """Weight of the counts' log-likelihoods: that of the field under its means, by theirs under theirs."""
    field, counts = [], {}
    for number, (part, values) in enumerate(zip(parts, data, strict=True)):
        mean, deviation = observed_statistics(values)
        if part.counts:
            counts[number] = abs(np.nanmean(log_poisson(values, np.broadcast_to(mean, values.shape))))
        else:
            field.append(abs(np.nanmean(scipy.stats.norm.logpdf((values - mean) / deviation))))
    return [np.mean(field) / counts[i] if i in counts and field else 1.0 for i in range(len(parts))]


def log_poisson(counts, rate):
    return counts * np.log(rate) - rate - scipy.special.gammaln(counts + 1)


def inputs_of(part, values, training, dropped=None):
    """What enters the encoder: raw counts, or z-scores of training; zero where missing or dropped."""
    mean, deviation = (0.0, 1.0) if part.counts else observed_statistics(training)
    kept = ~np.isnan(values)
    inputs = np.where(kept, (np.nan_to_num(values) - mean) / deviation, 0.0)
    return inputs if dropped is None else np.where(dropped, 0.0, inputs)


def kalman(dynamics, observations, seen):
    """Filtered and smoothed means, smoothed covariances of one trial, as the textbook has them."""
    a, c, q, r = dynamics
    norm = np.linalg.norm(a, 2)
    a = a * min(1.0, LARGEST_NORM / norm)
    mean, covariance = np.zeros(len(a)), np.eye(len(a))
    before, after = [], []
    for value, there in zip(observations, seen, strict=True):
        before.append((mean, covariance))
        if there:
            innovation = c @ covariance @ c.T + np.diag(r)
            gain = np.linalg.solve(innovation, c @ covariance).T
            mean, covariance = mean + gain @ (value - c @ mean), covariance - gain @ c @ covariance
        after.append((mean, covariance))
        mean, covariance = a @ mean, a @ covariance @ a.T + np.diag(q)
    smoothed = [after[-1]]
    for (m, p), (ahead, spread) in zip(after[-2::-1], before[:0:-1], strict=True):
        later, later_spread = smoothed[-1]
        back = np.linalg.solve(spread, a @ p).T
        smoothed.append((m + back @ (later - ahead), p + back @ (later_spread - spread) @ back.T))
    smoothed = smoothed[::-1]
    return (
        np.stack([m for m, _ in after]),
        np.stack([m for m, _ in smoothed]),
        np.stack([p for _, p in smoothed]),
    )


class Pass(NamedTuple):
    """Of each trial: filtered and smoothed latents (time, latent), smoothed covariances."""

    filtered: list
    smoothed: list
    covariances: list


def forward(parts, fusion, backbone, data, training, hidden=None):
    """Latents of the trials of ``data``, arrays (trial, time, channel) with NaN; statistics are of ``training``."""
    found = Pass([], [], [])
    scale = 1.0 if hidden is None else 1 / (1 - hidden.probability)
    for trial in range(len(data[0])):
        filled, shown = [], None
        for number, part in enumerate(parts):
            values = data[number][trial]
            dropped = None if hidden is None else hidden.channels[number][trial]
            embedded = network(part.encoder, scale * inputs_of(part, values, training[number], dropped))
            shown = ~np.isnan(values).all(axis=-1)
            if hidden is not None:
                shown = shown & ~hidden.bins[number][trial]
            if part.dynamics is not None:
                embedded = kalman(part.dynamics, embedded, shown)[0] @ part.dynamics.emission.T
            filled.append(embedded)
        if fusion is None:
            fused = filled[0]
        else:
            fused, shown = network(fusion, np.concatenate(filled, axis=-1)), np.ones(len(filled[0]), bool)
        if hidden is not None:
            fused = np.where(hidden.fused[trial], 0.0, scale * fused)
        for kept, result in zip(found, kalman(backbone, fused, shown), strict=True):
            kept.append(result)
    return found


def rates(output):
    """Expected counts of a decoder's output."""
    return np.exp(np.clip(output, -5, 5))


def log_likelihood(part, output, values, training):
    """Of each observation, NaN where there is none."""
    if part.counts:
        return log_poisson(values, rates(output))
    mean, deviation = observed_statistics(training)
    spread = 1.0 if part.log_variance is None else np.exp(part.log_variance / 2)
    return scipy.stats.norm.logpdf((values - mean) / deviation, output, spread)


def divergence(part, one, other):
    """Kullback-Leibler divergence between what two outputs of a decoder mean."""
    if part.counts:
        return rates(one) * np.log(rates(one) / rates(other)) - rates(one) + rates(other)
    variance = 1.0 if part.log_variance is None else np.exp(part.log_variance)
    return (one - other) ** 2 / (2 * variance)


def terms(parts, fusion, backbone, data, training, penalty, hidden=None, visible_only=False):
    """The terms of the loss: likelihood, output_smoothness, latent_smoothness, weights.

    ``visible_only`` compares consecutive *visible* bins for the outputs' smoothness, which the paper does not: it
    compares those that are observed, whatever training hides.
    """
    latents, weights = forward(parts, fusion, backbone, data, training, hidden), tau(parts, training)
    transition = backbone.transition * min(1.0, LARGEST_NORM / np.linalg.norm(backbone.transition, 2))
    total, rough = 0.0, 0.0
    for number, part in enumerate(parts):
        scored = {k: [] for k in HORIZONS}
        steps = []
        for trial, values in enumerate(data[number]):
            observed = ~np.isnan(values).all(axis=-1)
            visible = observed if hidden is None else observed & ~hidden.bins[number][trial]
            for k in HORIZONS:
                for t in np.flatnonzero(visible):
                    if t >= k:
                        state = latents.smoothed[trial][t] if k == 0 else latents.filtered[trial][t - k]
                        state = np.linalg.matrix_power(transition, k) @ state
                        output = network(part.decoder, backbone.emission @ state)
                        scored[k].append(log_likelihood(part, output, values[t], training[number]))
            outputs = network(part.decoder, latents.smoothed[trial] @ backbone.emission.T)
            compared = np.flatnonzero(visible if visible_only else observed)
            steps += [divergence(part, outputs[s], outputs[t]) for s, t in pairwise(compared)]
        total += weights[number] * sum(np.nanmean(scored[k]) for k in HORIZONS)
        rough += part.smoothness * np.mean(steps)
    half = backbone.transition.shape[0] // 2
    moved = []
    for mean, covariance in zip(latents.smoothed, latents.covariances, strict=True):
        variance = np.diagonal(covariance, axis1=1, axis2=2)[:, :half]
        for t in range(1, len(mean)):
            ratio, shift = variance[t - 1] / variance[t], (mean[t, :half] - mean[t - 1, :half]) ** 2 / variance[t]
            moved.append(0.5 * (ratio + shift - 1 - np.log(ratio)))
    networks = [layers for part in parts for layers in (part.encoder, part.decoder)] + ([fusion] if fusion else [])
    norms = sum(np.sqrt(np.sum(kernel**2)) for layers in networks for kernel, _ in layers)
    return {
        "likelihood": -total,
        "output_smoothness": rough,
        "latent_smoothness": LATENT_WEIGHT * np.mean(moved),
        "weights": penalty * norms,
    }
