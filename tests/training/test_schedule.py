"""The triangular schedule against a plain loop over its definition."""

import numpy as np
import pytest

from neurodyn.training import triangular


def plain_rate(step, low, high, half_cycle, decay, steps_per_epoch):
    """Walk up and down the triangle one step at a time."""
    position, direction = 0.0, 1.0
    for _ in range(step):
        position += direction / (half_cycle * steps_per_epoch)
        if position >= 1 - 1e-12:
            direction = -1.0
        elif position <= 1e-12:
            direction = 1.0
    top = high
    for _ in range(step // steps_per_epoch):
        top *= decay
    top *= decay ** (step % steps_per_epoch / steps_per_epoch)
    return low + max(top - low, 0.0) * position


@pytest.mark.parametrize(
    ("low", "high", "half_cycle", "decay", "steps_per_epoch"),
    [(1e-3, 1e-2, 10, 0.99, 1), (1e-3, 1e-2, 3, 0.9, 4), (1e-2, 1e-2, 2, 1.0, 5), (5e-3, 1e-2, 2, 0.5, 3)],
)
def test_schedule_equals_a_walk_on_the_triangle(low, high, half_cycle, decay, steps_per_epoch):
    schedule = triangular(low, high, half_cycle, decay, steps_per_epoch)
    steps = np.arange(6 * half_cycle * steps_per_epoch)
    expected = [plain_rate(t, low, high, half_cycle, decay, steps_per_epoch) for t in steps]
    np.testing.assert_allclose([float(schedule(t)) for t in steps], expected, rtol=1e-9)


def test_never_below_the_low_end_and_touches_both():
    schedule = triangular(1e-3, 1e-2, 10, 1.0, 2)
    rates = np.array([float(schedule(t)) for t in range(80)])
    assert rates.min() == pytest.approx(1e-3)
    assert rates.max() == pytest.approx(1e-2)
    assert rates.argmax() == 20
