"""Learning-rate schedules."""

import jax.numpy as jnp
import optax


def triangular(
    low: float, high: float, half_cycle: int, decay: float, steps_per_epoch: int, *, stepwise: bool = False
) -> optax.Schedule:
    """Triangular cycle between two learning rates whose upper end decays exponentially.

    ``rate(e) = low + (high decay^e - low)_+ tri(e)``, where ``tri`` rises from 0 to 1 in ``half_cycle`` epochs and
    falls back in as many, and e counts epochs with fractions. Stepwise, e counts whole epochs, and the height of the
    cycle decays instead of its upper end: ``rate(e) = low + (high - low) decay^e tri(e)``.

    Reference: Smith (2017), Cyclical learning rates for training neural networks, WACV.

    Examples
    --------
    >>> from neurodyn.training import triangular
    >>> rate = triangular(0.001, 0.01, half_cycle=10, decay=1.0, steps_per_epoch=5)
    >>> [round(float(rate(step)), 4) for step in (0, 25, 50, 100)]
    [0.001, 0.0055, 0.01, 0.001]
    """

    def schedule(count):
        epoch = jnp.asarray(count, jnp.result_type(float)) / steps_per_epoch
        if stepwise:
            epoch = jnp.floor(epoch)
        phase = jnp.mod(epoch / half_cycle, 2.0)
        height = (high - low) * decay**epoch if stepwise else jnp.maximum(high * decay**epoch - low, 0.0)
        return low + height * (1.0 - jnp.abs(phase - 1.0))

    return schedule
