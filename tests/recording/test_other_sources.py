"""NumPy files, tables of text, folders of Kilosort and phy, CellExplorer, XDF: written by hand, read, compared."""

import struct
import xml.sax.saxutils
import zipfile

import numpy as np
import pytest
import scipy.io

from neurodyn.cli.main import main
from neurodyn.errors import InputError, MissingExtraError
from neurodyn.recording import read_recording, read_variables
from neurodyn.recording.layout_file import layout_of

pytestmark = pytest.mark.usefixtures("annotations_unchecked")

RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.poisson(0.5, (50, 3))
POSITION = {"variable": "pos", "name": "position", "binned": True}
LAYOUT = layout_of({"counts": {"variable": "counts", "time": "t"}, "behaviour": [POSITION]})


def arrays():
    return {
        "counts": COUNTS,
        "t": 0.1 * np.arange(50),
        "pos": RANDOM.normal(size=(50, 2)),
        "names": np.array(["a", "b"]),
    }


def test_npz(tmp_path):
    content = arrays()
    np.savez_compressed(tmp_path / "a.npz", **content, objects=np.array([{}, []], object))
    found = read_recording(tmp_path / "a.npz", layout=LAYOUT)
    np.testing.assert_array_equal(found.counts["spikes"].values, COUNTS)
    np.testing.assert_array_equal(found.behaviour["position"].values, content["pos"])
    with pytest.raises(InputError, match="with the variables counts, names, objects, pos, t: say which"):
        read_recording(tmp_path / "a.npz")
    assert read_variables(tmp_path / "a.npz")["objects"] is None
    assert main(["inspect", str(tmp_path / "a.npz")]) == 0


def test_npy_and_a_folder_of_them(tmp_path, capsys):
    for name, array in arrays().items():
        np.save(tmp_path / f"{name}.npy", np.asfortranarray(array))
    found = read_recording(tmp_path, layout=LAYOUT)
    np.testing.assert_array_equal(found.counts["spikes"].values, COUNTS)
    alone = read_recording(tmp_path / "counts.npy", layout=layout_of({"counts": {"variable": "counts", "width": 0.1}}))
    np.testing.assert_array_equal(alone.counts["spikes"].values, COUNTS)
    assert main(["inspect", str(tmp_path)]) == 0
    assert "proposed layout" in capsys.readouterr().out


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy_that_must_not_be_trusted(tmp_path, version):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.array([print, 3], object), version)
    with pytest.raises(InputError, match="holds Python objects, which are not read"):
        read_recording(path, layout=LAYOUT)
    np.save(path, np.ones(100))
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(InputError, match=r"declares 800 bytes|cut off"):
        read_recording(path, layout=LAYOUT)
    path.write_bytes(content.replace(b"(100,)", b"(1e9,)"))
    with pytest.raises(InputError, match="is it damaged"):
        read_recording(path, layout=LAYOUT)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="is it damaged"):
        read_recording(path, layout=LAYOUT)


def test_npz_that_must_not_be_trusted(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(InputError, match="is it damaged"):
        read_recording(path, layout=LAYOUT)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("x.npy", bytes(200 * 2**20))
    with pytest.raises(InputError, match="damaged"):
        read_recording(path, layout=LAYOUT)


@pytest.mark.parametrize(("mark", "ending"), [(",", ".csv"), (";", ".csv"), ("\t", ".tsv")])
def test_a_table_of_text(tmp_path, mark, ending):
    path = tmp_path / f"tracking{ending}"
    rows = (
        ["\ufefftime", "x", "y", "who"],
        ["0.0", "1", "2.5", "rat"],
        ["0.1", "", "3e0", "rat"],
        ["0.2", "NaN", "4", "cat"],
    )
    path.write_text("\n".join(mark.join(row) for row in rows), encoding="utf-8")
    row = {"variable": ["x", "y"], "name": "position", "time": "time", "channels": ["x", "y"]}
    found = read_recording(path, layout=layout_of({"behaviour": [row]})).behaviour["position"]
    np.testing.assert_array_equal(found.values, [[1, 2.5], [np.nan, 3], [np.nan, 4]])
    assert found.times.tolist() == [0.0, 0.1, 0.2]
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(InputError, match=r"row 3 .* has 1 columns"):
        read_recording(path, layout=layout_of({"behaviour": [row]}))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read .* as a table of text"):
        read_recording(path, layout=layout_of({"behaviour": [row]}))


def test_spikes_in_a_table_with_the_unit_of_each(tmp_path):
    (tmp_path / "s.csv").write_text("0.5,3\n0.25,1\n0.75,3\n")
    layout = layout_of({"spikes": {"variable": "column1", "cluster": "column2"}})
    trains = read_recording(tmp_path / "s.csv", layout=layout).spike_trains()
    assert (trains.units, [train.tolist() for train in trains.times]) == (("1", "3"), [[0.25], [0.5, 0.75]])


# Kilosort and phy ------------------------------------------------------------------------------------------


def phy(folder, *, groups=True, rate="30000."):
    ids = np.array([4, 2, 4, 9, 2, 4], np.int32)
    np.save(folder / "spike_times.npy", np.array([30, 300, 3000, 4500, 6000, 9000], np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", ids)
    if rate:
        (folder / "params.py").write_text(f"dat_path = __import__('os').abort()\nsample_rate = {rate}\n")
    if groups:
        (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n2\tgood\n4\tgood\n9\tnoise\n")
    return folder


def test_phy_good_units_and_others(tmp_path):
    found = read_recording(phy(tmp_path))
    good, others = found.spikes["spikes"], found.spikes["other units"]
    assert (good.units, others.units) == (("2", "4"), ("9",))
    np.testing.assert_allclose(good.times[1], [0.001, 0.1, 0.3], rtol=1e-15)
    assert others.attributes["quality"].tolist() == ["noise"]
    assert found.name == tmp_path.name


def test_phy_without_groups_or_with_those_of_kilosort(tmp_path):
    assert read_recording(phy(tmp_path, groups=False)).spike_trains().units == ("2", "4", "9")
    (tmp_path / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n2\tmua\n4\tgood\n9\tmua\n")
    assert read_recording(tmp_path).spikes["spikes"].units == ("4",)


def test_phy_without_a_rate_says_what_to_write(tmp_path):
    phy(tmp_path, rate="")
    with pytest.raises(InputError, match=r"sample_rate = .* time_unit: samples, rate: 30000"):
        read_recording(tmp_path)
    layout = {"variable": "spike_times", "cluster": "spike_clusters", "time_unit": "samples", "rate": 30000}
    assert read_recording(tmp_path, layout=layout_of({"spikes": layout})).spike_trains().n_spikes == 6


# CellExplorer ----------------------------------------------------------------------------------------------


def test_cell_explorer(tmp_path):
    times = np.empty((1, 2), object)
    times[0, 0], times[0, 1] = np.array([[0.5], [1.5]]), np.array([[1.0]])
    regions = np.empty((1, 2), object)
    regions[0, 0], regions[0, 1] = "CA1", "CA3"
    spikes = {"times": times, "UID": np.array([[1, 5]]), "shankID": np.array([[2, 3]]), "region": regions, "sr": 2e4}
    scipy.io.savemat(tmp_path / "rat.spikes.cellinfo.mat", {"spikes": spikes})
    trains = read_recording(tmp_path / "rat.spikes.cellinfo.mat").spike_trains()
    assert (trains.units, trains.times[0].tolist()) == (("1", "5"), [0.5, 1.5])
    assert trains.attributes["shankID"].tolist() == [2, 3]
    assert trains.attributes["region"].tolist() == ["CA1", "CA3"]


# XDF -------------------------------------------------------------------------------------------------------


def chunk(tag, content):
    body = struct.pack("<H", tag) + content
    return b"\x04" + struct.pack("<I", len(body)) + body


def stream(number, name, kind, form, rate, values, times, offset, labels=()):
    """Header, samples, clock offsets and footer of one stream, as the format's specification says."""
    channels = "".join(f"<channel><label>{label}</label><unit>uV</unit></channel>" for label in labels)
    count = len(values[0])
    header = (
        f"<info><name>{name}</name><type>{kind}</type><channel_count>{count}</channel_count>"
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
        f"<desc><channels>{channels}</channels></desc></info>"
    )
    ident = struct.pack("<I", number)
    samples = b"\x04" + struct.pack("<I", len(values))
    for row, time in zip(values, times, strict=True):
        samples += b"\x08" + struct.pack("<d", time)
        if form == "string":
            for text in row:
                coded = xml.sax.saxutils.escape(text).encode()
                samples += b"\x01" + struct.pack("<B", len(coded)) + coded
        else:
            samples += np.asarray(row, "<f4").tobytes()
    clocks = b"".join(chunk(4, ident + struct.pack("<dd", t, offset)) for t in (times[0], times[-1]))
    footer = f"<info><first_timestamp>{times[0]}</first_timestamp><sample_count>{len(values)}</sample_count></info>"
    return chunk(2, ident + header.encode()) + chunk(3, ident + samples) + clocks + chunk(6, ident + footer.encode())


def write_xdf(path):
    times = 100.0 + 0.01 * np.arange(200)
    values = np.random.default_rng(1).normal(size=(200, 2)).astype("<f4")
    content = b"XDF:" + chunk(1, b"<info><version>1.0</version></info>")
    content += stream(1, "amp", "EEG", "float32", 100, values, times, 0.0, ("Fz", "Cz"))
    content += stream(2, "hand", "Mocap", "float32", 100, values[:, :1], times - 40.0, 40.0)
    content += stream(3, "cues", "Markers", "string", 0, [["go"], ["stop"]], [100.5, 101.25], 0.0)
    path.write_bytes(content)
    return values, times


def test_xdf_streams_on_one_clock(tmp_path):
    pytest.importorskip("pyxdf", reason="pyxdf is not installed")
    values, times = write_xdf(tmp_path / "a.xdf")
    found = read_recording(tmp_path / "a.xdf")
    amplifier, hand = found.fields["amp"], found.behaviour["hand"]
    np.testing.assert_array_equal(amplifier.values, values)
    assert (amplifier.channels, amplifier.unit) == (("Fz", "Cz"), "uV")
    np.testing.assert_allclose(amplifier.times, times, atol=1e-6)
    np.testing.assert_allclose(hand.times, times, atol=1e-6)
    assert found.intervals["cues"].labels == ("go", "stop")
    assert found.intervals["cues"].starts.tolist() == pytest.approx([100.5, 101.25], abs=1e-6)


def test_what_pyxdf_leaves_out_of_a_damaged_file_is_said(tmp_path, capsys):
    """The amplifier's samples are cut short: one line says that pyxdf could not go on from there."""
    pytest.importorskip("pyxdf", reason="pyxdf is not installed")
    write_xdf(tmp_path / "a.xdf")
    content = bytearray((tmp_path / "a.xdf").read_bytes())
    place = content.index(struct.pack("<H", 3) + struct.pack("<I", 1))  # its samples: say that there are more
    content[place + 6 : place + 11] = b"\x04" + struct.pack("<I", 10**6)
    (tmp_path / "b.xdf").write_bytes(content)
    assert main(["inspect", str(tmp_path / "b.xdf")]) == 0
    said = capsys.readouterr().err
    assert said.startswith("neurodyn: warning: recording 'b': pyxdf says: found likely XDF file corruption")
    assert said.count("\n") == 1
    assert main(["inspect", str(tmp_path / "a.xdf")]) == 0
    assert not capsys.readouterr().err


def test_xdf_without_a_stream_is_no_recording(tmp_path):
    pytest.importorskip("pyxdf", reason="pyxdf is not installed")
    (tmp_path / "a.xdf").write_bytes(b"XDF:" + chunk(1, b"<info><version>1.0</version></info>"))
    with pytest.raises(InputError, match="holds no stream: is it damaged"):
        read_recording(tmp_path / "a.xdf")


def test_xdf_without_its_package_names_the_extra(tmp_path, monkeypatch):
    import sys

    write_xdf(tmp_path / "a.xdf")
    monkeypatch.setitem(sys.modules, "pyxdf", None)
    with pytest.raises(
        MissingExtraError, match=r"package 'pyxdf': in your clone of neurodyn, run  pip install '\.\[xdf\]'"
    ):
        read_recording(tmp_path / "a.xdf")


@pytest.mark.parametrize("name", ["day1.plx", "day1.ns5", "day1.rhd", "day1.edf"])
def test_files_of_acquisition_systems_are_pointed_on(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(200))
    with pytest.raises(InputError, match=r"which neo reads:  segment = neo.io.get_io\('day1.*recording_from_arrays"):
        read_recording(tmp_path / name)
