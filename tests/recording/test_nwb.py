"""Reading NWB: files written here with pynwb, damaged ones, and the two real recordings."""

import warnings

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.behavior import BehavioralEvents, BehavioralTimeSeries, CompassDirection, Position, SpatialSeries
from recording.make_nwb import NEGATIVE, NOT_FINITE, UNSORTED, path_in_arena, place_spikes, write_nwb

from neurodyn.errors import InputError
from neurodyn.recording import read_nwb


def a_series(name: str, data: np.ndarray, **clock) -> pynwb.TimeSeries:
    return pynwb.TimeSeries(name=name, data=data, unit="cm/s", **(clock or {"rate": 10.0}))


def some_events() -> BehavioralEvents:
    """Events, which are not sampled: two rewards at one time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="BehavioralEvents is deprecated", category=UserWarning)
        return BehavioralEvents(time_series=a_series("reward", np.ones(2), timestamps=[1.0, 1.0]))


def test_a_whole_file(tmp_path):
    epochs = [(0.0, 5.0, "rest"), (5.0, 20.0, "task")]
    path = write_nwb(tmp_path / "session.nwb", units=5, epochs=epochs, trials=4, position_missing=slice(10, 20))
    recording = read_nwb(path)
    assert recording.name == "session"
    trains = recording.spike_trains()
    for read, written in zip(trains.times, place_spikes(5, 20.0, 0), strict=True):
        np.testing.assert_array_equal(read, written)
    assert trains.units == ("0", "1", "2", "3", "4")
    assert trains.attributes["quality"].tolist() == ["good", "good", "poor", "good", "good"]
    position = recording.behaviour_signal()
    np.testing.assert_array_equal(position.values[20:], path_in_arena(position.times)[20:])
    assert np.isnan(position.values[10:20]).all()
    assert (position.rate, position.channels, position.unit) == (50.0, ("x", "y"), "m")
    assert recording.intervals["epochs"].labels == ("rest", "task")
    assert recording.intervals["trials"].labels == ("0", "1", "2", "3")
    assert recording.intervals["trials"].stops.tolist() == [5.0, 10.0, 15.0, 20.0]


def test_conversion_offset_and_channel_conversion(tmp_path):
    path = tmp_path / "scaled.nwb"
    write_nwb(path, lfp_conversion=2e-6, lfp_offset=0.5, channel_conversion=[1.0, 10.0], units=())
    with h5py.File(path) as file:
        counts = file["processing/ecephys/LFP/lfp/data"][:]
    field = read_nwb(path).field("lfp")
    np.testing.assert_allclose(field.values[:, 0], counts[:, 0] * 2e-6 + 0.5, rtol=1e-14)
    np.testing.assert_allclose(field.values[:, 1], counts[:, 1] * 2e-5 + 0.5, rtol=1e-14)
    assert (field.rate, field.start, field.unit, field.channels) == (250.0, 0.0, "volts", ("lfp_0", "lfp_1"))


def test_field_in_acquisition_with_named_electrodes(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", lfp_in_acquisition=True, electrode_names=["ca1", "mec"])
    assert read_nwb(path).field().channels == ("ca1", "mec")


def test_electrode_names_that_repeat_are_no_names(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", electrode_names=["ca1", "ca1"])
    assert read_nwb(path).field().channels == ("lfp_0", "lfp_1")


def test_timestamped_position(tmp_path):
    timestamps = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 300))
    position = read_nwb(write_nwb(tmp_path / "a.nwb", position_timestamps=timestamps)).behaviour_signal()
    assert position.rate is None
    np.testing.assert_array_equal(position.times, timestamps)


def test_behaviour_wherever_it_lies(tmp_path):
    def add(file: pynwb.NWBFile) -> None:
        module = file.create_processing_module(name="tracking", description="tracking")
        direction = SpatialSeries(
            name="direction",
            data=np.ones(50),
            reference_frame="north",
            unit="radians",
            rate=10.0,
            starting_time=2.0,
        )
        module.add(CompassDirection(spatial_series=direction))
        module.add(BehavioralTimeSeries(time_series=a_series("speed", np.arange(50))))
        module.add(some_events())
        module.add(a_series("hand", np.ones((50, 2))))
        head = SpatialSeries(name="head", data=np.ones((50, 3)), reference_frame="corner", rate=10.0)
        file.add_acquisition(Position(name="tracker", spatial_series=head))

    behaviour = read_nwb(write_nwb(tmp_path / "a.nwb", position_rate=None, extra=add)).behaviour
    channels = {name: signal.channels for name, signal in behaviour.items()}
    assert channels == {
        "head": ("x", "y", "z"),
        "direction": ("direction",),
        "speed": ("speed",),
        "hand": ("hand_0", "hand_1"),
    }
    assert behaviour["direction"].start == 2.0
    assert behaviour["speed"].values[:, 0].tolist() == list(range(50))


def test_series_with_one_name_get_their_container_before_it(tmp_path):
    def add(file: pynwb.NWBFile) -> None:
        other = SpatialSeries(name="position", data=np.ones((50, 2)), reference_frame="corner", rate=10.0)
        file.processing["behavior"].add(Position(name="ball", spatial_series=other))

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", extra=add))
    assert set(recording.behaviour) == {"Position/position", "ball/position"}
    with pytest.raises(InputError, match=r"did you mean .*ball/position"):
        recording.behaviour_signal("position")


def test_ragged_and_referring_columns_are_no_attributes(tmp_path):
    def add(file: pynwb.NWBFile) -> None:
        file.add_unit_column(name="depth", description="um", data=[10.0, 20.0])
        file.add_unit_column(name="peaks", description="ragged", data=[1.0, 2.0, 3.0], index=[1, 3])

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", units=2, extra=add))
    attributes = recording.spike_trains().attributes
    assert set(attributes) == {"quality", "depth"}
    assert attributes["depth"].tolist() == [10.0, 20.0]


def test_a_silent_unit_stays(tmp_path):
    times = (np.array([1.0]), np.array([]), np.array([2.0, 3.0]), np.array([]))
    trains = read_nwb(write_nwb(tmp_path / "a.nwb", units=times)).spike_trains()
    assert [train.tolist() for train in trains.times] == [[1.0], [], [2.0, 3.0], []]


def test_no_units_is_an_error_only_when_spikes_are_asked_for(tmp_path):
    recording = read_nwb(write_nwb(tmp_path / "a.nwb", units=()))
    assert recording.field().n_channels == 2
    with pytest.raises(InputError, match="recording 'a' has no units table"):
        recording.spike_trains()


@pytest.mark.parametrize(
    ("units", "words"),
    [
        (UNSORTED, "unit '1' of 'spikes' are not sorted: 1.5 s follows 2.0 s"),
        (NEGATIVE, "unit '1' of 'spikes' has a negative spike time, -0.25 s"),
        (NOT_FINITE, "unit '0' of 'spikes' has spike times that are not finite"),
    ],
)
def test_bad_spikes_name_the_unit(tmp_path, units, words):
    path = write_nwb(tmp_path / "a.nwb", units=units)
    with pytest.raises(InputError, match=words):
        read_nwb(path)
    assert not read_nwb(path, skip=["spikes"]).spikes


def test_timestamps_that_stand_still_name_the_signal(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", position_timestamps=np.array([0.0, 0.1, 0.1, 0.2]))
    with pytest.raises(InputError, match="signal 'position' must increase strictly: sample 2 at"):
        read_nwb(path)
    assert not read_nwb(path, skip=["position"]).behaviour


@pytest.mark.usefixtures("annotations_unchecked")
def test_too_few_timestamps(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", position_timestamps=np.linspace(0, 1, 10))
    with h5py.File(path, "a") as file:
        series = file["processing/behavior/Position/position"]
        short = series["data"][:4]
        attributes = dict(series["data"].attrs)
        del series["data"]
        series["data"] = short
        series["data"].attrs.update(attributes)
    with pytest.raises(InputError, match="signal 'position' has 4 samples and timestamps of shape \\(10,\\)"):
        read_nwb(path)


def empty_hdf5(path):
    with h5py.File(path, "w") as file:
        file["data"] = 1


def hollow_nwb(path):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"


def headless_nwb(path):
    write_nwb(path)
    with h5py.File(path, "a") as file:
        del file["session_start_time"]


def truncated_nwb(path):
    whole = write_nwb(path.with_name("whole.nwb")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def damaged_nwb(path):
    """A file whose field potential no longer matches its checksum."""
    write_nwb(path)
    with h5py.File(path, "a") as file:
        series = file["processing/ecephys/LFP/lfp"]
        counts, attributes = series["data"][:], dict(series["data"].attrs)
        del series["data"]
        data = series.create_dataset("data", data=counts, chunks=counts.shape, fletcher32=True)
        data.attrs.update(attributes)
        place = data.id.get_chunk_info(0).byte_offset
    with path.open("r+b") as raw:
        raw.seek(place + 1000)
        raw.write(b"damaged")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_text("t,x\n"), "is not an NWB file: it is not HDF5"),
        (lambda path: path.write_bytes(b""), "is not an NWB file: it is not HDF5"),
        (empty_hdf5, "is HDF5 but not NWB 2"),
        (hollow_nwb, "cannot read .* as NWB, is it damaged"),
        (headless_nwb, "cannot read .* as NWB, is it damaged"),
        (damaged_nwb, "cannot read .*, is it damaged. HDF5 says"),
        (truncated_nwb, "cannot read .*, is it damaged"),
    ],
)
def test_what_is_no_nwb_file_is_refused_in_one_line(tmp_path, make, words):
    path = tmp_path / "session.nwb"
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        read_nwb(path)
    assert "session.nwb" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_is_closed_and_the_arrays_live_on(tmp_path):
    path = write_nwb(tmp_path / "a.nwb")
    recording = read_nwb(path)
    with h5py.File(path, "a") as file:  # would fail on a file still open for reading
        del file["processing"]
    path.unlink()
    assert np.isfinite(recording.field().values).all()


def test_reading_leaves_the_file_as_it_is(tmp_path):
    path = write_nwb(tmp_path / "a.nwb")
    before = path.read_bytes()
    read_nwb(path)
    assert path.read_bytes() == before


def test_skipping_what_is_not_there_is_refused(tmp_path):
    path = write_nwb(tmp_path / "a.nwb")
    with pytest.raises(InputError, match="unknown item to skip 'postion': did you mean 'position'"):
        read_nwb(path, skip=["postion"])


def test_the_file_is_closed_after_an_error(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", units=UNSORTED)
    with pytest.raises(InputError):
        read_nwb(path)
    with h5py.File(path, "a"):
        pass


def test_real_open_field(real_data):
    recording = read_nwb(real_data / "r1838_hpc_mec_openfield.nwb")
    trains = recording.spike_trains()
    assert trains.n_units == 13
    counts = [train.size for train in trains.times]
    assert (min(counts), max(counts)) == (338, 2245)
    field, position = recording.field(), recording.behaviour_signal("position")
    assert (field.rate, field.n_channels) == (250.0, 3)
    assert np.corrcoef(field.values[:, 0], field.values[:, 1])[0, 1] == pytest.approx(0.96, abs=0.005)
    assert (position.rate, position.channels, position.unit) == (50.0, ("x", "y"), "m")
    assert np.isnan(position.values).mean() == pytest.approx(0.015, abs=0.0005)
    assert np.nanmax(np.ptp(position.values[~np.isnan(position.values).any(1)], axis=0)) < 1.3
    assert recording.stop == pytest.approx(1201, abs=0.01)


def test_real_tmaze(real_data):
    recording = read_nwb(real_data / "r050_ca1_tmaze.nwb")
    trains = recording.spike_trains()
    assert (trains.n_units, trains.n_spikes) == (128, 319_267)
    assert np.unique(trains.attributes["quality"], return_counts=True)[1].tolist() == [92, 36]
    assert recording.intervals["epochs"].labels == ("prerecord", "task", "postrecord")
    task = recording.find_intervals("task")
    assert task.stops[0] - task.starts[0] == pytest.approx(2178, abs=1)
    position = recording.behaviour_signal()
    assert position.rate is None
    assert position.typical_rate == pytest.approx(30, abs=0.1)
    assert np.isnan(position.values).mean() == pytest.approx(0.032, abs=0.0005)
    with pytest.raises(InputError, match="no field"):
        recording.field()
