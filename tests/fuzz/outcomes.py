"""What may come of a damaged input, and what may not."""

import faulthandler
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from neurodyn.errors import InputError

SECONDS = 20.0
"""A case that takes longer hangs."""
MEMORY = 2 * 2**30
"""Bytes of address space a process may take for its cases beyond what it has before."""


END_THE_PROCESS = False
"""Whether a case that hangs inside a library, where no signal arrives, ends the process; set by the command."""


class Outcome(StrEnum):
    """What came of a case."""

    SAME = "the recording"
    OTHER = "another recording that passes every check"
    REFUSED = "refused in one line"


class Failure(AssertionError):
    """A case that ended in anything else."""


@dataclass(frozen=True)
class Target:
    """Something that takes input from outside.

    Attributes
    ----------
    name
        In the table.
    cases
        Draws a pair: kind of damage, and what `check` takes.
    check
        Tries one case in a folder of its own and returns what came of it.
    share
        Part of all cases that this target gets, relative to the others: the slow ones get less.
    """

    name: str
    cases: SearchStrategy
    check: Callable[[Any, Path], Outcome]
    share: float = 1.0


class Hang(BaseException):
    """A case that took too long; no Exception, so that the search ends at once instead of trying it again smaller."""


class _TooLong(BaseException):
    pass


def attempt(target: Target, kind: str, case: Any, folder: Path) -> Outcome:
    """Try a case; any error but InputError, in more than one line, or too late is a `Failure`."""
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return target.check(case, folder)
    except InputError as error:
        if "\n" in str(error) or not str(error):
            raise Failure(f"{target.name}, {kind}: the message is not one line: {error!r}") from error
        return Outcome.REFUSED
    except _TooLong:
        raise Hang(f"{target.name}, {kind}: takes more than {SECONDS} s: {case!r}") from None
    except Failure:
        raise
    except Exception as error:
        raise Failure(f"{target.name}, {kind}: {type(error).__name__}: {error}") from error


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooLong

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    if END_THE_PROCESS:
        faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def limit_memory() -> None:
    """Let this process take `MEMORY` more bytes than it has now."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
