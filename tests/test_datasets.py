"""Converters of public data sets on small files of the same structure, and downloads from a server on this machine."""

import argparse
import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import pynwb
import pytest
from recording.make_matlab import write_v73
from recording.make_nwb import write_nwb

from datasets.download import fetch
from datasets.hippocampus import prepare as hippocampus
from datasets.lorenz import prepare as lorenz
from datasets.neural_latents import prepare as neural_latents
from datasets.reaching import broadband, trials
from datasets.reaching import prepare as reaching
from neurodyn.binning import Field, Spikes, TargetOptions, to_bins
from neurodyn.errors import InputError
from neurodyn.recording import differences, read_recording, write_hdf5
from neurodyn.simulation import LorenzSettings, simulate_lorenz

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.parent.name for path in (ROOT / "datasets").glob("*/prepare.py"))


def reaching_file(path, channels=3, units=3, samples=200):
    """A session as in the archive: cells of channels x units, the first unit unsorted, behaviour at 250 Hz."""
    random = np.random.default_rng(0)
    time = 100.0 + np.arange(samples) / 250
    spikes, waves, names = (np.empty(shape, object) for shape in ((channels, units), (channels, units), (channels, 1)))
    for channel, unit in np.ndindex(channels, units):
        train = np.sort(random.uniform(time[0], time[-1], 5 * (unit + 1)))
        spikes[channel, unit] = train[:, None] if (channel, unit) != (2, 2) else np.zeros((0, 0))
        waves[channel, unit] = np.zeros((48, 2))
    names[:, 0] = [f"M1 {channel + 1:03d}" for channel in range(channels)]
    return write_v73(
        path,
        {
            "chan_names": names,
            "spikes": spikes,
            "wf": waves,
            "t": time[:, None],
            "cursor_pos": random.normal(size=(samples, 2)),
            "finger_pos": random.normal(size=(samples, 3)),
            "target_pos": random.normal(size=(samples, 2)),
        },
    )


def test_reaching(tmp_path):
    path = reaching_file(tmp_path / "indy.mat")
    recording = reaching.convert(path)
    trains = recording.spike_trains()
    assert trains.units == ("M1 001/1", "M1 001/2", "M1 002/1", "M1 002/2", "M1 003/1")
    assert trains.attributes["channel"].tolist()[:2] == ["M1 001", "M1 001"]
    assert len(reaching.convert(path, hash_units=True).spike_trains().units) == 8
    cursor, finger = recording.behaviour["cursor"], recording.behaviour["finger"]
    assert (cursor.channels, cursor.unit, finger.channels, finger.unit) == (("x", "y"), "mm", ("z", "-x", "-y"), "cm")
    assert cursor.typical_rate == pytest.approx(250.0)
    assert cursor.start == 100.0
    assert differences(recording, read_recording(write_hdf5(recording, tmp_path / "a.h5"))) == []
    batch = to_bins(recording, width=0.05, target="cursor")
    assert batch.n_dims == 2


def broadband_file(path, values, rate=24414.0625, start=100.0, names=()):
    """A broadband recording as in the archive: NWB 1.0, integer codes and what one of them is in volts."""
    with h5py.File(path, "w") as file:
        group = file.create_group("acquisition/timeseries/broadband")
        data = group.create_dataset("data", data=np.round(np.asarray(values) / 3e-7).astype(np.int16))
        data.attrs["conversion"] = 3e-7
        group["timestamps"] = start + np.arange(len(values)) / rate
        if names:
            group["electrode_names"] = [name.encode() for name in names]
    return path


def test_the_field_of_a_broadband_file(tmp_path):
    rate = 24414.0625
    time = np.arange(round(2.0 * rate)) / rate
    slow, fast = 1e-3 * np.sin(2 * np.pi * 20 * time), 1e-3 * np.sin(2 * np.pi * 3000 * time)
    path = broadband_file(tmp_path / "b.nwb", np.stack([slow, slow + fast, 0 * slow], axis=1), names=("a", "b", "c"))
    field = broadband.field_of(path)
    assert (field.channels, field.unit) == (("a", "b", "c"), "volts")
    assert field.rate == pytest.approx(rate / 24)
    # A low-pass of linear phase: what a sample says is what the electrode had half its length earlier.
    known = 1e-3 * np.sin(2 * np.pi * 20 * (field.times - 100.0 - (240 - 1) / 2 / rate))
    values = np.asarray(field.values)
    np.testing.assert_allclose(values[:, 0], known, atol=5e-6)
    np.testing.assert_allclose(values[:, 1], known, atol=1e-5)
    assert np.abs(values[:, 2]).max() == 0
    assert broadband.field_of(path, channels=2).channels == ("a", "c")


def test_the_field_knows_nothing_later(tmp_path, monkeypatch):
    rng, spent = np.random.default_rng(0), 5000
    values = 1e-3 * rng.normal(size=(9000, 2))
    one = broadband.field_of(broadband_file(tmp_path / "one.nwb", values))
    values[spent:] += 2e-3
    monkeypatch.setattr(broadband, "BLOCK", 1000)  # and blocks make no difference
    two = broadband.field_of(broadband_file(tmp_path / "two.nwb", values))
    earlier = one.times <= 100.0 + (spent - 0.5) / 24414.0625
    np.testing.assert_allclose(one.values[earlier], two.values[earlier], atol=1e-12)
    assert np.abs(one.values[~earlier][3:] - two.values[~earlier][3:]).min() > 0


def test_broadband_files_that_are_none(tmp_path):
    h5py.File(tmp_path / "empty.nwb", "w").close()
    with pytest.raises(InputError, match="has no acquisition/timeseries/broadband/data"):
        broadband.field_of(tmp_path / "empty.nwb")
    (tmp_path / "text.nwb").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        broadband.field_of(tmp_path / "text.nwb")
    path = broadband_file(tmp_path / "b.nwb", np.zeros((2000, 3)))
    with pytest.raises(InputError, match="has 3 channels, 4 were asked for"):
        broadband.field_of(path, channels=4)
    with h5py.File(path, "a") as file:
        file["acquisition/timeseries/broadband/timestamps"][1000:] += 0.5
    with pytest.raises(InputError, match=r"clock of .* is uneven"):
        broadband.field_of(path)
    with pytest.raises(InputError, match="is shorter than the filter"):
        broadband.field_of(broadband_file(tmp_path / "short.nwb", np.zeros((100, 1))))


def test_a_session_with_its_broadband_file(tmp_path):
    out = tmp_path / "out"
    (out / "downloads").mkdir(parents=True)
    reaching_file(out / "downloads" / "indy.mat")
    raw = broadband_file(tmp_path / "indy.nwb", np.zeros((20_000, 4)))
    given = argparse.Namespace(
        out=out, session="indy", hash_units=False, broadband=raw, field_channels=2
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reaching, "fetch", lambda url, path, known: path)
        ((name, recording),) = reaching.prepare(given)
    assert name == "indy"
    assert recording.fields["lfp"].n_channels == 2
    assert recording.spike_trains().units


def paper_trials():
    rng = np.random.default_rng(0)
    counts, field, kinem = rng.poisson(1.0, (4, 20, 3)), rng.normal(size=(4, 20, 2, 5)), rng.normal(size=(4, 20, 2))
    return {"s": counts, "y": field, "kinem": kinem}


def check_trials(batch):
    held, stacked = paper_trials(), batch.stacked()
    np.testing.assert_array_equal(stacked.observations["spikes"], held["s"][..., :2])
    np.testing.assert_allclose(stacked.observations["field"][:, 4::5], held["y"][:, 4::5, 0], rtol=1e-6)
    assert not stacked.observed["field"][:, np.arange(20) % 5 != 4].any()
    np.testing.assert_allclose(stacked.target, held["kinem"], rtol=1e-6)
    assert batch.modality("field").channels == tuple(f"lfp_0_band{band}" for band in range(5))


def test_trials_of_the_paper():
    check_trials(trials.batch_of(paper_trials(), Path("session_1.pt"), units=2, channels=1, sample_every=5))
    with pytest.raises(InputError, match="must hold 's', 'y' and 'kinem', got s"):
        trials.batch_of({"s": np.zeros(2)}, Path("other.pt"))
    with pytest.raises(InputError, match="must be numbers as trial x bin x channel, got shape"):
        trials.batch_of({name: np.zeros((3, 2)) for name in ("s", "y", "kinem")}, Path("flat.pt"))


def test_trials_of_the_paper_in_their_file(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.tensor(array) for name, array in paper_trials().items()}, tmp_path / "session_1.pt")
    check_trials(trials.read_trials(tmp_path / "session_1.pt", units=2, channels=1, sample_every=5))


def test_neural_latents(tmp_path):
    def heldout(file: pynwb.NWBFile) -> None:
        file.add_unit_column(name="heldout", description="held out", data=[False, True, False])

    path = write_nwb(tmp_path / "sub.nwb", units=3, quality=False, lfp_rate=None, trials=4, extra=heldout)
    recording = neural_latents.convert(path)
    assert recording.spike_trains().attributes["heldout"].tolist() == [False, True, False]
    assert len(recording.intervals["trials"]) == 4


def test_hippocampus_keeps_some_channels(tmp_path):
    path = write_nwb(tmp_path / "rat.nwb", lfp_channels=9, epochs=[(0.0, 10.0, "maze")])
    recording = hippocampus.convert(path, channels=3)
    assert recording.field().channels == ("lfp_0", "lfp_4", "lfp_8")
    whole = read_recording(path).field()
    np.testing.assert_array_equal(np.asarray(recording.field().values), whole.values[:, [0, 4, 8]])
    with pytest.raises(InputError, match="at least one channel"):
        hippocampus.convert(path, channels=0)


def test_lorenz_bins_back_into_what_was_simulated():
    batch = simulate_lorenz(LorenzSettings(n_trials=3, seconds=0.4, spike_channels=3, field_channels=2), seed=0)
    recording = lorenz.convert(batch)
    modalities = [Spikes(), Field("field", bands=None, width=0.05)]
    found = to_bins(
        recording, width=batch.width, modalities=modalities, target="state", interval=(0.0, float(batch.time[-1])),
        target_options=TargetOptions(smoothing=0.0),
    )  # fmt: skip
    bins = found.n_bins
    assert bins >= batch.n_bins - 5
    np.testing.assert_array_equal(found.observations["spikes"], batch.observations["spikes"][:bins])
    np.testing.assert_array_equal(found.observations["field"], batch.observations["field"][:bins])
    np.testing.assert_array_equal(found.observed["field"], batch.observed["field"][:bins])
    assert found.observed["field"].any()


# Commands and downloads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_says_where_it_is_from(name):
    text = (ROOT / "datasets" / name / "README.md").read_text()
    for word in ("source", "licence", "units", "sampling", "checksum", "citation", f"datasets.{name}.prepare"):
        assert word in text
    assert f"]({name}/README.md)" in (ROOT / "datasets/README.md").read_text()


@pytest.mark.parametrize("name", ["neural_latents", "hippocampus"])
def test_a_command_without_files_says_how_to_get_them(name, tmp_path):
    command = [sys.executable, "-m", f"datasets.{name}.prepare", "--out", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: give the NWB files")
    assert result.stderr.count("\n") == 1


CONTENT = bytes(range(256)) * 400


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT, in parts if asked; /broken closes in the middle, /plain knows no parts."""

    asked: ClassVar[list] = []

    def do_GET(self):
        first = int(self.headers.get("Range", "bytes=0-")[6:-1])
        Server.asked.append((self.path, first))
        if self.path == "/absent":
            self.send_error(404)
            return
        if first >= len(CONTENT):
            self.send_error(416)
            return
        first = 0 if self.path == "/plain" else first
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : 60_000 if self.path == "/broken" else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    Server.asked.clear()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_download_goes_on_where_it_broke_off(server, tmp_path):
    path = tmp_path / "downloads" / "a.mat"
    with pytest.raises(InputError, match=r"cannot download .*broke off|IncompleteRead"):
        fetch(f"{server}/broken", path)
    assert not path.exists()
    assert fetch(f"{server}/whole", path).read_bytes() == CONTENT
    assert Server.asked == [("/broken", 0), ("/whole", 60_000)]
    fetch(f"{server}/whole", path)
    assert len(Server.asked) == 2


def test_a_server_that_knows_no_parts_sends_all_again(server, tmp_path):
    (tmp_path / "a.mat.part").write_bytes(CONTENT[:100])
    assert fetch(f"{server}/plain", tmp_path / "a.mat").read_bytes() == CONTENT


def test_the_first_download_decides_the_checksum(server, tmp_path):
    known, path = tmp_path / "checksums.json", tmp_path / "a.mat"
    fetch(f"{server}/whole", path, known=known)
    assert json.loads(known.read_text()) == {"a.mat": hashlib.sha256(CONTENT).hexdigest()}
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match=r"has the checksum .*, expected .*: it was removed"):
        fetch(f"{server}/whole", path, known=known)
    assert not path.exists()
    fetch(f"{server}/whole", path, known=known, sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("url", ["{server}/absent", "http://127.0.0.1:9/x"])
def test_without_the_file_the_message_says_what_to_do(server, tmp_path, url):
    with pytest.raises(InputError, match=r"cannot download .*Without a network, fetch it elsewhere and put it at"):
        fetch(url.format(server=server), tmp_path / "a.mat")
