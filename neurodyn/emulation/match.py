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
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neurodyn.emulation.driven import Driven, generator_of
from neurodyn.emulation.match_result import TESTS, Match, MatchConfig
from neurodyn.emulation.match_statistics import Estimate, SequenceSet, compare
from neurodyn.emulation.verdict import Limits, Statistic, TwoSampleTest, verdict_on_match
from neurodyn.errors import InputError
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import sample
from neurodyn.markov.statistics import (
    Counting,
    expect_counts,
    rates_of,
)
from neurodyn.markov.symbols import check_symbols

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


@runtime_checkable
class Generator(Protocol):
    """Whatever makes sequences: ``generate(...)`` returns something with ``.symbols`` (trials, time).

    If it also has ``generate_symbols``, that is called in its place: symbols alone take less memory.
    """

    def generate(self, trials: int, steps: int, *, seed: int) -> Any:
        """Return sequences of symbols from independent trials."""
        ...


def match(
    emulator: "Generator | Driven | Any",
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
        Anything with ``generate(trials, steps, seed=...)`` that returns something with ``.symbols``, or with a step and
        a read-out: ``step(state, input)``, ``readout(state)``, ``hidden`` and ``inputs`` (see `DrivenNetwork`), or a
        ``mechanism.Network``.
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

    Examples
    --------
    >>> from functools import partial
    >>> from types import SimpleNamespace
    >>> import neurodyn as nd
    >>> hmm, faster = nd.markov.linear_chain(2, trial_steps=20), nd.markov.linear_chain(2, crossing=0.3, trial_steps=20)
    >>> quick = nd.emulation.MatchConfig(resamples=20, matched_trials=50, tested_trials=100, permutations=400)
    >>> emulator = SimpleNamespace(generate=partial(nd.markov.sample, faster))  # changes its symbol too often
    >>> found = nd.emulation.match(emulator, hmm, trials=100, seed=0, config=quick)
    >>> found.verdict.value, found.steps
    ('fails', 20)
    """
    config, generator = config or MatchConfig(), generator_of(emulator)
    steps = hmm.trial_steps if steps is None else steps
    if trials < 2 * config.folds or steps < 2:
        raise InputError(f"expected at least {2 * config.folds} trials of 2 steps, got {trials} of {steps}")
    rng = np.random.default_rng(seed)
    seeds = [int(s) for s in rng.integers(2**31, size=3)]
    generated = _generated(generator, hmm, trials, steps, seeds[0])
    reference, again = (sample(hmm, trials, steps, seed=s).symbols for s in seeds[1:])
    counting = Counting(hmm.symbols, config.lags, min(config.longest_dwell, steps))
    expected = rates_of(expect_counts(hmm, steps, counting), 1, steps)
    sets = [SequenceSet.from_symbols(symbols, hmm, counting) for symbols in (generated, reference, again)]
    found, floor = (compare(sets[i], sets[1], expected, config, rng, floor=i == 2) for i in (0, 2))
    statistics = _table(found.estimates, floor.estimates, config.limits)
    tests = tuple(TwoSampleTest(name, TESTS[name], p, floor.p_values[name]) for name, p in found.p_values.items())
    verdict, reasons = verdict_on_match(statistics, tests, config.significance)
    return Match(
        model=hmm.name, trials=trials, steps=steps, seed=seed, config=config, statistics=statistics, tests=tests,
        verdict=verdict, reasons=reasons, emulator=found.profile, hmm=floor.profile, expected=expected,
    )  # fmt: skip


def _generated(emulator: Generator, hmm: HiddenMarkovModel, trials: int, steps: int, seed: int) -> np.ndarray:
    generate = getattr(emulator, "generate_symbols", emulator.generate)
    symbols = check_symbols(generate(trials, steps, seed=seed).symbols, hmm.symbols)
    if symbols.shape != (trials, steps):
        raise InputError(f"the emulator was asked for ({trials}, {steps}) symbols and made {symbols.shape}")
    return symbols


def _table(found: dict[str, Estimate], floor: dict[str, Estimate], limits: Limits) -> tuple[Statistic, ...]:
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
