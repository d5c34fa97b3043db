"""Containers: what they accept, what they refuse and in which words, and cutting them in time."""

import dataclasses

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains


def a_signal(name: str = "lfp", **changes) -> Signal:
    return Signal(name, np.arange(20.0).reshape(10, 2), **{"rate": 4.0, "start": 1.0, **changes})


def some_spikes(**changes) -> SpikeTrains:
    fields = {
        "times": (np.array([0.5, 1.0, 1.0, 2.5]), np.array([]), np.array([1.5])),
        "units": ("a", "b", "c"),
        "attributes": {"quality": np.array(["good", "poor", "good"])},
    }
    return SpikeTrains("spikes", **{**fields, **changes})


def some_intervals() -> Intervals:
    return Intervals("epochs", np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0]), ("rest", "task", "rest"))


def a_recording() -> Recording:
    return Recording(
        "r1",
        spikes={"spikes": some_spikes()},
        fields={"lfp": a_signal()},
        behaviour={"position": a_signal("position"), "speed": a_signal("speed")},
        intervals={"epochs": some_intervals()},
    )


def test_regular_signal_places_its_samples_in_time():
    signal = a_signal()
    np.testing.assert_allclose(signal.times, [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25])
    assert (signal.stop, signal.duration, signal.n_channels) == (3.25, 2.25, 2)
    assert signal.channels == ("lfp_0", "lfp_1")


def test_timestamped_signal_starts_where_its_timestamps_do():
    signal = Signal("x", np.ones((3, 1)), timestamps=np.array([2.0, 2.1, 2.5]))
    assert (signal.start, signal.stop) == (2.0, 2.5)
    assert signal.typical_rate == pytest.approx(4.0)  # steps 0.1 and 0.4, median 0.25


@pytest.mark.usefixtures("annotations_unchecked")
def test_integers_become_floats_and_the_argument_stays_as_it_is():
    values = np.arange(4, dtype=np.int16)[:, None]
    signal = Signal("x", values, rate=1.0)
    assert signal.values.dtype == np.float64
    assert values.dtype == np.int16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": None}, "'lfp' needs either timestamps or a rate"),
        ({"timestamps": np.arange(10.0)}, "'lfp' needs either timestamps or a rate"),
        ({"rate": 0.0}, "'lfp' needs a rate above 0 Hz, got 0.0"),
        ({"rate": float("nan")}, "'lfp' needs a rate above 0 Hz"),
        ({"start": float("inf")}, "'lfp' needs a finite start"),
        (
            {"rate": None, "timestamps": np.arange(9.0)},
            "'lfp' has 10 samples and timestamps of shape \\(9,\\)",
        ),
        (
            {"rate": None, "timestamps": np.array([0, 1, 2, 3, 4, 4, 6, 7, 8, 9.0])},
            "sample 5 at 4.0 s follows 4.0 s",
        ),
        ({"rate": None, "timestamps": np.full(10, np.nan)}, "'lfp' has timestamps that are not finite"),
        ({"channels": ("a",)}, "'lfp' has 2 channels and 1 channel names"),
        ({"channels": ("a", "a")}, "two channels called 'a'"),
    ],
)
@pytest.mark.usefixtures("annotations_unchecked")
def test_signal_refuses(changes, words):
    with pytest.raises(InputError, match=words):
        a_signal(**changes)


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.ones(3), "shape \\(samples, channels\\), got \\(3,\\)"), (np.full((2, 1), np.inf), "infinite")],
)
@pytest.mark.usefixtures("annotations_unchecked")
def test_signal_refuses_values(values, words):
    with pytest.raises(InputError, match=words):
        Signal("lfp", values, rate=1.0)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (np.array([1.0, 0.5]), "unit 'u' of 'spikes' are not sorted: 0.5 s follows 1.0 s"),
        (np.array([-0.1, 0.5]), "unit 'u' of 'spikes' has a negative spike time, -0.1 s"),
        (np.array([0.1, np.nan]), "unit 'u' of 'spikes' has spike times that are not finite"),
        (np.ones((2, 2)), "unit 'u' of 'spikes' needs a one-dimensional array"),
    ],
)
@pytest.mark.usefixtures("annotations_unchecked")
def test_spikes_refuse_bad_times_and_name_the_unit(times, words):
    with pytest.raises(InputError, match=words):
        SpikeTrains("spikes", (np.array([1.0]), times), ("ok", "u"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": ("a", "b")}, "3 units and 2 unit names"),
        ({"units": ("a", "b", "a")}, "two units called 'a'"),
        (
            {"attributes": {"quality": np.array(["good"])}},
            "'quality' of spikes 'spikes' has 1 values for 3 units",
        ),
    ],
)
@pytest.mark.usefixtures("annotations_unchecked")
def test_spikes_refuse_names_that_do_not_match(changes, words):
    with pytest.raises(InputError, match=words):
        some_spikes(**changes)


def test_selecting_units_keeps_order_and_attributes():
    chosen = some_spikes().select(["c", "b"])
    assert chosen.units == ("c", "b")
    assert [train.tolist() for train in chosen.times] == [[1.5], []]
    assert chosen.attributes["quality"].tolist() == ["good", "poor"]
    with pytest.raises(InputError, match="unknown unit 'd'"):
        some_spikes().select(["d"])


@pytest.mark.parametrize(
    ("starts", "stops", "labels", "words"),
    [
        ([0.0], [1.0, 2.0], (), "equal numbers"),
        ([0.0], [1.0], ("a", "b"), "equal numbers"),
        ([0.0, 3.0], [1.0, 2.0], ("a", "b"), "interval 1 \\('b'\\) of 'epochs' is 3.0 to 2.0 s"),
        ([np.nan], [1.0], (), "finite bounds"),
    ],
)
@pytest.mark.usefixtures("annotations_unchecked")
def test_intervals_refuse(starts, stops, labels, words):
    with pytest.raises(InputError, match=words):
        Intervals("epochs", np.array(starts), np.array(stops), labels)


def test_containers_cannot_be_changed():
    for item in (a_signal(), some_spikes(), some_intervals(), a_recording()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            item.name = "other"


def test_a_recording_refuses_items_filed_under_another_name():
    with pytest.raises(InputError, match="'lfp' is filed under 'field'"):
        Recording("r1", fields={"field": a_signal()})


def test_items_are_found_by_name_or_as_the_only_one():
    recording = a_recording()
    assert recording.spike_trains().name == "spikes"
    assert recording.field().name == "lfp"
    assert recording.behaviour_signal("speed").name == "speed"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda r: r.spike_trains("spike"), "unknown spikes 'spike': did you mean 'spikes'"),
        (lambda r: r.field("lpf"), "unknown field 'lpf': did you mean 'lfp'"),
        (lambda r: r.behaviour_signal("postion"), "unknown behaviour 'postion': did you mean 'position'"),
        (lambda r: r.behaviour_signal(), "more than one behaviour \\(position, speed\\)"),
        (lambda r: r.find_intervals("tusk"), "unknown interval 'tusk': did you mean 'task'"),
    ],
)
def test_unknown_items_come_with_the_nearest_names(ask, words):
    with pytest.raises(InputError, match=words):
        ask(a_recording())


def test_an_empty_recording_says_what_it_lacks():
    recording = Recording("r1")
    with pytest.raises(InputError, match="'r1' has no units table"):
        recording.spike_trains()
    with pytest.raises(InputError, match="'r1' has no field"):
        recording.field()
    assert np.isnan([recording.start, recording.stop]).all()


def test_intervals_are_found_by_table_or_label():
    recording = a_recording()
    assert len(recording.find_intervals("epochs")) == 3
    assert recording.find_intervals("rest").starts.tolist() == [0.0, 3.0]


def test_a_label_in_two_tables_is_refused():
    trials = Intervals("trials", np.array([0.0]), np.array([1.0]), ("task",))
    recording = dataclasses.replace(a_recording(), intervals={"epochs": some_intervals(), "trials": trials})
    with pytest.raises(InputError, match="more than one table \\(epochs, trials\\)"):
        recording.find_intervals("task")


def test_the_span_of_a_recording_covers_every_item():
    recording = a_recording()
    assert (recording.start, recording.stop) == (0.5, 3.25)


def test_cutting_is_half_open_and_keeps_the_clock():
    cut = a_recording().between(1.0, 2.5)
    assert [train.tolist() for train in cut.spikes["spikes"].times] == [[1.0, 1.0], [], [1.5]]
    np.testing.assert_allclose(cut.fields["lfp"].times, [1.0, 1.25, 1.5, 1.75, 2.0, 2.25])
    assert cut.intervals["epochs"].labels == ("task",)


def test_intervals_over_the_bounds_are_cut_there():
    cut = some_intervals().between(0.5, 3.5)
    assert cut.starts.tolist() == [0.5, 1.0, 3.0]
    assert cut.stops.tolist() == [1.0, 2.0, 3.5]


@pytest.mark.parametrize("clock", [{"rate": 3.0, "start": 0.7}, {"timestamps": np.linspace(0.1, 7, 200)}])
def test_two_cuts_make_the_whole(clock):
    values = np.random.default_rng(0).normal(size=(200, 2))
    signal = Signal("x", values, **clock)
    for middle in (0.7, 1.7, 3.3333, 5.0):
        parts = [signal.between(-1.0, middle), signal.between(middle, 1e3)]
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), values)
        np.testing.assert_allclose(np.concatenate([part.times for part in parts]), signal.times, atol=1e-12)


def test_a_cut_past_the_end_is_empty():
    cut = a_recording().between(100.0, 200.0)
    assert cut.fields["lfp"].n_samples == 0
    assert cut.spikes["spikes"].n_spikes == 0
    assert len(cut.intervals["epochs"]) == 0


def test_a_cut_that_ends_before_it_starts_is_refused():
    with pytest.raises(InputError, match="start <= stop"):
        a_recording().between(2.0, 1.0)
