"""Rules that keep the code readable, read from the code itself."""

import ast
import re
from pathlib import Path

import pytest

import neurodyn

ROOT = Path(neurodyn.__file__).parents[1]
FILES = [path for folder in ("neurodyn", "experiments") for path in sorted((ROOT / folder).rglob("*.py"))]
MOST_POSITIONAL = 6
"""A call with more arguments than these names them: nobody knows what the seventh is."""
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit"}
"""Documented members of named tuples and of ``os`` in spite of their underscore."""


def long_calls(tree: ast.Module) -> list[tuple[int, str]]:
    """Line and function of each call with too many positional arguments."""
    return [
        (node.lineno, ast.unparse(node.func))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL
    ]


def private_uses(tree: ast.Module) -> set[str]:
    """Names with an underscore that are looked up in something else than ``self`` or ``cls``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def private_names(tree: ast.Module) -> set[str]:
    """Names with an underscore that the file defines: functions, classes, variables, attributes, fields."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_long_calls_name_their_arguments(path):
    found = long_calls(ast.parse(path.read_text()))
    assert not found, f"calls with more than {MOST_POSITIONAL} positional arguments: {found}"


def test_no_private_members_of_other_libraries_are_used():
    trees = {path: ast.parse(path.read_text()) for path in FILES}
    ours = set().union(*(private_names(tree) for tree in trees.values()))
    for path, tree in trees.items():
        foreign = private_uses(tree) - ours - PUBLIC
        assert not foreign, f"{path.relative_to(ROOT)} uses private members of others: {foreign}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_docstrings_are_of_one_form(path):
    """That of NumPy: sections of other names are not found by the tools that show them."""
    other = re.findall(r"^ *(Arguments|Args|Params|Return|Raise|Example)\n *-{3,}$", path.read_text(), re.MULTILINE)
    assert not other, f"expected Parameters, Returns, Raises, Examples; got {other}"


def test_the_rules_would_be_seen_to_be_broken():
    assert long_calls(ast.parse("f(1, 2, 3, 4, 5, 6, 7)"))
    assert not long_calls(ast.parse("f(1, 2, 3, 4, 5, 6, seventh=7)"))
    tree = ast.parse("executor._result_queue._writer.close()\nself._mine = 1\nother._mine")
    assert private_uses(tree) - private_names(tree) == {"_result_queue", "_writer"}
