"""Does a network emulate a hidden Markov model?  Every statistic with its interval, a floor, and one verdict.

Three sets of sequences of the same size are looked at: the emulator's, and two that are drawn from the model. What has
an exact value under the model (frequencies, transitions, changes, autocorrelation, dwell times) is compared with that;
what has none (matched distance, likelihood, classifier) with the first of the model's own sets. The second one takes
the emulator's place in everything: that is the floor, what the model itself shows against itself with as many trials.
Intervals come from resampling trials; that of the matched distance from resampling the pairs of one matching.

``verdict.py`` says what follows from the numbers.

Reference: Torre, Viscione, Pompe, Grewe & Mante (2025), NeurIPS (arXiv 2510.25674), for matched distance, changes,
frequencies and transitions.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.stats import ks_2samp

from neurodyn.display import Shown
from neurodyn.emulation.two_sample import (
    Classification,
    chance_interval,
    classify,
    dwell_permutation_test,
    matched_distances,
)
from neurodyn.emulation.verdict import Limits, Statistic, TwoSampleTest, Verdict, judge
from neurodyn.errors import InputError
from neurodyn.markov.inference import log_likelihood
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import check_symbols, sample
from neurodyn.markov.statistics import (
    Counting,
    Counts,
    Rates,
    count_trials,
    dwell_distance,
    expect_counts,
    rates_of,
    total,
)
from neurodyn.plain import plain
from neurodyn.resampling import percentile_interval
from neurodyn.resampling import resamples as draw_resamples

_BLOCK = 50
"""Resamples that are counted at a time: as many as a matrix product needs to be fast, and memory allows."""

_LABELS = {
    "transition_error_max": "largest error of a symbol transition",
    "frequency_error_max": "largest error of a symbol's frequency",
    "volatility_ratio": "changes per trial, relative to the model's",
    "autocorrelation_error_max": "largest error of the autocorrelation",
    "dwell_distance_max": "largest distance of dwell-time distributions",
    "log_likelihood_gap": "log-likelihood above the model's own (nats per symbol)",
    "impossible_share": "share of trials the model cannot emit",
    "matched_distance": "distance of optimally matched sequences (share of steps)",
    "classifier_accuracy": "accuracy of a classifier",
}
_TESTS = {
    "classifier": "the classifier",
    "dwell_times": "the dwell times",
    "volatility": "the number of changes",
    "log_likelihood": "the likelihood",
}


@runtime_checkable
class Generator(Protocol):
    """Whatever makes sequences: ``generate(...)`` returns something with ``.symbols`` (trials, time).

    If it also has ``generate_symbols``, that is called in its place: symbols alone take less memory.
    """

    def generate(self, trials: int, steps: int, *, seed: int) -> Any:
        """Return sequences of symbols from independent trials."""
        ...


@dataclass(frozen=True)
class MatchConfig:
    """What is looked at, and how closely.

    Parameters
    ----------
    limits
        Of the verdict.
    resamples, level
        Resamples of the trials for the intervals (bootstrap), and the intervals' level.
    lags, longest_dwell
        Lags of the autocorrelation; dwells from this length on are counted together (steps).
    matched_trials, block
        Trials that are matched, and how many with each other at a time: see ``matched_distances``.
    tested_trials, ngram, folds, permutations
        Trials of the tests by classifier and permutation; longest n-gram and folds of the first, permutations of the
        second.
    significance
        Probability that some test tells the model from itself.
    examples
        Trials that are kept to be shown.
    """

    limits: Limits = field(default_factory=Limits)
    resamples: int = 500
    level: float = 0.95
    lags: int = 20
    longest_dwell: int = 100
    matched_trials: int = 4000
    block: int = 1000
    tested_trials: int = 5000
    ngram: int = 3
    folds: int = 5
    permutations: int = 999
    significance: float = 0.01
    examples: int = 30

    def __post_init__(self) -> None:
        for name in ("resamples", "lags", "longest_dwell", "matched_trials", "block", "ngram", "permutations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.folds < 2 or self.tested_trials < 2 * self.folds:
            raise InputError(
                f"expected at least 2 folds and 2 tested trials for each, got {self.folds} and {self.tested_trials}"
            )
        for name in ("level", "significance"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        enough = math.ceil(len(_TESTS) / self.significance)
        if self.permutations < enough:
            raise InputError(
                f"{self.permutations} permutations cannot give a p value below {self.significance:g} / {len(_TESTS)}: "
                f"use {enough} or more"
            )


@dataclass(frozen=True)
class Profile:
    """What one set of sequences looks like.

    Parameters
    ----------
    rates, low, high
        Shares, with bootstrap intervals over trials.
    changes
        (trials,) changes of the symbol.
    log_likelihood
        (trials,) under the model, nats per symbol.
    matched
        (pairs,) share of the steps that differ from the matched sequence of the model.
    examples
        The first trials.
    """

    rates: Rates
    low: Rates
    high: Rates
    changes: Int[np.ndarray, " trials"]
    log_likelihood: Float[np.ndarray, " trials"]
    matched: Float[np.ndarray, " pairs"]
    examples: Int[np.ndarray, "some time"]


@dataclass(frozen=True, repr=False)
class Match(Shown):
    """All statistics of an emulator and their verdict.

    Parameters
    ----------
    model
        Name of the hidden Markov model.
    trials, steps, seed
        Size of each set, and the seed of everything random.
    config
        What was looked at.
    statistics, tests
        In the order of the table.
    verdict, reasons
        And what it rests on, in sentences.
    emulator, hmm
        What the emulator's sequences look like, and a set of the model's own.
    expected
        Exact rates of the model.
    """

    model: str
    trials: int
    steps: int
    seed: int
    config: MatchConfig
    statistics: tuple[Statistic, ...]
    tests: tuple[TwoSampleTest, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    emulator: Profile = field(repr=False)
    hmm: Profile = field(repr=False)
    expected: Rates = field(repr=False)

    def _title(self) -> str:
        return f"Match: {self.verdict.value}, {self.trials:,} trials of {self.steps} steps against {self.model}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for s in self.statistics:
            met = "within its limit" if s.met else "outside its limit"
            yield s.name, f"{s.value:.4g} ({s.floor:.4g} of the model itself), {met}"
        if self.tests:
            lowest = min(self.tests, key=lambda test: test.p_value)
            yield "lowest p", f"{lowest.p_value:.2g} by {lowest.label}"

    def __getitem__(self, name: str) -> Statistic:
        """Return the statistic with this name."""
        return {s.name: s for s in self.statistics}[name]

    def summary(self) -> dict[str, Any]:
        """Return verdict, values and floors under one key each, as numbers and text that fit in JSON."""
        values = {s.name: s.value for s in self.statistics} | {f"{s.name}_floor": s.floor for s in self.statistics}
        p_values = {f"{t.name}_p_value": t.p_value for t in self.tests}
        head = {"verdict": self.verdict.value, "match_trials": self.trials, "match_steps": self.steps}
        return head | {key: plain(value) for key, value in (values | p_values).items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the tables and all rates as numbers, text, lists and dictionaries that fit in JSON."""
        return {
            "model": self.model, "trials": self.trials, "steps": self.steps, "seed": self.seed,
            "verdict": self.verdict.value, "reasons": list(self.reasons), "config": plain(asdict(self.config)),
            "statistics": [plain(asdict(s)) for s in self.statistics],
            "tests": [plain(asdict(t)) for t in self.tests],
            "expected": plain(self.expected._asdict()),
            "emulator": plain(self.emulator.rates._asdict()), "hmm": plain(self.hmm.rates._asdict()),
        }  # fmt: skip

    def to_xarray(self) -> xr.Dataset:
        """Return everything, labelled: rates by source (emulator, hmm, expected) and bound (value, low, high)."""
        sources = [(p.rates, p.low, p.high) for p in (self.emulator, self.hmm)] + [(self.expected,) * 3]
        axes = {
            "frequencies": ("symbol",), "transitions": ("symbol", "next_symbol"), "changes": (),
            "autocorrelation": ("lag",), "dwells": ("symbol", "dwell"),
        }  # fmt: skip
        data: dict[str, Any] = {
            name: (("source", "bound", *dims), np.array([[getattr(r, name) for r in bounds] for bounds in sources]))
            for name, dims in axes.items()
        }
        for name, dim in (("changes", "trial"), ("log_likelihood", "trial"), ("matched", "pair")):
            pair = np.stack([getattr(self.emulator, name), getattr(self.hmm, name)])
            data[f"{name}_of_trial" if dim == "trial" else "matched_distance"] = (("set", dim), pair)
        columns = [f.name for f in fields(Statistic) if f.type is float]
        data |= {c: ("statistic", np.array([getattr(s, c) for s in self.statistics])) for c in columns}
        data |= {c: ("test", np.array([getattr(t, c) for t in self.tests])) for c in ("p_value", "floor_p_value")}
        coords = {
            "source": ["emulator", "hmm", "expected"], "bound": ["value", "low", "high"], "set": ["emulator", "hmm"],
            "statistic": [s.name for s in self.statistics], "test": [t.name for t in self.tests],
            "lag": np.arange(1, len(self.expected.autocorrelation) + 1),
            "dwell": np.arange(1, self.expected.dwells.shape[-1] + 1),
        }  # fmt: skip
        attributes = {"model": self.model, "steps": self.steps, "seed": self.seed, "verdict": self.verdict.value}
        return xr.Dataset(data, coords, attributes)


def match(
    emulator: Generator,
    hmm: HiddenMarkovModel,
    *,
    trials: int,
    seed: int,
    steps: int | None = None,
    config: MatchConfig | None = None,
) -> Match:
    """Compare the sequences of an emulator with the model it should emulate.

    Parameters
    ----------
    emulator
        Anything with ``generate(trials, steps, seed=...)`` that returns something with ``.symbols``.
    hmm
        The model.
    trials
        Trials of each set. For the noise to stay below 0.02 in the transitions from a symbol of frequency f, some
        ``9000 / f`` steps in all are needed: with f = 0.01 and trials of 30 steps, 30,000 trials.
    seed
        Seed of everything random.
    steps
        Length of a trial; the model's own if None.
    config
        Limits, and how closely to look.

    Raises
    ------
    InputError
        If there are too few trials for the tests, or the emulator's symbols are not those of the model.
    """
    config = config or MatchConfig()
    steps = hmm.trial_steps if steps is None else steps
    if trials < 2 * config.folds or steps < 2:
        raise InputError(f"expected at least {2 * config.folds} trials of 2 steps, got {trials} of {steps}")
    rng = np.random.default_rng(seed)
    seeds = [int(s) for s in rng.integers(2**31, size=3)]
    generated = _generated(emulator, hmm, trials, steps, seeds[0])
    reference, again = (sample(hmm, trials, steps, seed=s).symbols for s in seeds[1:])
    counting = Counting(hmm.symbols, config.lags, min(config.longest_dwell, steps))
    expected = rates_of(expect_counts(hmm, steps, counting), 1, steps)
    sets = [_Set.of(symbols, hmm, counting) for symbols in (generated, reference, again)]
    found, floor = (_compare(sets[i], sets[1], expected, config, rng, floor=i == 2) for i in (0, 2))
    statistics = _table(found.estimates, floor.estimates, config.limits)
    tests = tuple(TwoSampleTest(name, _TESTS[name], p, floor.p_values[name]) for name, p in found.p_values.items())
    verdict, reasons = judge(statistics, tests, config.significance)
    return Match(
        model=hmm.name, trials=trials, steps=steps, seed=seed, config=config, statistics=statistics, tests=tests,
        verdict=verdict, reasons=reasons, emulator=found.profile, hmm=floor.profile, expected=expected,
    )  # fmt: skip


class _Set(NamedTuple):
    """Sequences with what is counted in them."""

    symbols: np.ndarray
    counts: Counts
    log_likelihood: np.ndarray  # nats per symbol

    @classmethod
    def of(cls, symbols: np.ndarray, hmm: HiddenMarkovModel, counting: Counting) -> "_Set":
        per_symbol = np.asarray(log_likelihood(hmm, symbols), np.float64) / symbols.shape[1]
        return cls(symbols, count_trials(symbols, counting), per_symbol)


class _Estimate(NamedTuple):
    value: float
    low: float
    high: float


class _Compared(NamedTuple):
    estimates: dict[str, _Estimate]
    p_values: dict[str, float]
    profile: Profile


def _generated(emulator: Generator, hmm: HiddenMarkovModel, trials: int, steps: int, seed: int) -> np.ndarray:
    generate = getattr(emulator, "generate_symbols", emulator.generate)
    symbols = check_symbols(generate(trials, steps, seed=seed).symbols, hmm.symbols)
    if symbols.shape != (trials, steps):
        raise InputError(f"the emulator was asked for ({trials}, {steps}) symbols and made {symbols.shape}")
    return symbols


def _compare(
    one: _Set, reference: _Set, expected: Rates, config: MatchConfig, rng: np.random.Generator, *, floor: bool
) -> _Compared:
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
    told = _classified(one.symbols, reference.symbols, expected.frequencies.size, config, rng)
    chance = chance_interval(2 * min(trials, config.tested_trials), level)
    estimates["classifier_accuracy"] = _Estimate(told.accuracy, *(chance if floor else (told.low, told.high)))
    p_values = _p_values(one, reference, config, rng) | {"classifier": told.p_value}
    low, high = (
        Rates(*bounds) for bounds in zip(*(percentile_interval(p, config.level) for p in resampled), strict=True)
    )
    examples = one.symbols[: config.examples]
    profile = Profile(
        rates=rates, low=low, high=high, changes=_changes(one.counts), log_likelihood=one.log_likelihood,
        matched=matched, examples=examples,
    )  # fmt: skip
    return _Compared(estimates, {name: p_values[name] for name in _TESTS}, profile)


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
) -> dict[str, _Estimate]:
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


def _p_values(one: _Set, reference: _Set, config: MatchConfig, rng: np.random.Generator) -> dict[str, float]:
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


def _table(found: dict[str, _Estimate], floor: dict[str, _Estimate], limits: Limits) -> tuple[Statistic, ...]:
    symmetric = {"volatility_ratio": 1.0, "log_likelihood_gap": 0.0}
    rows = []
    for name, label in _LABELS.items():
        if name == "matched_distance":
            low, high = -math.inf, floor[name].value * (1 + limits.matched_excess)
        elif name in symmetric:
            centre, width = symmetric[name], getattr(limits, name)
            low, high = centre - width, centre + width
        else:
            low, high = -math.inf, getattr(limits, name)
        rows.append(Statistic(name, label, *found[name], *floor[name], low, high))
    return tuple(rows)


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


def _interval(value: float, resampled: Float[np.ndarray, " resamples"], level: float) -> _Estimate:
    low, high = percentile_interval(resampled, level)
    return _Estimate(value, float(low), float(high))


def _changes(counts: Counts) -> Int[np.ndarray, " trials"]:
    """Changes of the symbol in each trial."""
    stays = np.trace(counts.pairs, axis1=-2, axis2=-1)
    return (counts.pairs.sum(axis=(-2, -1)) - stays).astype(np.int64)
