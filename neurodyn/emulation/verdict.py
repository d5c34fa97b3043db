"""What follows from the statistics of a match: limits, and one verdict with its reasons.

The rule of the verdict:

1. **fails**: a statistic is outside its limit (``Limits``), and outside the interval of the floor: it is not
   explained by noise;
2. **undecided**: the interval of a floor goes beyond the limit, so that noise alone could. More trials decide it;
3. **passes**: all limits are met, but a test distinguishes emulator and model (p below ``significance`` divided by the
   number of tests). With enough trials any emulator that is not the model itself ends here;
4. **indistinguishable**: all limits are met and no test distinguishes them.
"""

import math
from dataclasses import dataclass, fields
from enum import Enum

from neurodyn.errors import InputError


class Verdict(Enum):
    """Whether the emulator emulates: see the rule at the head of this module.

    Examples
    --------
    >>> from neurodyn.emulation import Verdict
    >>> [verdict.value for verdict in Verdict]
    ['indistinguishable', 'passes', 'undecided', 'fails']
    >>> [verdict.value for verdict in Verdict if verdict.passed]
    ['indistinguishable', 'passes']
    """

    INDISTINGUISHABLE = "indistinguishable"
    PASSES = "passes"
    UNDECIDED = "undecided"
    FAILS = "fails"

    @property
    def passed(self) -> bool:
        """Whether all limits are met."""
        return self in (Verdict.PASSES, Verdict.INDISTINGUISHABLE)


@dataclass(frozen=True)
class Limits:
    """How far an emulator may be from the model.

    Parameters
    ----------
    transition_error_max, frequency_error_max
        Largest difference of an entry of the symbols' transition matrix, and of a symbol's frequency.
    volatility_ratio
        Distance from 1 of the changes per trial divided by those expected.
    autocorrelation_error_max, dwell_distance_max
        Largest difference of the autocorrelation at any lag; largest Kolmogorov-Smirnov distance of a symbol's dwells.
    log_likelihood_gap
        Difference, in nats per symbol, of the mean log-likelihood under the model.
    impossible_share
        Share of the trials that the model cannot emit.
    matched_excess
        Part by which the distance of optimally matched sequences may exceed its floor.
    classifier_accuracy
        Share of the sequences that a classifier assigns correctly (chance: 0.5).

    Examples
    --------
    >>> from neurodyn.emulation import Limits, MatchConfig
    >>> strict = MatchConfig(limits=Limits(transition_error_max=0.01))
    >>> strict.limits.transition_error_max, strict.limits.classifier_accuracy
    (0.01, 0.6)
    """

    transition_error_max: float = 0.02
    frequency_error_max: float = 0.01
    volatility_ratio: float = 0.05
    autocorrelation_error_max: float = 0.05
    dwell_distance_max: float = 0.05
    log_likelihood_gap: float = 0.02
    impossible_share: float = 0.001
    matched_excess: float = 0.1
    classifier_accuracy: float = 0.6

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise InputError(f"the limit {limit.name} must be positive, got {getattr(self, limit.name)}")


@dataclass(frozen=True)
class Statistic:
    """One number that says how far the emulator is from the model.

    Parameters
    ----------
    name, label
        As a key, and in words.
    value, low, high
        Of the emulator, with its bootstrap interval over trials. The interval of a largest error lies a little high:
        resampling adds its own noise to it.
    floor, floor_low, floor_high
        The same of as many trials of the model itself, with the interval within which such a set stays with a
        probability of ``1 - significance``: the noise of the statistic.
    lower_limit, upper_limit
        Between which it has to be; minus infinity or infinity where it may be anything.

    Examples
    --------
    >>> from functools import partial
    >>> from types import SimpleNamespace
    >>> import neurodyn as nd
    >>> hmm = nd.markov.linear_chain(2, trial_steps=20)
    >>> quick = nd.emulation.MatchConfig(resamples=20, matched_trials=50, tested_trials=100, permutations=400)
    >>> emulator = SimpleNamespace(generate=partial(nd.markov.sample, nd.markov.linear_chain(2, crossing=0.3)))
    >>> ratio = nd.emulation.match(emulator, hmm, trials=100, seed=0, config=quick).statistics[2]
    >>> ratio.name, bool(ratio.value > 1), ratio.met, ratio.upper_limit
    ('volatility_ratio', True, False, 1.05)
    """

    name: str
    label: str
    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    lower_limit: float
    upper_limit: float

    @property
    def met(self) -> bool:
        """Whether the emulator is inside the limits."""
        return self.lower_limit <= self.value <= self.upper_limit

    @property
    def beyond_floor(self) -> bool:
        """Whether the emulator is outside the interval of the model itself."""
        return not self.floor_low <= self.value <= self.floor_high

    @property
    def decidable(self) -> bool:
        """Whether the interval of the model itself is inside the limits, with this many trials."""
        return self.lower_limit <= self.floor_low and self.floor_high <= self.upper_limit


@dataclass(frozen=True)
class TwoSampleTest:
    """One two-sample test: emulator against model, and the model against itself.

    Parameters
    ----------
    name, label
        As a key, and in words.
    p_value, floor_p_value
        Probability of a difference this large or larger between sets that are alike.

    Examples
    --------
    >>> from functools import partial
    >>> from types import SimpleNamespace
    >>> import neurodyn as nd
    >>> hmm = nd.markov.linear_chain(2, trial_steps=20)
    >>> quick = nd.emulation.MatchConfig(resamples=20, matched_trials=50, tested_trials=100, permutations=400)
    >>> emulator = SimpleNamespace(generate=partial(nd.markov.sample, nd.markov.linear_chain(2, crossing=0.3)))
    >>> tests = nd.emulation.match(emulator, hmm, trials=100, seed=0, config=quick).tests
    >>> [test.name for test in tests], bool(tests[0].p_value < 0.01)
    (['classifier', 'dwell_times', 'volatility', 'log_likelihood'], True)
    """

    name: str
    label: str
    p_value: float
    floor_p_value: float


def verdict_on_match(
    statistics: tuple[Statistic, ...], tests: tuple[TwoSampleTest, ...], significance: float
) -> tuple[Verdict, tuple[str, ...]]:
    """Apply the rule at the head of this module; the reasons are sentences."""
    outside = [s for s in statistics if not s.met and s.beyond_floor]
    if outside:
        return Verdict.FAILS, tuple(f"{s.label} is {s.value:.4g}, outside {_bounds(s)}" for s in outside)
    unclear = [s for s in statistics if not (s.met and s.decidable)]
    if unclear:
        return Verdict.UNDECIDED, tuple(
            f"{s.label} may be from {s.floor_low:.4g} to {s.floor_high:.4g} for the model itself, which is not inside "
            f"{_bounds(s)}: use more trials"
            for s in unclear
        )
    bound = significance / len(tests)
    apart = [t for t in tests if t.p_value < bound]
    if apart:
        return Verdict.PASSES, tuple(
            f"all limits are met, but {t.label} distinguishes them (p = {t.p_value:.2g})" for t in apart
        )
    return Verdict.INDISTINGUISHABLE, (f"all limits are met, and none of {len(tests)} tests distinguishes them",)


def _bounds(statistic: Statistic) -> str:
    if math.isinf(statistic.lower_limit):
        return f"the limit of {statistic.upper_limit:.4g}"
    return f"the limits of {statistic.lower_limit:.4g} and {statistic.upper_limit:.4g}"
