"""The arrows of the drawing in neurodyn/README.md, read from the imports."""

import ast
from pathlib import Path

import pytest

import neurodyn

ROOT = Path(neurodyn.__file__).parent

# What each folder may import of the package (besides itself and errors). A folder that is not here fails the test:
# place it in the drawing first.
MAY_IMPORT = {
    "kernels": set(),
    "recording": set(),
    "training": set(),
    "targets": set(),
    "binning": {"recording"},
    "simulation": {"binning", "recording"},
    "history": {"binning", "targets"},
    "recurrent": {"kernels", "binning", "training"},
    "variational": {"kernels", "binning", "training", "recurrent"},
    "evaluation": {"binning", "targets"},
    "baselines": {
        "binning",
        "targets",
        "history",
        "evaluation",
        "kernels",
        "training",
        "recurrent",
        "variational",
        "realtime",
    },
    "markov": {"kernels", "training"},
    "emulation": {"kernels", "training", "markov"},
    "fixed_points": set(),
    "mechanism": {"kernels", "markov", "emulation", "fixed_points"},
    "realtime": {"recording", "binning"},
    "multiscale": {"kernels", "binning", "targets", "history", "evaluation", "training", "recurrent", "realtime"},
    "plotting": {"binning", "evaluation"},
}
# The top of the drawing: may import everything below, and only each other import them.
TOP = {"cli", "report", "benchmarks", "sweep"}
# Modules of the package's root: those that stand above all rooms, and those below them all, which import no room.
ABOVE = {"loading", "compilation"}
BELOW = {
    "components",
    "display",
    "errors",
    "given",
    "memory",
    "parameters",
    "plain",
    "resampling",
    "sampler",
    "threads",
    "versions",
    "writing",
}
NEVER = {"experiments", "datasets", "notebooks", "tests"}


def folder_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Modules a file imports, and whether it does so on import (not in a function, not for type checkers only)."""
    found = []

    def visit(node: ast.AST, eager: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            eager = False
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            eager = False
        if isinstance(node, ast.Import):
            found.extend((alias.name, eager) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.append((node.module, eager))
            found.extend((f"{node.module}.{alias.name}", eager) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, eager)

    visit(ast.parse(path.read_text()), True)
    return found


FILES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({folder_of(path) for path in FILES} - {""})


def package_imports(folder: str) -> dict[str, str]:
    """Folders of the package that a folder imports, in functions or at the top, each with a file that does."""
    found = {}
    for path in FILES:
        if folder_of(path) != folder:
            continue
        for module, _ in imports_of(path):
            parts = module.split(".")
            if parts[0] == "neurodyn" and len(parts) > 1 and (ROOT / parts[1]).is_dir():
                found[parts[1]] = str(path.relative_to(ROOT))
    return found


def test_the_drawing_has_no_loop():
    def below(folder, seen=()):
        assert folder not in seen, f"loop: {' -> '.join((*seen, folder))}"
        for other in MAY_IMPORT[folder]:
            below(other, (*seen, folder))

    for folder in MAY_IMPORT:
        below(folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_arrows_go_one_way(folder):
    if folder in TOP:
        return
    assert folder in MAY_IMPORT, f"neurodyn/{folder} has no place in the drawing: add it to MAY_IMPORT and README.md"
    for other, file in package_imports(folder).items():
        allowed = other == folder or other in MAY_IMPORT[folder]
        assert allowed, f"{file} imports neurodyn.{other}, which is not below {folder}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_imports_the_top_or_what_is_outside(path):
    for module, eager in imports_of(path):
        parts = module.split(".")
        assert parts[0] not in NEVER, f"imports {module}"
        if path == ROOT / "__init__.py" and not eager:  # names every room for type checkers, and loads none
            continue
        if folder_of(path) in TOP:
            continue
        assert not (parts[0] == "neurodyn" and len(parts) > 1 and parts[1] in TOP), f"imports {module}"
        if folder_of(path) != "plotting":
            assert parts[:2] != ["neurodyn", "plotting"], f"imports {module}: plots are made from outside"


def root_imports(path: Path) -> set[str]:
    """Rooms and root modules of the package that a file imports."""
    parts = (module.split(".") for module, _ in imports_of(path))
    return {each[1] for each in parts if each[0] == "neurodyn" and len(each) > 1}


def test_modules_of_the_root_have_a_place():
    assert {path.stem for path in ROOT.glob("*.py")} == ABOVE | BELOW | {"__init__"}


@pytest.mark.parametrize("name", sorted(BELOW))
def test_what_every_room_may_import_imports_no_room(name):
    assert root_imports(ROOT / f"{name}.py") <= BELOW


def test_what_stands_above_all_rooms_is_imported_by_the_top_alone():
    for path in FILES:
        if folder_of(path) not in TOP and path != ROOT / "__init__.py":
            assert not root_imports(path) & ABOVE, f"{path} imports what stands above all rooms"


def test_the_report_knows_nothing_of_what_calls_it():
    for path in FILES:
        if folder_of(path) == "report":
            assert not root_imports(path) & (TOP - {"report"}), path


HEAVY = {"jax", "flax", "optax", "numpyro", "xarray", "matplotlib", "pynwb"}


@pytest.mark.parametrize("folder", ["", "recording", "binning", "targets", "baselines", "simulation"])
def test_light_folders_import_nothing_heavy(folder):
    for path in FILES:
        if folder_of(path) == folder:
            heavy = [m for m, eager in imports_of(path) if eager and m.split(".")[0] in HEAVY]
            assert not heavy, f"{path.name} imports {heavy} at the top"


def test_matplotlib_is_imported_in_functions_of_plotting_and_report_only():
    for path in FILES:
        for module, _ in imports_of(path):
            if module.split(".")[0] == "matplotlib":
                assert folder_of(path) in {"plotting", "report"}, f"{path} imports {module}"
