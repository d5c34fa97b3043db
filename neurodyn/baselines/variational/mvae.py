r"""Multimodal variational autoencoder of sequences: one recurrent encoder per modality, products of their experts.

Each modality's gated recurrent unit reads that modality alone, and makes of its state in a bin a Gaussian expert of the
bin's latents. Experts are multiplied with the prior expert N(0, 1); one takes part from the modality's first sample on,
and says by its variance what a sample of some age is still worth. A network with one layer decodes each modality. The
loss is the sum of the bounds of all modalities together and of each alone, which trains every expert to be of use when
the others are missing.

Of our own is the prior over time, :math:`z_t \sim N(a z_{t-1}, 1 - a^2)` with a learned a per latent. It leaves each
bin's prior as it is in the paper. With independent bins (a = 0) the best posterior of a bin that is observed would not
depend on the bins before it, and a bin of sparse counts says little by itself.

Reference: Wu & Goodman (2018), Multimodal generative models for scalable weakly-supervised learning, NeurIPS 31.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from neurodyn.baselines.variational.elbo import Gaussian, divergence_in_time, product_of_experts
from neurodyn.baselines.variational.model import Belief, Parameters, SequenceModel, Window, draw_matrix
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.network import LOG_VARIANCE, draw_weights, hidden_states

FIRST_MEMORY = 0.9
"""a of the prior before training."""


class Encoded(NamedTuple):
    """What encoders carry from bin to bin: their states, and whether each modality was observed yet."""

    states: tuple[Float[Array, "trial hidden"], ...]
    seen: Bool[Array, "trial modality"]


@dataclass(frozen=True)
class MvaeModel(SequenceModel):
    """The multimodal variational autoencoder as training knows it."""

    def draw(self, key: Key[Array, ""], outputs: Sequence[Float[Array, " _"]]) -> Parameters:
        """Weights of encoders and decoders."""
        config, encoders, decoders = RecurrentConfig(hidden=self.hidden, members=1), [], []
        for channels, output, one in zip(self.channels, outputs, jax.random.split(key, len(outputs)), strict=True):
            keys = jax.random.split(one, 3)
            weights = draw_weights(keys[0], channels + 2, self.latent, config)
            encoders.append({name: array[0] for name, array in weights.items()})
            decoders.append({
                "layer": draw_matrix(keys[1], self.hidden, self.latent),
                "layer_bias": jnp.zeros(self.hidden, output.dtype),
                "output": draw_matrix(keys[2], channels, self.hidden, 0.5),
                "output_bias": output,
                "log_noise": jnp.zeros(channels, output.dtype),
            })  # fmt: skip
        memory = jnp.full(self.latent, jnp.log(FIRST_MEMORY / (1 - FIRST_MEMORY)), jnp.result_type(float))
        return {"encoders": tuple(encoders), "decoders": tuple(decoders), "memory": memory}

    def loss(self, parameters: Parameters, window: Window, key: Key[Array, ""]) -> Float[Array, "time trial"]:
        """Sum of the negative bounds of all modalities together and of each alone."""
        start = self.start(parameters, window.inputs.shape[1])
        experts, seen, _ = self._experts(parameters, window.inputs, start)
        memory, everything = jax.nn.sigmoid(parameters["memory"]), tuple(range(self.n_modalities))
        subsets = [everything, *((number,) for number in everything if len(everything) > 1)]
        total = jnp.zeros_like(window.counted, window.inputs.dtype)
        for subset, one in zip(subsets, jax.random.split(key, len(subsets)), strict=True):
            posterior = self._posterior([experts[i] for i in subset], [seen[..., i] for i in subset])
            total += divergence_in_time(posterior, memory)
            latents = posterior.draw(one)
            for number in subset:
                decoder = parameters["decoders"][number]
                total -= self.log_likelihood(number, decoder, decoded(decoder, latents), window)
        return total

    def start(self, parameters: Parameters, trials: int) -> Encoded:
        """States of zero, and nothing seen."""
        dtype = parameters["memory"].dtype
        states = tuple(jnp.zeros((trials, self.hidden), dtype) for _ in self.channels)
        return Encoded(states, jnp.zeros((trials, self.n_modalities), jnp.bool_))

    def filtered(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Encoded
    ) -> tuple[Encoded, Belief]:
        """The posterior given all modalities; its covariance is diagonal."""
        experts, seen, after = self._experts(parameters, inputs, before)
        posterior = self._posterior(experts, [seen[..., i] for i in range(self.n_modalities)])
        identity = jnp.eye(self.latent, dtype=inputs.dtype)
        return after, Belief(posterior.mean, posterior.variance[..., None] * identity)

    def _experts(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Encoded
    ) -> tuple[list[Gaussian], Bool[Array, "time trial modality"], Encoded]:
        """Each modality's expert of every bin, where it takes part, and what is carried on."""
        experts, last = [], []
        for weights, own, state in zip(parameters["encoders"], self.own_inputs(inputs), before.states, strict=True):
            states = hidden_states(weights, own, state)
            log_variance = jnp.clip(states @ weights["spread"].T + weights["spread_bias"], *LOG_VARIANCE)
            experts.append(Gaussian(states @ weights["mean"].T + weights["mean_bias"], jnp.exp(log_variance)))
            last.append(states[-1])
        now = (self.shares(inputs) > 0).astype(jnp.int8)
        seen = (jax.lax.cummax(now, axis=0) > 0) | before.seen
        return experts, seen, Encoded(tuple(last), seen[-1])

    def _posterior(self, experts: Sequence[Gaussian], seen: Sequence[Bool[Array, "time trial"]]) -> Gaussian:
        """Product of experts with the prior expert."""
        prior = Gaussian(jnp.zeros_like(experts[0].mean), jnp.ones_like(experts[0].mean))
        return product_of_experts(prior, experts, seen)


def decoded(decoder: Parameters, latents: Float[Array, "*bins latent"]) -> Float[Array, "*bins channel"]:
    """Outputs of a modality's decoder: log rates, or means of z-scored values."""
    layer = jax.nn.relu(latents @ decoder["layer"].T + decoder["layer_bias"])
    return layer @ decoder["output"].T + decoder["output_bias"]
