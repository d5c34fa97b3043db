"""Files are written atomically, and by one function: the code is read for writers that do not use it."""

import ast
import os
import stat
from pathlib import Path

import pytest

import neurodyn
from neurodyn.errors import InputError
from neurodyn.writing import replace_atomically, write_bytes, write_text

ROOT = Path(neurodyn.__file__).parents[1]
FILES = [path for folder in ("neurodyn", "experiments", "datasets") for path in sorted((ROOT / folder).rglob("*.py"))]
OWN = {
    "neurodyn/writing.py": "the function itself",
    "neurodyn/realtime/runner.py": "is copied to a rig as one file",
    "neurodyn/realtime/session_file.py::_begin": "a session is written down while it goes on, and read after a kill",
    "neurodyn/realtime/session_file.py::_opened": "the same file, written on",
    "neurodyn/realtime/session_file.py::_add_streams": "the same file, written on",
    "neurodyn/realtime/session_file.py::_claimed": "an empty file that takes its name",
    "datasets/download.py::_download": "a download that broke off is resumed, so its part is kept",
    "datasets/download.py::fetch": "the same part gets its name once it is complete",
    "experiments/hmm_rnn_grid/run.py::train": "a log that is read while it grows",
}
"""Files, or functions in them, that may write by themselves, and why."""
METHODS = {"write_text", "write_bytes", "savefig", "to_netcdf", "tofile", "to_csv", "savez", "savemat", "dump"}
"""Methods that write a file: the name of the file is what they are called on, or their first argument."""


def writes(call: ast.Call) -> ast.expr | None:
    """The expression that says which file a call writes; None if it writes none."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    first = call.args[0] if call.args else None
    if name in ("write_text", "write_bytes"):
        return owner  # the functions of neurodyn.writing have no owner
    if name in METHODS and not (isinstance(owner, ast.Name) and owner.id in ("yaml", "json")):
        return first
    if name in ("File", "NWBHDF5IO", "open"):
        mode = next((k.value for k in call.keywords if k.arg == "mode"), None)
        is_path = (
            name == "open" and owner is not None and not (isinstance(owner, ast.Name) and owner.id in ("os", "io"))
        )
        position = 0 if is_path else 1
        mode = mode or (call.args[position] if len(call.args) > position else None)
        text = ast.unparse(mode) if mode is not None else ""
        if isinstance(mode, ast.Constant | ast.IfExp) and any(c in text for c in "wx+"):
            return owner if is_path else first
    if name in ("replace", "rename") and isinstance(owner, ast.Name) and owner.id in ("os", "shutil"):
        return first
    return None


def name_of(expression: ast.expr) -> str:
    """The variable a call writes to, through calls such as ``str(path)``."""
    while isinstance(expression, ast.Call) and expression.args:
        expression = expression.args[0]
    return expression.id if isinstance(expression, ast.Name) else ""


def streams_in(function: ast.AST) -> set[str]:
    """Variables that are buffers in memory."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and "BytesIO()" in ast.unparse(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def unsafe_writers(tree: ast.Module) -> list[tuple[str, int]]:
    """Function and line of every call that writes a file which is not a temporary of :func:`replace_atomically`."""
    found = []

    def visit(node: ast.AST, function: str, safe: frozenset[str]) -> None:
        if isinstance(node, ast.FunctionDef):
            function, safe = node.name, safe | streams_in(node)
        if isinstance(node, ast.With):
            for item in node.items:
                visit(item.context_expr, function, safe)
                bound = item.optional_vars.id if isinstance(item.optional_vars, ast.Name) else ""
                call = item.context_expr
                if isinstance(call, ast.Call) and (
                    ast.unparse(call.func) == "replace_atomically" or name_of(writes(call) or ast.Constant(0)) in safe
                ):
                    safe |= {bound}
            for child in node.body:
                visit(child, function, safe)
            return
        if isinstance(node, ast.Call) and (place := writes(node)) is not None and name_of(place) not in safe:
            found.append((function, node.lineno))
        for child in ast.iter_child_nodes(node):
            visit(child, function, safe)

    visit(tree, "", frozenset())
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_is_written_by_the_one_function(path):
    name = str(path.relative_to(ROOT))
    if name in OWN:
        return
    unsafe = [(f, line) for f, line in unsafe_writers(ast.parse(path.read_text())) if f"{name}::{f}" not in OWN]
    assert not unsafe, f"{name} writes without neurodyn.writing.replace_atomically: {unsafe}"


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('a')",
        "(folder / 'x').write_bytes(b'a')",
        "path.open('w', encoding='utf-8')",
        "open(path, 'xb')",
        "h5py.File(path, 'w')",
        "figure.savefig(path)",
        "os.replace(one, path)",
        "np.savez(path, a=1)",
        "with replace_atomically(path) as temporary: other.write_text('a')",
    ],
)
def test_the_reading_of_the_code_finds_writers(line):
    assert unsafe_writers(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "with replace_atomically(path) as temporary: temporary.write_text('a')",
        "with replace_atomically(path) as t, t.open('w') as file, h5py.File(file, 'w') as h: h.x = 1",
        "path.open()",
        "h5py.File(path, 'r')",
        "path.open('a')",
        "text.replace('a', 'b')",
        "def f():\n    stream = io.BytesIO()\n    figure.savefig(stream)",
    ],
)
def test_the_reading_of_the_code_leaves_others_alone(line):
    assert not unsafe_writers(ast.parse(line))


def fail_on_the_way(path):
    with replace_atomically(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "page.html"
    write_text(path, "µ")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_bytes() == "µ".encode()
    with pytest.raises(ZeroDivisionError):
        fail_on_the_way(path)
    assert path.read_bytes() == "µ".encode()
    write_bytes(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert os.listdir(tmp_path) == ["page.html"]


def test_it_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """The order a power failure needs: flushed first, renamed then."""
    calls, flush, rename = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), flush(handle)))
    monkeypatch.setattr(os, "replace", lambda one, other: (calls.append("replace"), rename(one, other)))
    write_text(tmp_path / "a", "a")
    assert calls == ["fsync", "replace"]


def test_the_temporary_file_has_the_ending_and_the_usual_permissions(tmp_path):
    with replace_atomically(tmp_path / "a.npz") as temporary:
        assert (temporary.suffix, temporary.parent) == (".npz", tmp_path)
        temporary.touch()
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.npz", "other")}
    assert len(modes) == 1


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"cannot write '.*absent/a': No such file"):
        write_text(tmp_path / "absent/a", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot write '.*folder': Is a directory"):
        write_text(tmp_path / "folder", "")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_text(tmp_path / "a", "a")
    assert os.listdir(tmp_path) == ["folder"]
