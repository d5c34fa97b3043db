"""Noise that lasts."""

import numpy as np
from jaxtyping import Float


def wandering(count: int, constant: float, rate: float, rng: np.random.Generator) -> Float[np.ndarray, " samples"]:
    """Ornstein-Uhlenbeck process of unit variance with a time constant in seconds."""
    from scipy.signal import lfilter

    decay = np.exp(-1.0 / (constant * rate))
    drive = np.sqrt(1 - decay**2) * rng.normal(size=count)
    drive[0] /= np.sqrt(1 - decay**2)  # start in the stationary state
    return np.asarray(lfilter([1.0], [1.0, -decay], drive))
