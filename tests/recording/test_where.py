"""Conditions that choose rows: against the same condition row by row, and what has no place in one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.errors import InputError
from neurodyn.recording import Intervals
from neurodyn.recording.where import rows_where

COLUMNS = {
    "is_good": np.array([True, True, False, True, False]),
    "response": np.array(["hit", "miss", "hit", "hit", "none"]),
    "contrast": np.array([0.1, 0.5, np.nan, 1.0, 0.25]),
    "block": np.array([1, 1, 2, 2, 3]),
    "sure": np.array([1.0, 0.0, np.nan, np.nan, 1.0]),
}
TABLE = Intervals("trials", np.arange(5.0), np.arange(5.0) + 0.5, ("a", "b", "c", "d", "e"), COLUMNS)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("is_good and response == 'hit'", [0, 3]),
        ("not is_good", [2, 4]),
        ("response in ('hit', 'none') and block != 3", [0, 2, 3]),
        ("response not in ['hit', 'none']", [1]),
        ("0.2 < contrast <= 0.5", [1, 4]),
        ("contrast != 0.5", [0, 3, 4]),
        ("not contrast > 0.2", [0]),
        ("not (contrast > 0.2 and is_good)", [0, 2, 4]),
        ("contrast > 0.2 or not is_good", [1, 2, 3, 4]),
        ("contrast in (0.1, 0.5)", [0, 1]),
        ("contrast not in (0.1, 0.5)", [3, 4]),
        ("not 0.2 < contrast <= 0.5", [0, 3]),
        ("sure", [0, 4]),
        ("not sure", [1]),
        ("sure == 0 or sure != 0", [0, 1, 4]),
        ("block == 1 or contrast == 1", [0, 1, 3]),
        ("label == 'c'", [2]),
        ("start >= 2 and stop < 4", [2, 3]),
        ("contrast > -0.5 and True", [0, 1, 3, 4]),
    ],
)
def test_rows_for_which_a_condition_holds(expression, rows):
    chosen = TABLE.where(expression)
    assert chosen.starts.tolist() == [float(row) for row in rows]
    assert chosen.labels == tuple("abcde"[row] for row in rows)
    assert chosen.columns["response"].tolist() == [str(COLUMNS["response"][row]) for row in rows]


@given(
    st.lists(st.floats(-3, 3) | st.just(float("nan")), min_size=1, max_size=8),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-3, 3),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_comparisons_of_what_is_known_are_those_of_python(numbers, operator, bound, negated):
    table = Intervals("t", np.zeros(len(numbers)), np.ones(len(numbers)), (), {"x": np.array(numbers)})
    # NaN is unknown: neither the comparison nor its opposite holds.
    expected = [row for row, x in enumerate(numbers) if x == x and eval(f"x {operator} {bound}") != negated]
    expression = f"not (x {operator} {bound})" if negated else f"x {operator} {bound}"
    if not expected:
        with pytest.raises(InputError, match="holds for none"):
            table.where(expression)
    else:
        assert table.where(expression).labels == tuple(map(str, expected))


def kleene(node, row):
    """True, False or None (unknown) of one row, by the tables of Kleene."""
    if isinstance(node, str):
        return row[node]
    name, *parts = node
    values = [kleene(part, row) for part in parts]
    if name == "not":
        return None if values[0] is None else not values[0]
    if name == "and":
        return False if False in values else None if None in values else True
    return True if True in values else None if None in values else False


def written(node):
    if isinstance(node, str):
        return node
    name, *parts = node
    return f"not ({written(parts[0])})" if name == "not" else "(" + f" {name} ".join(map(written, parts)) + ")"


_TREES = st.recursive(
    st.sampled_from(["p", "q"]),
    lambda inner: st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=8,
)


@given(_TREES)
@settings(max_examples=80, deadline=None)
def test_unknown_stays_unknown(tree):
    pairs = [(p, q) for p in (True, False, None) for q in (True, False, None)]
    unknown = {None: np.nan, True: 1.0, False: 0.0}
    columns = {"p": np.array([unknown[p] for p, _ in pairs]), "q": np.array([unknown[q] for _, q in pairs])}
    expected = [row for row, (p, q) in enumerate(pairs) if kleene(tree, {"p": p, "q": q}) is True]
    assert np.flatnonzero(rows_where(written(tree), columns, len(pairs))).tolist() == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("__import__('os').system('true')", "has no place in a condition"),
        ("is_good.real", "has no place in a condition"),
        ("(lambda: 1)()", "has no place in a condition"),
        ("[x for x in (1,)]", "has no place in a condition"),
        ("contrast + 1 > 2", "has no place in a condition"),
        ("response == 3", r"'response' \(text\) with '3' \(numbers\)"),
        ("respnse == 'hit'", "unknown column in the condition 'respnse': did you mean 'response'"),
        ("contrast", "is not true or false"),
        ("is_good and", "cannot understand the condition"),
        ("", "cannot understand the condition"),
        ("response in 'hit'", "values in brackets"),
        ("block is 1", "compares with"),
        ("response == 'never'", "holds for none of the 5 intervals"),
        ("contrast != contrast", "holds for none of the 5 intervals"),
        ("respnse in ()", "unknown column in the condition 'respnse'"),
        ("block", "is not true or false"),
        ("response and is_good", "'response' in the condition is not true or false"),
        ("(" * 500 + "1" + ")" * 500, "cannot understand the condition|not true"),
        ("x" * 5000, "more than 2,000"),
        ("-response == 'hit'", "only numbers have a sign"),
    ],
)
def test_what_is_no_condition(expression, words):
    with pytest.raises(InputError, match=words):
        TABLE.where(expression)
