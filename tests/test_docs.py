"""The site: pages, public names, messages and links are there, and its code runs.

Sphinx is not needed for any of this; `make docs` builds the site, without warnings.
"""

import ast
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

import neurodyn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
import sources  # noqa: E402

PAGES = sources.pages()
PLACES = sources.page_of()
NAMES = [page.relative_to(DOCS).as_posix() for page in PAGES]
PUBLIC = {
    path.parent.relative_to(ROOT).as_posix().replace("/", "."): names
    for path in sorted((ROOT / "neurodyn").rglob("__init__.py"))
    if (names := [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ])
}  # fmt: skip


def toctree(page: Path) -> list[str]:
    """What the tables of contents of a page name, relative to it."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    return [line.rpartition("<")[2].rstrip(">") for line in lines]


def documented() -> dict[str, set[str]]:
    """Names in each list of the API, by the module that the list is of."""
    found: dict[str, set[str]] = {}
    for page in (DOCS / "api").glob("*.md"):
        module = ""
        for line in page.read_text().splitlines():
            if said := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = said[1]
            elif name := re.fullmatch(r" {3}([\w.]+)", line):
                found.setdefault(module, set()).add(name[1])
    return found


def test_configuration():
    settings = runpy.run_path(str(DOCS / "conf.py"))
    assert settings["version"] == neurodyn.__version__
    assert {"myst_nb", "sphinx.ext.autosummary"} <= set(settings["extensions"])
    assert settings["nb_execution_mode"] in ("off", "force")
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"]
    assert {re.split(r"[>=<]", name)[0] for name in extra} >= {"sphinx", "pydata-sphinx-theme", "myst-nb"}
    assert re.search(r"^docs: .*\n(\t.*\n)*\t.*sphinx.* -W", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_page_is_in_a_table_of_contents():
    reached, waiting = set(), ["index.md"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for entry in toctree(DOCS / name):
            path = (DOCS / name).parent / entry
            if path.parent == sources.GALLERY and (sources.NOTEBOOKS / f"{path.name}.py").exists():
                reached.add(path.name)
                continue
            assert path.with_name(path.name + ".md").is_file(), f"{name}: {entry}"
            waiting.append(path.with_name(path.name + ".md").relative_to(DOCS).as_posix())
    assert set(NAMES) <= reached
    assert {path.stem for path in sources.NOTEBOOKS.glob("*.py")} <= reached


def test_every_text_of_the_repository_is_on_a_page():
    texts = [path for folder in ("neurodyn", "experiments", "datasets") for path in (ROOT / folder).rglob("*.md")]
    texts = [path for path in texts if path.parent.name != "results" and "results" not in path.parts[:-1]]
    texts += [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "README.md")]
    assert {path.relative_to(ROOT).as_posix() for path in texts} <= set(PLACES)


def test_every_public_name_is_in_the_api():
    found = documented()
    everything = set.union(*found.values())
    top = (DOCS / "api/neurodyn.md").read_text()
    for room, (names,) in PUBLIC.items():
        if room == "neurodyn":
            missing = [name for name in names if f"`nd.{name}`" not in top and f"[{name}](" not in top]
        else:  # a name that two rooms hand out is documented in one of them
            known = found.get(room, set()) | everything
            missing = [name for name in names if not {name, f"emissions.{name}"} & known]
        assert not missing, f"{room}: {missing}"


def test_no_page_names_what_is_not_public():
    for module, names in documented().items():
        if module == "neurodyn.errors":
            continue
        rooms = {name: set(listed) for name, (listed,) in PUBLIC.items()}
        assert {name.rpartition(".")[2] for name in names} <= rooms[module] | rooms["neurodyn.markov.emissions"], module


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_includes_lead_somewhere(page):
    links = sources.targets(page.read_text())
    for source, options in sources.includes(page):
        assert source.is_file(), source
        text = sources.relinked(source.read_text(), source, page, PLACES)
        for key in ("start-after", "end-before"):
            assert options.get(key, "") in text, f"{source}: {options[key]}"
        links += sources.targets(text)
    for target in links:
        path = (page.parent / target.partition("#")[0]).resolve()
        notebook = path.suffix == ".ipynb" and (sources.NOTEBOOKS / f"{path.stem}.py").exists()
        assert "://" in target or target.startswith("#") or path.is_file() or notebook, f"{page}: {target}"
    for target in re.findall(r"^(?:```\{figure\}|:link:) (\S+)", page.read_text(), flags=re.MULTILINE):
        there = page.parent / target
        assert there.is_file() or there.with_name(f"{there.name}.md").is_file() or there.parent == sources.GALLERY


def test_links_are_those_of_the_page():
    source, page = ROOT / "neurodyn/realtime/README.md", DOCS / "live/realtime.md"
    text = "[formats](streams/README.md#hello) [a](../../experiments/drift/run.py) [b](../binning) `[c](d)`\n"
    text += "## In ([runner.py](runner.py))\n"
    text += "![p](web_page.png) [e](https://jax.dev)\n```md\n[f](streams/README.md)\n```\n"
    assert sources.relinked(text, source, page, PLACES) == (
        "[formats](streams.md#hello) {download}`a <../../experiments/drift/run.py>` b `[c](d)`\n"
        "## In (`runner.py`)\n"
        "![p](../../neurodyn/realtime/web_page.png) [e](https://jax.dev)\n```md\n[f](streams/README.md)\n```\n"
    )


def test_messages_in_troubleshooting_are_real():
    """What a message says beside what is filled in stands in the texts of one module."""
    messages = re.findall(r"^`(.+)`\n: ", (DOCS / "guide/troubleshooting.md").read_text(), flags=re.MULTILINE)
    assert len(messages) >= 25
    spoken = [
        "\n".join(
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        for path in (ROOT / "neurodyn").rglob("*.py")
    ]
    for message in messages:
        parts = [part.strip(" :;,.()'") for part in message.split("…")]
        assert any(all(part in text for part in parts) for text in spoken), message


@pytest.mark.slow
def test_the_code_of_the_first_page_runs(tmp_path, monkeypatch, float32):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "start.md").read_text(), flags=re.DOTALL)
    program = "\n".join(blocks)
    smaller = {
        "simulate_foraging(seed=0)": "simulate_foraging(nd.simulation.ForagingSettings(seconds=40.0, units=5), seed=0)",
        # What takes time here is compilation: a network without a recurrent read-out and of few layers has less of it.
        "latent=16, epochs=10": "latent=2, progress=False, epochs=1, recurrent=None, encoder=(), decoder=(), fusion=()",
    }
    for old, new in smaller.items():
        assert old in program
        program = program.replace(old, new)
    names: dict = {}
    exec(compile(program, "start.md", "exec"), names)
    assert (names["out"].lower < names["out"].upper).all()
    assert names["again"].fitted_ is not None
