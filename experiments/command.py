"""What the experiments' commands share: options, the configuration, and runs of ``neurodyn`` in this process."""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

from neurodyn.cli.main import main as neurodyn
from neurodyn.writing import replace_atomically, write_text


def arguments(doc: str | None, folder: Path, argv: list[str] | None) -> argparse.Namespace:
    """Parse ``--smoke`` and ``--out`` (the experiment's own results folder if left out, a must for smoke runs)."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--smoke", action="store_true", help="a run of a minute that shows that everything works")
    parser.add_argument("--out", metavar="DIR", type=Path, default=None, help=f"({folder.name}/results)")
    given = parser.parse_args(argv)
    if given.smoke and given.out is None:
        parser.error("a smoke run has no results worth keeping: give a folder for it with --out")
    given.out = given.out or folder / "results"
    given.readme = readme_of(folder, given)
    return given


def readme_of(folder: Path, given: argparse.Namespace) -> Path | None:
    """The README that a run fills in: the experiment's, if a full run's results go to the experiment's own folder."""
    into_results = given.out.resolve() == (folder / "results").resolve()
    return folder / "README.md" if into_results and not given.smoke else None


def configuration(folder: Path, *, smoke: bool) -> dict[str, Any]:
    """Read config.yaml: what stands under ``full``, or under ``smoke``."""
    loaded = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return loaded["smoke" if smoke else "full"]


def options(values: dict[str, Any]) -> list[str]:
    """``{"epochs": 2}`` as ``["--epochs", "2"]``."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def fill_readme(readme: Path | None, table: str) -> None:
    """Put a table between the marks of an experiment's README, if there is one to fill in (:func:`readme_of`).

    The marks are ``<!-- results:NAME -->`` and ``<!-- /results:NAME -->`` with the name of the experiment's folder.

    Raises
    ------
    ValueError
        If the README has no such marks.
    """
    if readme is None:
        return
    name = readme.parent.name
    start, end = f"<!-- results:{name} -->\n", f"<!-- /results:{name} -->"
    pattern = re.compile(re.escape(start) + ".*" + re.escape(end), re.DOTALL)
    text = readme.read_text(encoding="utf-8")
    filled, places = pattern.subn(lambda _: start + table + end, text)
    if not places:
        raise ValueError(f"{readme} has no place for a table: put {start.strip()} and {end} where it is to be")
    write_text(readme, filled)


def left(path: Path, settings: Mapping[str, Any], work: Callable[[], Any]) -> Any:
    """What an earlier run with the same settings left in a file; otherwise what ``work`` returns, which is left there.

    A run that was stopped so goes on where it was, and none mixes in what was found with other settings.

    Parameters
    ----------
    path
        JSON file; its folder is made.
    settings
        What the result depends on, as JSON can hold it.
    work
        Makes the result, as JSON can hold it.
    """
    same = json.loads(json.dumps(settings))
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and kept.get("settings") == same:
            return kept["found"]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"settings": same, "found": work()}, indent=1)
    write_text(path, text + "\n")
    return json.loads(text)["found"]


@contextmanager
def table_file(path: Path) -> Iterator[TextIO]:
    """The file of a table, to write rows of comma-separated values to; it takes its name when all is written."""
    with replace_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        yield file


def save_png(figure: Any, path: Path, dpi: int = 120) -> None:
    """Write a figure of matplotlib, all of it or nothing."""
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def run(*words: str | Path) -> None:
    """Run ``neurodyn`` and stop here if it fails: it has said why.

    Raises
    ------
    SystemExit
        With the exit code of the command.
    """
    if code := neurodyn([str(word) for word in words]):
        raise SystemExit(code)
