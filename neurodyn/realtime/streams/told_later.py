"""A bad message among good ones: what came beside it is returned, and it is told in the read after."""

from neurodyn.errors import InputError

NAMED = 3
"""Messages that are told word for word; of more than these, their number."""


class ToldLater:
    """Keeps the bad messages of a read until the next.

    Examples
    --------
    >>> bad = ToldLater()
    >>> bad.keep(InputError("a header of version 7"))
    >>> bad.keep(InputError("times without values"))
    >>> bad.tell()
    Traceback (most recent call last):
    neurodyn.errors.InputError: a header of version 7; times without values
    >>> bad.tell()
    """

    def __init__(self) -> None:
        self._kept: list[InputError] = []
        self._more = 0

    def keep(self, error: InputError) -> None:
        """Have it told in the next read; memory is bounded, however many there are."""
        if len(self._kept) < NAMED:
            self._kept.append(error)
        else:
            self._more += 1

    def tell(self) -> None:
        """Say what was kept, once.

        Raises
        ------
        InputError
            If something was.
        """
        if not self._kept:
            return
        kept, more, self._kept, self._more = self._kept, self._more, [], 0
        if len(kept) == 1 and not more:
            raise kept[0]
        raise InputError("; ".join(map(str, kept)) + (f"; and {more} more" if more else "")) from kept[0]
