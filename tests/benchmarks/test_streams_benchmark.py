"""The benchmark of streams, at sizes that say nothing about speed."""

import argparse
from dataclasses import replace

import pytest

from neurodyn.benchmarks import intake, streams

pytest.importorskip("zmq")
CHAIN = ("wait", "binning", "step", "hand-over")


def test_every_bin_is_timed_through_every_process():
    parser = argparse.ArgumentParser()
    streams.add_options(parser)
    small = ["--spikes", "3", "--field", "2", "--latent", "4", "--bins", "20", "--width", "0.05", "--seconds", "0.5"]
    report = streams.run(parser.parse_args(small))
    rows = {row.name: row for row in report.measurements}
    relay, *decoders = (rows[name] for name in streams.NAMES.values())
    assert len(decoders) == 3
    for row in decoders:
        assert row.baseline == relay.name
        assert row.ratio == pytest.approx(relay.seconds / row.seconds)
    for row in (relay, *decoders):
        assert row.seconds > 0
        assert row.notes["lost"] <= 5
    asked = [target.split(": ")[1] for target in report.targets]
    assert asked == ["<= 15 % of a core", ">= 10 x real time", *["p50 <= 600 us"] * 3]
    parts = {part: rows[f"of it, {part}"] for part in ("age", *CHAIN, "latency", "in all")}
    assert parts["in all"].sizes["bins"] >= 20
    for row in parts.values():  # percentiles of a histogram are right to 1.2 %
        assert row.seconds <= 1.03e-6 * row.notes["p99_us"] <= 1.06e-6 * row.notes["worst_us"]
    assert parts["in all"].seconds >= parts["wait"].seconds
    assert parts["latency"].seconds >= max(parts[part].seconds for part in CHAIN[1:])


def test_binning_is_timed_beside_what_it_cannot_be_faster_than():
    one, two = intake.spikes(10, 2000.0, seconds=0.2, width=0.01, chunk=0.005, seed=0)
    floor, powers = intake.band_powers(3, 500.0, seconds=0.2, width=0.01, every=5, chunk=0.01, seed=0)
    assert (two.baseline, powers.baseline) == (one.name, floor.name)
    assert two.ratio == pytest.approx(one.seconds / two.seconds)
    assert powers.ratio == pytest.approx(floor.seconds / powers.seconds)
    assert powers.ratio < 1
    reached = replace(two, seconds=0.15), replace(powers, seconds=0.1)
    for rows, word in ((reached, "reached"), ((replace(two, seconds=0.16), replace(powers, seconds=0.11)), "missed")):
        assert {outcome.split(":")[0] for outcome in intake.targets(rows).values()} == {word}
