r"""Piecewise-linear recurrent network with observations of several modalities, as a sequential variational autoencoder.

.. math::
    z_t = A z_{t-1} + W \max(0, z_{t-1}) + h + \epsilon_t, \qquad \epsilon_t \sim N(0, Q)

with A diagonal, W without a diagonal and Q diagonal. Gaussian channels are linear in z, log rates of counts too. In
each bin a network per modality makes a Gaussian expert of what was observed there, and the recognition model is the
product of the experts with the prior expert that the dynamics are:

.. math::
    q(z_t \mid z_{t-1}, x_t) \propto N(z_t;\, F(z_{t-1}), Q) \prod_i N(z_t;\, \mu_i(x_t), v_i(x_t)),

over the modalities observed. It never sees the future, and where nothing is observed the network runs on by itself. The
filtered mean is this recursion without noise, its covariance the one that the recursion has where F is linearised.

Kramer et al. let the recognition model see the whole sequence; it was made causal here because what is decoded must be.
Experts multiplied with dynamics are those of Tan et al. Half of the states are drawn towards a manifold attractor,
:math:`a_{ii} = 1`, no coupling and no drift, which keeps slow modes (Schmidt et al.). |A| is below 1, and what F says
is held within ``BOUND``: a piecewise-linear network can diverge where its states are not pulled back by observations.

References: Kramer, Bommer, Tombolini, Koppe & Durstewitz (2022), Reconstructing nonlinear dynamical systems from
multi-modal time series, ICML. Tan, Soh & Ong (2020), Factorized inference in deep Markov models for incomplete
multimodal time series, AAAI. Schmidt, Koppe, Monfared, Beutelspacher & Durstewitz (2021), Identifying nonlinear
dynamical systems with multiple time scales and long-range dependencies, ICLR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurodyn.kernels.linalg import masked_mean
from neurodyn.recurrent.network import LOG_VARIANCE
from neurodyn.variational.elbo import Gaussian, divergence
from neurodyn.variational.model import Belief, Parameters, SequenceModel, Window, draw_matrix

BOUND = 100.0
"""Most that dynamics may say of a state, whose process noise begins at a deviation of 0.3."""
FIRST_NOISE = 0.1
"""Process noise before training, a variance."""
PULL = 1e-2
"""Weight of the manifold attractor's penalty, next to nats per bin."""


class Prior(NamedTuple):
    """What the dynamics say of a bin before it is observed.

    Parameters
    ----------
    mean, variance
        Of the state given the one before it, which is taken to be its own mean.
    spread
        Covariance that the state before it adds.
    """

    mean: Float[Array, "trial latent"]
    variance: Float[Array, "trial latent"]
    spread: Float[Array, "trial latent latent"]


class Evidence(NamedTuple):
    """What the experts of each bin add up to: precision, and means times precision."""

    precision: Float[Array, "time trial latent"]
    weighted: Float[Array, "time trial latent"]


@dataclass(frozen=True)
class PlrnnModel(SequenceModel):
    """The piecewise-linear recurrent network as training knows it."""

    def draw(self, key: Key[Array, ""], outputs: Sequence[Float[Array, " _"]]) -> Parameters:
        """Slow, nearly uncoupled dynamics, and weights of encoders and decoders."""
        dynamics, *others = jax.random.split(key, 1 + len(outputs))
        encoders, decoders, dtype = [], [], jnp.result_type(float)
        for channels, output, one in zip(self.channels, outputs, others, strict=True):
            keys = jax.random.split(one, 3)
            encoders.append({
                "layer": draw_matrix(keys[0], self.hidden, channels + 2),
                "layer_bias": jnp.zeros(self.hidden, dtype),
                "output": draw_matrix(keys[1], 2 * self.latent, self.hidden, 0.5),
                "output_bias": jnp.zeros(2 * self.latent, dtype),
            })  # fmt: skip
            decoders.append({
                "output": draw_matrix(keys[2], channels, self.latent, 0.5), "output_bias": output,
                "log_noise": jnp.zeros(channels, dtype),
            })  # fmt: skip
        return {
            "encoders": tuple(encoders),
            "decoders": tuple(decoders),
            "decay": jnp.arctanh(jnp.linspace(0.99, 0.8, self.latent, dtype=dtype)),
            "coupling": draw_matrix(dynamics, self.latent, self.latent, 0.1),
            "drift": jnp.zeros(self.latent, dtype),
            "log_process": jnp.full(self.latent, jnp.log(FIRST_NOISE), dtype),
            "first_mean": jnp.zeros(self.latent, dtype),
            "first_log_variance": jnp.zeros(self.latent, dtype),
        }

    def loss(self, parameters: Parameters, window: Window, key: Key[Array, ""]) -> Float[Array, ""]:
        """Negative bound, from one path of the recognition model, nats per bin, and the penalty on the dynamics."""
        evidence, first = self._evidence(parameters, window.inputs), self.start(parameters, window.inputs.shape[1])
        noise = jax.random.normal(key, evidence.precision.shape, evidence.precision.dtype)

        def one(prior: Gaussian, now: tuple[Evidence, Array]) -> tuple[Gaussian, tuple[Array, Array]]:
            found = _posterior(prior, now[0])
            state = found.mean + jnp.sqrt(found.variance) * now[1]
            after = Gaussian(advance(parameters, state), jnp.broadcast_to(process_noise(parameters), state.shape))
            return after, (state, window.weight * divergence(found, prior))

        _, (states, total) = jax.lax.scan(one, Gaussian(first.mean, first.variance), (evidence, noise))
        for number, decoder in enumerate(parameters["decoders"]):
            total -= self.log_likelihood(number, decoder, decoded(decoder, states), window)
        return masked_mean(total, window.scored) + self.penalty(parameters)

    def penalty(self, parameters: Parameters) -> Float[Array, ""]:
        """Distance of half of the states from a manifold attractor."""
        half = self.latent // 2
        decay, coupling, drift = (part[:half] for part in _dynamics(parameters))
        return PULL * (jnp.sum(jnp.square(1 - decay)) + jnp.sum(jnp.square(coupling)) + jnp.sum(jnp.square(drift)))

    def start(self, parameters: Parameters, trials: int) -> Prior:
        """The learned distribution of a first state."""
        shape = (trials, self.latent)
        mean, log_variance = parameters["first_mean"], parameters["first_log_variance"]
        variance = jnp.exp(jnp.clip(log_variance, *LOG_VARIANCE))
        spread = jnp.zeros((*shape, self.latent), mean.dtype)
        return Prior(jnp.broadcast_to(mean, shape), jnp.broadcast_to(variance, shape), spread)

    def filtered(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Prior
    ) -> tuple[Prior, Belief]:
        """Mean of the recursion without noise, and its linearised covariance."""
        decay, coupling, _ = _dynamics(parameters)
        identity = jnp.eye(self.latent, dtype=inputs.dtype)

        def one(prior: Prior, now: Evidence) -> tuple[Prior, Belief]:
            found = _posterior(Gaussian(prior.mean, prior.variance), now)
            kept = found.variance / prior.variance  # share that the prior has in the posterior
            covariance = kept[..., :, None] * prior.spread * kept[..., None, :] + found.variance[..., None] * identity
            active = (found.mean > 0).astype(found.mean.dtype)
            slope = decay[:, None] * identity + coupling * active[..., None, :]
            spread = jnp.clip(slope @ covariance @ jnp.swapaxes(slope, -1, -2), -(BOUND**2), BOUND**2)
            noise = jnp.broadcast_to(process_noise(parameters), found.mean.shape)
            return Prior(advance(parameters, found.mean), noise, spread), Belief(found.mean, covariance)

        return jax.lax.scan(one, before, self._evidence(parameters, inputs))

    def _evidence(self, parameters: Parameters, inputs: Float[Array, "time trial inputs"]) -> Evidence:
        """Of all modalities that were observed in each bin."""
        shape = (*inputs.shape[:-1], self.latent)
        precision = weighted = jnp.zeros(shape, inputs.dtype)
        shares = self.shares(inputs)
        for number, (encoder, modality_inputs) in enumerate(
            zip(parameters["encoders"], self.encoder_inputs(inputs), strict=True)
        ):
            layer = jax.nn.relu(modality_inputs @ encoder["layer"].T + encoder["layer_bias"])
            mean, log_variance = jnp.split(layer @ encoder["output"].T + encoder["output_bias"], 2, axis=-1)
            there = (shares[..., number, None] > 0).astype(inputs.dtype)
            share = there * jnp.exp(-jnp.clip(log_variance, *LOG_VARIANCE))
            precision, weighted = precision + share, weighted + share * mean
        return Evidence(precision, weighted)


def advance(parameters: Parameters, states: Float[Array, "*bins latent"]) -> Float[Array, "*bins latent"]:
    """Mean of the states of the next bin, held within ``BOUND``."""
    decay, coupling, drift = _dynamics(parameters)
    return jnp.clip(decay * states + jax.nn.relu(states) @ coupling.T + drift, -BOUND, BOUND)


def process_noise(parameters: Parameters) -> Float[Array, " latent"]:
    """Variance of each state's noise."""
    return jnp.exp(jnp.clip(parameters["log_process"], *LOG_VARIANCE))


def decoded(decoder: Parameters, states: Float[Array, "*bins latent"]) -> Float[Array, "*bins channel"]:
    """Log rates, or means of z-scored values: linear in the states."""
    return states @ decoder["output"].T + decoder["output_bias"]


def _dynamics(parameters: Parameters) -> tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]:
    """Diagonal of A, W without its diagonal, and h."""
    coupling = parameters["coupling"]
    between = jnp.ones_like(coupling) - jnp.eye(len(coupling), dtype=coupling.dtype)
    return jnp.tanh(parameters["decay"]), coupling * between, parameters["drift"]


def _posterior(prior: Gaussian, evidence: Evidence) -> Gaussian:
    """Product of the prior expert with those of the bin."""
    precision = 1 / prior.variance + evidence.precision
    return Gaussian((prior.mean / prior.variance + evidence.weighted) / precision, 1 / precision)
