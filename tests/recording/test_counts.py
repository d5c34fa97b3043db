"""Counts in bins, and columns of intervals: checked when made, the same back from every format."""

import h5py
import numpy as np
import pytest
from recording.make_recording import everything

from neurodyn.errors import InputError
from neurodyn.recording import (
    BinnedCounts,
    Intervals,
    Recording,
    describe,
    differences,
    intervals_from_pandas,
    intervals_to_pandas,
    read_recording,
    write_hdf5,
    write_recording,
)

pytestmark = pytest.mark.usefixtures("annotations_unchecked")


def counts(**changes):
    random = np.random.default_rng(3)
    values = random.poisson(2.0, (40, 3)).astype(float)
    values[7:9, 1] = np.nan
    settings = {"width": 0.05, "start": 0.3, "units": ("a/1", "b", "ü"),
                "attributes": {"depth": np.array([1.5, -2.0, 0.0]), "area": np.array(["M1", "M1", "PMd"])}}  # fmt: skip
    return BinnedCounts("M1/counts", values, **{**settings, **changes})


def table():
    columns = {
        "response": np.array(["hit", "miss", "hät"]),
        "contrast": np.array([0.5, np.nan, -1.0]),
        "is_good": np.array([True, False, True]),
        "block": np.array([1, 2, 2], np.int32),
    }
    return Intervals("trials", np.arange(3.0), np.arange(3.0) + 0.5, ("x", "y", "z"), columns)


@pytest.mark.parametrize("ending", [".h5", ".nwb", ".mat"])
def test_round_trip_of_counts_and_columns(tmp_path, ending):
    whole = everything()
    epochs = Intervals("epochs", np.zeros(1), np.ones(1), ("task",), {"light": np.array(["on"])})
    recording = Recording(
        "session", whole.spikes, whole.fields, whole.behaviour,
        {"trials": table(), "epochs": epochs}, counts={"M1/counts": counts()},
    )  # fmt: skip
    found = read_recording(write_recording(recording, tmp_path / f"a{ending}"))
    assert differences(recording, found) == []
    assert found.intervals["trials"].columns["contrast"][0] == 0.5
    assert found.intervals["trials"].columns["is_good"].tolist() == [True, False, True]
    assert found.intervals["epochs"].columns["light"].tolist() == ["on"]
    assert found.counts["M1/counts"].attributes["area"].tolist() == ["M1", "M1", "PMd"]
    assert set(found.behaviour) == set(whole.behaviour)


def test_files_of_version_1_are_read(tmp_path):
    """What version 1 did not have is taken away again."""
    path = write_hdf5(everything(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        del file["counts"]
        for group in file["intervals"].values():
            del group["columns"]
    assert differences(read_recording(path), everything()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attributes": {"x": np.zeros(2)}}, "has 2 values for 3 units"),
        ({"units": ("a", "b")}, "has 3 units and 2 unit names"),
        ({"units": ("a", "b", "a")}, "two units called 'a'"),
        ({"width": 0.0}, "more than 0 seconds"),
        ({"width": float("nan")}, "finite width"),
        ({"start": "x"}, "start in seconds"),
    ],
)
def test_counts_that_cannot_be(change, words):
    with pytest.raises(InputError, match=words):
        counts(**change)


@pytest.mark.parametrize(
    ("value", "words"),
    [(-1.0, "must be 0 or more"), (0.5, "1 values that are not whole numbers"), (np.inf, "infinite")],
)
def test_values_that_are_no_counts(value, words):
    values = np.ones((4, 2))
    values[2, 1] = value
    with pytest.raises(InputError, match=words):
        BinnedCounts("c", values, 0.1)


def test_what_lies_whole_between_two_times():
    whole = counts()
    assert (whole.stop, whole.n_spikes) == (pytest.approx(2.3), int(np.nansum(whole.values)))
    part = whole.between(0.41, 0.95)
    assert part.start == pytest.approx(0.45)
    np.testing.assert_array_equal(part.values, whole.values[3:13])
    assert whole.between(5.0, 6.0).n_bins == 0
    assert whole.between(-3.0, 9.0).n_bins == 40
    assert whole.select(("ü", "b")).units == ("ü", "b")
    np.testing.assert_array_equal(whole.select(("ü",)).values, whole.values[:, 2:])


def test_a_summary_says_bins_and_units():
    (row,) = describe(Recording("r", counts={"M1/counts": counts()}))
    assert (row.kind.value, row.samples, row.members, row.rate) == ("counts", 40, 3, 20.0)
    assert row.missing == pytest.approx(2 / 120)
    (row,) = describe(Recording("r", intervals={"trials": table()}))
    assert "response: hit (n=1), hät (n=1), miss (n=1)" in row.notes


def test_a_table_of_trials_as_a_data_frame_and_back():
    import pandas as pd

    trials = table()
    frame = intervals_to_pandas(trials)
    assert frame["response"].tolist() == ["hit", "miss", "hät"]
    assert frame[frame["is_good"] & (frame["response"] == "hit")]["start"].tolist() == [0.0]
    back = intervals_from_pandas(frame)
    assert back.name == "trials"
    assert differences(Recording("r", intervals={"trials": trials}), Recording("r", intervals={"trials": back})) == []
    frame = pd.DataFrame({"on": [0.0, 2.0], "off": [1.0, 3.0], "odd": [{}, []]})
    assert intervals_from_pandas(frame, name="light", start="on", stop="off").columns == {}
    with pytest.raises(InputError, match="unknown column of starts or stops 'start'"):
        intervals_from_pandas(frame)
