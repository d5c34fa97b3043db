"""From a source to a sink over ZeroMQ: how long after the last sample of a bin its estimate arrives.

A process of its own decodes. This one sends the data in chunks, each when its last sample would have been taken, and
waits for the estimate after the last chunk of a bin. The baseline is the same two hops with a process between that
decodes nothing and sends back what came. The process that decodes also tells where its own time goes, part by part
(:mod:`neurodyn.realtime.latency`), and which deadlines it missed: one bin after the patience of a bin, as in
``neurodyn serve``. Before that, :mod:`neurodyn.benchmarks.intake` times what it costs to bin such data.
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from neurodyn.benchmarks import intake
from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.errors import NeurodynError, import_extra
from neurodyn.plain import strict_json
from neurodyn.writing import write_text

LIMIT = 600.0
"""Microseconds from source to sink that the project promises as median."""
NAMES = {
    "relay": "ZeroMQ there and back",
    "rehearsed": "source to sink",
    "decoder": "source to sink, no rehearsal",
    "spinning": "source to sink, never asleep",
}
BUDGET_OF = "rehearsed"
"""The process whose time is told part by part: it works as ``neurodyn serve`` does."""
WAIT = 20.0
"""Seconds after which a process that does not answer is given up."""


@dataclass(frozen=True)
class Rig:
    """What is sent.

    Parameters
    ----------
    spikes, field
        Channels of each modality.
    latent
        Dimensions of the latent states.
    every
        Bins per sample of the field's feature.
    rate
        Samples per second of the field.
    firing
        Spikes per second and channel.
    width
        Of a bin, seconds.
    chunks
        Chunks per bin.
    bins
        Bins timed, after a tenth as many that are not.
    crowd
        Spikes per second of two senders that interleave.
    seconds
        Of data that are binned as fast as they are taken.
    seed
        Of weights and data.
    """

    spikes: int = 192
    field: int = 192
    latent: int = 64
    every: int = 5
    rate: float = 1000.0
    firing: float = 20.0
    width: float = 0.01
    chunks: int = 2
    bins: int = 1000
    crowd: float = 20_000.0
    seconds: float = 5.0
    seed: int = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add one option per setting of a `Rig`."""
    texts = {
        "spikes": "spike channels", "field": "field channels", "latent": "dimensions of the latent state",
        "every": "bins per feature of the field", "rate": "field samples per second", "firing": "spikes per second",
        "width": "bin width, seconds", "chunks": "chunks per bin", "bins": "bins that are timed",
        "crowd": "spikes per second of two senders that interleave", "seconds": "of data to bin at once",
        "seed": "of weights and data",
    }  # fmt: skip
    add_sizes(parser, Rig, texts)


def run(arguments: argparse.Namespace) -> Report:
    """Time the binning, then each process, one after the other."""
    from neurodyn.benchmarks.realtime import Session, untrained

    rig = chosen(arguments, Rig)
    chunk = rig.width / rig.chunks
    binned = (
        *intake.spikes(rig.spikes, rig.crowd, seconds=rig.seconds, width=rig.width, chunk=chunk, seed=rig.seed),
        *intake.band_powers(
            rig.field, rig.rate, seconds=rig.seconds, width=rig.width, every=rig.every, chunk=chunk, seed=rig.seed
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        session = Session(spikes=rig.spikes, field=rig.field, latent=rig.latent, width=rig.width, seed=rig.seed)
        untrained(session).save(Path(folder) / "decoder.npz")
        write_text(Path(folder) / "rig.json", json.dumps(asdict(rig)))
        found = {name: _timed(Path(folder), rig, name) for name in NAMES}
        rows = (*binned, *_measurements(rig, found), *_parts(Path(folder) / f"{BUDGET_OF}.json", rig))
    return Report("streams", rows, machine(), intake.targets(binned) | _targets(found))


def _timed(folder: Path, rig: Rig, name: str) -> np.ndarray:
    """Microseconds per bin through one process."""
    from neurodyn.realtime.streams.zmq import ZmqSink

    zmq = import_extra("zmq", "zmq")
    out, context = ZmqSink("tcp://127.0.0.1:*"), zmq.Context()
    words = [sys.executable, "-m", "neurodyn.benchmarks.streams", str(folder), name, out.endpoint]
    quiet = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    worker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | quiet)
    try:
        assert worker.stdout is not None
        back = context.socket(zmq.SUB)
        back.setsockopt(zmq.SUBSCRIBE, b"")
        back.connect(worker.stdout.readline().strip())
        if not out.wait(WAIT):
            raise NeurodynError("the process that decodes does not answer")
        found = _send_bins(rig, out.write, back)
        worker.terminate()  # one that decodes writes down where its time went
        worker.wait(WAIT)
        return found
    finally:
        worker.kill()
        worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()
        out.close()
        context.destroy(linger=0)


def _send_bins(rig: Rig, write: Callable[[Any], None], back: Any) -> np.ndarray:
    """Send chunk after chunk on time; the first bins only wake the other side up."""
    rng = np.random.default_rng(rig.seed)
    unknown, part = rig.bins // 10, rig.width / rig.chunks
    heard = _Heard(back, math.ceil(time.monotonic() / rig.width) * rig.width, rig.width, unknown + rig.bins)
    for index in range(unknown + rig.bins):
        for number in range(rig.chunks):
            start = heard.origin + index * rig.width + number * part
            chunks = _data(rig, rng, start, part)
            heard.listen(start + part)
            heard.sent[index] = time.perf_counter()
            for chunk in chunks:
                write(chunk)
    heard.listen(time.monotonic() + 0.5)
    return 1e6 * (heard.came - heard.sent)[unknown:]


class _Heard:
    """When the last chunk of each bin was sent, and when its estimate came, in seconds; NaN if it never did."""

    def __init__(self, back: Any, origin: float, width: float, bins: int) -> None:
        self._back, self.origin, self._width = back, origin, width
        self.sent, self.came = np.full(bins, np.nan), np.full(bins, np.nan)

    def listen(self, until: float) -> None:
        """Take estimates until a moment of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            if left < 0.001:  # shorter than a poll can be
                time.sleep(left)
            elif self._back.poll(int(1e3 * left)):
                self._take()

    def _take(self) -> None:
        from neurodyn.realtime.streams.wire import unpack

        came = time.perf_counter()
        header, _ = unpack(self._back.recv_multipart())
        place = (header.get("time", header.get("until") or 0.0) - self.origin) / self._width - 1
        index = round(place)
        if 0 <= index < len(self.came) and abs(place - index) < 0.1:
            self.came[index] = came


def _data(rig: Rig, rng: np.random.Generator, start: float, seconds: float) -> list[Any]:
    """One chunk of each modality."""
    from neurodyn.realtime.streams import Chunk, ChunkKind

    count = rng.poisson(rig.spikes * rig.firing * seconds)
    times = np.sort(start + seconds * rng.random(count))
    units = rng.integers(rig.spikes, size=count).astype(np.int32)
    n = round(rig.rate * seconds)
    samples = rng.normal(size=(n, rig.field)).astype(np.float32)
    field = Chunk("field", start + np.arange(n) / rig.rate, samples)
    return [field, Chunk("spikes", times, units, ChunkKind.SPIKES, until=float(start + seconds))]


def _measurements(rig: Rig, found: dict[str, np.ndarray]) -> tuple[Measurement, ...]:
    sizes = {"spikes": rig.spikes, "field": rig.field, "latent": rig.latent, "bins": rig.bins}
    rows = []
    for key, name in NAMES.items():
        low, p50, high = 1e-6 * np.nanpercentile(found[key], [25, 50, 75])
        p99, worst = np.nanpercentile(found[key], [99, 100])
        baseline = "" if key == "relay" else NAMES["relay"]
        ratio = float(np.nanmedian(found["relay"]) * 1e-6 / p50) if baseline else float("nan")
        notes: dict[str, float | str] = {
            "p99_us": float(p99),
            "max_us": float(worst),
            "lost": float(np.isnan(found[key]).sum()),
        }
        rows.append(
            Measurement(
                name=name,
                sizes=dict(sizes),
                seconds=float(p50),
                spread=(float(low), float(high)),
                baseline=baseline,
                ratio=ratio,
                notes=notes,
            )
        )
    return tuple(rows)


def _parts(file: Path, rig: Rig) -> list[Measurement]:
    """Where the time went in the process that decodes: one row per part of the way to an estimate."""
    told = json.loads(file.read_text())
    sizes = {"width_ms": 1e3 * rig.width, "bins": told["bins"], "missed deadlines": told["missed"]}
    return [
        Measurement(
            f"of it, {part}", dict(sizes) if part == "in all" else {}, 1e-6 * figures["p50"],
            notes={f"{share}_us": figures[share] for share in ("p99", "p999", "worst")},
        )
        for part, figures in told["budget"].items()
    ]  # fmt: skip


def _targets(found: dict[str, np.ndarray]) -> dict[str, str]:
    figures = {NAMES[key]: float(np.nanmedian(found[key])) for key in NAMES if key != "relay"}
    return {
        f"{name}: p50 <= {LIMIT:g} us": f"{'reached' if p50 <= LIMIT else 'missed'}: {p50:.0f} us"
        for name, p50 in figures.items()
    }


def _work(folder: Path, name: str, endpoint: str) -> None:
    """Be the process between: decode, or send back what comes."""
    from neurodyn.realtime.streams.zmq import ZmqSink, ZmqSource

    sink = ZmqSink("tcp://127.0.0.1:*")
    print(sink.endpoint, flush=True)
    if name == "relay":
        _relay(ZmqSource(endpoint), sink)
    # The source is opened when all is ready: nothing is to wait in it before.
    _decode(folder, lambda: ZmqSource(endpoint), sink, name)


def _relay(source: Any, sink: Any) -> NoReturn:
    while True:
        for chunk in source.read(1.0):
            if chunk.until is not None:
                sink.write(chunk)


def _decode(folder: Path, open_source: Callable[[], Any], sink: Any, name: str) -> None:
    from dataclasses import replace

    from neurodyn.realtime import EventLog, RealtimeDecoder
    from neurodyn.realtime.clock import LiveClock
    from neurodyn.realtime.garbage import only_when_swept
    from neurodyn.realtime.inputs import modalities_of
    from neurodyn.realtime.monitor import Monitor
    from neurodyn.realtime.service import REHEARSE, ServiceOptions, make_service
    from neurodyn.realtime.writers import SinkWriter

    rig = Rig(**json.loads((folder / "rig.json").read_text()))
    decoder = RealtimeDecoder.load(folder / "decoder.npz")
    rows = [replace(row, sample_every=rig.every if row.name == "field" else 1) for row in modalities_of(decoder)]
    log = EventLog()
    monitor = Monitor([row.name for row in rows], log)
    options = ServiceOptions(
        poll=0.0 if name == "spinning" else ServiceOptions.poll,
        rehearse=0.0 if name == "decoder" else REHEARSE,
        tolerance=2 * rig.width,  # one bin after its patience
    )
    service = make_service(
        decoder, rows, open_source, [SinkWriter(sink, "zmq", log)], LiveClock(), monitor,
        rates={"field": rig.rate}, patience=rig.width,
        options=options,
    )  # fmt: skip
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with only_when_swept():
        service.run(stop)
    status = monitor.status()
    told = {"missed": status.missed, "bins": status.bins, "budget": {n: asdict(p) for n, p in status.budget.items()}}
    write_text(folder / f"{name}.json", strict_json(told))


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
