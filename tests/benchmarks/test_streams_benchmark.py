"""The benchmark of streams, at sizes that say nothing about speed."""

import argparse

import pytest

from neurodyn.benchmarks import streams

pytest.importorskip("zmq")


def test_every_bin_is_timed_through_every_process():
    parser = argparse.ArgumentParser()
    streams.add_options(parser)
    small = ["--spikes", "3", "--field", "2", "--latent", "4", "--bins", "20", "--width", "0.05"]
    report = streams.run(parser.parse_args(small))
    relay, *decoders = report.measurements
    assert len(decoders) == 3
    for row in decoders:
        assert row.baseline == relay.name
        assert row.ratio == pytest.approx(relay.seconds / row.seconds)
    for row in report.measurements:
        assert row.seconds > 0
        assert row.notes["lost"] <= 5
    assert [target.split(": ")[1] for target in report.targets] == ["p50 <= 600 us"] * 3
