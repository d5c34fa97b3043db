"""What sequences of symbols look like: counts per trial, the counts a model leads one to expect, and rates of both.

Everything is first counted and then divided: counts add up over trials, so that a resampled set of trials is a weighted
sum (``total``), and the exact expectation of every count under a hidden Markov model is known (``expect_counts``). One
function, ``rates_of``, makes rates of either.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.symbols import MISSING


@dataclass(frozen=True)
class Counting:
    """What is counted.

    Parameters
    ----------
    symbols
        Number of symbols.
    lags
        Steps up to which a symbol is compared with a later one.
    longest_dwell
        Dwell times from this one on are counted together.
    """

    symbols: int
    lags: int
    longest_dwell: int

    def __post_init__(self) -> None:
        for name in ("symbols", "lags", "longest_dwell"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


class Counts(NamedTuple):
    """Counts of each trial, or of many together; lags from 1 and dwell times from 1.

    A dwell is a run of one symbol within a trial; the first and the last of a trial, which its ends cut short, count
    with the length that is seen.
    """

    symbols: Float[np.ndarray, "*set symbols"]
    pairs: Float[np.ndarray, "*set symbols symbols"]  # a symbol (row) and the next (column)
    agreements: Float[np.ndarray, "*set lags"]  # steps t with the same symbol at t and at t + lag
    dwells: Float[np.ndarray, "*set symbols dwells"]


class Rates(NamedTuple):
    """Shares that do not depend on the number of trials; NaN where there is nothing to divide by."""

    frequencies: Float[np.ndarray, "*set symbols"]
    transitions: Float[np.ndarray, "*set symbols symbols"]  # from row to column, rows add up to 1
    changes: Float[np.ndarray, "*set"]  # of the symbol, per trial
    autocorrelation: Float[np.ndarray, "*set lags"]  # 1: always the same, 0: as if shuffled
    dwells: Float[np.ndarray, "*set symbols dwells"]  # share of the runs of a symbol with each length


def count_trials(symbols: Int[np.ndarray, "trials time"], counting: Counting) -> Counts:
    """Count each trial; no symbol may be missing.

    Raises
    ------
    InputError
        If a symbol is missing or out of range, or a trial has a single step.
    """
    if symbols.min() == MISSING:
        raise InputError("symbols are counted in trials of one length without missing ones (-1): cut or split trials")
    if symbols.min() < 0 or symbols.max() >= counting.symbols:
        raise InputError(f"symbols must be from 0 to {counting.symbols - 1}, got {symbols.min()} to {symbols.max()}")
    if symbols.shape[1] < 2:
        raise InputError("trials of a single step have no transitions: ask for at least 2 steps")
    size = counting.symbols
    pairs = symbols[:, :-1] * size + symbols[:, 1:]
    lags = min(counting.lags, symbols.shape[1] - 1)
    same = [(symbols[:, lag:] == symbols[:, :-lag]).sum(axis=1) for lag in range(1, lags + 1)]
    return Counts(
        _tally(symbols, size),
        _tally(pairs, size**2).reshape(-1, size, size),
        np.stack(same, axis=1).astype(np.float64),
        _dwells(symbols, counting),
    )


def total(counts: Counts, weights: Float[np.ndarray, "*set trials"]) -> Counts:
    """Sum over trials, each as often as its weight says."""
    return Counts(*(np.tensordot(weights, part, axes=1) for part in counts))


def expect_counts(hmm: HiddenMarkovModel, steps: int, counting: Counting) -> Counts:
    """Counts that one trial of a model has on average, exactly.

    With ``D_s = diag(B[:, s])`` and ``v_t`` the probability that a run of s starts at t in each state, it lasts d steps
    or longer with ``v_t (A D_s)^(d-1)``; after d steps another symbol comes with ``A (1 - D_s)``, or the trial ends.
    """
    marginal = _marginals(hmm, steps)
    started = np.cumsum(marginal, axis=0)
    joint = np.einsum("i,ij,ia,jb->ab", started[-2], hmm.transitions, hmm.emissions, hmm.emissions)
    alike = hmm.emissions @ hmm.emissions.T
    agreements, ahead = [], np.eye(hmm.states)
    for lag in range(1, min(counting.lags, steps - 1) + 1):
        ahead = ahead @ hmm.transitions
        agreements.append(started[steps - 1 - lag] @ (ahead * alike).sum(axis=1))
    dwells = [_expected_dwells(hmm, marginal, symbol, counting.longest_dwell) for symbol in range(hmm.symbols)]
    return Counts(started[-1] @ hmm.emissions, joint, np.array(agreements), np.array(dwells))


def ngram_probabilities(hmm: HiddenMarkovModel, steps: int, length: int) -> Float[np.ndarray, " ngram"]:
    """Probability of each n-gram of this many symbols, at most ``steps``, at a random place of a trial, exactly.

    Ordered as the frequencies of ``kernels.ngrams``: as numbers whose last digit is the last symbol.
    """
    reached = _marginals(hmm, steps)[: steps - length + 1].mean(axis=0)[None]  # stretch so far x state
    for position in range(length):
        before = reached @ hmm.transitions if position else reached
        reached = np.einsum("gi,is->gsi", before, hmm.emissions).reshape(-1, hmm.states)
    return reached.sum(axis=1)


def rates_of(counts: Counts, trials: int, steps: int) -> Rates:
    """Rates from the counts of this many trials of this many steps each.

    The autocorrelation of symbols is that of their indicator vectors, ``(P(same) - sum_s f_s^2) / (1 - sum_s f_s^2)``,
    with P(same) the share of pairs of steps a lag apart that hold the same symbol.
    """
    frequencies = _share(counts.symbols)
    changes = (counts.pairs.sum(axis=(-2, -1)) - np.trace(counts.pairs, axis1=-2, axis2=-1)) / trials
    chance = (frequencies**2).sum(axis=-1)[..., None]
    apart = trials * (steps - np.arange(1, counts.agreements.shape[-1] + 1))
    with np.errstate(invalid="ignore", divide="ignore"):  # a single symbol throughout: NaN
        autocorrelation = (counts.agreements / apart - chance) / (1 - chance)
    return Rates(frequencies, _share(counts.pairs), changes, autocorrelation, _share(counts.dwells))


def dwell_distance(one: Float[np.ndarray, "*#set dwells"], other: Float[np.ndarray, "*#set dwells"]) -> np.ndarray:
    """Kolmogorov-Smirnov distance of two distributions of dwell times: the largest between their cumulative sums."""
    return np.abs(np.cumsum(one - other, axis=-1)).max(axis=-1)


def _tally(values: Int[np.ndarray, "trials time"], count: int) -> Float[np.ndarray, "trials count"]:
    trials = len(values)
    places = values + count * np.arange(trials)[:, None]
    return np.bincount(places.ravel(), minlength=trials * count).reshape(trials, count).astype(np.float64)


def _dwells(symbols: np.ndarray, counting: Counting) -> Float[np.ndarray, "trials symbols dwells"]:
    trials, steps = symbols.shape
    begins = np.ones(symbols.shape, bool)
    begins[:, 1:] = symbols[:, 1:] != symbols[:, :-1]
    start = np.flatnonzero(begins)  # a trial begins with a run, so that none goes over into the next trial
    length = np.minimum(np.diff(np.append(start, trials * steps)), counting.longest_dwell)
    row = (start // steps) * counting.symbols + symbols.ravel()[start]
    place = row * counting.longest_dwell + length - 1
    shape = (trials, counting.symbols, counting.longest_dwell)
    return np.bincount(place, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _marginals(hmm: HiddenMarkovModel, steps: int) -> Float[np.ndarray, "time states"]:
    rows = [hmm.initial]
    for _ in range(steps - 1):
        rows.append(rows[-1] @ hmm.transitions)
    return np.stack(rows)


def _expected_dwells(hmm: HiddenMarkovModel, marginal: np.ndarray, symbol: int, longest: int) -> np.ndarray:
    steps, emits = len(marginal), hmm.emissions[:, symbol]
    before = np.concatenate([hmm.initial[None], (marginal[:-1] * (1 - emits)) @ hmm.transitions])
    alive = before * emits  # row t: a run starts at t and has lasted this long so far
    leave = hmm.transitions @ (1 - emits)
    counts = np.zeros(longest)
    for length in range(1, steps + 1):
        # Of the starts that can have lasted this long, the last one now meets the end of the trial.
        ended = alive[: steps - length] @ leave
        counts[min(length, longest) - 1] += ended.sum() + alive[steps - length].sum()
        alive = (alive[: steps - length] @ hmm.transitions) * emits
    return counts


def _share(counts: Float[np.ndarray, "*rows n"]) -> Float[np.ndarray, "*rows n"]:
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)
