"""A read-out that follows the truth: against weighted least squares, its bounds, and in a session with its record."""

import numpy as np
import pytest
from oracles.frozen_decoder import random_bins, random_frozen
from oracles.session import Session, recording

from neurodyn.errors import InputError
from neurodyn.realtime import AdaptiveIntervals, EventKind, EventLog, OutputLimits, RealtimeDecoder, Recalibration
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.session_check import check_session
from neurodyn.realtime.session_file import SessionFile
from neurodyn.realtime.streams import Chunk
from neurodyn.realtime.truth_stream import TruthStream


def after(recalibration, decoded, true):
    sums = np.zeros((5, decoded.shape[1]))
    for pair in zip(decoded, true, strict=True):
        sums = recalibration.updated(sums, *pair)
    return recalibration.correction(sums)


def test_with_little_belief_it_is_weighted_least_squares():
    rng = np.random.default_rng(0)
    decoded = np.cumsum(rng.normal(size=(400, 2)), axis=0) % 7
    true = decoded * [1.3, 0.8] + [0.4, -0.2] + rng.normal(0, 0.1, decoded.shape)
    recalibration = Recalibration(memory=100.0, belief=1e-9)
    gain, offset = after(recalibration, decoded, true)
    weight = np.exp(-np.arange(400)[::-1] / 100)
    for dim in range(2):
        slope, intercept = np.polyfit(decoded[:, dim], true[:, dim], 1, w=np.sqrt(weight))
        np.testing.assert_allclose((gain[dim], offset[dim]), (slope, intercept), rtol=1e-6)


def test_belief_is_worth_so_many_truths_and_nothing_told_changes_nothing():
    recalibration = Recalibration(memory=1e9, belief=100.0)
    gain, offset = recalibration.correction(np.zeros((5, 2)))
    assert (gain.tolist(), offset.tolist()) == ([1, 1], [0, 0])
    decoded = np.linspace(-1, 1, 100)[:, None]
    gain, offset = after(recalibration, decoded, 1.5 * decoded + 0.2)
    np.testing.assert_allclose(gain, 1.25, rtol=1e-6)
    np.testing.assert_allclose(offset, 0.1, rtol=1e-6)


def test_wrong_truths_take_it_no_further_than_its_bounds():
    rng = np.random.default_rng(1)
    decoded = rng.normal(3.0, 2.0, (5000, 3))
    true = np.stack([9 * decoded[:, 0], -decoded[:, 1], np.full(5000, np.nan)], axis=1)
    gain, offset = after(Recalibration(memory=1e6), decoded, true)
    assert gain.tolist() == [2.0, 0.5, 1.0]
    moved = gain * 3.0 + offset - 3.0
    assert np.all(np.abs(moved) <= [2.1, 2.1, 0.0])


def test_a_constant_truth_and_a_constant_decoder_stay_finite():
    gain, offset = after(Recalibration(belief=1.0), np.full((50, 1), 2.0), np.full((50, 1), 3.0))
    assert gain.tolist() == [1.0]
    assert offset.tolist() == [0.0]  # a shift is bounded by the deviation of what was decoded


@pytest.mark.parametrize("bad", [{"memory": 0.5}, {"belief": 0.0}, {"least_gain": 1.5}, {"most_gain": np.nan}])
def test_what_is_no_recalibration_is_refused(bad):
    with pytest.raises(InputError, match="recalibration"):
        Recalibration(**bad)


def test_a_decoder_that_drifted_is_right_again_and_forgets_when_asked(tmp_path):
    """The truth is a gain of 1.4 and a shift away from what the model decodes."""
    frozen = random_frozen()
    plain, live = (
        RealtimeDecoder(frozen),
        RealtimeDecoder(frozen, recalibration=Recalibration(400.0, 20.0, most_shift=9.0)),
    )
    errors = []
    for t, given in enumerate(random_bins(frozen, 1500)):
        expected, out = plain.step(given, 0.01 * t), live.step(given, 0.01 * t)
        truth = 1.4 * expected.target + 0.3
        errors.append(np.abs(out.target - truth) / np.abs(expected.target - truth))
        np.testing.assert_allclose((out.upper + out.lower) / 2, out.target, rtol=1e-5, atol=1e-5)
        live.observe(truth)
    assert np.median(errors[:10]) > 0.8
    assert np.median(errors[-300:]) < 0.1
    np.testing.assert_allclose(live.gain, 1.4, atol=0.1)
    live.save_snapshot(tmp_path / "s.npz")
    other = RealtimeDecoder(frozen, recalibration=live.recalibration)
    other.load_snapshot(tmp_path / "s.npz")
    np.testing.assert_array_equal(other.gain, live.gain)
    RealtimeDecoder(frozen).load_snapshot(tmp_path / "s.npz")  # which does not follow, and takes none of it
    live.forget_truths()
    np.testing.assert_array_equal(live.step({}, 20.0).target, plain.step({}, 20.0).target)
    assert len(live.observed()[0]) == 1500


def test_damaged_sums_are_refused():
    live = RealtimeDecoder(random_frozen(), recalibration=Recalibration())
    live.step({}, 0.0)
    for bad in (np.zeros((4, 2)), np.full((5, 2), np.nan), -np.ones((5, 2))):
        with pytest.raises(InputError, match="damaged"):
            live.restore({**live.snapshot(), "recalibration": bad})


# In a session ----------------------------------------------------------------------------------------------------


def cursor(played, values, labels):
    times = np.asarray([played - 0.015, played - 0.005])
    return Chunk("cursor", times, np.tile(values, (2, 1)), labels=labels)


def test_a_session_is_told_the_truth_and_decodes_again_to_the_bit(decoder, tmp_path):
    live = RealtimeDecoder(
        decoder.fitted_, intervals=AdaptiveIntervals(), recalibration=Recalibration(belief=20.0),
        output=OutputLimits(slew=50.0),
    )  # fmt: skip
    names = live.target_names
    rng = np.random.default_rng(0)

    def told(chunks, played):
        return [*chunks, cursor(played, rng.normal(3.0, 1.0, len(names)), names[::-1])] if played > 1.0 else chunks

    def reverted(chunks, played):
        control = [Chunk.of_markers("control", [(2.5, "revert")])] if 2.5 <= played < 2.52 else []
        return [*told(chunks, played), *control]

    log = EventLog()
    recorder = SessionRecorder(SessionFile(tmp_path / "s.h5", live), log, period=0.01)
    options = {"fault": reverted, "truth": TruthStream("cursor", names), "recorder": recorder, "log": log}
    estimates = Session(live, modalities_of(live), recording(4.0), **options).run()
    assert not np.allclose(live.gain, 1.0)
    assert not np.allclose(live.widening, 1.0)
    assert 250 < len(live.observed()[0]) <= len(estimates)
    assert EventKind.CONTROL in log.counts()
    found = check_session(tmp_path / "s.h5", RealtimeDecoder(decoder.fitted_))
    assert found.same, str(found)
    assert (found.bins, found.runs) == (len(estimates), 2)


def test_a_truth_is_that_of_its_own_bin_by_label():
    stream = TruthStream("cursor", ("x", "y"))
    stream.take(Chunk("cursor", np.asarray([0.1, 0.105, 0.11, 0.115]), np.arange(8.0).reshape(4, 2), labels=("y", "x")))
    assert stream.of(0.1, 0.11).tolist() == [4.0, 3.0]  # of the samples after 0.1 and up to 0.11
    assert stream.of(0.1, 0.11) is None
    assert stream.of(0.11, 0.12).tolist() == [7.0, 6.0]
    stream.take(Chunk("cursor", np.asarray([0.05]), np.zeros((1, 2))))  # later than its bin
    assert stream.of(0.12, 0.13) is None
    for wrong in (np.zeros((1, 3)), np.zeros((1, 1))):
        with pytest.raises(InputError, match="the target 2 dimensions"):
            stream.take(Chunk("cursor", np.zeros(1), wrong))
    with pytest.raises(InputError, match="the stream"):
        stream.take(Chunk("cursor", np.zeros(1), np.zeros((1, 2)), labels=("a", "b")))
    with pytest.raises(InputError, match="needs samples"):
        stream.take(Chunk.of_markers("cursor", [(0.0, "a")]))
