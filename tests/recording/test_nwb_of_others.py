"""NWB as others write it: links, events, extensions, old versions, columns of trials, errors and warnings of pynwb."""

import warnings

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.behavior import Position, SpatialSeries
from pynwb.icephys import CurrentClampSeries
from recording.make_nwb import write_nwb

from neurodyn.errors import InputError
from neurodyn.recording import ImplausibleWarning, differences, read_nwb, read_recording, write_recording


@pytest.mark.parametrize("link", [h5py.SoftLink("/processing/ecephys/LFP/lfp"), "hard"])
@pytest.mark.filterwarnings("ignore:The linked table:UserWarning")
def test_a_linked_series_counts_once(tmp_path, link):
    path = write_nwb(tmp_path / "a.nwb")
    with h5py.File(path, "a") as file:
        file["acquisition/lfp"] = file["processing/ecephys/LFP/lfp"] if link == "hard" else link
    recording = read_nwb(path)
    assert set(recording.fields) == {"lfp"}
    assert not recording.unread


def test_the_same_values_on_another_clock_are_another_series(tmp_path):
    def add(file):
        one = pynwb.TimeSeries(name="one", data=np.arange(5.0), unit="m", rate=1.0)
        file.add_acquisition(one)
        file.add_acquisition(pynwb.TimeSeries(name="two", data=one, unit="m", rate=2.0))

    assert {"one", "two"} <= set(read_nwb(write_nwb(tmp_path / "a.nwb", extra=add)).behaviour)


def test_events_as_a_series_do_not_close_the_file(tmp_path):
    def add(file):
        codes = np.array([1, 2, 3], np.int8)
        file.add_acquisition(pynwb.TimeSeries(name="events", data=codes, unit="NA", timestamps=[1.0, 5.0, 5.0]))

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", extra=add), strict=False)
    assert set(recording.behaviour) == {"position"}
    assert [item.name for item in recording.unusable] == ["events"]
    assert "of 3 samples 1 repeat the time before" in recording.unusable[0].reason


def test_columns_of_trials_are_kept_and_choose(tmp_path):
    def add(file):
        file.add_trial_column(name="response", description="r")
        file.add_trial_column(name="is_good", description="g")
        for k, response in enumerate(("hit", "miss", "hit")):
            file.add_trial(start_time=float(k), stop_time=k + 0.5, response=response, is_good=k != 0)

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", extra=add))
    trials = recording.intervals["trials"]
    assert trials.where("is_good and response == 'hit'").starts.tolist() == [2.0]
    for ending in (".h5", ".nwb", ".mat"):
        again = read_recording(write_recording(recording, tmp_path / f"b{ending}"))
        assert differences(recording, again) == []


def extension():
    from pynwb.spec import NWBGroupSpec, NWBNamespaceBuilder

    builder = NWBNamespaceBuilder(name="ndx-lab", doc="d", version="0.1", author="a", contact="c@d.e")
    builder.include_type("TimeSeries", namespace="core")
    builder.include_type("SpatialSeries", namespace="core")
    for name, base in (("LickSeries", "TimeSeries"), ("ArmSeries", "SpatialSeries")):
        spec = NWBGroupSpec(neurodata_type_def=name, neurodata_type_inc=base, doc="d")
        builder.add_spec("ndx-lab.extensions.yaml", spec)
    return builder


def test_a_series_of_an_extension_is_read_as_the_type_it_extends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    builder = extension()
    builder.export("ndx-lab.namespace.yaml", outdir=str(tmp_path))
    pynwb.load_namespaces(str(tmp_path / "ndx-lab.namespace.yaml"))
    lick, arm = (pynwb.get_class(name, "ndx-lab") for name in ("LickSeries", "ArmSeries"))

    def add(file):
        file.add_acquisition(lick(name="licks", data=np.arange(5.0), unit="V", rate=1.0))
        file.add_acquisition(arm(name="arm", data=np.ones((5, 2)), unit="m", rate=1.0, reference_frame="r"))

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", extra=add))
    assert {"licks", "arm"} <= set(recording.behaviour)
    assert recording.behaviour["arm"].channels == ("x", "y")


def test_what_is_not_read_is_counted_by_type(tmp_path):
    def add(file):
        electrode = file.create_icephys_electrode(name="e", description="d", device=file.create_device(name="p"))
        for k in range(2):
            file.add_acquisition(
                CurrentClampSeries(name=f"cc{k}", data=np.zeros(9), electrode=electrode, gain=1.0, rate=1e4)
            )
        file.add_stimulus(pynwb.TimeSeries(name="light", data=np.zeros(9), unit="V", rate=1.0))

    recording = read_nwb(write_nwb(tmp_path / "a.nwb", extra=add))
    assert recording.unread == {"CurrentClampSeries": 2, "TimeSeries": 1}


def test_electrodes_as_rows_are_doubted_at_any_size(tmp_path):
    def swap(path):
        with h5py.File(path, "a") as file:
            series = file["processing/ecephys/LFP/lfp"]
            attributes = dict(series["data"].attrs)
            del series["data"]
            series.create_dataset("data", data=np.zeros((4, 7))).attrs.update(attributes)
        return path

    path = swap(write_nwb(tmp_path / "a.nwb", lfp_channels=4))
    with pytest.warns(
        ImplausibleWarning, match="'lfp' has 4 samples of 7 channels, and 4 electrodes: are its axes"
    ) as told:
        read_nwb(path)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_nwb(write_nwb(tmp_path / "b.nwb", lfp_channels=4))


def nwb_1(path):
    with h5py.File(path, "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
        file.create_group("processing")


def nwb_1_attribute(path):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "1.0.5_beta"


@pytest.mark.parametrize("make", [nwb_1, nwb_1_attribute])
@pytest.mark.parametrize("read", [read_nwb, read_recording])
def test_version_1_is_named(tmp_path, make, read):
    make(tmp_path / "old.nwb")
    with pytest.raises(InputError, match="is NWB of version 1"):
        read(tmp_path / "old.nwb")


def test_an_error_of_pynwb_is_its_cause(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", trials=3)
    with h5py.File(path, "a") as file:
        del file["identifier"]
    with pytest.raises(
        InputError, match=r"another version of an extension\? .*missing argument 'identifier'"
    ) as caught:
        read_nwb(path)
    assert len(str(caught.value)) - len(str(path)) < 300


def test_a_position_inside_two_containers_counts_once(tmp_path):
    """One series object in two places of the file, as pynwb itself writes it: a link."""

    def add(file):
        series = SpatialSeries(name="arm", data=np.ones((9, 2)), unit="m", rate=1.0, reference_frame="r")
        file.add_acquisition(series)
        file.create_processing_module(name="more", description="d").add(Position(name="copy", spatial_series=series))

    assert set(read_nwb(write_nwb(tmp_path / "a.nwb", extra=add)).behaviour) == {"arm", "position"}
