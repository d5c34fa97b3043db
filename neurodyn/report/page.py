"""One HTML page with everything in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.evaluation import PairedDifference
from neurodyn.report.pictures import Picture
from neurodyn.report.tables import ScoreRow


@dataclass(frozen=True)
class ScoreTable:
    """Rows of one metric with its name."""

    name: str
    rows: tuple[ScoreRow, ...]


def render_page(
    *,
    title: str,
    sentence: str,
    dims: Sequence[str],
    tables: Sequence[ScoreTable],
    differences: Sequence[PairedDifference] = (),
    pictures: Sequence[Picture],
    facts: Mapping[str, str],
    settings: Mapping[str, str],
    versions: Mapping[str, str],
) -> str:
    """Fill the template; pictures are part of the page, so that it opens without a network.

    Parameters
    ----------
    title, sentence
        Head of the page: name of the study and its finding.
    dims
        Names of the target dimensions: columns of the tables.
    tables, differences, pictures
        In the order shown; the differences of methods are R² of their filtered estimates.
    facts, settings, versions
        Numbers beside the tables, options, and packages, by name.

    Examples
    --------
    >>> from neurodyn.report import render_page
    >>> page = render_page(
    ...     title="A study", sentence="Ridge decodes.", dims=["x"], tables=[], pictures=[], facts={"trials": "12"},
    ...     settings={}, versions={},
    ... )
    >>> page.startswith("<!"), "Ridge decodes." in page
    (True, True)
    """
    values = {
        "title": title, "sentence": sentence, "dims": dims, "tables": tables, "differences": differences,
        "facts": facts, "settings": settings, "versions": versions,
    }  # fmt: skip
    return fill_template("template.html.j2", values, pictures)


def fill_template(name: str, values: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """Fill a template of this folder: ``template.html.j2``, or one that puts its own tables into that.

    Parameters
    ----------
    name
        File name of the template.
    values
        What it needs, by name; a name that is missing is an error.
    pictures
        In the order shown.
    """
    jinja2 = import_extra("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template(name).render(**values, pictures=pictures)


def _source(name: str) -> str:
    return files("neurodyn.report").joinpath(name).read_text(encoding="utf-8")
