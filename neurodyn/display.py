"""How an object shows itself at a prompt and in a notebook: what it is in one line, then a few facts in a table.

Showing an object reads numbers that it has and computes nothing that could take long: it is done after every cell.
"""

import html
from collections.abc import Iterable, Sequence

MOST_LINES = 10
"""Lines of a text, the title and the line that counts what was left out included."""
MOST_CHARACTERS = 110
"""Characters of a line; longer text ends in dots."""


class Shown:
    """Base of classes that show themselves by a title and facts, as text and as HTML.

    A class says what it shows by ``_title`` and ``_facts``. A dataclass has to be made with ``repr=False``, for the
    ``__repr__`` that would be generated comes before an inherited one.
    """

    __slots__ = ()

    def _title(self) -> str:
        return type(self).__name__

    def _facts(self) -> Iterable[tuple[str, str]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            return as_text(self._title(), list(self._facts()))
        except AttributeError:  # in the middle of its making, as a debugger may see it
            return object.__repr__(self)

    def _repr_html_(self) -> str:
        return as_html(self._title(), list(self._facts()))


def symbol_name(symbol: int) -> str:
    """What a symbol is called on every page: by its letter, A is 0; from the 27th on by its number.

    Examples
    --------
    >>> symbol_name(2), symbol_name(26)
    ('C', '26')
    """
    return chr(ord("A") + symbol) if symbol < 26 else str(symbol)


def as_text(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Title and facts in at most `MOST_LINES` lines of at most `MOST_CHARACTERS` characters."""
    kept = _kept(facts)
    width = max((len(_one_line(name)) for name, _ in kept), default=0)
    lines = [_one_line(title), *(f"  {_one_line(name):<{width}}  {_one_line(text)}" for name, text in kept)]
    return "\n".join(_shortened(line.rstrip()) for line in lines)


def as_html(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Title and facts as a table; names out of files are escaped, so that they cannot add to the page."""
    rows = "".join(
        f'<tr><th style="text-align: left">{_escaped(name)}</th><td style="text-align: left">{_escaped(text)}</td></tr>'
        for name, text in _kept(facts)
    )
    head = f'<caption style="text-align: left; white-space: nowrap"><b>{_escaped(title)}</b></caption>'
    return f"<table>{head}<tbody>{rows}</tbody></table>"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names side by side; of more than ``most`` the first ones, and how many there are.

    Examples
    --------
    >>> listed(["x", "y"]), listed("abcdefgh", most=3)
    ('x, y', 'a, b, c, ... 8 in all')
    """
    names = list(names)
    more = f", ... {len(names)} in all" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def several(given: object) -> str:
    """Several settings in a row, or what was given in their place: an object that cannot be used can still be shown.

    Examples
    --------
    >>> several((5, 10)), several(5)
    ('5, 10', '5')
    """
    if isinstance(given, Iterable) and not isinstance(given, str):
        return listed(str(one) for one in given)
    return str(given)


def either(names: Iterable[str]) -> str:
    """Names in words, for help and messages.

    Examples
    --------
    >>> either(["lsl://", "zmq://", "redis://"])
    'lsl://, zmq:// or redis://'
    """
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def pluralised(number: int, what: str) -> str:
    """Number with its noun, like ``1 trial`` or ``1,200 bins``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _kept(facts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """As many facts as there are lines for, and how many more there are."""
    room = MOST_LINES - 1
    if len(facts) <= room:
        return list(facts)
    return [*facts[: room - 1], ("...", f"and {len(facts) - room + 1} more")]


def _one_line(text: str) -> str:
    """Text without line breaks and other characters that are not printed."""
    return "".join(c if c.isprintable() else " " for c in text)


def _shortened(line: str) -> str:
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 3].rstrip() + "..."


def _escaped(text: str) -> str:
    return html.escape(_shortened(_one_line(text)))
