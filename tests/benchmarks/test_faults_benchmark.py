"""The rig that fails: what is compared is what was disturbed, and a decoder that jumps in silence is found out."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from oracles.session import recording

from neurodyn.benchmarks import faults
from neurodyn.benchmarks.disturbances import Disturbance, Sizes, disturbances
from neurodyn.benchmarks.faults import compare, measure, measure_random
from neurodyn.benchmarks.random_faults import compare_sessions, in_turn
from neurodyn.cli.bench import report_table, targets_table
from neurodyn.errors import InputError
from neurodyn.realtime import Event, EventKind, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams import Chunk

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
    assert report_table(report).row_count == len(names)
    assert targets_table(report).row_count == len(report.targets)
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


def test_a_course_of_faults_is_judged_by_bins_events_and_recovery():
    nothing = Disturbance("it", "much", lambda chunks, _: chunks, seconds=1.0)
    whole = [estimate(0.1 * k) for k in range(1, 100)]
    found = [*whole]
    found[14] = estimate(1.5, 2.0, seen=())  # 2 deviations away, flagged since it did not see what it should have
    found[23] = estimate(2.4, 1.5)  # 0.4 s after the first disturbance
    found[49] = estimate(5.0, 5.0)  # nothing in it says that it is far away
    found[79] = estimate(8.0, 0.5, seen=())
    del found[-1]
    events = (Event(1.2, EventKind.MISSING, "spikes"),)
    other = Disturbance("that", "less", lambda chunks, _: chunks, seconds=1.0)
    assert compare_sessions(whole, found, [(1.0, nothing), (4.5, other)], events, 0.0) == {
        "disturbances": 2.0,
        "flagged": pytest.approx(2.0, rel=1e-4),
        "unflagged": pytest.approx(5.0, rel=1e-4),
        "beyond": 1.0,
        "worst": "that, less",
        "recovery_s": pytest.approx(0.4),
        "slowest": "it, much",
        "lost": 1.0,
        "silent": 1.0,
        "told": "1 events",
    }


def test_each_disturbance_of_a_course_has_its_time_and_lets_go_of_what_it_holds():
    def holding(begin):
        held = []

        def fault(chunks, played):
            if begin < played <= begin + 1.0:
                held.extend(chunks)
                return []
            out, held[:] = [*held, *chunks], []
            return out

        return Disturbance("stall", "1 s", fault, seconds=1.0)

    fault = in_turn([(2.0, holding(2.0)), (6.0, holding(6.0))])
    one = [Chunk("field", np.array([float(k)]), np.zeros((1, 1))) for k in range(20)]
    came = [[int(chunk.times[0]) for chunk in fault([one[k]], 0.5 * k)] for k in range(20)]
    assert came[:5] == [[0], [1], [2], [3], [4]]
    assert came[5:8] == [[], [], [5, 6, 7]]
    assert came[8:13] == [[8], [9], [10], [11], [12]]
    assert came[13:] == [[], [], [13, 14, 15], [16], [17], [18], [19]]


@pytest.mark.slow
def test_everything_at_random_is_played_to_a_real_session(decoder):
    live = RealtimeDecoder(decoder.fitted_)
    report = measure_random(live, recording(40.0), Sizes(seconds=38.0, seed=3))
    row = report.measurements[1]
    assert row.notes["disturbances"] >= 1
    assert row.notes["lost"] == 0
    assert row.sizes["bins"] == report.measurements[0].sizes["bins"]
    json.dumps(report.to_json(), allow_nan=False)
    with pytest.raises(InputError, match="no time for a disturbance"):
        measure_random(live, recording(40.0), Sizes(seconds=15.0))
