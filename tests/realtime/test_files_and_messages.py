"""What comes from untrusted hands: files that are not decoders, messages that break parsers, files in use."""

import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from oracles.session import Session, recording

from neurodyn.cli.serve_options import ServeOptions, read_config
from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, Frozen, LatePolicy, RealtimeDecoder
from neurodyn.realtime.contract import BenchmarkDecoder
from neurodyn.realtime.inputs import MOST_SPIKES, as_spikes
from neurodyn.realtime.logs import Announcer, RotatedFile
from neurodyn.realtime.runner import FORMAT, VERSION, LiveEstimate, load_arrays, save_arrays
from neurodyn.realtime.state_keeper import StateKeeper
from neurodyn.realtime.streams import Chunk, ChunkKind
from neurodyn.realtime.streams.file import JsonLinesSink
from neurodyn.realtime.streams.wire import decode_chunk, encode
from neurodyn.realtime.writers import SnapshotFile


def refused(constant):
    """NaN and Infinity, which Python reads and nobody else does."""
    raise AssertionError(f"'{constant}' is no JSON")


@pytest.fixture
def exported(spikes_decoder, tmp_path):
    spikes_decoder.export(tmp_path / "decoder.npz")
    return tmp_path / "decoder.npz"


def header_of(shape, kind="<f8"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})
    return out.getvalue()


class TestDecoders:
    """Every corruption is one line, before anything is allocated."""

    def changed(self, path, change):
        frozen = Frozen.load(path)
        settings = json.loads(json.dumps(frozen.settings))
        parameters = frozen.parameters.copy()
        change(settings, parameters)
        text = json.dumps({"format": FORMAT, "version": VERSION, **settings})
        save_arrays(path, {"settings": np.frombuffer(text.encode(), np.uint8), "parameters": parameters})

    @pytest.mark.parametrize(
        "change",
        [
            lambda s, p: p.fill(np.nan),
            lambda s, p: p.__setitem__(3, np.inf),
            lambda s, p: s.update(width_seconds=0.0),
            lambda s, p: s.update(width_seconds="a"),
            lambda s, p: s["modalities"][0].update(clock=0),
            lambda s, p: s["modalities"][0].update(clock=1e300),
            lambda s, p: s["modalities"][0].update(channels=10**12),
            lambda s, p: s["modalities"][0].update(likelihood="cauchy"),
            lambda s, p: s.update(modalities=[]),
            lambda s, p: s.update(modalities=5),
            lambda s, p: s.update(states=[10**9]),
            lambda s, p: s.update(traces=10**9),
            lambda s, p: s.pop("layout"),
            lambda s, p: s["layout"][0].__setitem__(1, [-1, -5]),
            lambda s, p: s["layout"].pop(),
            lambda s, p: s.pop("target_names"),
            lambda s, p: s.pop("channel_names"),
            lambda s, p: s.update(limits={"spikes": [[0.0], [1.0]]}),
            lambda s, p: s["modalities"][0].update(clock=10**12),
            lambda s, p: s["modalities"][0].update(clock=10**300),
            lambda s, p: s["modalities"][0].update(clock=True),
            lambda s, p: s["modalities"][0].update(counts=5),
            lambda s, p: s["modalities"][0].update(name=5),
            lambda s, p: s.update(width_seconds=1e-12),
            lambda s, p: s.update(width_seconds=1e300),
            lambda s, p: s.update(width_seconds=10**300),
            lambda s, p: s.update(width_seconds=True),
            lambda s, p: s.update(width_seconds=float("nan")),
            lambda s, p: s.update(rates=[200.0]),
            lambda s, p: s.update(rates={"spikes": float("nan")}),
            lambda s, p: s.update(rates={"spikes": "200"}),
            lambda s, p: s.update(rates={"spikes": 0}),
            lambda s, p: s["limits"]["spikes"][0].__setitem__(1, float("nan")),
            lambda s, p: s["limits"]["spikes"].reverse(),
            lambda s, p: s.update(limits={"spikes": [["0"] * 4, ["9"] * 4]}),
            lambda s, p: s.update(limits=5),
            lambda s, p: s["channel_names"].update(spikes=[0, 1, 2, 3]),
            lambda s, p: s["channel_names"].update(spikes="abcd"),
            lambda s, p: s.update(target_units=5),
            lambda s, p: s.update(target_units=[5]),
            lambda s, p: s.update(target_names=[1, 2, 3]),
            lambda s, p: s.update(value_units=5),
            lambda s, p: s.update(value_units={"spikes": 5}),
            lambda s, p: s.update(traces=True),
            lambda s, p: s.update(trace_prior=0.0),
            lambda s, p: s.update(trace_prior="a"),
            lambda s, p: s.update(trace_prior=float("nan")),
            lambda s, p: s.update(max_inflation=0.5),
            lambda s, p: s.update(max_inflation=10**300),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, exported, change):
        self.changed(exported, change)
        with pytest.raises(InputError) as refused:
            RealtimeDecoder.load(exported)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s.update(width_seconds=1e-4, rates={"spikes": 1.0}),
            lambda s: s.update(width_seconds=3600.0, limits={}),
            lambda s: s["modalities"][0].update(clock=360_000),
            lambda s: s.update(limits={"spikes": [[0] * 4, [float("inf")] * 4]}),
            lambda s: [s.pop(name) for name in ("rates", "limits", "target_units", "value_units")],
        ],
    )
    def test_settings_at_their_bounds_are_taken(self, exported, change):
        """Bins of a tenth of a millisecond and of an hour, and a sample an hour; what older decoders do not say."""
        self.changed(exported, lambda settings, _: change(settings))
        assert RealtimeDecoder.load(exported).step({"spikes": [0, 1, 0, 2]}, 0.0).seen == ("spikes",)

    @pytest.mark.parametrize(
        "change",
        [
            lambda s, a: a["backbone/transition"].fill(np.nan),
            lambda s, a: a["backbone/emission"].fill(1e300),
            lambda s, a: a.update({"backbone/process_noise": np.ones((4, 4))}),
            lambda s, a: a.update({"0/encoder/0": np.ones((5, 9))}),
            lambda s, a: a.update({"0/decoder/1": np.ones((4, 90))}),
            lambda s, a: s.update(width_seconds=0.0),
            lambda s, a: s.pop("channel_names"),
        ],
    )
    def test_one_made_in_memory_is_checked_as_one_from_a_file(self, exported, change):
        """Wherever it is given: for a new decoder, to change to, and to decode several recordings at once."""
        good = Frozen.load(exported)
        arrays = {name: array.copy() for name, array in good.arrays.items()}
        settings = json.loads(json.dumps(good.settings))
        change(settings, arrays)
        bad, live = Frozen.pack(settings, arrays, good.parameters.dtype), RealtimeDecoder(good)
        for give in (RealtimeDecoder, live.ready, live.swap, BenchmarkDecoder):
            with pytest.raises(InputError, match="the model cannot decode: ") as refused:
                give(bad)
            assert "\n" not in str(refused.value)
        assert np.isfinite(live.step({}, 0.0).target).all()  # the old model goes on

    def test_limits_that_are_set_are_checked(self, exported):
        live = RealtimeDecoder.load(exported)
        before = live.limits["spikes"]
        for rows in ([[np.nan] * 4, [1.0] * 4], [[2.0] * 4, [1.0] * 4], [["0"] * 4, ["1"] * 4], [[0.0], [1.0]]):
            with pytest.raises(InputError, match="limits are"):
                live.limits = {"spikes": np.asarray(rows)}
        np.testing.assert_array_equal(live.limits["spikes"], before)

    def test_files_that_are_cut_or_changed_are_refused_or_decode(self, exported):
        whole = exported.read_bytes()
        rng = np.random.default_rng(0)
        for k in range(60):
            data = bytearray(whole[: rng.integers(len(whole))] if k % 2 else whole)
            for place in rng.integers(len(data), size=5) if data else ():
                data[place] = rng.integers(256)
            exported.write_bytes(data)
            try:
                RealtimeDecoder.load(exported)
            except InputError:
                continue

    def test_a_file_does_not_unfold(self, tmp_path):
        path = tmp_path / "bomb.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("parameters.npy", header_of((2**25,)) + bytes(2**28))
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match="not an npz file"):
                load_arrays(path)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000  # bytes at most
        finally:
            tracemalloc.stop()

    def test_a_file_that_is_packed_otherwise_is_refused(self, tmp_path):
        """Other ways of packing unfold within the reader, before anybody can count."""
        path = tmp_path / "packed.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("parameters.npy", header_of((2,)) + bytes(16))
        with pytest.raises(ValueError, match="not an npz file"):
            load_arrays(path)

    def test_a_header_that_claims_more_than_there_is_allocates_nothing(self, tmp_path):
        path = tmp_path / "liar.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("parameters.npy", header_of((10**15,)) + bytes(80))
        with pytest.raises(ValueError, match="not an npz file"):
            load_arrays(path)

    def test_arrays_that_are_not_wanted_are_not_read(self, exported):
        arrays = load_arrays(exported)
        save_arrays(exported, arrays | {"more": np.zeros(1000)})
        assert load_arrays(exported, ("settings",)).keys() == {"settings"}
        with zipfile.ZipFile(exported, "a") as archive:
            archive.writestr("objects.npy", b"not an array")
        assert RealtimeDecoder.load(exported).channels

    def test_what_save_arrays_writes_comes_back(self, tmp_path):
        arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.asarray(7), "c": np.asfortranarray(np.eye(3))[:, :2],
                  "d": np.zeros((0, 4), np.float32)}  # fmt: skip
        save_arrays(tmp_path / "a.npz", arrays)
        for name, array in load_arrays(tmp_path / "a.npz").items():
            np.testing.assert_array_equal(array, arrays[name])
            assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape)


class TestMessages:
    def message(self):
        return encode(Chunk("field", np.zeros(2), np.zeros((2, 1))))

    @pytest.mark.parametrize(
        "header",
        [
            b"[" * 100_000,
            b'{"version": 1, "arrays": [["times", "<f8", [1e400]], ["values", "<f8", [2, 1]]]}',
            b'{"version": 1, "name": "a", "kind": "spikes", "until": 1, "unrecorded": [[1e400, 0, 1]], "arrays": '
            b'[["times", "<f8", [2]], ["values", "<i8", [2]]]}',
        ],
    )
    def test_one_that_breaks_the_parser_loses_itself_alone(self, header):
        parts = self.message()
        with pytest.raises(InputError):
            decode_chunk([parts[0], header, parts[2], parts[3]])
        assert decode_chunk(parts).name == "field"

    @pytest.mark.parametrize("never", [np.nan, np.inf, -np.inf])
    def test_a_time_that_is_none_is_null(self, never):
        """Other languages refuse a header with NaN in it."""
        chunk = Chunk("spikes", np.zeros(2), np.zeros(2, np.int32), ChunkKind.SPIKES, never)
        header = json.loads(encode(chunk)[1], parse_constant=refused)
        assert header["until"] is None
        assert decode_chunk(encode(chunk)).until is None
        estimate = LiveEstimate(never, np.zeros(1), np.eye(1), {}, *np.zeros((3, 1)), ())
        assert json.loads(encode(estimate)[1], parse_constant=refused)["time"] is None

    def test_counts_do_not_unfold_into_millions(self):
        counts = np.zeros((2, 3))
        counts[1, 1] = MOST_SPIKES
        assert len(as_spikes(Chunk("spikes", np.arange(2.0), counts)).times) == MOST_SPIKES
        for value in (MOST_SPIKES + 1, 4.8e7, 1e300):
            counts[1, 1] = value
            with pytest.raises(InputError, match="at most 1,048,576 are taken"):
                as_spikes(Chunk("spikes", np.arange(2.0), counts))


class TestFilesInUse:
    def elsewhere(self, code):
        """Whether another process can do something."""
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                             env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
        return run.returncode == 0, run.stderr

    def test_an_output_file_has_one_writer(self, tmp_path):
        path = tmp_path / "out.jsonl"
        sink = JsonLinesSink(path)
        code = f"from neurodyn.realtime.streams.file import JsonLinesSink; JsonLinesSink({str(path)!r})"
        good, said = self.elsewhere(code)
        assert not good
        assert "in use by another session" in said
        sink.close()
        assert self.elsewhere(code)[0]

    def test_a_snapshot_has_one_session(self, tmp_path):
        path = tmp_path / "state.npz"
        first = SnapshotFile(path, EventLog())
        with pytest.raises(InputError, match="in use by another session"):
            SnapshotFile(path, EventLog())
        first.close()
        SnapshotFile(path, EventLog()).close()

    def test_a_log_has_one_session(self, tmp_path):
        """Also after it has begun a new file of its own."""
        path = tmp_path / "events.jsonl"
        first = RotatedFile(path, largest=100)
        for _ in range(2):
            with pytest.raises(InputError, match="in use by another session"):
                RotatedFile(path)
            first.write("x" * 80 + "\n")
            first.write("x" * 80 + "\n")
        first.close()
        RotatedFile(path).close()

    def test_a_log_that_is_lost_to_another_session_goes_on_in_memory(self, tmp_path, monkeypatch):
        def taken(file, path):
            raise InputError("in use")

        file = RotatedFile(tmp_path / "events.jsonl", largest=10)
        log = EventLog(file=file)
        monkeypatch.setattr("neurodyn.realtime.logs.lock", taken)
        log.record(1.0, EventKind.GAP)
        file.close()
        assert [event.kind for event in log] == [EventKind.GAP, EventKind.LOG_LOST]

    def test_files_that_were_there_are_all_kept(self, tmp_path):
        path = tmp_path / "out.jsonl"
        for number, name in enumerate(("out.jsonl.old", "out.jsonl.old-2", "out.jsonl.old-3")):
            path.write_text(f"session {number}\n")
            sink = JsonLinesSink(path, fresh=True)
            sink.close()
            assert sink.kept == tmp_path / name
        empty = JsonLinesSink(tmp_path / "another.jsonl", fresh=True)
        empty.close()
        assert empty.kept is None  # nothing was there
        texts = [(tmp_path / f"out.jsonl.old{end}").read_text() for end in ("", "-2", "-3")]
        assert texts == [f"session {number}\n" for number in range(3)]

    def test_of_a_snapshot_only_what_is_wanted_is_read(self, exported, tmp_path):
        """Thirty megabytes beside it, and something that is no array at all, cost next to nothing."""
        path, live = tmp_path / "state.npz", RealtimeDecoder.load(exported)
        live.step({"spikes": np.ones(4)}, 1.0)
        save_arrays(path, live.snapshot() | {"junk": np.zeros(4_000_000)})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("objects.npy", b"not an array")
        expected = live.step({}, 1.01).target
        log, fresh, file = EventLog(), RealtimeDecoder.load(exported), SnapshotFile(path, EventLog())
        tracemalloc.start()
        try:
            keeper = StateKeeper(fresh, file, lambda *event: log.record(0.0, *event), every=1.0, catch_up=1.0)
            again = RealtimeDecoder.load(exported)
            assert again.load_snapshot(path) == 1.0
            assert tracemalloc.get_traced_memory()[1] < 2_000_000  # bytes
        finally:
            tracemalloc.stop()
        keeper.close()
        assert not len(log)
        np.testing.assert_array_equal(fresh.step({}, 1.01).target, expected)
        np.testing.assert_array_equal(again.step({}, 1.01).target, expected)

    @pytest.mark.parametrize("damage", [np.full((4, 4), 1e300), np.full((4, 4), 1j), np.full((4, 4), "x")])
    def test_a_snapshot_that_is_refused_changes_nothing(self, exported, damage):
        live = RealtimeDecoder.load(exported)
        live.step({"spikes": np.ones(4)}, 1.0)
        before = live.snapshot()
        live.step({"spikes": np.ones(4)}, 1.01)
        after, bad = live.snapshot(), {**before, "covariance_0": damage}
        try:
            live.restore(bad)
        except InputError:
            for name, array in live.snapshot().items():
                np.testing.assert_array_equal(array, after[name])
        else:
            assert np.isfinite(live.step({}, 1.02).target).all()

    def test_an_output_file_is_continued_or_begun(self, tmp_path):
        path = tmp_path / "out.jsonl"
        path.write_text("old\n")
        sink = JsonLinesSink(path)
        assert sink.continued
        sink.close()
        fresh = JsonLinesSink(path, fresh=True)
        assert not fresh.continued
        fresh.close()
        assert (path.read_text(), (tmp_path / "out.jsonl.old").read_text()) == ("", "old\n")

    def test_a_snapshot_of_another_model_is_refused_and_kept(self, decoder, spikes_decoder, tmp_path):
        path = tmp_path / "state.npz"
        other = RealtimeDecoder(spikes_decoder.fitted_)
        other.step({}, 1.0)
        other.save_snapshot(path)
        before = path.read_bytes()
        live = RealtimeDecoder(decoder.fitted_)
        with pytest.raises(InputError, match="a snapshot of another model, and is not overwritten"):
            Session(live, decoder.fitted_.modalities, recording(1.0), snapshots=SnapshotFile(path, EventLog()))
        assert path.read_bytes() == before
        SnapshotFile(path, EventLog()).close()  # and is not in use


class TestLogs:
    def test_a_file_is_of_bounded_size(self, tmp_path):
        path = tmp_path / "events.jsonl"
        file = RotatedFile(path, largest=2000)
        log = EventLog(file=file)
        for k in range(200):
            log.record(float(k) if k else float("nan"), EventKind.GAP, "field", "some words about it")
        file.close()
        sizes = [p.stat().st_size for p in tmp_path.iterdir()]
        assert len(sizes) == 2
        assert max(sizes) <= 2000
        last = [json.loads(line, parse_constant=refused) for line in path.read_text().splitlines()]
        first = json.loads((tmp_path / "events.jsonl.1").read_text().splitlines()[0], parse_constant=refused)
        assert first["kind"] == EventKind.GAP
        assert last[-1]["time"] == 199
        with pytest.raises(InputError, match="cannot write the log"):
            RotatedFile(tmp_path / "no" / "log")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
    def test_it_may_be_a_pipe(self, tmp_path):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        file = RotatedFile(path)
        file.write("one line\n")
        file.close()
        assert os.read(reader, 100) == b"one line\n"
        sink = JsonLinesSink(path)
        assert not sink.continued
        sink.close()
        os.close(reader)

    def test_the_first_of_each_kind_is_told_and_others_summed_up(self):
        log, out = EventLog(), io.StringIO()
        with Announcer(log, out, period=10.0):
            for k in range(50):
                log.record(float(k), EventKind.GAP, "field", f"gap {k}")
            log.record(50.0, EventKind.CLOCK_JUMP, "", "by an hour")
        first, second, third = out.getvalue().splitlines()
        assert first == "neurodyn serve: 0.000 s: 'field' gap: gap 0"
        assert "clock jump: by an hour" in second
        assert third == "neurodyn serve: again: gap 'field' 49"


class TestOptions:
    def test_a_file_says_them(self, tmp_path):
        path = tmp_path / "serve.yaml"
        path.write_text("late: drop\npatience: 40ms\nmax-jump: 10s\nalign: true\n")
        got = ServeOptions(**read_config(path))
        assert (got.late, got.patience, got.max_jump, got.align) == (LatePolicy.DROP, 0.04, 10.0, True)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("latte: drop", "did you mean"),
            ("late: never", "'late' in .*expected one of carry, drop"),
            ("align: 3", "expected true or false"),
            ("slew: -1", "a number of more than 0"),
            ("- a", "must hold 'option: value' lines"),
            ("a: [", "cannot read the configuration"),
        ],
    )
    def test_what_is_wrong_in_it_is_told(self, tmp_path, text, message):
        path = tmp_path / "serve.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_config(path)


def test_pickles_of_decoders_are_of_this_package_alone(exported):
    """What a pickle names is what unpickling runs."""
    text = pickle.dumps(RealtimeDecoder.load(exported).runner).decode("latin1")
    assert "neurodyn.realtime.runner" in text
