"""The benchmark runs at a small size and judges its figures."""

import argparse

import pytest

from neurodyn.benchmarks import fixed_points
from neurodyn.benchmarks.timing import Measurement
from neurodyn.cli.bench import report_table, targets_table


def test_it_runs_at_a_small_size():
    pytest.importorskip("optimistix")
    parser = argparse.ArgumentParser()
    fixed_points.add_options(parser)
    sizes = {"gru": 5, "relu": 0, "starts": 12, "sequential": 2, "adam": 500, "train": 1, "repeats": 1}
    report = fixed_points.run(parser.parse_args([f"--{name}={value}" for name, value in sizes.items()]))
    rows = {row.name: row for row in report.measurements}
    assert list(rows) == [
        "batched Adam", "batched Adam, 5,000 iterations", "one start at a time", "optimistix, vmap", "find",
        "eigenvalues alone", "linearise",
    ]  # fmt: skip
    assert rows["find"].notes["converged"] == 12
    assert rows["find"].notes["distinct"] >= rows["optimistix, vmap"].notes["distinct"]
    assert len(report.targets) == 2
    assert report_table(report).row_count == len(rows)
    assert targets_table(report).row_count == 2


def test_targets_say_what_was_missed():
    sizes = {"network": "gru 5", "starts": 2}
    adam = Measurement("batched Adam", sizes, 10.0, notes={"distinct": 3.0})
    rows = [adam, Measurement("find", sizes, 0.4, baseline="batched Adam", ratio=25.0, notes={"distinct": 2.0})]
    assert list(fixed_points._targets(rows).values()) == ["missed: 25.0 x, 2 and 3 points"]
    rows += [Measurement("linearise", sizes, 1.1, baseline="eigenvalues alone", ratio=1 / 1.1)]
    assert list(fixed_points._targets(rows).values())[1] == "reached: 1.10 x"
