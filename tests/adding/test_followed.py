"""Every page followed to the letter, in a copy of the package: its file, its import, its line."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from adding.plug_in import ROOT, blocks, file_of

TABLES = {
    "likelihood": ("neurodyn.binning.likelihoods", "LIKELIHOODS"),
    "feature": ("neurodyn.binning.features", "FEATURES"),
    "baseline": ("neurodyn.baselines.table", "BASELINES"),
    "stream": ("neurodyn.realtime.streams.table", "SCHEMES"),
    "format": ("neurodyn.recording.files", "FORMATS"),
    "emission": ("neurodyn.markov.emissions.table", "EMISSIONS"),
    "claim": ("neurodyn.mechanism.table", "CLAIMS"),
}
"""Module and name of the table that a page adds to."""
LISTED = """
import importlib, json, sys

found = {}
for module, table in json.loads(sys.argv[1]):
    found[table] = list(getattr(importlib.import_module(module), table))
import neurodyn

print(json.dumps([neurodyn.__file__, found]))
"""


def with_import(text: str, lines: str) -> str:
    """A file with more imports at its top: before the first of the package."""
    first = re.search(r"^from neurodyn", text, flags=re.MULTILINE)
    assert first is not None
    return text[: first.start()] + lines + text[first.start() :]


def with_row(text: str, table: str, line: str) -> str:
    """A file with one more row at the end of a table, on one line or on several."""
    found = re.search(rf"^{table}: .* = {{(?s:.*?)(?P<end>}}\n)\"\"\"", text, flags=re.MULTILINE)
    assert found is not None, f"no table {table} that a line can be added to"
    rows = text[: found.start("end")].rstrip().rstrip(",")
    return rows + ",\n    " + line + text[found.start("end") :]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Keys of each table in a new process, all pages followed."""
    copy = tmp_path_factory.mktemp("followed")
    shutil.copytree(ROOT / "neurodyn", copy / "neurodyn", ignore=shutil.ignore_patterns("__pycache__"))
    for page, (module, table) in TABLES.items():
        (_, code), (_, imports), (_, line) = blocks(page)
        (copy / file_of(page)).write_text(code)
        path = copy / (module.replace(".", "/") + ".py")
        path.write_text(with_row(with_import(path.read_text(), imports), table, line))
    words = [sys.executable, "-c", LISTED, json.dumps(list(TABLES.values()))]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    result = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    place, found = json.loads(result.stdout)
    assert place == str(copy / "neurodyn" / "__init__.py")
    return found


def test_an_experiment_is_on_a_page_of_the_docs(tmp_path):
    """Its folder, its page of the docs and its lines in two lists, in a copy of both: as `tests/test_docs.py` asks."""
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "docs" / "results")
    (tmp_path / "experiments").mkdir()
    shutil.copy(ROOT / "experiments" / "README.md", tmp_path / "experiments")
    (_, _), (_, _), (_, readme), (_, line) = blocks("experiment")
    folder = (tmp_path / file_of("experiment")).parent
    folder.mkdir()
    (folder / "README.md").write_text(readme)
    listed = tmp_path / "experiments" / "README.md"
    rows = list(re.finditer(r"^\| \[\w+\]\(\w+/README\.md\) \|.*\n", listed.read_text(), flags=re.MULTILINE))
    listed.write_text(listed.read_text()[: rows[-1].end()] + line + listed.read_text()[rows[-1].end() :])
    text = (ROOT / "experiments" / "ADDING_AN_EXPERIMENT.md").read_text()
    found = re.search(
        r"`(docs/results/\w+\.md)` is\n\n((?:    .*\n)+)\nand `(\w+)` is a line in the list of `(.*)`", text
    )
    assert found is not None
    page, shown, name, index = found.groups()
    (tmp_path / page).write_text(re.sub(r"^    ", "", shown, flags=re.MULTILINE))
    contents = tmp_path / index
    contents.write_text(contents.read_text().replace("\nbenchmarks\n", f"\nbenchmarks\n{name}\n"))
    included = re.search(r"^```{include} (.*)\n```$", (tmp_path / page).read_text(), flags=re.MULTILINE)
    assert included is not None
    assert ((tmp_path / page).parent / included[1]).resolve() == (folder / "README.md").resolve()
    assert (tmp_path / page).stem == folder.name
    names = re.search(r"```{toctree}\n:hidden:\n\n(.*?)```", contents.read_text(), flags=re.DOTALL)
    assert names is not None
    assert set(names[1].split()) == {path.stem for path in contents.parent.glob("*.md")} - {"index"}
    assert f"]({folder.name}/README.md)" in listed.read_text()


@pytest.mark.parametrize("page", TABLES)
def test_the_package_has_the_new_row(followed, page):
    key = blocks(page)[2][1].split(":")[0].strip('"')
    assert followed[TABLES[page][1]][-1] == key
