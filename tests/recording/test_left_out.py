"""One item that cannot be used does not close a file: named ways around it, the same for every reader."""

import numpy as np
import pytest
from recording.make_nwb import UNSORTED, write_nwb

from neurodyn.errors import InputError
from neurodyn.recording import (
    Intervals,
    Recording,
    Repeated,
    Signal,
    SpikeTrains,
    read_nwb,
    read_recording,
    write_hdf5,
    write_matlab,
)
from neurodyn.recording.left_out import Choices

pytestmark = pytest.mark.usefixtures("annotations_unchecked")


def by_hand(values, times, how):
    """Samples of each time in turn, put together one by one."""
    kept_values, kept_times = [], []
    for time in sorted(set(times.tolist())):
        rows = [values[i] for i in range(len(times)) if times[i] == time]
        if how is Repeated.DROP and len(rows) > 1:
            continue
        kept_times.append(time)
        if how is Repeated.MEAN:
            columns = []
            for channel in range(values.shape[1]):
                known = [row[channel] for row in rows if not np.isnan(row[channel])]
                columns.append(sum(known) / len(known) if known else np.nan)
            kept_values.append(columns)
        else:
            kept_values.append(rows[0])
    return np.array(kept_values).reshape(-1, values.shape[1]), np.array(kept_times)


@pytest.mark.parametrize("how", list(Repeated))
@pytest.mark.parametrize("seed", range(5))
def test_repeated_times_are_taken_as_said(how, seed):
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 30, 60)).astype(float)
    values = random.normal(size=(60, 2))
    values[random.random((60, 2)) < 0.3] = np.nan
    found = Choices(repeated=how).signal_times("x", values, times)
    expected = by_hand(values, times, how)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_array_equal(found[1], expected[1])


def test_times_that_go_back_are_another_fault():
    times = np.array([0.0, 1.0, 1.0, 0.5])
    assert Choices(repeated=Repeated.MEAN).signal_times("x", np.ones((4, 1)), times)[1] is times


def one_repeat():
    times = np.arange(300) / 60
    times[150] = times[149]
    return times


@pytest.fixture
def session(tmp_path):
    """A position of which one time repeats; units, a field and trials that are as they should be."""
    return write_nwb(tmp_path / "a.nwb", seconds=5.0, position_timestamps=one_repeat(), trials=3)


def test_one_repeated_time_names_the_ways_on(session):
    words = (
        r"of 300 samples 1 repeat the time before\): take them with  --repeated mean, first or drop; or leave it out:"
    )
    with pytest.raises(InputError, match=words):
        read_nwb(session)
    assert read_nwb(session, repeated="first").behaviour["position"].n_samples == 299
    assert read_nwb(session, repeated="drop").behaviour["position"].n_samples == 298
    assert not read_nwb(session, skip=["position"]).behaviour
    with pytest.raises(InputError, match="unknown way to take repeated times 'frist': did you mean 'first'"):
        read_nwb(session, repeated="frist")


def test_what_is_not_asked_for_does_not_matter(session):
    recording = read_recording(session, strict=False)
    assert recording.spike_trains().n_units == 4
    (item,) = recording.unusable
    assert (item.kind, item.name) == ("behaviour", "position")
    with pytest.raises(InputError, match="'position' of recording 'a' cannot be used: timestamps of signal"):
        recording.behaviour_signal("position")
    with pytest.raises(InputError, match="cannot be used"):
        recording.behaviour_signal()
    assert recording.between(0.0, 1.0).unusable == recording.unusable


def test_a_unit_that_is_not_sorted_is_left_out_by_its_label(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", units=UNSORTED)
    assert read_nwb(path, strict=False).unusable[0].kind == "spikes"
    trains = read_nwb(path, skip=["spikes[1]"]).spike_trains()
    assert trains.units == ("0",)
    assert trains.attributes["quality"].shape == (1,)
    with pytest.raises(InputError, match="unknown unit of 'spikes' to skip '7'"):
        read_nwb(path, skip=["spikes[7]"])


def test_a_trial_without_an_end_is_left_out_by_its_number(tmp_path):
    def cut_off(file):
        file.add_trial_column(name="response", description="response")
        for start, stop, response in ((0.0, 1.0, "hit"), (1.0, float("nan"), "none"), (2.0, 3.0, "miss")):
            file.add_trial(start_time=start, stop_time=stop, response=response)

    path = write_nwb(tmp_path / "a.nwb", extra=cut_off)
    with pytest.raises(InputError, match=r"\(1 of 3 is not\): leave rows out by their number:  --skip 'trials\[1\]'"):
        read_nwb(path)
    table = read_nwb(path, skip=["trials[1]"]).intervals["trials"]
    assert table.stops.tolist() == [1.0, 3.0]
    assert table.columns["response"].tolist() == ["hit", "miss"]
    assert read_nwb(path, strict=False).unusable[0].name == "trials"


@pytest.mark.parametrize("write", [write_hdf5, write_matlab])
def test_the_same_ways_in_our_own_formats(tmp_path, write):
    times = np.arange(6.0)
    recording = Recording(
        "r",
        spikes={"spikes": SpikeTrains("spikes", (np.array([1.0]), np.array([2.0])), ("7", "9"))},
        behaviour={"x": Signal("x", np.arange(6.0)[:, None], timestamps=times)},
        intervals={"trials": Intervals("trials", np.arange(3.0), np.arange(3.0) + 1)},
    )
    recording.behaviour["x"].timestamps[3] = 2.0  # as a file may have it
    path = write(recording, tmp_path / f"a{'.h5' if write is write_hdf5 else '.mat'}")
    with pytest.raises(InputError, match="--repeated"):
        read_recording(path)
    found = read_recording(path, repeated="mean", skip=["spikes[7]", "trials[0]"])
    np.testing.assert_array_equal(found.behaviour["x"].values[:, 0], [0, 1, 2.5, 4, 5])
    assert found.spike_trains().units == ("9",)
    assert found.intervals["trials"].labels == ("1", "2")
    assert read_recording(path, strict=False).unusable[0].name == "x"
