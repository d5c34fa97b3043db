"""What a match found: its settings, what both sets of sequences look like, and the tables."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.display import Shown
from neurodyn.emulation.verdict import Limits, Statistic, TwoSampleTest, Verdict
from neurodyn.errors import InputError
from neurodyn.markov.statistics import (
    Rates,
)
from neurodyn.plain import plain

TESTS = {
    "classifier": "the classifier",
    "dwell_times": "the dwell times",
    "volatility": "the number of changes",
    "log_likelihood": "the likelihood",
}


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
        Probability that some test rejects although the model is compared with itself (false positives).
    examples
        Trials that are kept to be shown.

    Examples
    --------
    >>> from functools import partial
    >>> from types import SimpleNamespace
    >>> import neurodyn as nd
    >>> hmm = nd.markov.linear_chain(2, trial_steps=20)
    >>> quick = nd.emulation.MatchConfig(resamples=20, matched_trials=50, tested_trials=100, permutations=400)
    >>> emulator = SimpleNamespace(generate=partial(nd.markov.sample, nd.markov.linear_chain(2)))
    >>> found = nd.emulation.match(emulator, hmm, trials=100, seed=0, config=quick)
    >>> len(found.emulator.matched), found.config.resamples
    (50, 20)
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
        enough = math.ceil(len(TESTS) / self.significance)
        if self.permutations < enough:
            raise InputError(
                f"{self.permutations} permutations cannot give a p value below {self.significance:g} / {len(TESTS)}: "
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

    Examples
    --------
    >>> from functools import partial
    >>> from types import SimpleNamespace
    >>> import neurodyn as nd
    >>> hmm, faster = nd.markov.linear_chain(2, trial_steps=20), nd.markov.linear_chain(2, crossing=0.3, trial_steps=20)
    >>> quick = nd.emulation.MatchConfig(resamples=20, matched_trials=50, tested_trials=100, permutations=400)
    >>> emulator = SimpleNamespace(generate=partial(nd.markov.sample, faster))
    >>> found = nd.emulation.match(emulator, hmm, trials=100, seed=0, config=quick)
    >>> [statistic.name for statistic in found.statistics if not statistic.met][:3]
    ['transition_error_max', 'volatility_ratio', 'autocorrelation_error_max']
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
