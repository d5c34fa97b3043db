"""Recordings through files of every format: the same back, units, names and attributes included."""

import os
import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from recording.make_matlab import write_v73
from recording.make_nwb import write_nwb as write_small_nwb
from recording.make_recording import everything

from neurodyn.errors import InputError
from neurodyn.recording import (
    Intervals,
    LazyArray,
    MatlabLayout,
    MatlabSignal,
    Recording,
    Signal,
    SpikeTrains,
    differences,
    read_hdf5,
    read_matlab,
    read_nwb,
    read_recording,
    write_hdf5,
    write_matlab,
    write_recording,
)
from neurodyn.recording.hdf5 import VERSION
from neurodyn.recording.matlab_file import load_variables

pytestmark = pytest.mark.usefixtures("annotations_unchecked")

BARE = Recording(
    "bare",
    spikes={"spikes": SpikeTrains("spikes", (np.zeros(0),), ("0",))},
    fields={"lfp": Signal("lfp", np.zeros((0, 2)), rate=1.0)},
    intervals={"none": Intervals("none", np.zeros(0), np.zeros(0))},
)


@pytest.mark.parametrize("ending", [".h5", ".mat", ".nwb"])
@pytest.mark.parametrize("lazy", [False, True])
def test_round_trip(tmp_path, ending, lazy):
    recording = everything()
    path = write_recording(recording, tmp_path / f"session{ending}")
    assert differences(recording, read_recording(path, lazy=lazy)) == []
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", [".h5", ".mat"])
def test_items_without_anything_in_them(tmp_path, ending):
    path = write_recording(BARE, tmp_path / f"bare{ending}")
    found = read_recording(path)
    assert differences(BARE, found) == []
    assert found.name == "bare"


def test_hdf5_keeps_the_precision_the_order_and_the_name(tmp_path):
    recording = everything()
    found = read_hdf5(write_hdf5(recording, tmp_path / "a.h5"))
    assert found.fields["probe/lfp"].values.dtype == np.float32
    assert found.name == "session 1"
    for kind in ("spikes", "fields", "behaviour", "intervals"):
        assert list(getattr(found, kind)) == list(getattr(recording, kind))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "%2F", "ü €", "x" * 300, "\n", "/"])
def test_any_name_is_kept(tmp_path, name):
    signal = Signal(name, np.ones((2, 1)), rate=1.0, channels=(name,), unit=name)
    recording = Recording(name, behaviour={name: signal})
    found = read_hdf5(write_hdf5(recording, tmp_path / "a.h5"))
    assert differences(recording, found) == []
    assert found.name == name


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("write", [write_hdf5])
def test_a_name_that_is_no_text_is_refused(tmp_path, name, write):
    recording = Recording("r", behaviour={name: Signal(name, np.ones((2, 1)), rate=1.0, channels=("x",))})
    with pytest.raises(InputError, match="rename it"):
        write(recording, tmp_path / "a.h5")
    assert not os.listdir(tmp_path)


def test_differences_are_found():
    one = everything()
    for two, words in (
        (everything(seed=1), "values differ"),
        (Recording("r"), "spikes: "),
        (one.between(0.0, 2.0), "spike times differ"),
        (Recording("r", one.spikes, one.fields, one.behaviour, {**one.intervals, "trials": Intervals("trials",
            np.zeros(1), np.ones(1))}), "trials.*labels"),
    ):  # fmt: skip
        found = " ".join(differences(one, two))
        assert words.split(".*")[-1] in found
    assert differences(one, one) == []


def test_what_a_format_cannot_hold_is_refused_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "session.nwb"
    path.write_text("thesis")
    table = Intervals("a/b", np.zeros(1), np.ones(1))
    with pytest.raises(InputError, match=r"cannot be written as NWB|would not hold all"):
        write_recording(Recording("r", intervals={"a/b": table}), path)
    with pytest.raises(InputError, match=r"unknown file ending '\.xyz'"):
        write_recording(BARE, tmp_path / "a.xyz")
    assert path.read_text() == "thesis"
    assert os.listdir(tmp_path) == ["session.nwb"]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = write_hdf5(BARE, tmp_path / "a.h5")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_hdf5(everything(), path)
    assert differences(read_hdf5(path), BARE) == []
    assert os.listdir(tmp_path) == ["a.h5"]


# Files of others ----------------------------------------------------------------------------------------------


def test_the_reader_is_chosen_by_content(tmp_path):
    nwb = write_small_nwb(tmp_path / "a.nwb").rename(tmp_path / "a.bin")
    assert differences(read_recording(nwb), read_nwb(nwb)) == []
    (tmp_path / "text.nwb").write_text("hello")
    with pytest.raises(InputError, match="is not a recording that neurodyn reads"):
        read_recording(tmp_path / "text.nwb")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="HDF5 of an unknown layout"):
        read_recording(tmp_path / "other.h5")
    with pytest.raises(InputError, match="there is no file"):
        read_recording(tmp_path / "absent.h5")
    with pytest.raises(InputError, match="is a directory"):
        read_recording(tmp_path)


def test_our_layout_in_version_7_3(tmp_path):
    recording = everything()
    tables = scipy_tables(recording, tmp_path)
    path = write_v73(tmp_path / "a73.mat", tables)
    for lazy in (False, True):
        found = read_recording(path, lazy=lazy)
        assert differences(recording, found) == []
        assert found.name == "session 1"
        assert isinstance(found.fields["lfp"].values, LazyArray) == lazy
        assert not isinstance(found.behaviour["position"].values, LazyArray)


def scipy_tables(recording, folder):
    """What `write_matlab` writes, as plain containers."""
    from neurodyn.recording.matlab_file import load_variables

    return load_variables(write_matlab(recording, folder / "a5.mat"))


LAYOUT = MatlabLayout(
    spikes="spikes",
    channels="chan_names",
    fields=(MatlabSignal("lfp", rate="fs", unit="uV", channels_first=True),),
    behaviour=(MatlabSignal("cursor_pos", name="cursor", time="t", unit="mm", channels=("x", "y")),),
)


def lab_variables():
    spikes = np.empty((2, 3), object)
    for index in np.ndindex(2, 3):
        spikes[index] = np.sort(np.random.default_rng(sum(index)).uniform(0, 5, 4 + index[1]))[:, None]
    spikes[1, 2] = np.zeros((0, 0))
    names = np.empty((2, 1), object)
    names[:, 0] = ["M1 001", "M1 002"]
    return {
        "spikes": spikes,
        "chan_names": names,
        "t": np.linspace(0, 5, 50)[:, None],
        "cursor_pos": np.random.default_rng(9).normal(size=(50, 2)),
        "lfp": np.random.default_rng(8).normal(size=(3, 500)),
        "fs": 100.0,
    }


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_described_layout(tmp_path, version, lazy):
    variables, path = lab_variables(), tmp_path / "lab.mat"
    if version == "5":
        scipy.io.savemat(path, variables)
    else:
        write_v73(path, variables)
    recording = read_recording(path, layout=LAYOUT, lazy=lazy)
    trains = recording.spike_trains()
    assert trains.units == ("M1 001/0", "M1 001/1", "M1 001/2", "M1 002/0", "M1 002/1")
    assert trains.attributes["sorted"].tolist() == [False, True, True, False, True]
    np.testing.assert_array_equal(trains.times[1], variables["spikes"][0, 1][:, 0])
    np.testing.assert_array_equal(recording.field().read(0, 500), variables["lfp"].T)
    assert (recording.field().rate, recording.field().unit) == (100.0, "uV")
    np.testing.assert_array_equal(recording.behaviour["cursor"].values, variables["cursor_pos"])
    np.testing.assert_array_equal(recording.behaviour["cursor"].times, variables["t"][:, 0])
    sorted_only = read_matlab(path, MatlabLayout(spikes="spikes", unsorted=False))
    assert sorted_only.spike_trains().units == ("0/1", "0/2", "1/1")


def test_a_file_without_a_layout_says_what_it_has(tmp_path):
    scipy.io.savemat(tmp_path / "lab.mat", lab_variables())
    with pytest.raises(InputError, match=r"with the variables chan_names, cursor_pos, fs, lfp, spikes, t: say which"):
        read_recording(tmp_path / "lab.mat")
    with pytest.raises(InputError, match="unknown variable 'spike': did you mean 'spikes'"):
        read_recording(tmp_path / "lab.mat", layout=MatlabLayout(spikes="spike"))
    with pytest.raises(InputError, match="a layout is for those files"):
        read_recording(write_hdf5(BARE, tmp_path / "a.h5"), layout=LAYOUT)


def test_axes_that_were_swapped_are_named(tmp_path):
    variables = {**lab_variables(), "lfp": lab_variables()["lfp"].T, "cursor_pos": lab_variables()["cursor_pos"].T}
    scipy.io.savemat(tmp_path / "lab.mat", variables)
    with pytest.raises(InputError, match=r"look like \(channels, samples\), transpose them"):
        read_matlab(tmp_path / "lab.mat", MatlabLayout(behaviour=(MatlabSignal("cursor_pos", time="t"),)))


# Files that must not be trusted -------------------------------------------------------------------------------


@pytest.fixture
def ours(tmp_path):
    return write_hdf5(everything(), tmp_path / "a.h5")


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace_values(file, make):
    group = file["fields/lfp"]
    del group["values"]
    make(group)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda g: g.__setitem__("values", h5py.ExternalLink("/etc/passwd", "/x")), "is a link to another file"),
        (lambda g: g.__setitem__("values", h5py.SoftLink("/nowhere")), "cannot read|no 'values'"),
        (lambda g: g.create_dataset("values", (2**40, 3), "f8", chunks=(2**15, 3)), "declares .* bytes and holds 0"),
        (lambda g: g.create_dataset("values", (300, 3), "f8", external=[("/etc/passwd", 0, 7200)]), "another file"),
        (
            lambda g: g.create_virtual_dataset("values", virtual(), fillvalue=0.0),
            "keeps its values in another file",
        ),
        (lambda g: g.create_dataset("values", data=["a"]), "must hold numbers"),
        (lambda g: g.create_dataset("values", data=np.ones((300, 3), complex)), "must hold numbers"),
        (lambda g: g.create_dataset("values", data=np.ones(300)), "shape \\(samples, channels\\), got \\(300,\\)"),
        (lambda g: g.create_dataset("values", data=np.ones((3, 300))), "300 channels and 3 channel names"),
        (lambda g: g.create_dataset("values", data=h5py.Empty("f8")), "is empty"),
        (lambda g: g.create_group("values"), "must be an array, it is Group"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_values_that_are_elsewhere_too_many_or_none(ours, make, words, lazy):
    edit(ours, lambda file: replace_values(file, make))
    with pytest.raises(InputError, match=words):
        read_recording(ours, lazy=lazy)


def virtual():
    layout = h5py.VirtualLayout((300, 3), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (300, 3))
    return layout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.attrs.__setitem__("version", VERSION + 1), f"reads up to {VERSION}: update"),
        (lambda f: f.attrs.__setitem__("version", "one"), "does not say which version"),
        (lambda f: f.__delitem__("behaviour"), "has no group 'behaviour'"),
        (lambda f: f["fields/lfp"].attrs.__setitem__("name", np.bytes_("raw")), "two items called 'raw'"),
        (lambda f: f["fields/lfp"].attrs.__setitem__("rate", -1.0), "rate above 0 Hz"),
        (lambda f: f["fields/lfp"].attrs.__delitem__("unit"), "has no text 'unit'"),
        (lambda f: f["spikes/spikes/ends"].__setitem__(0, 1000), "does not divide the 65 times"),
        (lambda f: f["spikes/spikes/times"].__setitem__(3, 1e9), "are not sorted"),
        (lambda f: f["behaviour/position/timestamps"].__setitem__(3, np.nan), "not finite"),
    ],
)
def test_a_damaged_file_says_where(ours, change, words):
    with pytest.raises(InputError, match=words):
        read_recording(edit(ours, change))


def test_a_flipped_bit_in_the_values_is_noticed(ours):
    with h5py.File(ours) as file:
        offset = file["behaviour/position/values"].id.get_chunk_info(0).byte_offset
    content = bytearray(ours.read_bytes())
    content[offset + 20] ^= 4
    ours.write_bytes(content)
    with pytest.raises(InputError, match="is it damaged"):
        read_recording(ours)


def test_a_heap_that_the_library_would_never_leave_is_refused(tmp_path):
    """Texts of any length lie in a heap without a checksum; zeros there make HDF5 1.14 turn in a circle."""
    path = write_small_nwb(tmp_path / "a.nwb")
    content = bytearray(path.read_bytes())
    place = content.find(b"GCOL")
    assert place > 0
    content[place + 16 : place + 1000] = bytes(984)
    path.write_bytes(content)
    with pytest.raises(InputError, match="a heap of its texts has an object without a size"):
        read_recording(path)


def test_our_own_files_have_no_such_heap(ours):
    assert b"GCOL" not in ours.read_bytes()


def test_an_external_link_in_nwb_is_refused(tmp_path):
    path = write_small_nwb(tmp_path / "a.nwb")
    edit(path, lambda file: file["acquisition"].__setitem__("more", h5py.ExternalLink("b.nwb", "/acquisition/x")))
    with pytest.raises(InputError, match=r"'acquisition/more' .* is a link to another file, 'b\.nwb'"):
        read_recording(path)


def test_a_compressed_element_that_declares_too_much(tmp_path):
    """A MATLAB file that says its 100 bytes unpack to gigabytes."""
    import struct
    import zlib

    packed = zlib.compress(struct.pack("<II", 14, 2**32 - 8) + bytes(64))
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputError, match=r"declares an array of 4,294,967,288 bytes"):
        read_recording(tmp_path / "a.mat")


# Numbers of no known type -------------------------------------------------------------------------------------


def of_every_kind():
    cells, structs = np.empty((1, 3), object), np.empty((1, 2), [("a", object), ("b", object)])
    cells[0, 0], cells[0, 1], cells[0, 2] = np.arange(7.0), "text", np.zeros((0, 0))
    structs[0, 0], structs[0, 1] = (np.ones((2, 3), np.int8), cells), (np.array([[1 + 2j]]), np.array(True))
    return {"c": cells, "s": structs, "sparse": scipy.sparse.csc_array(np.eye(3)), "x": np.arange(300.0), "n": "name",
            "deep": {"a": {"b": {"c": np.arange(5, dtype=np.uint16)}}}}  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
def test_variables_of_every_kind_are_let_through(tmp_path, compressed):
    scipy.io.savemat(tmp_path / "a.mat", of_every_kind(), do_compression=compressed)
    found = load_variables(tmp_path / "a.mat")
    assert set(found) == set(of_every_kind())
    np.testing.assert_array_equal(found["x"].ravel(), np.arange(300.0))
    np.testing.assert_array_equal(found["deep"]["a"]["b"]["c"].ravel(), np.arange(5))
    assert found["s"][0]["b"][0, 1] == "text"


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 14, 15, 19, 20, 4000])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("where", ["alone", "in a struct", "in a cell"])
def test_numbers_of_no_known_type_are_refused_before_scipy_sees_them(tmp_path, kind, compressed, where):
    """SciPy looks the type up in a table and ends the process where the table is empty."""
    numbers = 1.0 + np.arange(40.0)
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = "first", numbers
    content = {"alone": numbers, "in a struct": {"y": "text", "x": numbers}, "in a cell": cell}[where]
    scipy.io.savemat(tmp_path / "a.mat", {"v": content}, do_compression=False)
    whole = (tmp_path / "a.mat").read_bytes()
    tag = struct.pack("<II", 9, numbers.nbytes)  # doubles
    assert whole.count(tag) == 1
    broken = whole.replace(tag, struct.pack("<II", kind, numbers.nbytes))
    if compressed:
        packed = zlib.compress(broken[128:])
        broken = broken[:128] + struct.pack("<II", 15, len(packed)) + packed
    (tmp_path / "a.mat").write_bytes(broken)
    with pytest.raises(InputError, match="has an array of numbers of no known type: it is damaged"):
        load_variables(tmp_path / "a.mat")
