"""Conditions that choose rows: against the same condition row by row, and what has no place in one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.errors import InputError
from neurodyn.recording import Intervals

COLUMNS = {
    "is_good": np.array([True, True, False, True, False]),
    "response": np.array(["hit", "miss", "hit", "hit", "none"]),
    "contrast": np.array([0.1, 0.5, np.nan, 1.0, 0.25]),
    "block": np.array([1, 1, 2, 2, 3]),
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
        ("contrast != contrast", [2]),
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
def test_comparisons_are_those_of_python(numbers, operator, bound, negated):
    table = Intervals("t", np.zeros(len(numbers)), np.ones(len(numbers)), (), {"x": np.array(numbers)})
    expected = [row for row, x in enumerate(numbers) if eval(f"x {operator} {bound}") != negated]
    expression = f"not (x {operator} {bound})" if negated else f"x {operator} {bound}"
    if not expected:
        with pytest.raises(InputError, match="holds for none"):
            table.where(expression)
    else:
        assert table.where(expression).labels == tuple(map(str, expected))


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
        ("(" * 500 + "1" + ")" * 500, "cannot understand the condition|not true"),
        ("x" * 5000, "more than 2,000"),
        ("-response == 'hit'", "only numbers have a sign"),
    ],
)
def test_what_is_no_condition(expression, words):
    with pytest.raises(InputError, match=words):
        TABLE.where(expression)
