"""Tables that fit: columns of numbers are never shortened or broken, names are shortened in their middle."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_OFF_SCREEN = 120
"""Columns of a pipe or a file, which has no width of its own."""
_MOST_LINES = 4
_DOTS = "..."


@dataclass(frozen=True)
class Column:
    """How a column may give way.

    Parameters
    ----------
    name
        Its head.
    least
        Fewest characters that its text is shortened to; None: never shortened, but broken between words.
    middle
        Whether text is shortened in its middle, as names are, or at its end.
    whole
        Whether it is not broken either.
    """

    name: str
    least: int | None = None
    middle: bool = False
    whole: bool = False


def screen() -> Console:
    """Standard output; a pipe or a file is as wide as a table needs, up to a bound."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, WIDTH_OFF_SCREEN))


def fitted(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Table of at most `width` characters, or as few as its numbers need.

    Parameters
    ----------
    title
        Above it.
    columns
        In order; the first that can grow is given room first.
    rows
        Text per column.
    width
        Characters of the screen.
    """
    between = len(columns) - 1
    widths = _widths(columns, rows, width - between)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column, size in zip(columns, widths, strict=True):
        table.add_column(column.name, width=size, overflow="fold")
    for row in rows:
        cells = [_shortened(text, column, size) for text, column, size in zip(row, columns, widths, strict=True)]
        table.add_row(*map(escape, cells))
    # Rich would squeeze a table that is wider than the screen, numbers first.
    table.width = sum(widths) + between
    return table


def shortened_middle(text: str, size: int) -> str:
    """Text of at most `size` characters: its begin and its end."""
    if len(text) <= size:
        return text
    room = max(0, size - len(_DOTS))
    return text[: room - room // 2] + _DOTS + (text[-(room // 2) :] if room // 2 else "")


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Least widths first, then what is left to the columns of numbers, to names, and to the rest."""
    wanted, least = [], []
    for index, column in enumerate(columns):
        texts = [column.name, *(row[index] for row in rows)]
        most = max(map(len, texts))
        word = max(len(word) for text in texts for word in (text.split(" ") if not column.whole else [text]))
        wanted.append(most)
        least.append(word if column.least is None else min(most, max(column.least, len(column.name))))
    widths = list(least)
    numbers = [index for index, column in enumerate(columns) if column.least is None]
    names = [index for index, column in enumerate(columns) if column.least is not None]
    # Names get a quarter of the screen at first, so that what is said of them is not squeezed into nothing.
    for index, most in (
        *((i, width) for i in numbers),
        *((i, width // 4) for i in names),
        *((i, width) for i in names),
    ):
        widths[index] += max(0, min(min(wanted[index], most) - widths[index], width - sum(widths)))
    return widths


def _shortened(text: str, column: Column, size: int) -> str:
    if column.least is None:
        return text
    if column.middle:
        return shortened_middle(text, size)
    lines = textwrap.wrap(text, size)
    if len(lines) <= _MOST_LINES:
        return text
    last = lines[_MOST_LINES - 1][: max(0, size - len(_DOTS))].rstrip()
    return "\n".join([*lines[: _MOST_LINES - 1], last + _DOTS])
