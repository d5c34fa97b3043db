"""What a training shows where no bar can be drawn."""

import io
import subprocess
import sys
from types import SimpleNamespace

from rich.console import Console

from neurodyn.training.progress import TextProgress


def test_a_line_a_minute():
    now, console = SimpleNamespace(seconds=0.0), Console(file=io.StringIO(), width=40)
    lines = TextProgress("fit spikes", console, every=60.0, clock=lambda: now.seconds)
    for epoch in range(1, 13):
        now.seconds = 20.0 * epoch
        lines.update(epoch, 20, 2.0 / epoch, 1.5)
    lines.finish("patience")
    said = console.file.getvalue().splitlines()
    assert said == [
        "fit spikes: begins, with a first step that is compiled",
        "fit spikes: 3 of 20, loss 0.667, best 1.500, 60 s gone, about 340 s left",
        "fit spikes: 6 of 20, loss 0.333, best 1.500, 120 s gone, about 280 s left",
        "fit spikes: 9 of 20, loss 0.222, best 1.500, 180 s gone, about 220 s left",
        "fit spikes: 12 of 20, loss 0.167, best 1.500, 240 s gone, about 160 s left",
        "fit spikes: 12 of 20, loss 0.167, best 1.500, 240 s gone, patience",
    ]


def test_a_bar_in_a_pipe_is_lines_without_codes():
    program = (
        "from neurodyn.training import ProgressBar\nbar = ProgressBar('fit [x]')\n"
        "for epoch in range(1, 4):\n    bar.update(epoch, 3, 1.0, 0.5)\nbar.finish('finished')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    said = result.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith("fit [x]: begins")
    assert said[1].startswith("fit [x]: 3 of 3, loss 1.000, best 0.500")
    assert said[1].endswith("finished")
    assert "\x1b" not in result.stderr
