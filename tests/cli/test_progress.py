"""What a study shows while it runs, in a pipe and on a terminal."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from neurodyn.cli.progress import FitsShown, _spoken
from neurodyn.evaluation import FoldResult, Score
from neurodyn.evaluation.results import Decoded


def result(method: str, fold: int, seconds: float) -> FoldResult:
    score = Score(("x",), np.array([0.9]), np.array([0.25]), 10)
    none = np.zeros((0, 1))
    decoded = Decoded(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool), none, none, none, None)
    return FoldResult(method, fold, score, None, decoded, seconds)


def pipe() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=60)


def text(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_in_a_pipe_there_is_a_line_for_the_study_and_one_per_fit():
    console, now = pipe(), SimpleNamespace(seconds=0.0)
    with FitsShown(["model", "ridge"], 3, 2, console=console, clock=lambda: now.seconds) as shown:
        now.seconds = 100.0
        shown.add(result("model", 0, 180.0))
        now.seconds = 110.0
        shown.add(result("ridge", 0, 20.0))
    lines = text(console)
    assert lines[0].startswith("6 fits: model, ridge, each on 3 folds, 2 at a time")
    # Of the rest nothing is known but what one fit took: five times as long again.
    assert lines[1] == "model fold 1: R² 0.25; 1 of 6 fits done, 2 min gone, about 8 min left"
    # 200 s of fits took 110 s; two of 180 s and two of 20 s are left: 400 s of fits.
    assert lines[2] == "ridge fold 1: R² 0.25; 2 of 6 fits done, 2 min gone, about 4 min left"


def test_nothing_is_left_at_the_end():
    console = pipe()
    with FitsShown(["ridge"], 1, 1, console=console) as shown:
        assert shown.left() == ""
        shown.add(result("ridge", 0, 1.0))
    assert text(console)[-1].endswith("1 of 1 fits done, 0 s gone")


def test_a_long_fit_is_told_of_in_between_and_not_after_the_end():
    console = pipe()
    with FitsShown(["model"], 2, 1, console=console, every=0.02):
        time.sleep(0.3)
    said = text(console)
    assert said.count("0 of 2 fits done, 0 s gone") >= 2
    time.sleep(0.1)
    assert len(text(console)) <= len(said) + 1


def test_a_terminal_has_a_bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with FitsShown(["model"], 2, 1, console=console) as shown:
        shown.add(result("model", 0, 1.0))
    assert "1/2" in "\n".join(text(console))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89.0, "89 s"), (119.0, "2 min"), (3600.0, "60 min"), (12_000.0, "3 h 20 min")]
)
def test_times_as_people_say_them(seconds, words):
    assert _spoken(seconds) == words
