"""The benchmark of binning runs at a tiny size, and its rows count the same spikes."""

import argparse
import json

import pytest

from neurodyn.benchmarks import binning
from neurodyn.cli.bench import BENCHMARKS, report_table, targets_table
from neurodyn.errors import InputError


def run(words: str):
    parser = argparse.ArgumentParser()
    binning.add_options(parser)
    parser.set_defaults(name="binning")
    return binning.run(parser.parse_args(words.split()))


def test_counting_is_measured_next_to_histograms():
    report = run("--spikes 2003 --units 7 --widths 0.01 0.05 --repeats 2")
    assert [row.name for row in report.measurements] == [binning.OURS, binning.EVEN, binning.EDGES] * 2
    for ours, even, _ in (report.measurements[:3], report.measurements[3:]):
        assert ours.baseline == binning.EVEN
        assert ours.ratio == pytest.approx(even.seconds / ours.seconds)
        assert ours.notes["spikes in another bin"] <= 1
        assert ours.sizes["bins"] == pytest.approx(2003 / 7 / 10 / ours.sizes["width"], abs=1)
    assert len(report.targets) == 1
    json.dumps(report.to_json())
    assert report_table(report).row_count == 6
    assert targets_table(report).row_count == 1
    assert BENCHMARKS["binning"][0] == "binning"


def test_sizes_that_are_none_are_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--units 0")
    assert stopped.value.code == 2
    assert "argument --units: expected a whole number of 1 or more, got '0'" in capsys.readouterr().err
    with pytest.raises(InputError, match="--rate must be positive"):
        run("--rate 0")
