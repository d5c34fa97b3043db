"""Two-sample comparisons of sets of sequences: optimal matching, a classifier test, and a permutation test."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.special import expit
from scipy.stats import binom, binomtest

from neurodyn.kernels.ngrams import count_ngrams
from neurodyn.markov.statistics import dwell_distance


def matched_distances(
    one: Int[np.ndarray, "trials time"], other: Int[np.ndarray, "trials time"], *, symbols: int, block: int
) -> Float[np.ndarray, " trials"]:
    """Share of the steps that differ in each pair, when sequences are paired so that their sum is smallest.

    For one-hot sequences u and v this is ``|u - v|^2 / (2 time)``.

    Parameters
    ----------
    one, other
        Sets of the same size.
    symbols
        Number of symbols.
    block
        Trials that are matched with each other; the time grows with its square and more. Larger blocks find closer
        pairs, so that only results with the same block can be compared.
    """
    distances = []
    for start in range(0, len(one), block):
        differ = _differing(one[start : start + block], other[start : start + block], symbols)
        distances.append(differ[linear_sum_assignment(differ)])
    return np.concatenate(distances) / one.shape[1]


def _differing(one: np.ndarray, other: np.ndarray, symbols: int) -> Float[np.ndarray, "one other"]:
    """Steps that differ, of every pair: single precision counts whole numbers exactly."""
    unit = np.eye(symbols, dtype=np.float32)
    rows, columns = (unit[part].reshape(len(part), -1) for part in (one, other))
    return one.shape[1] - rows @ columns.T


@dataclass(frozen=True)
class Classification:
    """Accuracy of a classifier that assigns held-out sequences to the set they come from.

    Parameters
    ----------
    accuracy, low, high
        Share of the sequences classified correctly, with its exact binomial interval; 0.5 is chance.
    p_value
        Probability of so many or more correct ones by chance.
    """

    accuracy: float
    low: float
    high: float
    p_value: float


def classify(
    one: Int[np.ndarray, "trials time"],
    other: Int[np.ndarray, "trials time"],
    *,
    symbols: int,
    ngram: int,
    folds: int,
    level: float,
    rng: np.random.Generator,
) -> Classification:
    """Classifier two-sample test: logistic regression on counts of n-grams, cross-validated.

    Parameters
    ----------
    one, other
        Sets of the same size.
    symbols
        Number of symbols.
    ngram
        Runs of 1 to this many successive symbols are counted.
    folds
        Parts of the cross-validation; each holds as many sequences of one set as of the other.
    level
        Level of the interval.
    rng
        Deals the sequences out to the folds.

    Reference
    ---------
    Lopez-Paz & Oquab (2017), Revisiting classifier two-sample tests, ICLR.
    """
    features = np.concatenate([count_ngrams(part, symbols=symbols, longest=ngram) for part in (one, other)])
    second = np.arange(len(features)) >= len(one)
    fold = np.concatenate([rng.permutation(len(part)) % folds for part in (one, other)])
    right = 0
    for held in range(folds):
        test = fold == held
        right += int((_predict(features[~test], second[~test], features[test]) == second[test]).sum())
    interval = binomtest(right, len(features)).proportion_ci(level)
    chance = binomtest(right, len(features), alternative="greater")
    return Classification(right / len(features), float(interval.low), float(interval.high), float(chance.pvalue))


def chance_interval(sequences: int, level: float) -> tuple[float, float]:
    """Accuracies that a classifier of this many sequences has by chance, with this probability."""
    low, high = binom.interval(level, sequences, 0.5)
    return float(low) / sequences, float(high) / sequences


def _predict(
    train: Float[np.ndarray, "trials features"],
    second: Bool[np.ndarray, " trials"],
    test: Float[np.ndarray, "others features"],
) -> Bool[np.ndarray, " others"]:
    """Whether each test row is of the second set, by logistic regression with a unit Gaussian prior on the weights."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    kept = spread > 0
    train, test = ((part[:, kept] - mean[kept]) / spread[kept] for part in (train, test))
    design = np.column_stack([np.ones(len(train)), train])
    prior = np.diag(np.append(1e-6, np.ones(kept.sum())))  # the constant is as good as free
    weights = np.zeros(design.shape[1])
    for _ in range(20):  # Newton's method: the log posterior is concave and all but quadratic near weak effects
        probability = expit(design @ weights)
        gradient = design.T @ (second - probability) - prior @ weights
        curvature = design.T @ (design * (probability * (1 - probability))[:, None]) + prior
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-4:
            break
    return np.column_stack([np.ones(len(test)), test]) @ weights > 0


def dwell_permutation_test(
    one: Float[np.ndarray, "trials symbols dwells"],
    other: Float[np.ndarray, "trials symbols dwells"],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> float:
    """Permutation test of dwell times; returns the p value.

    Null hypothesis: both sets of trials have the same dwell-time distributions. Statistic: the largest
    Kolmogorov-Smirnov distance over the symbols, each scaled by sqrt(n) with n the number of the symbol's runs, so
    that the noise of a rare symbol does not hide the others. Dwells of one trial depend on each other: whole trials
    are permuted between the two sets.

    Parameters
    ----------
    one, other
        Counts of dwell times of each trial.
    permutations
        Number of times the trials are dealt out.
    rng
        Deals them out.
    """
    pooled = np.concatenate([one, other])
    group = np.tile(np.arange(len(pooled)) < len(one), (permutations + 1, 1)).astype(np.float64)
    rng.permuted(group[1:], axis=1, out=group[1:])
    first = np.tensordot(group, pooled, axes=1)
    second = pooled.sum(axis=0) - first
    runs = pooled.sum(axis=(0, 2))
    distance = (dwell_distance(_shares(first), _shares(second)) * np.sqrt(runs)).max(axis=-1)
    return float((distance >= distance[0] - 1e-12).mean())


def _shares(counts: Float[np.ndarray, "*sets dwells"]) -> Float[np.ndarray, "*sets dwells"]:
    """Share of each dwell time; all zero for a symbol that never comes, which is then far from one that does."""
    runs = counts.sum(axis=-1, keepdims=True)
    return counts / np.where(runs > 0, runs, 1)
