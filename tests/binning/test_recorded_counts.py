"""Counts that were recorded in bins, in the bins of a batch: against sums bin by bin, and against spikes."""

import contextlib

import numpy as np
import pytest

from neurodyn.binning import Field, Spikes, TargetOptions, to_bins
from neurodyn.errors import InputError
from neurodyn.recording import BinnedCounts, Intervals, Recording, Signal, SpikeTrains

WIDTH, START = 0.05, 3.2


def recording(start=START, seed=0, missing=()):
    values = np.random.default_rng(seed).poisson(1.5, (200, 4)).astype(float)
    for row, unit in missing:
        values[row, unit] = np.nan
    clock = np.arange(0, 20, 0.02)
    return Recording(
        "r",
        counts={"spikes": BinnedCounts("spikes", values, WIDTH, start, tuple("abcd"))},
        behaviour={"x": Signal("x", np.sin(clock)[:, None], timestamps=clock)},
        intervals={"trials": Intervals("trials", np.array([3.3, 5.01, 9.0]), np.array([4.3, 6.49, 9.02]))},
    )


@pytest.mark.parametrize("times", [1, 2, 7])
def test_bins_of_the_recorded_width_or_a_multiple(times):
    source = recording(missing=((10, 1), (11, 1), (150, 3)))
    batch = to_bins(source, width=times * WIDTH, target="x")
    values = source.counts["spikes"].values
    n = 200 // times
    assert batch.modality("spikes").likelihood == "poisson"
    assert batch.observations["spikes"].shape == (n, 4)
    for row in range(n):
        for unit in range(4):
            part = values[row * times : (row + 1) * times, unit]
            known = not np.isnan(part).any()
            assert batch.observed["spikes"][row, unit] == known
            assert batch.observations["spikes"][row, unit] == (part.sum() if known else 0)
    np.testing.assert_allclose(batch.time, START + times * WIDTH * (1 + np.arange(n)), atol=1e-9)


def test_trials_begin_where_recorded_bins_do():
    """5.01 to 6.49 s: the bins from 5.05 to 6.45 s; the third trial has not one whole bin."""
    source = recording()
    batch = to_bins(source, width=WIDTH, target="x", interval="trials")
    assert batch.lengths.tolist() == [20, 28]
    values = source.counts["spikes"].values
    np.testing.assert_array_equal(batch.observations["spikes"][:20], values[2:22])
    np.testing.assert_array_equal(batch.observations["spikes"][20:], values[37:65])


def test_time_before_and_after_the_counts_is_missing():
    batch = to_bins(recording(), width=WIDTH, target="x", interval=(2.7, 14.0))
    observed = batch.observed["spikes"].all(axis=1)
    assert observed.sum() == 200
    assert not batch.observed["spikes"][~observed].any()


def test_the_counts_of_spikes_are_the_counts():
    """Spikes in the middle of bins, counted and recorded as counts, give the same batch."""
    source = recording(start=0.0)
    values = source.counts["spikes"].values.astype(int)
    middles = (np.arange(200) + 0.5) * WIDTH
    trains = tuple(np.repeat(middles, values[:, unit]) for unit in range(4))
    spiking = Recording("r", {"spikes": SpikeTrains("spikes", trains, tuple("abcd"))}, behaviour=source.behaviour)
    one = to_bins(source, width=2 * WIDTH, target="x", interval=(0.0, 9.0))
    two = to_bins(spiking, width=2 * WIDTH, target="x", interval=(0.0, 9.0))
    np.testing.assert_array_equal(one.observations["spikes"], two.observations["spikes"])
    np.testing.assert_array_equal(one.target, two.target)
    assert one.modality("spikes").channels == two.modality("spikes").channels


def test_units_are_chosen_by_label():
    batch = to_bins(recording(), width=WIDTH, target="x", modalities=[Spikes(units=("d", "a"))])
    assert batch.modality("spikes").channels == ("d", "a")
    np.testing.assert_array_equal(batch.observations["spikes"], recording().counts["spikes"].values[:, [3, 0]])


@pytest.mark.parametrize("width", [0.02, 0.07, 0.0501])
def test_other_widths_are_refused_with_one_that_fits(width):
    with pytest.raises(InputError, match=r"counts in bins of 0.05 s: the bin width .* \(--width 0.05\)"):
        to_bins(recording(), width=width, target="x")


def test_two_groups_need_the_same_edges():
    one, two = recording(), recording(start=START + 0.02)
    other = BinnedCounts("other", two.counts["spikes"].values, WIDTH, START + 0.02)
    both = Recording("r", counts={**one.counts, "other": other}, behaviour=one.behaviour)
    with pytest.raises(InputError, match="need the same edges"):
        to_bins(both, width=WIDTH, target="x", modalities=[Spikes(), Spikes("other", "other")])


def test_intervals_themselves_can_be_given():
    source = recording()
    table = source.intervals["trials"].where("start < 4")
    assert to_bins(source, width=WIDTH, target="x", interval=table).lengths.tolist() == [20]


def test_a_replay_is_counted_again():
    from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
    from neurodyn.realtime.streams.protocol import EndOfStream

    source = recording()
    replay = FileReplay(source, ReplayOptions(speed=float("inf"), chunk=0.5))
    values = source.counts["spikes"].values
    found = np.zeros(values.shape)
    with contextlib.suppress(EndOfStream):
        while True:
            for chunk in replay.read(0.0):
                rows = np.floor((chunk.times - START) / WIDTH).astype(int)
                np.add.at(found, (rows, chunk.values), 1)
    np.testing.assert_array_equal(found, values)
    chunks = FileReplay(recording(missing=((10, 1),)), ReplayOptions(speed=float("inf"), chunk=100.0)).read(0.0)
    # Every unit is unknown after the last bin, and unit 1 in the bin that is missing as well.
    pauses = [pause for chunk in chunks for pause in chunk.unrecorded]
    missing = [pause[1:] for pause in pauses if pause[1] < START + 200 * WIDTH - 1e-9]
    np.testing.assert_allclose(missing, [(START + 10 * WIDTH, START + 11 * WIDTH)])
    assert [pause[0] for pause in pauses if pause[1] < START + 200 * WIDTH - 1e-9] == [1]
    after = [pause for pause in pauses if pause[1] >= START + 200 * WIDTH - 1e-9]
    assert sorted(pause[0] for pause in after) == [0, 1, 2, 3]
    np.testing.assert_allclose([pause[1] for pause in after], START + 200 * WIDTH)


# The first and the last bin ---------------------------------------------------------------------------------


def one_value_per_bin(start, bins=60, width=WIDTH):
    """Counts, a field at the middle of its bins and a target at their ends; each holds the number of its bin."""
    number = np.arange(float(bins))[:, None]
    return Recording(
        "r",
        counts={"spikes": BinnedCounts("spikes", number, width, start)},
        fields={"emg": Signal("emg", number, rate=1 / width, start=start + width / 2)},
        behaviour={"x": Signal("x", number, rate=1 / width, start=start + width)},
    )


@pytest.mark.parametrize("start", [0.0, 2.0, 3600.3])
@pytest.mark.parametrize("parts", [("spikes",), ("spikes", "emg")])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_no_bin_of_a_binned_file_is_lost(start, parts, times):
    modalities = [Spikes(), Field("emg", bands=None)][: len(parts)]
    batch = to_bins(
        one_value_per_bin(start),
        width=times * WIDTH,
        modalities=modalities,
        target="x",
        target_options=TargetOptions(smoothing=0.0),
    )
    rows = np.arange(60.0).reshape(-1, times)
    np.testing.assert_array_equal(batch.observations["spikes"][:, 0], rows.sum(axis=1))
    np.testing.assert_allclose(batch.target[:, 0], rows[:, -1], atol=1e-4)
    for name in parts:
        assert batch.observed[name].all()
    assert batch.target_observed.all()
    if "emg" in parts:
        np.testing.assert_allclose(batch.observations["emg"][:, 0], rows.mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize(("first", "kept"), [(0.01, 59), (0.0, 60), (-0.02, 60), (0.26, 54)])
def test_a_bin_that_lacks_a_sample_of_the_field_is_no_bin_of_the_file(first, kept):
    """A field at 100 Hz that begins within the first bin lacks the samples before."""
    source = one_value_per_bin(1.0)
    field = Signal("lfp", np.arange(400.0)[:, None], rate=100.0, start=1.0 + first)
    source = Recording("r", counts=source.counts, fields={"lfp": field}, behaviour=source.behaviour)
    batch = to_bins(source, width=WIDTH, modalities=[Spikes(), Field("lfp", bands=None)], target="x")
    np.testing.assert_array_equal(batch.observations["spikes"][:, 0], np.arange(60.0)[60 - kept :])
    assert batch.observed["lfp"].all()


def test_an_interval_between_edges_holds_every_whole_bin():
    """From 0.02 s to 1 s there are whole bins from 0.05 s to 1 s."""
    batch = to_bins(one_value_per_bin(0.0), width=WIDTH, target="x", interval=(0.02, 1.0))
    np.testing.assert_array_equal(batch.observations["spikes"][:, 0], np.arange(1.0, 20.0))
