"""Time supports against a brute force on whole seconds, and through every format."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording.make_matlab import write_v73
from recording.make_recording import everything
from recording.test_arrays import Group
from recording.test_formats import scipy_tables

from neurodyn.errors import InputError
from neurodyn.recording import (
    Intervals,
    Recording,
    Signal,
    SpikeTrains,
    TimeSupport,
    differences,
    doubts,
    read_recording,
    recording_from_arrays,
    recording_from_pynapple,
    spike_supports,
    with_support,
    without_invalid_times,
    write_recording,
)
from neurodyn.recording.support import EVERYTHING

pytestmark = pytest.mark.usefixtures("annotations_unchecked")

CELLS = np.arange(-3, 40)
"""Begin of whole seconds that reach beyond all supports on both sides."""

fast = settings(deadline=None, max_examples=50)
rows = st.lists(st.tuples(st.integers(0, 35), st.integers(0, 35)).map(sorted), max_size=6)
supports = rows.map(TimeSupport.of)


def cells(support: TimeSupport) -> np.ndarray:
    """Which whole seconds lie inside, one by one; bounds of these supports are whole numbers or infinite."""
    return np.array([any(a <= cell and cell + 1 <= b for a, b in support.rows.tolist()) for cell in CELLS])


@fast
@given(rows)
def test_rows_are_sorted_joined_and_nothing_is_lost(rows):
    support = TimeSupport.of(rows)
    inside = np.array([any(a <= cell < b for a, b in rows) for cell in CELLS])
    np.testing.assert_array_equal(cells(support), inside)
    assert (support.starts < support.stops).all()
    assert (support.starts[1:] > support.stops[:-1]).all()
    assert support.seconds == inside.sum()
    assert TimeSupport.of(support.rows).same_as(support)


@fast
@given(supports, supports)
def test_sets_of_times(one, two):
    np.testing.assert_array_equal(cells(one.intersect(two)), cells(one) & cells(two))
    np.testing.assert_array_equal(cells(one.without(two)), cells(one) & ~cells(two))
    np.testing.assert_array_equal(cells(one.gaps()), ~cells(one))
    assert one.gaps().gaps().same_as(one)


@fast
@given(supports, st.integers(-2, 36), st.integers(0, 10))
def test_between_and_bounded(support, start, length):
    inside = (start <= CELLS) & (start + length > CELLS)
    np.testing.assert_array_equal(cells(support.between(start, start + length)), cells(support) & inside)
    np.testing.assert_array_equal(cells(EVERYTHING.bounded(start, start + length)), inside)
    assert support.bounded(start, start + length).same_as(support)


@fast
@given(supports, st.lists(st.integers(0, 350), max_size=50), st.integers(1, 40))
def test_bins_that_are_partly_covered_are_not_inside(support, tenths, width):
    """Bins and supports in tenths of a second, compared as whole numbers."""
    starts = np.array(sorted(tenths), dtype=np.int64)
    stretches = np.round(support.rows * 10).astype(int).tolist()
    expected = [any(a <= begin and begin + width <= b for a, b in stretches) for begin in starts.tolist()]
    found = support.covers(starts * 0.1, starts * 0.1 + width * 0.1)
    assert found.tolist() == expected
    times = starts * 0.1 + 0.05
    assert support.count(times) == sum(any(a <= t < b for a, b in support.rows) for t in times)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[2.0, 1.0]], r"stretch 0 of a time support is 2\.0 to 1\.0 s, expected"),
        ([[0.0, np.nan]], "0.0 to nan s"),
        ([0.0, 1.0], r"array of \(stretches, 2\) starts and stops, got \(2,\)"),
    ],
)
def test_what_is_not_a_support_is_refused(rows, words):
    with pytest.raises(InputError, match=words):
        TimeSupport.of(rows)
    with pytest.raises(InputError, match="equal numbers of starts and stops"):
        TimeSupport(np.zeros(2), np.ones(1))


# Of spike trains ----------------------------------------------------------------------------------------------


TRAINS = (np.array([1.0, 4.0, 9.0]), np.array([2.0]), np.array([3.0, 8.0]))
PIECES, EARLY, NEVER = TimeSupport.of([[0, 5], [7, 10]]), TimeSupport.of([[0, 5]]), TimeSupport()


def trains(support=None) -> SpikeTrains:
    return SpikeTrains("spikes", TRAINS, ("a", "b", "c"), support=support)


def test_supports_follow_their_units():
    group = trains([PIECES, EARLY, NEVER])
    assert group.select(["c", "a"]).unit_supports == (NEVER, PIECES)
    cut = group.between(4.0, 8.0)
    assert [one.rows.tolist() for one in cut.unit_supports] == [[[4, 5], [7, 8]], [[4, 5]], []]
    assert trains(PIECES).select(["b"]).support is PIECES


def test_one_support_for_all_and_none_at_all():
    assert trains([PIECES, TimeSupport.of([[0, 5], [7, 10]]), PIECES]).support.same_as(PIECES)
    assert trains([EVERYTHING] * 3).support is None
    assert trains(PIECES).unit_supports == (PIECES,) * 3
    with pytest.raises(InputError, match="one TimeSupport for all units or one for each of 3, got 2"):
        trains([PIECES, EARLY])


def test_a_recording_reaches_from_its_first_to_its_last_source():
    """Silence is data as long as anything was recorded, unless 20 spikes would be expected in it."""
    lfp = Signal("lfp", np.zeros((1000, 1)), rate=10.0, start=-1.0)
    (found,) = set(spike_supports(Recording("r", {"spikes": trains()}, {"lfp": lfp}), trains()))
    assert found.rows.tolist() == [[-1.0, 99.0]]
    dense = SpikeTrains("spikes", (np.arange(100, 200) / 10,), ("a",))  # ten a second, from 10 s to 19.9 s
    (found,) = spike_supports(Recording("r", {"spikes": dense}, {"lfp": lfp}), dense)
    np.testing.assert_allclose(found.rows, [[10.0, 19.9]])
    short = lfp.between(9.0, 21.0)
    (found,) = spike_supports(Recording("r", {"spikes": dense}, {"lfp": short}), dense)
    assert found.rows.tolist() == [[9.0, 21.0]]


def test_spikes_alone_were_recorded_in_the_bins_from_the_first_to_the_last():
    found = spike_supports(Recording("r", {"spikes": trains()}), trains(), width=0.5)
    starts = np.arange(0, 12, 0.5)
    inside = found[0].covers(starts, starts + 0.5)
    assert starts[inside].min() == 1.0  # not the bin that ends with the first spike
    assert starts[inside].max() == 9.0


def test_invalid_times_are_taken_out_of_everything():
    recording = Recording(
        "r",
        {"spikes": trains([EARLY, EVERYTHING, NEVER])},
        {"lfp": Signal("lfp", np.ones((100, 2)), rate=10.0)},
        {"x": Signal("x", np.ones((11, 1)), timestamps=np.arange(11.0))},
        {"invalid_times": Intervals("invalid_times", np.array([2.0, 8.0]), np.array([3.0, 20.0]))},
    )
    one, two, three = spike_supports(recording, recording.spike_trains())
    assert one.rows.tolist() == [[0, 2], [3, 5]]
    assert two.rows.tolist() == [[0, 2], [3, 8]]
    assert not len(three)
    cleaned = without_invalid_times(recording)
    assert np.flatnonzero(np.isnan(cleaned.fields["lfp"].values[:, 0])).tolist() == [*range(20, 30), *range(80, 100)]
    assert np.flatnonzero(np.isnan(cleaned.behaviour["x"].values[:, 0])).tolist() == [2, 8, 9, 10]
    assert not np.isnan(recording.fields["lfp"].values).any()
    plain = Recording("r", {"spikes": trains()})
    assert without_invalid_times(plain) is plain


def test_samples_that_stay_in_a_file_are_missing_too(tmp_path):
    recording = everything()
    invalid = {"invalid_times": Intervals("invalid_times", np.array([0.5, 2.0]), np.array([0.75, 2.5]))}
    recording = Recording("r", recording.spikes, recording.fields, recording.behaviour, invalid)
    path = write_recording(recording, tmp_path / "a.h5")
    lazy, whole = (without_invalid_times(read_recording(path, lazy=lazy)) for lazy in (True, False))
    assert differences(lazy, whole) == []
    part = lazy.fields["lfp"].between(0.6, 2.2).select(["MEC"])
    np.testing.assert_array_equal(part.values[:], whole.fields["lfp"].between(0.6, 2.2).select(["MEC"]).values)
    assert np.isnan(part.values[:]).sum() == 15 + 20


def test_a_support_from_a_table_of_intervals():
    table = Intervals("epochs", np.array([0.0, 4.0, 6.0]), np.array([3.0, 5.0, 9.0]), ("run", "rest", "run"))
    recording = Recording("r", {"spikes": trains(PIECES)}, intervals={"epochs": table})
    assert with_support(recording, "run").spike_trains().support.rows.tolist() == [[0, 3], [7, 9]]
    assert with_support(recording, [[1, 2]]).spike_trains().support.rows.tolist() == [[1, 2]]
    with pytest.raises(InputError, match="unknown spikes 'unit'"):
        with_support(recording, "run", ["unit"])
    with pytest.raises(InputError, match="unknown interval 'walk'"):
        with_support(recording, "walk")


def test_a_support_in_another_unit_of_time_is_doubted():
    rng = np.random.default_rng(0)
    times = (np.sort(rng.uniform(0, 100, 500)),)
    stated = SpikeTrains("spikes", times, ("a",), support=TimeSupport.of([[0.0, 0.1]]))
    (doubt,) = doubts(Recording("r", {"spikes": stated}))
    assert "of 500 spikes of 'spikes' lie outside of the time support" in doubt
    whole = SpikeTrains("spikes", times, ("a",), support=TimeSupport.of([[0.0, 100.0]]))
    assert doubts(Recording("r", {"spikes": whole})) == []


def test_a_pause_that_nothing_tells_is_doubted():
    """20 Hz each of four units, none of them from 60 s to 140 s: once said, it is no longer doubted."""
    rng = np.random.default_rng(0)
    times = tuple(np.sort(rng.uniform(0, 200, 4000)) for _ in range(4))
    times = tuple(train[(train < 60) | (train >= 140)] for train in times)
    last, first = max(train[train < 60][-1] for train in times), min(train[train > 60][0] for train in times)
    recording = Recording("r", {"spikes": SpikeTrains("spikes", times, ("a", "b", "c", "d"))})
    (doubt,) = doubts(recording)
    assert f"no unit of 'spikes' fires from {last:.6g} to {first:.6g} s" in doubt
    assert doubts(with_support(recording, [[0.0, 60.0], [140.0, 200.0]])) == []
    invalid = Intervals("invalid_times", np.array([61.0]), np.array([139.0]))
    assert doubts(Recording("r", recording.spikes, intervals={"invalid_times": invalid})) == []
    one = SpikeTrains("spikes", (*times, np.arange(50.0, 150.0, 5.0)), ("a", "b", "c", "d", "e"))
    assert doubts(Recording("r", {"spikes": one})) == []  # somebody fires


# Through files ------------------------------------------------------------------------------------------------

stated = st.one_of(st.just(None), supports, st.lists(st.one_of(supports, st.just(EVERYTHING)), min_size=3, max_size=3))


@pytest.mark.parametrize("ending", [".h5", ".mat", ".nwb"])
@settings(max_examples=15, deadline=None)
@given(support=stated)
def test_supports_through_every_format(tmp_path_factory, ending, support):
    recording = Recording("r", {"spikes": trains(support)})
    path = write_recording(recording, tmp_path_factory.mktemp("support") / f"session{ending}")
    found = read_recording(path).spike_trains()
    for one, two in zip(trains(support).unit_supports, found.unit_supports, strict=True):
        np.testing.assert_array_equal(one.rows, two.rows)
    assert (found.support is None) == (trains(support).support is None)


@pytest.mark.parametrize("support", [None, PIECES, NEVER, (PIECES, EVERYTHING, NEVER), (NEVER, NEVER, EARLY)])
def test_supports_through_matlab_7_3(tmp_path, support):
    recording = Recording("r", {"spikes": trains(support)})
    path = write_v73(tmp_path / "a.mat", scipy_tables(recording, tmp_path))
    assert differences(recording, read_recording(path)) == []


def test_a_support_that_differs_is_a_difference():
    one, two = Recording("r", {"spikes": trains(PIECES)}), Recording("r", {"spikes": trains(EARLY)})
    assert differences(one, two) == ["spikes 'spikes': time supports differ"]


@pytest.mark.parametrize("ending", [".h5", ".mat", ".nwb"])
def test_invalid_times_through_every_format(tmp_path, ending):
    table = Intervals("invalid_times", np.array([1.0]), np.array([2.0]))
    recording = Recording("r", {"spikes": trains(EARLY)}, intervals={"invalid_times": table})
    found = read_recording(write_recording(recording, tmp_path / f"a{ending}"))
    assert differences(recording, found) == []
    assert spike_supports(found, found.spike_trains())[0].rows.tolist() == [[0, 1], [2, 5]]


def test_supports_of_arrays():
    recording = recording_from_arrays("r", spikes={"a": [1.0], "b": [2.0]}, support={"a": [[0, 5]]})
    assert recording.spike_trains().unit_supports[0].rows.tolist() == [[0, 5]]
    assert recording.spike_trains().unit_supports[1].same_as(EVERYTHING)
    both = recording_from_arrays("r", spikes=[[1.0], [2.0]], support=[[0, 2], [3, 5]])
    assert both.spike_trains().support.rows.tolist() == [[0, 2], [3, 5]]
    with pytest.raises(InputError, match="unknown unit with a support 'c'"):
        recording_from_arrays("r", spikes={"a": [1.0]}, support={"c": [[0, 5]]})


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([[0.0, 5.0], [7.0, 9.0]], [[0.0, 5.0], [7.0, 9.0]]),
        # What pynapple makes up of spikes without a support: from the first to the last of each unit, together.
        ([[0.5, 2.0], [3.0, 4.0]], None),
    ],
)
def test_supports_of_pynapple(stated, expected):
    class Times:
        def __init__(self, *times):
            self.t = np.array(times)

    class Stated:
        start, end = np.array(stated).T

    group = Group({0: Times(0.5, 2.0), 1: Times(3.0, 4.0), 2: Times()})
    group.time_support = Stated
    found = recording_from_pynapple("r", {"spikes": group}).spike_trains().support
    assert found is None if expected is None else found.rows.tolist() == expected
