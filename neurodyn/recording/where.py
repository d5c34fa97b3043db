"""Choose rows of a table with an expression such as ``is_good and response == 'hit'``.

The expression is parsed with `ast` and only comparisons, ``and``, ``or``, ``not``, ``in``, names of columns and plain
values are evaluated: nothing in it is ever executed as Python.

NaN is unknown, and what depends on it is unknown, too (Kleene's three values): neither ``x > 1`` nor ``not x > 1`` nor
``x != 1`` holds for a row whose x is unknown; ``x > 1 or is_good`` does where `is_good` does.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Bool, Shaped

from neurodyn.errors import InputError, unknown_name

LONGEST = 2000
"""Most characters of an expression: far more than anybody types, and few enough for the parser."""

_COMPARE: dict[type, Callable] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}

_Bools = np.ndarray | np.bool_


@dataclass(frozen=True, eq=False)
class _Truth:
    """Where something is known to hold and where it is known not to, per row or for all; elsewhere it is unknown."""

    true: _Bools
    false: _Bools

    @classmethod
    def of(cls, holds: _Bools, known: _Bools) -> "_Truth":
        """What holds, where that is known."""
        return cls(holds & known, ~holds & known)

    def __and__(self, other: "_Truth") -> "_Truth":
        return _Truth(self.true & other.true, self.false | other.false)

    def __or__(self, other: "_Truth") -> "_Truth":
        return ~(~self & ~other)

    def __invert__(self) -> "_Truth":
        return _Truth(self.false, self.true)


_ALWAYS = _Truth(np.True_, np.False_)


def rows_where(
    expression: str, columns: Mapping[str, Shaped[np.ndarray, " rows"]], rows: int
) -> Bool[np.ndarray, " rows"]:
    """Whether the expression is known to hold, per row.

    Parameters
    ----------
    expression
        Such as ``is_good and response in ('hit', 'miss') and 0.2 < reaction_time < 1``.
    columns
        (rows,) numbers, truth values or text by name.  NaN is unknown.
    rows
        Number of rows.

    Raises
    ------
    InputError
        If it cannot be parsed, uses anything but the above, names a column that is not there, or compares text with
        numbers.
    """
    if len(expression) > LONGEST:
        raise InputError(f"the condition has {len(expression):,} characters, more than {LONGEST:,}")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        result = _truth(tree, columns).true
    except InputError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(
            f"cannot understand the condition '{expression}': write it like  is_good and response == 'hit'"
        ) from error
    return np.array(np.broadcast_to(result, (rows,)), dtype=bool)


def _truth(node: ast.expr, columns: Mapping[str, np.ndarray]) -> _Truth:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, columns) for value in node.values]
        return reduce(_Truth.__and__ if isinstance(node.op, ast.And) else _Truth.__or__, parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~_truth(node.operand, columns)
    if isinstance(node, ast.Compare):
        return _comparison(node, columns)
    value = _value(node, columns)
    known = _known(value)
    if value.dtype.kind not in "biuf" or not np.isin(value[known], (0, 1)).all():
        raise InputError(f"'{ast.unparse(node)}' in the condition is not true or false: compare it with something")
    return _Truth.of(value == 1, known)


def _comparison(node: ast.Compare, columns: Mapping[str, np.ndarray]) -> _Truth:
    result, left = _ALWAYS, node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, ast.In | ast.NotIn):
            found = _contained(left, right, columns)
            step = found if isinstance(operator, ast.In) else ~found
        elif type(operator) in _COMPARE:
            step = _compared(_COMPARE[type(operator)], left, right, columns)
        else:
            raise InputError("a condition compares with ==, !=, <, <=, >, >=, in and not in")
        result, left = result & step, right
    return result


def _compared(compare: Callable, left: ast.expr, right: ast.expr, columns: Mapping[str, np.ndarray]) -> _Truth:
    one, two = _value(left, columns), _value(right, columns)
    _check_comparable(one, two, left, right)
    return _Truth.of(compare(one, two), _known(one) & _known(two))


def _contained(left: ast.expr, right: ast.expr, columns: Mapping[str, np.ndarray]) -> _Truth:
    if not isinstance(right, ast.Tuple | ast.List):
        raise InputError("after 'in' a condition needs values in brackets, like  response in ('hit', 'miss')")
    _value(left, columns)  # a name that is not there is an error also before empty brackets
    return reduce(_Truth.__or__, (_compared(np.equal, left, item, columns) for item in right.elts), ~_ALWAYS)


def _known(value: np.ndarray) -> _Bools:
    return ~np.isnan(value) if value.dtype.kind == "f" else np.ones(value.shape, bool)


def _check_comparable(one: np.ndarray, two: np.ndarray, left: ast.expr, right: ast.expr) -> None:
    kinds = ["text" if value.dtype.kind == "U" else "numbers" for value in (one, two)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"the condition compares '{ast.unparse(left)}' ({kinds[0]}) with '{ast.unparse(right)}' ({kinds[1]})"
        )


def _value(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bool | int | float):
        return np.asarray(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, columns)
        if value.dtype.kind not in "iuf":
            raise InputError(f"'{ast.unparse(node)}' in the condition: only numbers have a sign")
        return np.asarray(-value)
    if isinstance(node, ast.Name):
        if node.id not in columns:
            raise unknown_name("column in the condition", node.id, columns)
        return np.asarray(columns[node.id])
    raise InputError(f"'{ast.unparse(node)[:80]}' has no place in a condition: use columns, values, and, or, not, in")
