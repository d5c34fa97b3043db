"""Malformed messages among good ones: the good ones are returned, the others are raised in the next read."""

from neurodyn.errors import InputError

NAMED = 3
"""Errors whose text is raised; of further ones only their number is."""


class DeferredErrors:
    """Collect errors of malformed messages and raise them in the next read.

    Examples
    --------
    >>> bad = DeferredErrors()
    >>> bad.add(InputError("a header of version 7"))
    >>> bad.add(InputError("times without values"))
    >>> bad.raise_all()
    Traceback (most recent call last):
    neurodyn.errors.InputError: a header of version 7; times without values
    >>> bad.raise_all()
    """

    def __init__(self) -> None:
        self._kept: list[InputError] = []
        self._more = 0

    def add(self, error: InputError) -> None:
        """Store an error for the next read; memory is bounded, however many there are."""
        if len(self._kept) < NAMED:
            self._kept.append(error)
        else:
            self._more += 1

    def raise_all(self) -> None:
        """Raise the stored errors as one, and forget them.

        Raises
        ------
        InputError
            If any were stored.
        """
        if not self._kept:
            return
        kept, more, self._kept, self._more = self._kept, self._more, [], 0
        if len(kept) == 1 and not more:
            raise kept[0]
        raise InputError("; ".join(map(str, kept)) + (f"; and {more} more" if more else "")) from kept[0]
