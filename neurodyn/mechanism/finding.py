"""What an experiment on a claim found: numbers with intervals, the rule, and the verdict that follows from both."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import xarray as xr


class Verdict(enum.Enum):
    """What a claim is worth after its experiment.

    Examples
    --------
    >>> from neurodyn.mechanism import Verdict
    >>> [verdict.value for verdict in Verdict]
    ['supported', 'not supported', 'undecided', 'does not apply']
    """

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"
    DOES_NOT_APPLY = "does not apply"
    """There is nothing that the claim could be tested on."""


@dataclass(frozen=True)
class Estimate:
    """A number with the interval it was found in.

    Parameters
    ----------
    name
        What it is, in words.
    value, low, high
        Point and 95 % interval (of a control: what the control reaches in 95 % of its repeats); NaN where unknown.
    unit
        As written behind the number; "" for a pure number.

    Examples
    --------
    >>> from neurodyn.mechanism import Estimate
    >>> rate = Estimate("rotation", value=12.0, low=11.0, high=13.5, unit="degrees per step")
    >>> rate.value - rate.low, rate.unit
    (1.0, 'degrees per step')
    """

    name: str
    value: float
    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        """``0.93 [0.91, 0.95] steps``."""
        if math.isnan(self.value):
            return "not measured"
        interval = "" if math.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.3g}{interval}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Criterion:
    """One condition of a claim: an estimate has to lie between two bounds.

    It holds if the whole interval does, fails if none of it does, and is open otherwise.

    Examples
    --------
    >>> from neurodyn.mechanism import Criterion, Estimate
    >>> sure, unsure = Estimate("cut", 0.9, 0.85, 0.95), Estimate("cut", 0.8, 0.7, 0.9)
    >>> Criterion(sure, least=0.8).holds, Criterion(unsure, least=0.8).holds
    (True, None)
    """

    estimate: Estimate
    least: float = -math.inf
    most: float = math.inf

    @property
    def holds(self) -> bool | None:
        """True, False, or None where the interval straddles a bound or nothing could be measured."""
        low, high = self.estimate.low, self.estimate.high
        if math.isnan(low) or math.isnan(high):
            return None
        if self.least <= low and high <= self.most:
            return True
        if high < self.least or low > self.most:
            return False
        return None

    @property
    def text(self) -> str:
        """The condition in words."""
        bounds = []
        if self.least > -math.inf:
            bounds.append(f"at least {self.least:g}")
        if self.most < math.inf:
            bounds.append(f"at most {self.most:g}")
        return f"{self.estimate.name}: {' and '.join(bounds)}"


@dataclass(frozen=True)
class TransitionResult:
    """Result of a claim for one of the transitions it covers.

    Parameters
    ----------
    name
        Which one, as ``A→C``.
    criteria
        The rule: all have to hold. Without any, the claim does not apply to this one.
    """

    name: str
    criteria: tuple[Criterion, ...]

    @property
    def verdict(self) -> Verdict:
        """Of the claim on this one alone."""
        return verdict_of(self.criteria) if self.criteria else Verdict.DOES_NOT_APPLY


@dataclass(frozen=True, eq=False)
class Finding:
    """Result of testing one claim: estimate, control, criteria, verdict.

    Parameters
    ----------
    number, name, claim
        Number of the claim in the paper's line of argument, short name (its module), and the claim itself.
    estimate, control
        The main number, and the same number where the claim cannot hold.
    criteria
        The rule: all have to hold. Their thresholds are arguments of the experiment.
    data
        What the figure shows.
    notes
        What a reader has to know to judge the verdict.
    parts
        Where the claim speaks of several things, the rule for each of them.
    parts_are
        What they are, in the plural: ``transitions``.
    not_applicable_because
        Why there is nothing to test here; empty if there is something.

    Examples
    --------
    >>> import xarray as xr
    >>> from neurodyn.mechanism import Criterion, Estimate, Finding
    >>> cut, control = Estimate("share of the hazard cut", 0.9, 0.85, 0.95), Estimate("random units", 0.1, 0.0, 0.2)
    >>> finding = Finding(6, "kick", "A few units make it change.", cut, control, (Criterion(cut, 0.8),), xr.Dataset())
    >>> finding.verdict.value, finding.headline
    ('supported', 'supported')
    """

    number: int
    name: str
    claim: str
    estimate: Estimate
    control: Estimate
    criteria: tuple[Criterion, ...]
    data: xr.Dataset
    notes: tuple[str, ...] = field(default=())
    parts: tuple[TransitionResult, ...] = field(default=())
    parts_are: str = "transitions"
    not_applicable_because: str = ""

    @property
    def verdict(self) -> Verdict:
        """Not supported if any criterion fails, supported if all hold, undecided otherwise; those of the parts count.

        Where there is nothing to test, the claim does not apply.
        """
        every = self.every_criterion
        if self.not_applicable_because or (self.parts and not every):
            return Verdict.DOES_NOT_APPLY
        return verdict_of(every)

    @property
    def every_criterion(self) -> tuple[Criterion, ...]:
        """Criteria of the claim and of all its parts."""
        return (*self.criteria, *(criterion for part in self.parts for criterion in part.criteria))

    @property
    def headline(self) -> str:
        """The verdict; of a claim on several things, in how many of those that it applies to it is supported."""
        if not self.parts or self.verdict is Verdict.DOES_NOT_APPLY:
            return self.verdict.value
        tested = [part for part in self.parts if part.verdict is not Verdict.DOES_NOT_APPLY]
        holding = sum(part.verdict is Verdict.SUPPORTED for part in tested)
        left = sum(part.verdict is Verdict.UNDECIDED for part in tested)
        undecided = f" ({left} undecided)" if left else ""
        return f"supported in {holding} of {len(tested)} {self.parts_are}{undecided}"

    @property
    def rule(self) -> str:
        """The rule in words, with its thresholds."""
        if self.verdict is Verdict.DOES_NOT_APPLY:
            return f"does not apply: {self.not_applicable_because or 'none of its parts can be tested'}"
        if not self.every_criterion:
            return "cannot be judged here: undecided"
        parts = "; ".join(criterion.text for criterion in self.every_criterion)
        return (
            f"supported if the whole 95 % interval of each number keeps its bound, not supported if one misses: {parts}"
        )


def verdict_of(criteria: Iterable[Criterion]) -> Verdict:
    """Not supported if any criterion fails, supported if there are some and all hold, undecided otherwise."""
    held = [criterion.holds for criterion in criteria]
    if any(value is False for value in held):
        return Verdict.NOT_SUPPORTED
    return Verdict.SUPPORTED if held and all(held) else Verdict.UNDECIDED
