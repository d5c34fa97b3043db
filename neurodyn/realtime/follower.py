"""A decoder made by hand, which follows what it is given: a rig can be tried before there is a trained model."""

from collections.abc import Sequence

import numpy as np

from neurodyn.realtime.runner import Frozen


def follower(channels: Sequence[str], *, modality: str = "field", width: float = 0.01) -> Frozen:
    """A decoder whose target follows the channels of one modality.

    Each channel is a random walk that is seen through noise as large as its steps, and the target is where a Kalman
    filter takes the walks to be. In a bin without data it stays, and its interval widens.

    Parameters
    ----------
    channels
        Their labels, which are the names of the target's dimensions, too.
    modality
        Its name.
    width
        Of a bin, seconds.

    Examples
    --------
    >>> from neurodyn.realtime import Runner
    >>> from neurodyn.realtime.follower import follower
    >>> runner = Runner(follower(["x", "y"]))
    >>> runner.step({"field": [1.0, -2.0]}).target.tolist()
    [0.5, -1.0]
    """
    count = len(channels)
    ones, zeros, as_it_is = np.ones(count), np.zeros(count), np.eye(count, count + 1)
    arrays = {f"backbone/{name}": np.eye(count) for name in ("transition", "emission", "initial_covariance")}
    arrays |= {"backbone/process_noise": ones, "backbone/observation_noise": ones, "backbone/initial_mean": zeros}
    arrays |= {"0/center": zeros, "0/inverse_scale": ones, "0/encoder/0": as_it_is, "0/decoder/0": as_it_is}
    arrays |= {"readout/weights": np.eye(count, count + 2), "readout/residual": zeros, "readout/usual": zeros}
    settings = {
        "modalities": [{"name": modality, "channels": count, "likelihood": "gaussian", "clock": 1}],
        "channel_names": {modality: list(channels)},
        "target_names": list(channels),
        "width_seconds": width,
        "states": [count],
        "traces": 0,
    }
    return Frozen.pack(settings, arrays, np.dtype(np.float32))
