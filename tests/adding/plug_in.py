"""The example of a page, as a module, and its line in the table: pages whose code does not run fail their test."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = {
    "likelihood": "neurodyn/binning/ADDING_A_LIKELIHOOD.md",
    "feature": "neurodyn/binning/ADDING_A_FEATURE.md",
    "baseline": "neurodyn/baselines/ADDING_A_BASELINE.md",
    "stream": "neurodyn/realtime/streams/ADDING_A_STREAM.md",
    "format": "neurodyn/recording/ADDING_A_FORMAT.md",
    "emission": "neurodyn/markov/ADDING_AN_EMISSION.md",
    "claim": "neurodyn/mechanism/ADDING_A_CLAIM.md",
    "experiment": "experiments/ADDING_AN_EXPERIMENT.md",
}


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of code of a page, in order."""
    return re.findall(r"```(\w+)\n(.*?)```", (ROOT / PAGES[page]).read_text(), flags=re.DOTALL)


def file_of(page: str) -> str:
    """Path of the file that the example is, as its heading says."""
    found = re.search(r"^## The file, `(.*)`$", (ROOT / PAGES[page]).read_text(), flags=re.MULTILINE)
    assert found is not None, f"{PAGES[page]} does not say which file its example is"
    return found[1]


def add(page: str, folder: Path, table: dict, names: dict, monkeypatch) -> ModuleType:
    """Write the example of a page to a folder, import it, and add its line to a table until the test ends.

    ``names`` are those that stand in the file of the table.
    """
    (_, code), _, (_, line) = blocks(page)  # the import is for the file of the table: test_followed.py
    path = folder / Path(file_of(page)).name
    path.write_text(code)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    row = eval("{" + line + "}", {**names, **vars(module), name: module})
    assert len(row) == 1
    assert not row.keys() & table.keys()
    for key, value in row.items():
        monkeypatch.setitem(table, key, value)
    return module
