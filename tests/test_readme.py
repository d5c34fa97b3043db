"""What the README shows is true: its code runs, its commands, options, links and files exist."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from neurodyn.cli.main import build_parser, main
from neurodyn.simulation import ForagingSettings, simulate_foraging, write_nwb

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = "\n".join(code for language, code in BLOCKS if language == "sh")

# The same calls at the size of a test.
SMALLER = {
    "MultiscaleDecoder(latent=32)": (
        "MultiscaleDecoder(latent=4, progress=False, epochs=2,"
        " recurrent=nd.recurrent.RecurrentConfig(hidden=4, members=1, steps=20, validate_every=20))"
    ),
}


@pytest.fixture(params=[(5, 1), (13, 2)], ids=["5 units, a field", "13 units, two fields"])
def session(tmp_path, monkeypatch, request):
    """A recording as any user may have one; nothing in the text may rest on how many units or fields it has."""
    monkeypatch.chdir(tmp_path)
    units, fields = request.param
    recording = simulate_foraging(ForagingSettings(seconds=60.0, units=units), seed=0)
    field = recording.field()
    names = ["lfp", "lfp_2"][:fields]
    recording = replace(recording, fields={name: replace(field, name=name) for name in names})
    write_nwb(recording, tmp_path / "session.nwb")


def test_there_is_code_to_run():
    assert len(PYTHON) >= 3
    assert all(old in PYTHON[0] for old in SMALLER)
    lines = [line for line in PYTHON[0].splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= 10


@pytest.mark.slow
def test_the_python_code_runs(session, float32):
    """All blocks in order, as one program: later ones use the names of earlier ones."""
    program = "\n".join(PYTHON)
    for old, new in SMALLER.items():
        program = program.replace(old, new)
    names: dict = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["out"].target.shape == (3,)
    assert (names["out"].lower < names["out"].upper).all()


def test_commands_and_options_exist():
    commands = re.findall(r"^(?:\$ )?neurodyn (\w+)(.*?)$", SHELL.replace("\\\n", " "), flags=re.MULTILINE)
    every = {
        "inspect",
        "demo",
        "decode",
        "convert",
        "serve",
        "replay",
        "emulate",
        "explain",
        "bench",
        "doctor",
        "sweep",
    }
    assert {name for name, _ in commands} == every
    for name, rest in commands:
        build_parser().parse_args([name, *rest.split("#")[0].split()])


def test_the_error_shown_is_the_error_that_comes(session, capsys):
    said = re.search(r"^ {4}\$ neurodyn (.*)\n {4}(neurodyn: error: .*)$", README, flags=re.MULTILINE)
    assert said is not None
    assert main(said[1].split()) == 2
    assert capsys.readouterr().err.strip() == said[2]
    assert not Path("decoded").exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(?: {4})?make (\w+)", README, flags=re.MULTILINE))
    assert {"demo", "test", "lint"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("file", [
        "README.md", "CONTRIBUTING.md", "neurodyn/README.md", "experiments/README.md", "datasets/README.md",
    ])  # fmt: skip
def test_links_lead_somewhere(file):
    path = ROOT / file
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), f"{file}: {link}"


def test_the_citation_is_of_this_version():
    import tomllib

    import yaml

    import neurodyn

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["version"] == project["version"] == neurodyn.__version__
    assert (cited["title"], cited["license"]) == (project["name"], project["license"])
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in project["authors"]]
    assert all(reference["url"] in README for reference in cited["references"])


def test_folders_on_the_map_exist():
    """Each folder of the package stands on the map, and what the map calls built is there."""
    text = (ROOT / "neurodyn/README.md").read_text()
    folders = {path.parent.name for path in (ROOT / "neurodyn").glob("*/__init__.py")}
    built = set(re.findall(r"^\| `(\w+)/` \|", text, flags=re.MULTILINE))
    assert built == folders


def test_functions_on_the_map_exist():
    """Names written as `module.name` in the package's map can be imported."""
    import importlib

    text = (ROOT / "neurodyn/README.md").read_text()
    names = set(re.findall(r"`((?:binning|recording|multiscale|kernels|targets|realtime|evaluation|baselines|training)"
                           r"(?:\.[A-Za-z_]+)+)`", text))  # fmt: skip
    assert len(names) > 15
    for name in names:
        module, found, rest = "neurodyn", None, name.split(".")
        while rest:
            here = f"{module}.{rest[0]}"
            try:
                found, module, rest = importlib.import_module(here), here, rest[1:]
            except ModuleNotFoundError:
                break
        for part in rest:
            assert hasattr(found, part), f"{name}: no {part}"
            found = getattr(found, part)
