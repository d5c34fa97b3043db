"""The benchmark of the live decoder runs, in a process of its own, and says what it promises."""

import argparse
import json

import pytest

from neurodyn.benchmarks import realtime
from neurodyn.cli.bench import report_table, targets_table
from neurodyn.cli.main import main


@pytest.fixture(scope="module")
def report():
    parser = argparse.ArgumentParser()
    realtime.add_options(parser)
    sizes = "--spikes 6 --field 5 --latent 3 --minutes 0.01 --steps 50 --long 400 --width 0.005"
    return realtime.run(parser.parse_args(sizes.split()))


def test_every_condition_is_measured_next_to_a_loop_that_does_nothing(report):
    rows = {row.name: row for row in report.measurements}
    assert list(rows) == [
        "no-op loop", "step at bin rate", "from the bin's end to the estimate", "step flat out, nothing lost",
        "the same with rates read", "step flat out", "step and gains flat out", "long run",
        "nothing, in between", "a product of NumPy, in between", "memory",
    ]  # fmt: skip
    assert rows["step at bin rate"].notes["bins"] == 120
    for name in ("no-op loop", "step at bin rate", "step flat out"):
        notes = rows[name].notes
        assert 0 < rows[name].seconds < 1
        times = [float(str(notes[p]).removesuffix(" us")) for p in ("p50", "p95", "p99", "p99.9", "max")]
        assert times == sorted(times)
    # Percentiles of a histogram are right to 1.2 %.
    assert rows["from the bin's end to the estimate"].seconds >= 0.97 * rows["step at bin rate"].seconds
    assert all("grown MB" in row.notes for name, row in rows.items() if "flat out" in name)


def test_each_promise_has_a_verdict(report):
    assert len(report.targets) == 7
    assert "flat memory over 400 steps flat out" in report.targets
    assert "flat memory over 50 steps flat out" in report.targets
    assert all(outcome.endswith(("reached", "missed")) for outcome in report.targets.values())


def test_a_long_run_stands_next_to_nothing_and_to_numpy(report):
    rows = {row.name: row for row in report.measurements}
    nothing, product = (rows[f"{name}, in between"].seconds for name in ("nothing", "a product of NumPy"))
    assert nothing < product
    assert nothing < rows["long run"].seconds
    assert rows["long run"].notes["steps"] == 400
    assert rows["long run"].ratio == pytest.approx(product / rows["long run"].seconds)


def test_the_result_can_be_written_and_shown(report):
    assert json.loads(json.dumps(report.to_json()))["name"] == "realtime"
    assert report_table(report).row_count == len(report.measurements)
    assert targets_table(report).row_count == len(report.targets)


@pytest.mark.parametrize(
    "words", [["realtime", "--steps", "0"], ["scale", "--units", "0"], ["streams", "--bins", "-3"]]
)
def test_sizes_of_nothing_are_refused_before_anything_runs(words, capsys):
    assert main(["bench", *words]) == 2
    assert "expected a whole number of 1 or more" in capsys.readouterr().err
