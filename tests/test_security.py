"""No code of the project executes what it reads: held by reading the source."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("neurodyn", "experiments", "datasets") for path in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "codeop"}
CALLS = {"eval", "exec", "compile", "__import__"}
YAML_CALLS = {"load", "load_all", "full_load", "unsafe_load", "unsafe_load_all"}


def offences(source: str) -> list[str]:
    """What in a source text executes data, or could."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in CALLS or name in {f"yaml.{call}" for call in YAML_CALLS} or name in ("os.system", "os.popen"):
            found.append(name)
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in ("allow_pickle", "shell") and not off:
                found.append(f"{name}({keyword.arg}=...)")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_what_it_reads(path):
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from dill import loads", "eval('1')", "exec(x)", "import yaml\nyaml.load(x, Loader)",
     "np.load(x, allow_pickle=True)", "np.load(x, allow_pickle=y)", "subprocess.run(x, shell=True)", "os.system(x)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source):
    assert offences(source)


@pytest.mark.parametrize(
    "source", ["yaml.safe_load(x)", "np.load(x, allow_pickle=False)", "re.compile(x)", "module.eval(x)"]
)
def test_and_nothing_else(source):
    assert not offences(source)


def test_the_lowest_versions_are_those_of_the_bounds():
    """What ``make test-lowest`` installs."""
    command = [sys.executable, str(ROOT / ".ci" / "lowest_constraints.py")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    pinned = {r.name.lower(): r for r in map(Requirement, printed.splitlines())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for text in (text for group in groups for text in group):
        requirement = Requirement(text)
        if requirement.name == "neurodyn":
            continue
        (version,) = [s.version for s in pinned[requirement.name.lower()].specifier]
        assert version in requirement.specifier, f"{text} has no lower bound"
