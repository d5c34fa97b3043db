"""How much is measured: as much as a verdict takes, up to a limit."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from neurodyn.mechanism.finding import Finding, TransitionResult, Verdict

Looked = TypeVar("Looked")


def sample_until_decided(look: Callable[[int], Finding], most: int, what: str) -> Finding:
    """Increase the sample size until every interval lies on one side of its threshold or the maximum is reached.

    The first look is at the usual number of samples, each further one at twice as many as the one before. An interval
    that straddles its bound is wider than the margin between number and bound: more samples make it narrower. With
    every look there is another chance to be misled, so looks are few (four for ``most = 8``).

    Parameters
    ----------
    look
        ``look(times)`` examines the claim on so many times the usual samples.
    most
        Of those times, a power of two; 1 looks once.
    what
        What the samples are, for the note: ``trials``.

    Returns
    -------
    The finding of the last look, with a note on how many samples that took where there could have been more.
    """
    times, finding = final_sample(look, most, lambda found: found)
    if most == 1 or finding.verdict is Verdict.DOES_NOT_APPLY:
        return finding
    taken = f"{times} times the usual {what}" if times > 1 else f"the usual {what}"
    limit = ""
    if more_would_help(finding):
        ended, limit = "an interval still straddles its bound", f", the limit is {most} times"
    elif finding.verdict is Verdict.UNDECIDED:
        ended = "something could not be measured, which more of them would not change"
    else:
        ended = "that decided it"
    return replace(finding, notes=(*finding.notes, f"examined on {taken}{limit}: {ended}"))


def final_sample(
    look: Callable[[int], Looked | None], most: int, judged: Callable[[Looked], Finding | TransitionResult]
) -> tuple[int, Looked]:
    """Increase the sample size as `sample_until_decided` does, for anything that has criteria; return the last result.

    Parameters
    ----------
    look
        ``look(times)`` on so many times the usual samples; None if there are not so many, but at the first look.
    most
        Of those times.
    judged
        From what a look found to what has a verdict.

    Returns
    -------
    Times of the last look that there was, and what it found.
    """
    times, found = 1, look(1)
    assert found is not None
    while more_would_help(judged(found)) and 2 * times <= most:
        more = look(2 * times)
        if more is None:
            break
        times, found = 2 * times, more
    return times, found


def more_would_help(found: Finding | TransitionResult) -> bool:
    """Whether it is undecided because an interval straddles a bound, and not for want of anything to measure."""
    if found.verdict is not Verdict.UNDECIDED:
        return False
    criteria = found.every_criterion if isinstance(found, Finding) else found.criteria
    return any(each.holds is None and not math.isnan(each.estimate.low) for each in criteria)
