"""Panels of the match show the numbers they are given, and the report carries them into its files."""

import html
import json
import struct
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from oracles.small_hmm import Emulates, Repeats

from neurodyn.emulation.match import match
from neurodyn.emulation.match_result import MatchConfig
from neurodyn.emulation.verdict import Verdict
from neurodyn.errors import InputError
from neurodyn.markov import linear_chain
from neurodyn.plotting import emulation as panels
from neurodyn.report.emulation import sentence, write_match_report
from neurodyn.training import History

QUICK = MatchConfig(resamples=20, matched_trials=40, block=40, tested_trials=40, permutations=400, examples=5)
HISTORY = History([3.0, 2.0], [1, 2], [3.0, 2.5])


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def found():
    return match(Emulates(linear_chain(3)), linear_chain(3), trials=200, seed=0, config=QUICK)


def test_sequences_have_one_colour_per_symbol(ax):
    symbols = np.array([[0, 1, 2], [2, 2, 0]])
    image = panels.plot_sequences(symbols, symbol_count=3, ax=ax).images[0].get_array()
    shown = [[to_hex(pixel) for pixel in row] for row in image]
    assert shown == [[panels.symbol_colour(s).lower() for s in row] for row in symbols.tolist()]


def test_frequencies_show_value_interval_and_truth(ax):
    bounds = np.array([[0.5, 0.3, 0.2], [0.4, 0.2, 0.1], [0.6, 0.4, 0.3]])
    panels.plot_frequencies(bounds, np.array([0.45, 0.35, 0.2]), ax=ax)
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.3, 0.2]
    intervals, truth = (c.get_segments() for c in ax.collections)
    np.testing.assert_allclose([s[:, 1] for s in intervals], bounds[1:].T)
    np.testing.assert_allclose([s[0, 1] for s in truth], [0.45, 0.35, 0.2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["A", "B", "C"]


def test_transitions_are_written_above_the_exact_ones(ax):
    panels.plot_symbol_transitions(np.array([[0.9, 0.1], [0.25, 0.75]]), np.array([[0.8, 0.2], [0.3, 0.7]]), ax=ax)
    assert [t.get_text() for t in ax.texts] == ["0.900", "0.800", "0.100", "0.200", "0.250", "0.300", "0.750", "0.700"]


def test_dwell_times_are_shares_as_long_or_longer(ax):
    panels.plot_dwell_times(np.array([[0.5, 0.25, 0.25]]), np.array([[0.6, 0.4, 0.0]]), ax=ax)
    line, dots = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 1], [2, 0.4]])
    np.testing.assert_allclose(dots.get_ydata(), [1, 0.5])


def test_whole_numbers_get_a_bar_each(ax):
    panels.plot_two_distributions(np.array([1.0, 1, 3]), np.array([2.0, 3]), label="x", whole=True, ax=ax)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches[:3]], [0, 0.5, 0.5])


def test_limits_are_at_one(ax, found):
    ratio = replace(found["volatility_ratio"], value=1.05, low=1.0, high=1.1, floor=0.95)
    told = replace(found["classifier_accuracy"], value=0.55, floor=5.0)
    panels.plot_limits([ratio, told], ax=ax)
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() in "o<>" and line.get_marker()]
    np.testing.assert_allclose(marks, [1, -1, 0.5, 2])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["volatility ratio", "classifier accuracy"]


def test_the_report_has_everything_in_it(found, tmp_path):
    before = dict(mpl.rcParams)
    page = write_match_report(found, tmp_path / "new", title="Chain <3>", history=HISTORY, settings={"hidden": "150"})
    assert page == tmp_path / "new" / "match.html"
    text = html.unescape(page.read_text())
    for piece in (sentence(found), "hidden", "data:image/png;base64,", "told apart"):
        assert piece in text
    for statistic in found.statistics:
        assert f"{statistic.value:.4f} ({statistic.low:.4f} to {statistic.high:.4f})" in text
    assert "<h1>Chain &lt;3&gt;</h1>" in page.read_text()
    assert "Held-out data" not in text
    assert json.loads((page.parent / "match.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    picture = (page.parent / "match.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (2250, 1500)
    assert dict(mpl.rcParams) == before


def test_a_network_stuck_on_one_symbol_is_drawn_too(tmp_path):
    stuck = match(Repeats([0]), linear_chain(3), trials=100, seed=0, config=QUICK)
    assert write_match_report(stuck, tmp_path, title="stuck").is_file()
    assert sentence(stuck).startswith("The network does not emulate chain3: ")


@pytest.mark.parametrize("verdict", Verdict)
def test_the_sentence_says_the_verdict(found, verdict):
    heads = {
        Verdict.INDISTINGUISHABLE: "The network cannot be distinguished from chain3",
        Verdict.PASSES: "The network emulates chain3 within all limits",
        Verdict.UNDECIDED: "There are too few trials",
        Verdict.FAILS: "The network does not emulate chain3",
    }
    assert sentence(replace(found, verdict=verdict)).startswith(heads[verdict])


def test_a_folder_that_cannot_be_written_is_an_input_error(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the report"):
        write_match_report(found, tmp_path / "file", title="t")
