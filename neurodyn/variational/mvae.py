r"""Multimodal variational autoencoder of sequences: one recurrent encoder per modality, products of their experts.

The datum of a bin is what was observed in the last ``lags`` bins, it included. Each modality's gated recurrent unit
reads that modality alone, and makes of its state in a bin a Gaussian expert of the bin's latents. Experts are
multiplied with the prior expert N(0, 1); one takes part from the modality's first sample on, and says by its variance
what samples of some age are still worth. A network with one layer decodes each modality in all bins of the datum. The
loss is the sum of the bounds of all modalities together and of each alone, which trains every expert to be of use when
the others are missing.

The prior of a bin does not know other bins. With single bins as data (``lags`` of 1) the best posterior would therefore
not depend on the bins before it, and a bin of sparse counts says next to nothing by itself.

Reference: Wu & Goodman (2018), Multimodal generative models for scalable weakly-supervised learning, NeurIPS 31.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from neurodyn.kernels.linalg import masked_mean
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.network import LOG_VARIANCE, draw_weights, hidden_states
from neurodyn.variational.elbo import Gaussian, divergence, product_of_experts
from neurodyn.variational.model import Belief, Parameters, SequenceModel, Window, draw_matrix

FIRST_LOG_VARIANCE = -2.0
"""Of the experts before training: surer than the prior, or decoders would learn first to do without latents."""
PER_DATUM = 5
"""Data that each bin is part of in a loss; the next ones would say nearly the same."""


class Encoded(NamedTuple):
    """What encoders carry from bin to bin: their states, and whether each modality was observed yet."""

    states: tuple[Float[Array, "trial hidden"], ...]
    seen: Bool[Array, "trial modality"]


@dataclass(frozen=True)
class MvaeModel(SequenceModel):
    """The multimodal variational autoencoder as training knows it.

    Parameters
    ----------
    lags
        Bins of a datum.
    """

    warm_up: ClassVar[int] = 500
    lags: int

    def draw(self, key: Key[Array, ""], outputs: Sequence[Float[Array, " _"]]) -> Parameters:
        """Weights of encoders and decoders."""
        config, encoders, decoders = RecurrentConfig(hidden=self.hidden, members=1), [], []
        for channels, output, one in zip(self.channels, outputs, jax.random.split(key, len(outputs)), strict=True):
            keys = jax.random.split(one, 3)
            weights = draw_weights(keys[0], channels + 2, self.latent, config)
            encoder = {name: array[0] for name, array in weights.items()}
            encoders.append(encoder | {"spread_bias": jnp.full(self.latent, FIRST_LOG_VARIANCE, output.dtype)})
            decoders.append({
                "layer": draw_matrix(keys[1], self.hidden, self.latent),
                "layer_bias": jnp.zeros(self.hidden, output.dtype),
                "output": draw_matrix(keys[2], self.lags * channels, self.hidden),
                "output_bias": jnp.tile(output, self.lags),
                "log_noise": jnp.zeros(self.lags * channels, output.dtype),
            })  # fmt: skip
        return {"encoders": tuple(encoders), "decoders": tuple(decoders)}

    def loss(self, parameters: Parameters, window: Window, key: Key[Array, ""]) -> Float[Array, ""]:
        """Sum of the negative bounds of all modalities together and of each alone, nats per datum."""
        start = self.start(parameters, window.inputs.shape[1])
        experts, seen, _ = self._experts(parameters, window.inputs, start)
        data, last = self._data(window)
        experts, seen = [Gaussian(e.mean[last], e.variance[last]) for e in experts], seen[last]
        everything = tuple(range(self.n_modalities))
        subsets = [everything, *((number,) for number in everything if len(everything) > 1)]
        total = jnp.zeros_like(data.scored, window.inputs.dtype)
        for subset, one in zip(subsets, jax.random.split(key, len(subsets)), strict=True):
            posterior, prior = self._posterior([experts[i] for i in subset], [seen[..., i] for i in subset])
            latents = posterior.draw(one)
            total += window.weight * divergence(posterior, prior)
            for number in subset:
                decoder = parameters["decoders"][number]
                total -= self.log_likelihood(number, decoder, decoded(decoder, latents), data)
        return masked_mean(total, data.scored)

    def start(self, parameters: Parameters, trials: int) -> Encoded:
        """States of zero, and nothing seen."""
        dtype = jnp.result_type(float)
        states = tuple(jnp.zeros((trials, self.hidden), dtype) for _ in self.channels)
        return Encoded(states, jnp.zeros((trials, self.n_modalities), jnp.bool_))

    def filtered(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Encoded
    ) -> tuple[Encoded, Belief]:
        """The posterior given all modalities; its covariance is diagonal."""
        experts, seen, after = self._experts(parameters, inputs, before)
        posterior, _ = self._posterior(experts, [seen[..., i] for i in range(self.n_modalities)])
        identity = jnp.eye(self.latent, dtype=inputs.dtype)
        return after, Belief(posterior.mean, posterior.variance[..., None] * identity)

    def _experts(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Encoded
    ) -> tuple[list[Gaussian], Bool[Array, "time trial modality"], Encoded]:
        """Each modality's expert of every bin, where it takes part, and what is carried on."""
        experts, last = [], []
        for weights, modality_inputs, state in zip(
            parameters["encoders"], self.encoder_inputs(inputs), before.states, strict=True
        ):
            states = hidden_states(weights, modality_inputs, state)
            log_variance = jnp.clip(states @ weights["spread"].T + weights["spread_bias"], *LOG_VARIANCE)
            experts.append(Gaussian(states @ weights["mean"].T + weights["mean_bias"], jnp.exp(log_variance)))
            last.append(states[-1])
        now = (self.shares(inputs) > 0).astype(jnp.int8)
        seen = (jax.lax.cummax(now, axis=0) > 0) | before.seen
        return experts, seen, Encoded(tuple(last), seen[-1])

    def _posterior(
        self, experts: Sequence[Gaussian], seen: Sequence[Bool[Array, "time trial"]]
    ) -> tuple[Gaussian, Gaussian]:
        """Product of experts with the prior expert, and the prior."""
        prior = Gaussian(jnp.zeros_like(experts[0].mean), jnp.ones_like(experts[0].mean))
        return product_of_experts(prior, experts, seen), prior

    def _data(self, window: Window) -> tuple[Window, Int[np.ndarray, " datum"]]:
        """What is decoded of the data that end in some of the bins, their lags side by side, and these bins."""
        bins, apart = len(window.scored), max(1, self.lags // PER_DATUM)
        last = np.arange(min(apart, bins) - 1, bins, apart)
        index = last[:, None] - np.arange(self.lags)
        inside = jnp.asarray(index >= 0)[..., None, None]

        def side_by_side(array: Array) -> Array:
            return jnp.swapaxes(array, 1, 2).reshape(len(last), array.shape[2], -1)

        index = np.maximum(index, 0)
        values = tuple(side_by_side(array[index]) for array in window.values)
        observed = tuple(side_by_side(mask[index] & inside) for mask in window.observed)
        return Window(window.inputs[last], values, observed, window.scored[last]), last


def decoded(decoder: Parameters, latents: Float[Array, "*bins latent"]) -> Float[Array, "*bins channel"]:
    """Outputs of a modality's decoder, lags side by side: log rates, or means of z-scored values."""
    layer = jax.nn.relu(latents @ decoder["layer"].T + decoder["layer_bias"])
    return layer @ decoder["output"].T + decoder["output_bias"]
