"""One bin of the whole model, plainly: what the offline filter and the runner are both held against.

The package has the model twice, over whole trials in JAX and bin by bin in NumPy. Here it stands a third time, with
nothing worked out ahead, from the model's own networks and one textbook's step per state.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurodyn.kernels import kalman
from neurodyn.kernels.kalman import Belief
from neurodyn.multiscale.model import State
from neurodyn.multiscale.traces import step_traces


class StepOutput(NamedTuple):
    """Estimates of one bin given everything up to and including it."""

    states: tuple[Belief, ...]  # of the backbone, then of each modality's own dynamics
    traces: jax.Array  # (feature,)
    means: tuple[jax.Array, ...]  # expected observations of each modality, (channel,)


def step(model, parameters, state, values, observed):
    """Take in one bin: values and masks (channel) by modality; returns the next state and the estimates."""
    embeddings, states, predicted, traces, seen = [], [], [], [], jnp.asarray(True)
    for position, (name, encoder) in enumerate(zip(model.names, model.encoders, strict=True)):
        seen = jnp.any(observed[name])
        embedding = encoder.embed(values[name], observed[name])
        scaled = encoder.scaled(values[name])
        traces.append(step_traces(model.decays(), state.traces[position], scaled, observed[name]))
        if encoder.dynamics is not None:
            dynamics = parameters.modalities[position]
            belief = kalman.update(dynamics, state.modalities[position], embedding, seen[None])
            embedding = encoder.dynamics.emit(belief.mean)
            states.append(belief)
            predicted.append(kalman.predict(dynamics, belief))
        embeddings.append(embedding)
    fused = embeddings[0]
    if model.fusion is not None:
        fused, seen = model.fusion(embeddings), jnp.asarray(True)
    latent = kalman.update(parameters.backbone, state.backbone, fused, seen[None])
    memories, features = zip(*traces, strict=True)
    output = StepOutput((latent, *states), jnp.concatenate(features), model.means(latent.mean))
    return State(tuple(predicted), kalman.predict(parameters.backbone, latent), memories), output
