"""A decoder in a graph of ezmsg: the page's own program, in two processes, gives the estimates of an offline replay."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from oracles.frozen_decoder import recurrent_decoder
from oracles.session import FIELD_RATE, recording

from neurodyn.cli import serve
from neurodyn.realtime import ezmsg_unit
from neurodyn.simulation import write_nwb

PAGE = (Path(ezmsg_unit.__file__).parent / "EZMSG.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
SECONDS = 3.0
LIMIT = 120.0
"""Seconds that a graph may take on a machine that does much else."""

needs_ezmsg = pytest.mark.skipif(
    not hasattr(ezmsg_unit, "ez"), reason="ezmsg is not installed: pip install '.[ezmsg]', or put it on PYTHONPATH"
)


@pytest.fixture(scope="module")
def made(lorenz_batch, tmp_path_factory):
    """A recording and a decoder, as files."""
    folder = tmp_path_factory.mktemp("ezmsg")
    frozen = recurrent_decoder(lorenz_batch[0])
    frozen.settings["rates"] = {"field": FIELD_RATE}
    frozen.save(folder / "decoder.npz")
    return write_nwb(recording(SECONDS), folder / "session.nwb"), folder / "decoder.npz"


@pytest.fixture(scope="module")
def known(made, tmp_path_factory):
    """What ``neurodyn serve`` gives of the file."""
    session, model = made
    path = tmp_path_factory.mktemp("known") / "known.jsonl"
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    words = ["serve", model, "--from", f"file://{session}?speed=inf", "--to", f"file://{path}"]
    arguments = parser.parse_args([str(word) for word in words])
    assert arguments.run(arguments) == 0
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def address():
    """A server of graphs of our own: one at the usual address may be somebody else's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "ezmsg.core", "serve", "--address", f"127.0.0.1:{port}"])
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            break
        except OSError:
            assert time.monotonic() < deadline, "the server of graphs does not answer"
            time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    server.terminate()
    server.wait(LIMIT)


def run(address, program, *words):
    """Run a graph to its end."""
    told = subprocess.run(
        [sys.executable, *map(str, (program, *words))], env={**os.environ, "EZMSG_GRAPHSERVER_ADDR": address},
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return told.stderr


@needs_ezmsg
def test_the_estimates_of_a_graph_of_two_processes_are_those_of_an_offline_replay(made, known, address, tmp_path):
    session, model = made
    program, out = tmp_path / "graph.py", tmp_path / "decoded.jsonl"
    program.write_text(PROGRAM)
    run(address, program, session, model, out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    decoded = [line for line in lines if "target" in line]
    assert len(decoded) == len(known) > 100 * SECONDS - 10
    for name in ("time", "target", "lower", "upper", "seen", "stale", "unusual"):
        assert [line[name] for line in decoded] == [line[name] for line in known], name
    assert np.ptp([line["target"] for line in decoded], axis=0).min() > 0.1  # it follows the data
    hellos = [line["hello"] for line in lines if "hello" in line]
    assert hellos[0] == known[0]["hello"]
    assert [line["detail"] for line in lines if "event" in line][-1] == "end"


LIVE = """
import asyncio, json, sys, time
import numpy as np
import ezmsg.core as ez
from ezmsg.util.messages.axisarray import AxisArray
from neurodyn.realtime import Event, LiveEstimate
from neurodyn.realtime.ezmsg_unit import DecoderSettings, DecoderUnit

class Rig(ez.Unit):
    "A second of samples and counts as other units of ezmsg send them, and of something else; then nothing."
    OUTPUT, ESTIMATES, EVENTS = ez.OutputStream(AxisArray), ez.InputStream(LiveEstimate), ez.InputStream(Event)

    async def initialize(self):
        self.times, self.told = [], []

    @ez.publisher(OUTPUT)
    async def send(self):
        labels = {n: AxisArray.CoordinateAxis(np.array([f"{n}{i}" for i in range(k)]), ["ch"]) for n, k in
                  (("spikes", 4), ("field", 3))}
        begin = time.monotonic()
        yield self.OUTPUT, {"nobody": "knows"}
        for tick in range(50):
            clock = AxisArray.TimeAxis(200.0, begin + 0.02 * tick)
            for name, shape in (("field", (4, 3)), ("spikes", (4, 4))):
                data = np.full(shape, tick % 2) if name == "spikes" else np.random.default_rng(tick).normal(size=shape)
                axes = {"time": clock, "ch": labels[name]}
                yield self.OUTPUT, AxisArray(data, ["time", "ch"], axes, key=name)
            await asyncio.sleep(max(begin + 0.02 * (tick + 1) - time.monotonic(), 0.0))
        await asyncio.sleep(2.0)
        with open(sys.argv[2], "w") as file:
            json.dump({"begin": begin, "times": self.times, "told": self.told}, file)
        raise ez.NormalTermination

    @ez.subscriber(ESTIMATES)
    async def estimate(self, one):
        self.times.append([one.time, list(one.seen), one.rates["spikes"].tolist()])

    @ez.subscriber(EVENTS)
    async def event(self, one):
        self.told.append([str(one.kind), one.detail])

if __name__ == "__main__":
    rig, decoder = Rig(), DecoderUnit(DecoderSettings(model=sys.argv[1], patience=0.1, with_rates=True))
    ez.run(RIG=rig, DECODER=decoder, process_components=(decoder,), connections=(
        (rig.OUTPUT, decoder.INPUT), (decoder.OUTPUT_ESTIMATE, rig.ESTIMATES), (decoder.OUTPUT_EVENT, rig.EVENTS)))
"""


@needs_ezmsg
def test_live_it_takes_arrays_of_other_units_and_goes_on_when_they_stop(made, address, tmp_path):
    program, out = tmp_path / "live.py", tmp_path / "told.json"
    program.write_text(LIVE)
    run(address, program, made[1], out)
    told = json.loads(out.read_text())
    times = np.array([time for time, _, _ in told["times"]]) - told["begin"]
    np.testing.assert_allclose(np.diff(times), 0.01, atol=1e-9)
    assert times[0] < 0.2
    assert times[-1] > 1.5  # half a second after the last data, and more
    seen = {name for time, names, _ in told["times"] for name in names}
    assert seen == {"spikes", "field"}
    assert told["told"][0][0] == "bad input"
    assert "expected a Chunk, a Bin, or an AxisArray with dims time and channel, got dict" in told["told"][0][1]


def test_without_ezmsg_the_message_names_the_extra():
    """In a Python that does not find it, whether or not it is installed."""
    program = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] == "ezmsg" else find(name, *rest)
sys.modules["ezmsg"] = None
from neurodyn.errors import MissingExtraError
from neurodyn.realtime import ezmsg_unit
try:
    from neurodyn.realtime.ezmsg_unit import DecoderUnit
except MissingExtraError as error:
    print(error)
assert not hasattr(ezmsg_unit, "nonsense")
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=LIMIT)
    assert told.stdout == ("this needs the package 'ezmsg': in your clone of neurodyn, run  pip install '.[ezmsg]'\n")
