"""The filtered state of trials of any length, in stretches of bounded size."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.recurrent.inputs import InputScaling
from neurodyn.recurrent.network import assemble
from neurodyn.recurrent.prediction import stretches
from neurodyn.variational.model import Belief, Parameters, SequenceModel


def filtered_states(
    model: SequenceModel, parameters: Parameters, scaling: InputScaling, batch: MultimodalBatch
) -> tuple[Float[np.ndarray, "trial time latent"], Float[np.ndarray, "trial time latent latent"]]:
    """Mean and covariance of the state in every bin of every trial, given what was observed up to its end.

    Parameters
    ----------
    model, parameters, scaling
        As trained.
    batch
        Observations in the unit of the recording, of the modalities that the model was trained on.

    Returns
    -------
    Mean and covariance, in double precision.
    """
    dtype, bins = jnp.result_type(float), int(batch.lengths.max())
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parameters)
    since = jnp.full((batch.n_trials, len(batch.names)), jnp.inf, dtype)
    carry, means, covariances = (model.start(parameters, batch.n_trials), since), [], []
    for scaled, share in stretches(scaling, batch, max(scaling.n_inputs, model.latent**2)):
        carry, belief = _stretch(parameters, scaled, share, jnp.asarray(scaling.fading, dtype), carry, model=model)
        means.append(np.asarray(belief.mean, np.float64))
        covariances.append(np.asarray(belief.covariance, np.float64))
    mean, covariance = (np.swapaxes(np.concatenate(parts)[:bins], 0, 1) for parts in (means, covariances))
    return mean, covariance


@partial(jax.jit, static_argnames="model")
def _stretch(
    parameters: Parameters, values: list[Array], share: Array, fading: Array, carry: Any, *, model: SequenceModel
) -> tuple[Any, Belief]:
    before, since = carry
    inputs, since = assemble(values, share, fading, since)
    after, belief = model.filtered(parameters, inputs, before)
    return (after, since), belief
