import numpy as np
import pytest

from neurodyn.binning import TargetOptions, make_targets
from neurodyn.errors import InputError
from neurodyn.recording import Recording, Signal

TIMES = np.arange(5.0, 55.0, 0.1)


def track(values, unit="m", name="position", **clock):
    clock = clock or {"rate": 50.0}
    return Recording("made", behaviour={name: Signal(name, values, unit=unit, **clock)})


def line(slope=(0.3, -0.4), seconds=60.0):
    time = np.arange(int(seconds * 50)) / 50
    return time[:, None] * np.asarray(slope)


def test_targets_of_a_straight_run():
    names = ("position", "velocity", "speed", "log_speed")
    values, observed, labels = make_targets(track(line()), names, TIMES)
    assert labels == ("x", "y", "vx", "vy", "speed", "log_speed")
    assert observed.all()
    expected = [0.3 * TIMES, -0.4 * TIMES, *([c] * len(TIMES) for c in (0.3, -0.4, 0.5, np.log(51)))]
    np.testing.assert_allclose(values, np.stack(expected, axis=1), atol=1e-9)


def test_one_coordinate_and_other_units():
    values, _, labels = make_targets(track(100 * line(), unit="cm"), ("y", "x"), TIMES)
    assert labels == ("y", "x")
    np.testing.assert_allclose(values, np.stack([-0.4 * TIMES, 0.3 * TIMES], axis=1), atol=1e-9)
    with pytest.raises(InputError, match="needs a position in m, cm or mm"):
        make_targets(track(line(), unit="pixels"), ("log_speed",), TIMES)


def test_smoothing_keeps_what_a_gaussian_keeps(rng):
    """A sine of frequency f is damped by exp(-(2 pi f sigma)^2 / 2)."""
    time = np.arange(6000) / 100
    wave = np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)], axis=1)
    recording = track(wave, rate=100.0)
    values, _, _ = make_targets(recording, ("position",), TIMES, TargetOptions(smoothing=0.2))
    damped = np.exp(-((2 * np.pi * 0.2) ** 2) / 2)
    np.testing.assert_allclose(values[:, 0], damped * np.sin(2 * np.pi * TIMES), atol=1e-3)
    raw, _, _ = make_targets(recording, ("position",), TIMES, TargetOptions(smoothing=0.0))
    np.testing.assert_allclose(raw[:, 0], np.sin(2 * np.pi * TIMES), atol=1e-9)


def test_short_gaps_are_bridged_and_long_ones_are_not_observed():
    values = line()
    values[500:520] = np.nan  # 0.4 s from 10.0 s
    values[1000:1100] = np.nan  # 2 s from 20.0 s
    for target in ("position", "velocity", "speed"):
        binned, observed, _ = make_targets(track(values), (target,), TIMES)
        inside = (TIMES > 20.05) & (TIMES < 21.95)
        near = (TIMES > 19.9) & (TIMES < 22.1)
        assert not observed[inside].any()
        assert observed[~near].all()
        assert not binned[~observed].any()
        whole, _, _ = make_targets(track(line()), (target,), TIMES)
        # The bridged straight line is the line; near the long gap the smoothing is one-sided.
        far = np.abs(TIMES - 21.0) > 3
        np.testing.assert_allclose(binned[far], whole[far], atol=1e-9)
        assert np.abs(binned[observed] - whole[observed]).max() < 0.15


def test_velocity_beside_a_long_gap_is_not_the_slope_across_it():
    values = np.zeros((3000, 2))
    values[1000:1200] = np.nan
    values[1200:] = 100.0
    speed, observed, _ = make_targets(track(values), ("speed",), TIMES)
    assert observed.sum() > 400
    np.testing.assert_allclose(speed, 0, atol=1e-9)


def test_missing_timestamps_equal_nan():
    values = line((0.3, 0.1))
    values += np.random.default_rng(0).normal(size=values.shape)
    lost = np.zeros(len(values), bool)
    lost[700:800] = lost[900:910] = True
    holes = np.where(lost[:, None], np.nan, values)
    stamped = track(values[~lost], timestamps=np.flatnonzero(~lost) / 50)
    for one, two in zip(
        make_targets(stamped, ("velocity",), TIMES)[:2],
        make_targets(track(holes), ("velocity",), TIMES)[:2],
        strict=True,
    ):
        np.testing.assert_allclose(one, two, atol=1e-9)


def test_times_outside_the_behaviour_are_not_observed():
    times = np.array([-1.0, 1.0, 59.0, 61.0])
    _, observed, _ = make_targets(track(line()), ("position",), times)
    np.testing.assert_array_equal(observed, [False, True, True, False])


@pytest.mark.parametrize("unit", ["degrees", "radians"])
def test_head_direction_goes_smoothly_through_north(unit):
    turns = np.arange(3000)[:, None] / 50 * 0.5
    angle = np.mod(turns, 2 * np.pi)
    angle = np.rad2deg(angle) if unit == "degrees" else angle
    recording = track(angle, unit=unit, name="compass")
    values, observed, labels = make_targets(recording, ("head_direction",), TIMES)
    assert labels == ("cos", "sin")
    assert observed.all()
    expected = np.stack([np.cos(0.5 * TIMES), np.sin(0.5 * TIMES)], axis=1)
    np.testing.assert_allclose(values, expected, atol=2e-4)


def test_any_series_by_name_goes_before_a_derived_one():
    recorded = Signal("speed", np.full((3000, 1), 7.0) + np.arange(3000)[:, None] / 1e4, rate=50.0)
    paws = Signal("paws", line(), rate=50.0, channels=("left", "right"))
    recording = Recording(
        "made",
        behaviour={"speed": recorded, "paws": paws, "position": Signal("position", line(), rate=50.0)},
    )
    values, _, labels = make_targets(recording, ("speed", "paws"), TIMES)
    assert labels == ("speed", "left", "right")
    assert values[:, 0].min() > 6.9


def test_targets_that_cannot_be_made_are_refused():
    recording = track(line())
    with pytest.raises(InputError, match="unknown target 'velocty': did you mean 'velocity'"):
        make_targets(recording, ("velocty",), TIMES)
    with pytest.raises(InputError, match="same dimension twice"):
        make_targets(recording, ("position", "x"), TIMES)
    with pytest.raises(InputError, match="needs one series of one angle"):
        make_targets(recording, ("head_direction",), TIMES)
    with pytest.raises(InputError, match="needs one position series, the behaviour series are: paw"):
        make_targets(track(line()[:, :1], name="paw"), ("speed",), TIMES)
    with pytest.raises(InputError, match="0 samples that are not NaN"):
        make_targets(track(np.full((100, 2), np.nan)), ("position",), TIMES)
    with pytest.raises(InputError, match="smoothing"):
        TargetOptions(smoothing=-0.1)
