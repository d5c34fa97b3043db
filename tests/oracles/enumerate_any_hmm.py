"""Everything about a small hidden Markov model with any emission by going through all its paths.

``densities`` is (time, states): the density of what was observed at each step given each state, 1 where nothing was
seen; it comes from scipy, not from the package.
"""

from itertools import pairwise, product

import numpy as np
from scipy import stats


def all_paths(initial, transitions, densities) -> dict[tuple[int, ...], float]:
    """Joint density of the observations and each path."""
    found = {}
    for path in product(range(len(initial)), repeat=len(densities)):
        probability = initial[path[0]]
        for before, after in pairwise(path):
            probability *= transitions[before][after]
        found[path] = float(probability * np.prod([row[state] for row, state in zip(densities, path, strict=True)]))
    return found


def likelihood(initial, transitions, densities) -> float:
    return sum(all_paths(initial, transitions, densities).values())


def smoothed(initial, transitions, densities) -> np.ndarray:
    table = np.zeros(densities.shape)
    for path, probability in all_paths(initial, transitions, densities).items():
        table[np.arange(len(path)), list(path)] += probability
    return table / table[0].sum()


def filtered(initial, transitions, densities) -> np.ndarray:
    return np.array([smoothed(initial, transitions, densities[: t + 1])[-1] for t in range(len(densities))])


def best_path(initial, transitions, densities) -> tuple[int, ...]:
    paths = all_paths(initial, transitions, densities)
    return max(paths, key=paths.__getitem__)


def normal(value, mean, covariance) -> float:
    """Density of the entries of a value that are not NaN: the marginal of a multivariate normal distribution."""
    here = ~np.isnan(value)
    if not here.any():
        return 1.0
    return float(stats.multivariate_normal(mean[here], covariance[np.ix_(here, here)]).pdf(value[here]))


def densities(kind: str, parameters, sequence) -> np.ndarray:
    """(time, states) of one sequence (time, channels), or of symbols (time,), by scipy."""
    states = len(next(iter(parameters.values())))
    table = np.ones((len(sequence), states))
    for t, value in enumerate(sequence):
        for k in range(states):
            table[t, k] = _density(kind, {name: part[k] for name, part in parameters.items()}, sequence, t, value)
    return table


def _density(kind, of, sequence, t, value) -> float:
    if kind == "categorical":
        return float(of["probabilities"][value]) if value >= 0 else 1.0
    if kind == "poisson":
        here = ~np.isnan(value)
        return float(np.prod(stats.poisson(of["rate"][here]).pmf(value[here])))
    if kind == "diagonal_gaussian":
        return normal(value, of["mean"], np.diag(of["variance"]))
    if kind == "gaussian":
        return normal(value, of["mean"], of["covariance"])
    if kind == "choices":
        if np.isnan(value).any():
            return 1.0
        odds = np.exp([0.0, *(of["weights"] @ [1.0, *value[1:]])])
        return float(odds[int(value[0])] / odds.sum())
    lags = len(of["coefficients"])
    past = sequence[max(t - lags, 0) : t][::-1]
    if len(past) < lags or np.isnan(past).any():
        return 1.0
    mean = of["intercept"] + sum(matrix @ row for matrix, row in zip(of["coefficients"], past, strict=True))
    return normal(value, mean, of["covariance"])
