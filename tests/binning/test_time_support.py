"""Bins outside of what was recorded are missing: against a brute force in whole milliseconds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurodyn.baselines import CausalRidge
from neurodyn.binning import Field, Spikes, TargetOptions, to_bins
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains, TimeSupport, recording_from_arrays

WIDTH = 10
"""Width of a bin in ms."""

stretches = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 700)), max_size=5)
recorded = st.lists(st.tuples(st.integers(500, 2000), st.integers(20, 900)), min_size=1, max_size=5)
spikes = st.lists(st.integers(0, 2500), min_size=1, max_size=60).map(sorted)


def ms(rows) -> np.ndarray:
    """Starts and stops in seconds from starts and lengths in ms, as a file would hold them."""
    return np.array([(start / 1000, (start + length) / 1000) for start, length in rows]).reshape(-1, 2)


def wholly_inside(rows, begins) -> np.ndarray:
    """Whether every millisecond of a bin lies in one of the stretches (start, length)."""
    recorded = np.zeros(4000, bool)
    for start, length in rows:
        recorded[start : start + length] = True
    return np.lib.stride_tricks.sliding_window_view(recorded, WIDTH)[begins].all(axis=1)


@settings(max_examples=40, deadline=None)
@given(
    trains=st.lists(spikes, min_size=3, max_size=3),
    supports=st.lists(recorded, min_size=3, max_size=3),
    invalid=st.one_of(st.just([]), stretches),
    start=st.integers(0, 500),
)
def test_masks_and_counts(trains, supports, invalid, start):
    """Three units with a support each and invalid times for all: each bin counted and masked with whole numbers."""
    recording = Recording(
        "r",
        {
            "spikes": SpikeTrains(
                "spikes",
                tuple((np.array(train) + 0.5) / 1000 for train in trains),
                ("a", "b", "c"),
                support=[TimeSupport.of(ms(rows)) for rows in supports],
            )
        },
        {"lfp": Signal("lfp", np.ones((5000, 1)), rate=1000.0)},
        intervals={"invalid_times": Intervals("invalid_times", *ms(invalid).T)},
    )
    begins = start + WIDTH * np.arange(250)
    bad = [(a, b) for a, b in invalid if b]
    valid = np.array([not any(a < begin + WIDTH and a + b > begin for a, b in bad) for begin in begins])
    inside = np.stack([wholly_inside(rows, begins) & valid for rows in supports], axis=1)
    modalities = [Spikes(), Field("lfp", bands=None)]
    interval = (start / 1000, start / 1000 + 2.5)
    if not (inside.any(axis=0).all() and valid.any()):
        with pytest.raises(InputError, match=r"has no observed sample|were never recorded for a whole bin"):
            to_bins(recording, width=0.01, modalities=modalities, target=(), interval=interval)
        return
    event("compared bin by bin")
    batch = to_bins(recording, width=0.01, modalities=modalities, target=(), interval=interval)
    np.testing.assert_array_equal(batch.observed["spikes"], inside)
    np.testing.assert_array_equal(batch.observed["lfp"][:, 0], valid)
    for unit, train in enumerate(trains):
        numbers = (np.array(train) - start) // WIDTH
        counts = np.bincount(numbers[(numbers >= 0) & (numbers < 250)], minlength=250)
        np.testing.assert_array_equal(batch.observations["spikes"][:, unit], np.where(inside[:, unit], counts, 0))


@pytest.fixture
def paused(rng):
    """200 s of position at 50 Hz and four units at 10 Hz that were recorded until 60 s and from 140 s on."""
    trains = [np.sort(rng.uniform(0, 200, 2000)) for _ in range(4)]
    trains = [train[(train < 60) | (train >= 140)] for train in trains]
    time = np.arange(10_000) / 50
    circle = np.stack([np.sin(time), np.cos(time)], axis=1)
    return recording_from_arrays(
        "r",
        spikes=trains,
        behaviour={"position": circle},
        rates={"position": 50.0},
        support=[[0, 60], [140, 200]],
    )


def test_rates_are_those_of_the_time_recorded(paused):
    batch = to_bins(paused, width=0.05, target="position")
    rates = Scaling.fit(batch).mean["spikes"] / 0.05
    np.testing.assert_allclose(rates, [train.size / 120 for train in paused.spike_trains().times], rtol=1e-3)
    inside = (batch.time > 60 + 1e-6) & (batch.time < 140.05 - 1e-6)
    assert not batch.observed["spikes"][inside].any()
    assert batch.observed["spikes"][~inside].all()
    assert batch.target_observed.all()  # the animal was tracked all the time


def test_a_unit_recorded_in_one_half_only(paused):
    trains = paused.spike_trains()
    own = [*trains.unit_supports[:3], TimeSupport.of([[140, 200]])]
    half = replace(paused, spikes={"spikes": replace(trains, support=own)})
    batch = to_bins(half, width=0.05, target="position")
    late = batch.time > 140.05 - 1e-6
    np.testing.assert_array_equal(batch.observed["spikes"][:, 3], late)
    assert batch.observed["spikes"][:1100, :3].all()
    chosen = to_bins(half, width=0.05, modalities=[Spikes(units=("3",))], target="position")
    assert chosen.time[0] == pytest.approx(140.05)
    assert chosen.observed["spikes"].all()


def test_trials_beyond_what_was_recorded(paused):
    """Units that are silent from 60 s on although their files go on: the file says nothing, the silence does."""
    trains = paused.spike_trains().between(0.0, 60.0)
    last = trains.stop
    silent = replace(paused, spikes={"spikes": replace(trains, support=None)})
    trials = {"trials": Intervals("trials", np.array([10.0, 50.0, 150.0, 190.0]), np.array([20.0, 70.0, 160.0, 210.0]))}
    batch = to_bins(replace(silent, intervals=trials), width=0.05, target="position", interval="trials")
    np.testing.assert_array_equal(batch.observed["spikes"][:, 0], batch.time - 0.05 <= last)
    np.testing.assert_array_equal(batch.target_observed, batch.time < 200.01)


def test_silence_inside_the_recording_is_data(recording):
    """Few spikes, a field around them: no spike is no spike, and beyond the field nothing is known."""
    few = SpikeTrains("spikes", (np.array([20.0, 30.0]), np.array([25.0])), ("a", "b"))
    recording = replace(recording, spikes={"spikes": few})
    batch = to_bins(recording, width=0.5, target=(), interval=(-5.0, 70.0))
    np.testing.assert_array_equal(batch.observed["spikes"][:, 0], (batch.time - 0.5 > -1e-6) & (batch.time < 60 + 1e-6))


def test_spikes_alone_are_known_from_the_first_to_the_last():
    times = np.array([2.25, 3.0, 9.5])
    recording = Recording("r", {"spikes": SpikeTrains("spikes", (times,), ("a",))})
    batch = to_bins(recording, width=0.5, target=(), interval=(0.0, 20.0))
    np.testing.assert_array_equal(batch.time[batch.observed["spikes"][:, 0]], np.arange(2.5, 10.25, 0.5))
    assert to_bins(recording, width=0.5, target=()).observed["spikes"].all()


def test_invalid_times_leave_targets_and_slow_samples_out(recording):
    """A stretch shorter than the gaps that targets interpolate over is missing all the same."""
    table = Intervals("invalid_times", np.array([10.03]), np.array([10.27]))
    recording = replace(recording, intervals={"invalid_times": table})
    slow = Field("slow", source="lfp", bands=None, width=0.2)
    batch = to_bins(recording, width=0.1, modalities=[Spikes(), slow], target="position", interval=(0.0, 60.0))
    touched = (batch.time > 10.05) & (batch.time < 10.35)
    np.testing.assert_array_equal(batch.target_observed, ~touched)
    np.testing.assert_array_equal(batch.observed["spikes"].all(axis=1), ~touched)
    seen = np.flatnonzero(batch.observed["slow"][:, 0])
    np.testing.assert_array_equal(seen, [k for k in range(1, 600, 2) if not 100 <= k <= 103])


@pytest.mark.parametrize("bands", [None, ((4.0, 8.0), (20.0, 60.0))])
def test_what_lies_in_invalid_times_has_no_influence(recording, rng, bands):
    table = Intervals("invalid_times", np.array([10.0, 30.0]), np.array([12.0, 30.05]))
    lfp, position = recording.fields["lfp"], recording.behaviour["position"]
    wrong, lost = lfp.values.copy(), position.values.copy()
    for start, stop in ((10.0, 12.0), (30.0, 30.05)):
        wrong[(lfp.times >= start - 1e-9) & (lfp.times < stop - 1e-9)] = 1e6
        lost[(position.times >= start - 1e-9) & (position.times < stop - 1e-9)] = 1e6
    batches = [
        to_bins(
            replace(
                recording,
                fields={"lfp": replace(lfp, values=values)},
                behaviour={"position": replace(position, values=place)},
                intervals={"invalid_times": table},
            ),
            width=0.05,
            modalities=[Spikes(), Field("lfp", bands=bands)],
            target="velocity",
            target_options=TargetOptions(smoothing=0.25),
        )
        for values, place in ((lfp.values, position.values), (wrong, lost))
    ]
    for name in ("spikes", "lfp"):
        np.testing.assert_array_equal(batches[0].observed[name], batches[1].observed[name])
        np.testing.assert_array_equal(batches[0].observations[name], batches[1].observations[name])
    np.testing.assert_array_equal(batches[0].target, batches[1].target)
    np.testing.assert_array_equal(batches[0].target_observed, batches[1].target_observed)


def test_units_that_were_never_recorded_are_refused(recording):
    trains = replace(recording.spikes["spikes"], support=TimeSupport())
    with pytest.raises(InputError, match=r"units of modality .spikes. were never recorded for a whole bin of 0\.1 s"):
        to_bins(replace(recording, spikes={"spikes": trains}), width=0.1, target=())


def test_a_decoder_does_not_read_a_pause_as_silence(paused):
    """What stands in the bins of the pause changes neither the fit nor what is decoded elsewhere."""
    trains = paused.spike_trains()
    noise = tuple(np.sort(np.append(train, np.linspace(61, 139, 5000))) for train in trains.times)
    noisy = replace(paused, spikes={"spikes": replace(trains, times=noise)})
    one, two = (to_bins(r, width=0.1, target="position") for r in (paused, noisy))
    predicted = [CausalRidge().fit(batch).predict(batch)["target"].to_numpy() for batch in (one, two)]
    np.testing.assert_array_equal(predicted[0], predicted[1])
