"""Intervals that follow the truth: the long-run share, what a snapshot keeps, what is refused."""

import numpy as np
import pytest
from oracles.frozen_decoder import random_bins, random_frozen

from neurodyn.errors import InputError
from neurodyn.realtime import AdaptiveIntervals, OutputLimits, RealtimeDecoder


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("draw", ["normal", "standard_cauchy"])
def test_the_long_run_share_is_that_asked_for(scale, draw):
    """Errors of another size than the interval's, and of heavy tails; the truth goes along with the errors' size."""
    rng, intervals = np.random.default_rng(0), AdaptiveIntervals(rate=0.02, least=0.01, most=1000.0)
    factor, inside = np.ones(1), []
    for error in scale * getattr(rng, draw)(size=(20_000, 1)):
        half = 1.96 * factor
        inside.append(bool(np.abs(error[0]) <= half[0]))
        factor = intervals.updated(factor, error, -half, half)
    # The sum of the steps is the logarithm of the last factor: an identity, not an estimate.
    assert abs(np.mean(inside) - 0.95) <= abs(np.log(factor[0])) / (0.02 * 20_000) + 1e-9
    assert abs(np.mean(inside[-10_000:]) - 0.95) < 0.02


def test_a_decoder_regains_its_share_after_a_drift():
    live, bins = RealtimeDecoder(random_frozen(), intervals=AdaptiveIntervals()), random_bins(random_frozen(), 1600)
    rng, inside = np.random.default_rng(1), []
    plain = RealtimeDecoder(random_frozen())
    for t, given in enumerate(bins):
        out, expected = live.step(given, 0.01 * t), plain.step(given, 0.01 * t)
        np.testing.assert_allclose(out.target, expected.target)
        np.testing.assert_allclose(out.upper - out.lower, live.widening * (expected.upper - expected.lower), rtol=1e-6)
        deviation = (expected.upper - expected.lower) / (2 * 1.959964)
        truth = out.target + (1 if t < 400 else 3) * deviation * rng.normal(size=out.target.shape)
        inside.append((truth >= out.lower) & (truth <= out.upper))
        live.observe(truth)
    assert np.mean(inside[400:430]) < 0.85
    assert abs(np.mean(inside[800:]) - 0.95) < 0.025
    assert np.all(np.abs(live.widening - 3) < 1)


def test_bounds_hold_and_a_dimension_without_truth_stays():
    intervals, factor = AdaptiveIntervals(rate=1.0, least=0.5, most=2.0), np.ones(2)
    for _ in range(20):
        factor = intervals.updated(factor, np.asarray([9.0, np.nan]), -np.ones(2), np.ones(2))
    assert factor.tolist() == [2.0, 1.0]
    for _ in range(60):
        factor = intervals.updated(factor, np.asarray([0.0, np.nan]), -np.ones(2), np.ones(2))
    assert factor.tolist() == [0.5, 1.0]


def test_a_snapshot_keeps_the_widening(tmp_path):
    live, given = RealtimeDecoder(random_frozen(), intervals=AdaptiveIntervals()), random_bins(random_frozen(), 3)
    for t, one in enumerate(given):
        live.step(one, 0.01 * t)
        for _ in range(3):  # a truth that is told again changes nothing
            live.observe(np.full(len(live.target_names), 1e6))
    live.save_snapshot(tmp_path / "state.npz")
    other = RealtimeDecoder(random_frozen(), intervals=AdaptiveIntervals())
    other.load_snapshot(tmp_path / "state.npz")
    np.testing.assert_allclose(other.widening, live.widening)
    np.testing.assert_allclose(live.widening, np.exp(3 * 0.05 * 0.95))
    plain = RealtimeDecoder(random_frozen())  # whose intervals follow nothing
    plain.load_snapshot(tmp_path / "state.npz")
    assert plain.widening.tolist() == [1.0] * len(live.target_names)
    damaged = {**live.snapshot(), "widening": np.full(len(live.target_names), np.nan)}
    with pytest.raises(InputError, match="widening"):
        other.restore(damaged)
    without = {name: array for name, array in live.snapshot().items() if name != "widening"}
    other.restore(without)  # of an earlier version: the widening stays as it is
    np.testing.assert_allclose(other.widening, live.widening)


def test_another_model_begins_with_its_own_widths():
    live = RealtimeDecoder(random_frozen(), intervals=AdaptiveIntervals())
    live.step(random_bins(random_frozen(), 1)[0], 0.0)
    live.observe(np.full(len(live.target_names), 1e6))
    live.swap(random_frozen())
    live.step(random_bins(random_frozen(), 1)[0], 0.01)
    assert live.widening.tolist() == [1.0] * len(live.target_names)


def test_beside_bounds_of_the_output():
    frozen = random_frozen()
    both = RealtimeDecoder(frozen, intervals=AdaptiveIntervals(), output=OutputLimits(slew=1e-9))
    for t, given in enumerate(random_bins(frozen, 5)):
        out = both.step(given, 0.01 * t)
        both.observe(out.target)
    np.testing.assert_allclose(both.widening, np.exp(-5 * 0.05 * 0.05))


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": np.nan}, {"least": 2.0}, {"most": 0.5}, {"least": 0.0}])
def test_what_is_refused(wrong):
    with pytest.raises(InputError, match=r"of adaptive intervals|bounds of the width"):
        AdaptiveIntervals(**wrong)
