"""A figure of a report: on its page as PNG, and beside it as SVG and PDF for a talk or a paper."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.writing import write_bytes

DPI = 150
FOLDER = "figures"
"""Of the drawings beside a report."""
DRAWINGS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What is saved beside a report, each without the time, so that the same results give the same files."""
EDITABLE = {"svg.fonttype": "none", "svg.hashsalt": "neurodyn", "pdf.fonttype": 42}
"""Text stays text in the drawings: a label can be changed by whoever puts a figure together."""


@dataclass(frozen=True)
class Picture:
    """One figure of a report.

    Parameters
    ----------
    title, caption
        What it shows, in a few words and in a few sentences.
    figure
        Of matplotlib.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.report import Picture
    >>> picture = Picture("Scores of all methods", "Each dot is a fold.", Figure())
    >>> picture.stem, picture.png[1:4]
    ('scores_of_all_methods', b'PNG')
    """

    title: str
    caption: str
    figure: Any

    @cached_property
    def png(self) -> bytes:
        """The picture for a page."""
        return _saved(self.figure, format="png", dpi=DPI)

    @property
    def encoded(self) -> str:
        """The picture as text that a page can hold."""
        return base64.b64encode(self.png).decode("ascii")

    @property
    def stem(self) -> str:
        """File name without its ending, from the title.

        Examples
        --------
        >>> Picture("Do the intervals hold?", "", None).stem
        'do_the_intervals_hold'
        """
        return re.sub(r"[^a-z0-9]+", "_", self.title.lower()).strip("_")


def new_figure(size: tuple[float, float]) -> Any:
    """A figure of this size in inches, which no window and no notebook shows by itself."""
    return import_extra("matplotlib.figure", "plot").Figure(figsize=size, layout="constrained")


def save_drawings(pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """Write each picture as SVG and as PDF into the folder ``figures``.

    Parameters
    ----------
    pictures
        In the order of the page, which numbers their files.
    folder
        Folder of the report.

    Returns
    -------
    Their paths.

    Raises
    ------
    InputError
        If they cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.report import Picture, save_drawings
    >>> picture = Picture("Scores", "Each dot is a fold.", Figure())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_drawings([picture], pathlib.Path(folder))]
    ['01_scores.svg', '01_scores.pdf']
    """
    rc_context = import_extra("matplotlib", "plot").rc_context
    place, paths = folder / FOLDER, []
    place.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=1):
        for ending, metadata in DRAWINGS.items():
            path = place / f"{number:02d}_{picture.stem}.{ending}"
            with rc_context(EDITABLE):
                write_bytes(path, _saved(picture.figure, format=ending, metadata=metadata))
            paths.append(path)
    return paths


def _saved(figure: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, facecolor="white", **options)
    return stream.getvalue()
