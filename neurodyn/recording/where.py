"""Choose rows of a table with an expression such as ``is_good and response == 'hit'``.

The expression is parsed with `ast` and only comparisons, ``and``, ``or``, ``not``, ``in``, names of columns and plain
values are evaluated: nothing in it is ever executed as Python.
"""

import ast
from collections.abc import Callable, Mapping

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


def rows_where(
    expression: str, columns: Mapping[str, Shaped[np.ndarray, " rows"]], rows: int
) -> Bool[np.ndarray, " rows"]:
    """Whether the expression holds, per row.

    Parameters
    ----------
    expression
        Such as ``is_good and response in ('hit', 'miss') and 0.2 < reaction_time < 1``.
    columns
        (rows,) numbers, truth values or text by name.  NaN is not equal to anything and neither less nor more.
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
        result = _truth(tree, columns)
    except InputError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(
            f"cannot understand the condition '{expression}': write it like  is_good and response == 'hit'"
        ) from error
    return np.array(np.broadcast_to(result, (rows,)), dtype=bool)


def _truth(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if isinstance(node, ast.BoolOp):
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        parts = [_truth(value, columns) for value in node.values]
        result = parts[0]
        for part in parts[1:]:
            result = combine(result, part)
        return np.asarray(result)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return np.asarray(np.logical_not(_truth(node.operand, columns)))
    if isinstance(node, ast.Compare):
        return _comparison(node, columns)
    value = _value(node, columns)
    if value.dtype.kind == "f" and not np.isin(value[~np.isnan(value)], (0.0, 1.0)).all():
        raise InputError(f"'{ast.unparse(node)}' in the condition is not true or false: compare it with something")
    if value.dtype.kind not in "biuf" or (value.dtype.kind in "iu" and not np.isin(value, (0, 1)).all()):
        raise InputError(f"'{ast.unparse(node)}' in the condition is not true or false: compare it with something")
    # NaN is unknown, which is not true.
    return np.nan_to_num(value, nan=0.0).astype(bool) if value.dtype.kind == "f" else value.astype(bool)


def _comparison(node: ast.Compare, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    result, left = np.array(True), node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, ast.In | ast.NotIn):
            found = _contained(left, right, columns)
            step = found if isinstance(operator, ast.In) else np.logical_not(found)
        elif type(operator) in _COMPARE:
            one, two = _value(left, columns), _value(right, columns)
            _check_comparable(one, two, left, right)
            step = _COMPARE[type(operator)](one, two)
        else:
            raise InputError("a condition compares with ==, !=, <, <=, >, >=, in and not in")
        result, left = np.logical_and(result, step), right
    return np.asarray(result)


def _contained(left: ast.expr, right: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    if not isinstance(right, ast.Tuple | ast.List):
        raise InputError("after 'in' a condition needs values in brackets, like  response in ('hit', 'miss')")
    one = _value(left, columns)
    found = np.zeros(one.shape, bool)
    for item in right.elts:
        two = _value(item, columns)
        _check_comparable(one, two, left, item)
        found = np.logical_or(found, np.equal(one, two))
    return np.asarray(found)


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
