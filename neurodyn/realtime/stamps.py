"""Which time stamps are believed: the one policy for clocks that jump, run ahead or lag, live and in the binner."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.realtime.events import EventKind, LogEvent

MEMORY = 2.0
"""Seconds of past data that repeated data are recognised by, and that a jumped clock is continued from."""
FARTHEST = 1e11
"""Seconds from 0, 3,000 years: times beyond are invalid, and the bins could not be told apart in double precision."""

SHORTEST_LAG = 0.005
"""Seconds behind the others that are never logged: a sample of 200 Hz takes as long."""


@dataclass(frozen=True)
class StampPolicy:
    """How far a stamp may be from the present, and what is done with a stream whose stamps are further away.

    Attributes
    ----------
    max_jump
        Seconds; a stream further away from the present than this has a clock of another origin and is moved onto it.
    ahead, ahead_alone
        Seconds that a stamp may lie in the future before it has to be confirmed: where another stream says what time
        it is, and where none does. A lone stream may be one that is played faster than it was recorded.
    confirmations, confirmed_after
        Chunks in a row that have to agree, and the seconds that they span at least, before they are believed: one bad
        stamp is a fault of that stamp, several are a clock.
    lag
        Seconds by which the chunks of a stream are constantly behind the others before that is logged. Where bins wait
        it is their patience (`within`): what is later comes after its bin, all of it.
    align
        Whether a stream that is constantly ahead or behind is moved onto the present, and kept there as it drifts.

    Raises
    ------
    InputError
        If a duration is not positive or there are no confirmations.
    """

    max_jump: float = 30.0
    ahead: float = 0.25
    ahead_alone: float = 1.0
    confirmations: int = 3
    confirmed_after: float = 0.1
    lag: float = 0.5
    align: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.ahead <= self.ahead_alone < self.max_jump and self.lag > 0 and self.confirmations >= 1):
            raise InputError(
                "stamps need 0 < ahead <= ahead_alone < max_jump, lag > 0 and confirmations >= 1, got "
                f"{self.ahead}, {self.ahead_alone}, {self.max_jump}, {self.lag} s and {self.confirmations}"
            )

    @classmethod
    def within(cls, patience: float, **settings: Any) -> "StampPolicy":
        """The policy for bins that wait so many seconds: a stream that is constantly later than that is logged.

        Parameters
        ----------
        patience
            Of the bins, seconds.
        settings
            Others than the usual ones.

        Examples
        --------
        >>> StampPolicy.within(0.01).lag
        0.01
        """
        return cls(lag=max(patience, SHORTEST_LAG), **settings)


class SourceClock:
    """Moves a source's times onto the clock of the bins when its own clock has jumped.

    Parameters
    ----------
    name
        Of the modality.
    max_jump
        Largest distance from the present, seconds, that is not a jump.
    say
        Takes events.
    """

    def __init__(self, name: str, max_jump: float, say: LogEvent) -> None:
        self._name, self._max_jump, self._say = name, max_jump, say
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """What is added to the times that come, seconds."""
        return self._offset

    def pieces(self, times: Float[np.ndarray, " n"], *, ordered: bool = False) -> list[slice]:
        """Stretches of a chunk between jumps inside it; ``ordered`` if the times are known to be `in_order`."""
        if ordered and times[-1] - times[0] <= self._max_jump:
            return [slice(0, len(times))]
        jumps = np.flatnonzero(np.abs(np.diff(times)) > self._max_jump) + 1
        return [slice(a, b) for a, b in pairwise([0, *jumps.tolist(), len(times)]) if b > a]

    def shift(self, first: float, last: float, now: float | None, expected: float | None) -> float:
        """What to add to times from ``first`` to ``last``.

        Parameters
        ----------
        first, last
            Of a stretch, seconds on the source's clock.
        now
            The present; None if unknown: nothing is then taken for a jump.
        expected
            Where ``first`` belongs if nothing was lost; None if that is not known.
        """
        away = 0.0 if now is None else last + self._offset - now
        if now is not None and abs(away) > self._max_jump:
            recent = expected is not None and abs(expected - now) <= MEMORY
            self._offset = expected - first if recent and expected is not None else now - last
            self._say(EventKind.CLOCK_JUMP, self._name, f"{away:+.3f} s from the present; moved onto it")
        return self._offset
