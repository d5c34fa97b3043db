"""JSON that every reader takes: no NaN, no infinity, whatever is written."""

import json

import numpy as np
import pytest

from neurodyn.plain import plain, strict_json


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "value",
    [
        {"time": 1.5, "seen": ("a", "b"), "until": None, "n": 3, "ok": True},
        {"time": float("nan"), "inside": [{"x": float("-inf")}, 1]},
        {"array": np.array([1.0, np.nan]), "number": np.int64(3), "real": np.float64(0.1)},
        [],
        "ü",
    ],
)
def test_what_is_written_is_what_is_plain(value, indent):
    text = strict_json(value, indent=indent)
    assert json.loads(text, parse_constant=refuse) == plain(value)
    assert text == json.dumps(plain(value), indent=indent)


def test_what_is_no_json_at_all_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        strict_json({"set": {1}})
