"""The rig that fails: what is compared is what was disturbed, and a decoder that jumps in silence is found out."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from oracles.session import recording

from neurodyn.benchmarks import faults
from neurodyn.benchmarks.faults import Disturbance, Sizes, compare, disturbances, measure
from neurodyn.cli.bench import report_table
from neurodyn.errors import InputError
from neurodyn.realtime import RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.runner import LiveEstimate

SMALL = Sizes(seconds=8.0, begin=2.0)


def estimate(time, target=0.0, half=1.96, seen=("spikes",), **flags):
    values = np.array([target])
    return LiveEstimate(time, np.zeros(1), np.eye(1), {}, values, values - half, values + half, seen=seen, **flags)


def test_differences_are_in_the_estimates_own_deviations_with_and_without_a_flag():
    one = Disturbance("it", "much", lambda chunks, _: chunks, seconds=1.0)
    whole = [estimate(0.1 * k) for k in range(1, 50)]
    found = [*whole]
    found[14] = estimate(1.5, 2.0)
    found[15] = estimate(1.6, 4.0, stale=("spikes",))
    found[16] = estimate(1.7, 5.0, half=3.92, seen=())
    found[34] = estimate(3.5, 1.5)
    del found[-1]
    got = compare(whole, found, one, 1.0)
    assert got["unflagged"] == pytest.approx(2.0, rel=1e-4)
    assert got["flagged"] == pytest.approx(4.0, rel=1e-4)
    assert got["recovery_s"] == pytest.approx(1.5)
    assert got["lost"] == 1


def test_a_clock_that_jumped_is_compared_where_it_went():
    one = Disturbance("it", "10 s", lambda chunks, _: chunks, seconds=1.0, moved=10.0)
    whole = [estimate(0.1 * k, 0.1 * k) for k in range(1, 50)]
    found = [e if e.time <= 1.0 else e._replace(time=e.time + 10.0) for e in whole]
    assert compare(whole, found, one, 1.0) == {"flagged": 0, "unflagged": 0, "recovery_s": 0, "lost": 0}


@pytest.mark.slow
def test_every_disturbance_is_played_to_a_real_session(decoder):
    live = RealtimeDecoder(decoder.fitted_)
    report = measure(live, recording(10.0), SMALL)
    names = [row.name for row in report.measurements]
    assert names[0] == "nothing"
    assert len(names) == 1 + len(disturbances(modalities_of(live), live, SMALL))
    notes = {(row.name, row.sizes.get("size")): row.notes for row in report.measurements[1:]}
    assert notes["spikes lost", "2 s"]["flagged"] > 0.1
    assert notes["every chunk twice", "2 s"]["unflagged"] < 1e-4
    assert "duplicate" in notes["every chunk twice", "2 s"]["told"]
    assert "out of order" in notes["chunks in disorder", "up to 20 ms"]["told"]
    assert "source lost" in notes["the source fails", "0.5 s"]["told"]
    assert "unusual" in notes["one unit of spikes bursts", "200 in a bin"]["told"]
    assert len(report.targets) == 2
    assert report_table(report).row_count == len(names) + len(report.targets)
    json.dumps(report.to_json(), allow_nan=False)


def test_what_cannot_be_is_refused_before_anything_is_played(decoder):
    live = RealtimeDecoder(decoder.fitted_)
    with pytest.raises(InputError, match="at least 5 s are needed"):
        measure(live, recording(10.0), replace(SMALL, begin=6.0))
    with pytest.raises(InputError, match="20 s are to be played"):
        measure(live, recording(8.0), replace(SMALL, seconds=20.0))
    alone = replace(recording(10.0), fields={})
    with pytest.raises(
        InputError, match="the decoder hears spikes, field; a replay of 'made' has spikes, and no field"
    ):
        measure(live, alone, SMALL)
    parser = argparse.ArgumentParser()
    faults.add_options(parser)
    with pytest.raises(InputError, match="both --model and --recording"):
        faults.run(parser.parse_args(["--model", "decoder.npz"]))
