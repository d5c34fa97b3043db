"""The benchmark of sweeps does every task, with both ways, and judges what it measured."""

import argparse
import json

import pytest

from neurodyn.cli.bench import BENCHMARKS, report_table, targets_table

pytest.importorskip("distributed")
sweep = pytest.importorskip("neurodyn.benchmarks.sweep")


def test_tasks_are_timed_next_to_a_pool():
    parser = argparse.ArgumentParser()
    sweep.add_options(parser)
    parser.set_defaults(name="sweep")
    report = sweep.run(parser.parse_args(["--tasks", "12", "--sleep", "0.02", "--workers", "1,2"]))
    assert [row.name for row in report.measurements] == [sweep.OURS, sweep.POOL] * 2
    for ours, pool in (report.measurements[:2], report.measurements[2:]):
        assert ours.baseline == pool.name
        assert ours.ratio == pytest.approx(pool.seconds / ours.seconds)
        workers = ours.sizes["workers"]
        assert ours.seconds >= 12 * 0.02 / workers
        assert ours.notes["overhead, ms per task"] == pytest.approx(1e3 * (ours.seconds * workers / 12 - 0.02))
    (outcome,) = report.targets.values()
    assert outcome.startswith(("reached: ", "not reached: "))
    json.dumps(report.to_json())
    assert report_table(report).row_count == 4
    assert targets_table(report).row_count == 1
    assert BENCHMARKS["sweep"][0] == "sweep"
