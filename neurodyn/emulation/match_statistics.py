"""Every statistic of a match, with its interval: of one set of sequences against another and the exact rates."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import ks_2samp

from neurodyn.emulation.match_result import TESTS, MatchConfig, Profile
from neurodyn.emulation.two_sample import (
    Classification,
    chance_interval,
    classify,
    dwell_permutation_test,
    matched_distances,
)
from neurodyn.markov.inference import log_likelihood
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.statistics import (
    Counting,
    Counts,
    Rates,
    count_trials,
    dwell_distance,
    rates_of,
    total,
)
from neurodyn.resampling import percentile_interval
from neurodyn.resampling import resamples as draw_resamples

_BLOCK = 50
"""Resamples that are counted at a time: as many as a matrix product needs to be fast, and memory allows."""


class SequenceSet(NamedTuple):
    """Sequences with what is counted in them."""

    symbols: np.ndarray
    counts: Counts
    log_likelihood: np.ndarray  # nats per symbol

    @classmethod
    def from_symbols(cls, symbols: np.ndarray, hmm: HiddenMarkovModel, counting: Counting) -> "SequenceSet":
        """Sequences counted, and their likelihood under a model."""
        per_symbol = np.asarray(log_likelihood(hmm, symbols), np.float64) / symbols.shape[1]
        return cls(symbols, count_trials(symbols, counting), per_symbol)


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


class Compared(NamedTuple):
    """Estimates by statistic, p values by test, and what the set looks like."""

    estimates: dict[str, Estimate]
    p_values: dict[str, float]
    profile: Profile


def compare(
    one: SequenceSet,
    reference: SequenceSet,
    expected: Rates,
    config: MatchConfig,
    rng: np.random.Generator,
    *,
    floor: bool,
) -> Compared:
    """Hold one set against the exact rates and the reference set.

    If the set is the floor, intervals are those of the statistics' noise: of resamples around the set itself, and not
    around the exact rates. A set that comes very close by chance would otherwise promise that all others do.
    """
    trials, steps = one.symbols.shape
    level = 1 - config.significance if floor else config.level
    rates = rates_of(total(one.counts, np.ones(trials)), trials, steps)
    resampled = _resampled_rates(one.counts, steps, config.resamples, rng)
    values, noise = _errors(rates, expected), _errors(resampled, rates if floor else expected)
    estimates = {name: _interval(float(values[name]), noise[name], level) for name in values}
    estimates |= _likelihood_estimates(one.log_likelihood, reference.log_likelihood, config, rng, floor=floor)
    few = slice(config.matched_trials)
    matched = matched_distances(
        one.symbols[few], reference.symbols[few], symbols=expected.frequencies.size, block=config.block
    )
    drawn = _resampled_means(matched, config.resamples, rng)
    estimates["matched_distance"] = _interval(float(matched.mean()), drawn, level)
    found = _classified(one.symbols, reference.symbols, expected.frequencies.size, config, rng)
    chance = chance_interval(2 * min(trials, config.tested_trials), level)
    estimates["classifier_accuracy"] = Estimate(found.accuracy, *(chance if floor else (found.low, found.high)))
    p_values = _p_values(one, reference, config, rng) | {"classifier": found.p_value}
    low, high = (
        Rates(*bounds) for bounds in zip(*(percentile_interval(p, config.level) for p in resampled), strict=True)
    )
    examples = one.symbols[: config.examples]
    profile = Profile(
        rates=rates, low=low, high=high, changes=_changes(one.counts), log_likelihood=one.log_likelihood,
        matched=matched, examples=examples,
    )  # fmt: skip
    return Compared(estimates, {name: p_values[name] for name in TESTS}, profile)


def _classified(
    one: np.ndarray, reference: np.ndarray, symbols: int, config: MatchConfig, rng: np.random.Generator
) -> Classification:
    few = slice(config.tested_trials)
    return classify(
        one[few], reference[few],
        symbols=symbols, ngram=config.ngram, folds=config.folds, level=config.level, rng=rng,
    )  # fmt: skip


def _errors(rates: Rates, expected: Rates) -> dict[str, np.ndarray]:
    """Statistics that have an exact value, of one set or of each resample (leading axis)."""
    distance = dwell_distance(rates.dwells, expected.dwells)
    return {
        "transition_error_max": _largest(rates.transitions, expected.transitions, 2),
        "frequency_error_max": _largest(rates.frequencies, expected.frequencies, 1),
        "volatility_ratio": _ratio(rates.changes, float(expected.changes)),
        "autocorrelation_error_max": _largest(rates.autocorrelation, expected.autocorrelation, 1),
        "dwell_distance_max": _largest(distance, np.where(np.isnan(expected.dwells[:, 0]), np.nan, 0.0), 1),
    }


def _ratio(changes: np.ndarray | np.float64, expected: float) -> np.ndarray:
    """Changes relative to those expected; of a model that never changes, one more than there are."""
    return np.asarray(changes / expected if expected > 0 else 1 + changes)


def _largest(values: np.ndarray, expected: np.ndarray, axes: int) -> np.ndarray:
    """Largest absolute difference over the last axes.

    A rate that the emulator leaves undefined (a symbol it never makes) is as wrong as a rate can be; one that the model
    itself leaves undefined cannot be compared.
    """
    error = np.where(np.isnan(values), 1.0, np.abs(values - expected))
    error = np.where(np.isnan(expected), 0.0, error)
    return np.asarray(error.max(axis=tuple(range(-axes, 0))))


def _likelihood_estimates(
    one: np.ndarray, reference: np.ndarray, config: MatchConfig, rng: np.random.Generator, *, floor: bool
) -> dict[str, Estimate]:
    """Difference of mean log-likelihoods of trials that are possible, and the share of those that are not."""
    means, shares = [], []
    for part in (one, reference):
        possible = np.isfinite(part)
        sums = np.stack([np.where(possible, part, 0.0), possible], axis=1)
        drawn = _resampled_means(sums, config.resamples, rng)
        both = np.concatenate([sums.mean(axis=0)[None], drawn])
        means.append(both[:, 0] / np.maximum(both[:, 1], 1 / len(part)))
        shares.append(1 - both[:, 1])
    gap = means[0] - means[1]
    level = 1 - config.significance if floor else config.level
    return {
        "log_likelihood_gap": _interval(float(gap[0]), gap[1:] - floor * gap[0], level),
        "impossible_share": _interval(float(shares[0][0]), shares[0][1:], level),
    }


def _p_values(
    one: SequenceSet, reference: SequenceSet, config: MatchConfig, rng: np.random.Generator
) -> dict[str, float]:
    few = slice(config.tested_trials)
    # Trials that the model cannot emit come before all others.
    likelihoods = [np.maximum(part.log_likelihood, -1e9) for part in (one, reference)]
    return {
        "dwell_times": dwell_permutation_test(
            one.counts.dwells[few], reference.counts.dwells[few], permutations=config.permutations, rng=rng
        ),
        "volatility": _kolmogorov_smirnov(_changes(one.counts), _changes(reference.counts)),
        "log_likelihood": _kolmogorov_smirnov(*likelihoods),
    }


def _kolmogorov_smirnov(one: np.ndarray, other: np.ndarray) -> float:
    return float(ks_2samp(one, other).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def _resampled_rates(counts: Counts, steps: int, resamples: int, rng: np.random.Generator) -> Rates:
    trials, parts = len(counts.symbols), []
    for start in range(0, resamples, _BLOCK):
        drawn = draw_resamples(trials, min(_BLOCK, resamples - start), rng)
        weights = np.stack([np.bincount(each, minlength=trials) for each in drawn]).astype(np.float64)
        parts.append(rates_of(total(counts, weights), trials, steps))
    return Rates(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _resampled_means(
    values: Float[np.ndarray, "trials *columns"], resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples *columns"]:
    return np.stack([values[rows].mean(axis=0) for rows in draw_resamples(len(values), resamples, rng)])


def _interval(value: float, resampled: Float[np.ndarray, " resamples"], level: float) -> Estimate:
    low, high = percentile_interval(resampled, level)
    return Estimate(value, float(low), float(high))


def _changes(counts: Counts) -> Int[np.ndarray, " trials"]:
    """Changes of the symbol in each trial."""
    stays = np.trace(counts.pairs, axis1=-2, axis2=-1)
    return (counts.pairs.sum(axis=(-2, -1)) - stays).astype(np.int64)
