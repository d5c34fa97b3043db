"""A recurrent network alone, in the form in which decoders run live.

A live decoder (:mod:`neurodyn.realtime.runner`) weighs linear read-outs of a state against a recurrent network. Here
the network has all the weight: the state is one number that stays at zero, and rates are those of the training data.
"""

import numpy as np

from neurodyn.binning.batch import Modality
from neurodyn.binning.scaling import Scaling
from neurodyn.realtime.freezable import settings_of
from neurodyn.realtime.runner import Frozen
from neurodyn.recurrent.export import live_arrays
from neurodyn.recurrent.network import Network
from neurodyn.targets import memory_size


def freeze(
    network: Network, scaling: Scaling, modalities: tuple[Modality, ...], dims: tuple[str, ...], width: float
) -> Frozen:
    """All that a live decoder needs to know of a network.

    Parameters
    ----------
    network
        Trained members.
    scaling
        Means and scales of the training data, target included.
    modalities, dims
        Rows of the modality table, and names of the target's dimensions.
    width
        Of a bin, seconds.
    """
    arrays = _idle_state() | _weights(len(modalities), scaling)
    for number, modality in enumerate(modalities):
        arrays |= _modality(number, modality, scaling, width)
    arrays |= live_arrays(network, scaling.target_mean, scaling.target_scale)
    settings = settings_of(modalities, scaling, dims, width, states=[1], traces=0)
    return Frozen.pack(settings, arrays, network.weights["recurrent"].dtype)


def _idle_state() -> dict[str, np.ndarray]:
    """Dynamics of a state that is zero and stays so: nothing is emitted, and no noise reaches the target."""
    one = {"process_noise": np.ones(1), "observation_noise": np.ones(1), "initial_covariance": np.ones((1, 1))}
    zero = {"transition": np.zeros((1, 1)), "emission": np.zeros((1, 1)), "initial_mean": np.zeros(1)}
    return {f"backbone/{name}": array for name, array in (one | zero).items()}


def _modality(number: int, modality: Modality, scaling: Scaling, width: float) -> dict[str, np.ndarray]:
    """Scaling of a modality, an encoder that says nothing, and a decoder that says the mean of the training data."""
    channels = modality.n_channels
    mean, scale = scaling.mean[modality.name], scaling.scale[modality.name]
    usual, bounds = mean, {}
    if modality.counts:
        usual = np.log(np.maximum(mean, np.finfo(np.float32).tiny) / width)
        bounds = {f"{number}/bounds": np.asarray([usual.min(), usual.max()])}
    return bounds | {
        f"{number}/center": mean,
        f"{number}/inverse_scale": 1 / np.asarray(scale, np.float64),
        f"{number}/encoder/0": np.zeros((1, channels + 1)),
        f"{number}/decoder/0": np.stack([np.zeros(channels), usual], axis=1),
    }


def _weights(modalities: int, scaling: Scaling) -> dict[str, np.ndarray]:
    """Weights of two experts, a linear one of zeros and the network: the network has all of it, whatever was lost."""
    dims = len(scaling.target_mean)
    memories = memory_size(modalities, channels=False)
    stack = np.zeros((modalities + 1, 2, dims))
    stack[:, 1] = 1
    slopes = np.zeros((2 + memories, dims))
    slopes[1] = 1  # its own variance is the variance
    return {
        "readout/weights": np.zeros((dims, 3)),
        "readout/stack": stack,
        "readout/centre": np.asarray(scaling.target_mean),
        "readout/usual": np.zeros(dims),
        "readout/constant": np.zeros(dims),
        "readout/slopes": slopes,
    }
