"""A trained network as the plain arrays that :class:`neurodyn.realtime.runner.Recurrent` decodes with."""

import numpy as np
from jaxtyping import Float

from neurodyn.recurrent.network import Network


def live_arrays(
    network: Network, target_mean: Float[np.ndarray, " dim"], target_scale: Float[np.ndarray, " dim"]
) -> dict[str, np.ndarray]:
    """Weights and scalings by the names they have in an exported decoder.

    Parameters
    ----------
    network
        Trained members.
    target_mean, target_scale
        Of the target that they were trained on, in its unit.

    Returns
    -------
    Arrays whose names begin with ``recurrent/``; mean and log variance of each member have their weights in one matrix.
    """
    weights, scaling = network.weights, network.scaling
    arrays = {name: weights[name] for name in ("embed", "input", "recurrent", "bias", "gated_bias")}
    arrays["output"] = np.concatenate([weights["mean"], weights["spread"]], axis=1)
    arrays["output_bias"] = np.concatenate([weights["mean_bias"], weights["spread_bias"]], axis=1)
    for i, (centre, scale) in enumerate(zip(scaling.centre, scaling.scale, strict=True)):
        arrays |= {f"centre/{i}": centre, f"inverse_scale/{i}": 1 / np.asarray(scale, np.float64)}
    arrays |= {"fading": scaling.fading, "target_mean": target_mean, "target_scale": target_scale}
    return {f"recurrent/{name}": array for name, array in arrays.items()}
