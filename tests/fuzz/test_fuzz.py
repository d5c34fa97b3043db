"""Some hundred cases of damaged input on every reader; ten thousand with ``python -m tests.fuzz.run``."""

import pytest
from fuzz.outcomes import Failure, Hang, Outcome, Target, attempt
from fuzz.run import run_target, table
from fuzz.targets import TARGETS
from hypothesis import strategies as st

from neurodyn.errors import InputError

CASES = 30


@pytest.fixture(autouse=True)
def annotations_unchecked():
    """As users run it: wrong shapes and dtypes meet our own messages, not the type checker of the tests."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("number", range(len(TARGETS)))
def test_damaged_input_is_refused_or_read(number):
    target = TARGETS[number]()
    result = run_target(target, CASES, number=1)
    tried = sum(sum(counts.values()) for counts in result["counts"].values())
    assert tried >= 1
    assert target.name in table({target.name: result}, 1)


def boom(error):
    def check(case, folder):
        raise error

    return Target("x", st.just(("kind", 1)), check)


@pytest.mark.parametrize("error", [KeyError("deep"), MemoryError(), InputError("two\nlines"), InputError("")])
def test_the_search_notices_what_is_wrong(error, tmp_path):
    with pytest.raises(Failure):
        run_target(boom(error), 3, number=0)


def test_the_search_notices_a_hang(tmp_path, monkeypatch):
    import time

    from fuzz import outcomes

    monkeypatch.setattr(outcomes, "SECONDS", 0.05)
    target = Target("x", st.just(("kind", 1)), lambda case, folder: time.sleep(5) or Outcome.SAME)
    with pytest.raises(Hang, match="takes more than"):
        attempt(target, "kind", 1, tmp_path)
