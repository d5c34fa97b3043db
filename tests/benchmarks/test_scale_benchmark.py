"""The benchmark of scale runs at tiny sizes in processes of its own, and judges what it measured."""

import argparse
import json

import numpy as np
import pytest

from neurodyn.benchmarks import scale
from neurodyn.benchmarks.timing import Measurement, Report
from neurodyn.cli.bench import BENCHMARKS, report_table, targets_table
from neurodyn.errors import InputError


def run(words: str) -> Report:
    parser = argparse.ArgumentParser()
    scale.add_options(parser)
    return scale.run(parser.parse_args(words.split()))


def row(units, bins, seconds, peak, name="ridge"):
    notes = {scale.PEAK: peak, scale.DATA: units * bins * 4e-9, scale.CPU: seconds}
    return Measurement(name, {"units": units, "bins": bins}, seconds, notes=notes)


def test_fits_are_measured_in_processes_of_their_own():
    report = run("--methods ridge --units 3 6 --bins 400 --at-units 6 --at-bins 300")
    sizes = [(m.sizes["units"], m.sizes["bins"]) for m in report.measurements]
    assert sizes == [(3, 300), (6, 300), (6, 400)]
    for found in report.measurements:
        assert found.seconds > 0
        assert 0.05 < found.notes[scale.PEAK] < 2  # an interpreter with NumPy and SciPy, in GB
        assert found.notes[scale.DATA] == pytest.approx(4e-9 * found.sizes["units"] * found.sizes["bins"])
    assert set(report.targets) >= {"ridge: at most 1 GB + 3 x the recording", "ridge: seconds linear in units"}
    assert report_table(report).row_count == 3
    assert targets_table(report).row_count == len(report.targets)
    json.dumps(report.to_json(), allow_nan=False)
    assert BENCHMARKS["scale"][0] == "scale"


def test_peak_memory_is_that_of_the_fit(monkeypatch):
    """A process that takes half a GB says so, whatever the one that started it takes."""
    from neurodyn.benchmarks import worker

    def wasteful(batch):
        np.ones(2**26)  # 512 MiB, touched

    before = worker._peak_bytes()
    monkeypatch.setitem(scale.METHODS, "ridge", wasteful)
    found = worker.scale({"method": "ridge", "units": 2, "bins": 10})
    assert found["peak"] >= max(before, 2**29)
    assert found["peak"] < before + 2**29 + 2**27


def test_every_method_fits_the_recording():
    """The recording has what each of them needs; the smoothed ridge beside the filtered one."""
    batch = scale.recording(scale.Sizes(4, 600))
    assert batch.observations["spikes"].shape == (600, 4)
    np.testing.assert_array_equal(
        batch.observations["spikes"], scale.recording(scale.Sizes(4, 600)).observations["spikes"]
    )
    for name in ("ridge", "ridge-smoothed"):
        scale.METHODS[name](batch)


@pytest.mark.slow
def test_the_decoder_can_be_added():
    report = run("--methods decoder --units 3 --bins 400 --at-units 3 --at-bins 400")
    assert [m.name for m in report.measurements] == ["decoder"]


def test_a_process_that_is_killed_is_a_row_of_the_table(monkeypatch):
    import subprocess

    killed = subprocess.CompletedProcess([], -9, stdout="")
    monkeypatch.setattr(scale.subprocess, "run", lambda *a, **k: killed)
    found = scale.measure("ridge", scale.Sizes(3, 5))
    assert np.isnan(found.seconds)
    assert found.notes == {"ended": "killed by signal 9"}
    report = Report("scale", (found,), {"processor": "", "cores": 1}, scale.targets([found]))
    assert report.targets == {}
    json.dumps(report.to_json(), allow_nan=False)
    report_table(report)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="ridge"):
        run("--methods rigde")


def test_verdicts():
    good = [row(100, 60_000, 1.0, 0.3), row(1000, 60_000, 11.0, 1.7), row(1000, 120_000, 23.0, 2.4)]
    found = scale.targets(good)
    assert found["ridge: at most 1 GB + 3 x the recording"].startswith("reached: -0.02 GB")
    assert found["ridge: seconds linear in units"] == "reached: they grow as units to the 1.04"
    assert found["ridge: seconds linear in bins"] == "reached: they grow as bins to the 1.06"
    assert found["ridge, 1000 units, 60,000 bins: 60 s"] == "reached: 11 s"
    bad = [row(100, 60_000, 1.0, 0.3), row(1000, 60_000, 61.0, 1.8)]
    assert all(text.startswith("missed") for text in scale.targets(bad).values())


def test_memory_is_drawn_below_seconds(tmp_path):
    pytest.importorskip("matplotlib")
    from neurodyn.cli.bench import save_growth
    from neurodyn.plotting.benchmarks import MEMORY, plot_growth

    assert MEMORY == scale.PEAK
    rows = (row(100, 60_000, 1.0, 0.3), row(1000, 60_000, 11.0, 1.7), row(1000, 120_000, 23.0, 2.4))
    ax = plot_growth(rows, along="units", what=MEMORY)
    assert ax.get_ylabel() == MEMORY
    assert ax.get_xscale() == ax.get_yscale() == "log"
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[100, 0.3], [1000, 1.7]])
    save_growth(Report("scale", rows, {}), tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 1000
