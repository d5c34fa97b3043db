"""What ``import neurodyn as nd`` promises, and what it costs."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import neurodyn


@pytest.mark.parametrize("name", neurodyn.__all__)
def test_every_public_name_is_there(name):
    assert getattr(neurodyn, name) is not None
    assert name in dir(neurodyn)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = neurodyn.nonsense


ROOMS = sorted(set(neurodyn.__all__) - set(neurodyn._HOME))


def test_what_a_tool_reads_is_what_there_is():
    """Without running anything: the names are written out, and every one of them is imported for type checkers."""
    tree = ast.parse(Path(neurodyn.__file__).read_text())
    listed = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    )
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(guarded.test) == "TYPE_CHECKING"
    imported = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert listed == sorted(neurodyn.__all__) == sorted(imported)
    homes = {name: f"neurodyn.{home}" for name, home in neurodyn._HOME.items()}
    assert imported == homes | dict.fromkeys(ROOMS, "neurodyn")


def test_dir_has_the_public_names_and_no_others():
    names = [name for name in dir(neurodyn) if not name.startswith("__")]
    assert names == sorted(neurodyn.__all__)


def test_the_package_says_that_it_has_types():
    assert (Path(neurodyn.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("written", "meant"),
    [("MultiscaleDecorder", "MultiscaleDecoder"), ("crossvalidate", "cross_validate"), ("too_bins", "to_bins")],
)
def test_a_name_that_is_nearly_right(written, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{written}': did you mean '{meant}'"):
        getattr(neurodyn, written)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("nd.", {"MultiscaleDecoder", "cross_validate", "load", "to_bins", "evaluation", "plotting"}),
        ("nd.cross", {"cross_validate"}),
        ("model = nd.MultiscaleDecoder()\nmodel.", {"fit", "predict", "score", "transform", "realtime", "save"}),
        ("model = nd.MultiscaleDecoder().fit(batch)\nmodel.pre", {"predict"}),
        ("batch = nd.to_bins(recording, width=0.05)\nbatch.", {"train", "test", "hide", "observations"}),
        ("recording = nd.read_nwb('a.nwb')\nrecording.", {"spikes", "fields", "between"}),
    ],
)
def test_an_editor_completes(program, expected):
    jedi = pytest.importorskip("jedi")
    source = f"import neurodyn as nd\n{program}"
    environment = jedi.InterpreterEnvironment()
    project = jedi.Project(Path(neurodyn.__file__).parents[1], load_unsafe_extensions=False)
    found = {one.name for one in jedi.Script(source, environment=environment, project=project).complete()}
    assert expected <= found


@pytest.mark.parametrize("name", ROOMS)
def test_every_name_of_a_package_is_there(name):
    package = importlib.import_module(f"neurodyn.{name}")
    for public in getattr(package, "__all__", []):
        assert getattr(package, public) is not None


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    program = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"jax", "flax", "optax", "numpyro", "xarray", "scipy", "numpy", "matplotlib", "pynwb", "h5py"}
    assert not heavy & loaded_by("import neurodyn")


@pytest.mark.parametrize("statement", ["from neurodyn import to_bins, read_nwb", "from neurodyn import CausalRidge"])
def test_recordings_and_baselines_need_no_jax(statement):
    loaded = loaded_by(statement)
    assert "numpy" in loaded
    assert not {"jax", "flax", "numpyro", "matplotlib", "pynwb"} & loaded
