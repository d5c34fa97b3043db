"""What the README of the folder shows can be typed as it stands."""

import configparser
import re
from pathlib import Path

import pytest

from neurodyn.cli.main import build_parser
from neurodyn.cli.serve import load_decoder
from neurodyn.realtime.inputs import binner_inputs, sampled
from neurodyn.realtime.streams.file import FileReplay
from neurodyn.recording import read_nwb

FOLDER = Path(__file__).parents[2] / "neurodyn/realtime"
README = (FOLDER / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
(PYTHON,) = (code for language, code in BLOCKS if language == "python")
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]


def test_there_are_commands():
    assert [line.split()[1] for line in COMMANDS] == ["replay", "serve"] + 7 * ["bench"] + ["doctor"]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line):
    name, *words = line.split("#")[0].split()
    assert name == "neurodyn"
    assert callable(build_parser().parse_args(words).run)


def test_the_unit_starts_a_session_with_a_core_scheduling_and_memory():
    (unit,) = re.findall(r"```ini\n(.*?)```", (FOLDER / "UNIT.md").read_text(), flags=re.DOTALL)
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(unit)
    service = dict(parser["Service"])
    assert {"CPUAffinity", "CPUSchedulingPolicy", "CPUSchedulingPriority", "LimitRTPRIO", "LimitMEMLOCK"} <= set(
        service
    )
    program, *words = service["ExecStart"].split()
    assert Path(program).name == "neurodyn"
    arguments = build_parser().parse_args(words)
    assert arguments.lock_memory
    assert not arguments.spin


@pytest.mark.slow
def test_the_session_and_the_decoder_are_made_and_fit_together(tmp_path, monkeypatch, float32):
    monkeypatch.chdir(tmp_path)
    smaller = PYTHON.replace("seconds=60.0", "seconds=20.0").replace("epochs=5", "epochs=1, segment=2.0")
    assert smaller.count("segment=2.0") == 1
    exec(compile(smaller, "README.md", "exec"), {})
    _, modalities = load_decoder(Path("decoder.npz"))
    assert len(binner_inputs(modalities, 0.01, {"field": 250.0})) == 2
    assert sampled(modalities) == ["field"]
    played = {chunk.name: chunk.values.shape[1:] for chunk in FileReplay(read_nwb("session.nwb")).first_chunks()}
    assert played == {"spikes": (), "field": (2,)}
