"""One thing that ``neurodyn doctor`` has looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One thing that was looked at.

    Parameters
    ----------
    name, found
        What it is, and how it is here.
    advice
        What to do about it; "" if it is as it should be.
    fault
        Whether neurodyn cannot be relied on as long as it is so.
    """

    name: str
    found: str
    advice: str = ""
    fault: bool = False
