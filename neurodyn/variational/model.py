"""What both generative models share: the inputs of their encoders, the likelihood of what they decode."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from neurodyn.variational.elbo import gaussian_log_likelihood, poisson_log_likelihood

LOG_NOISE = (-7.0, 2.0)
"""Bounds of the log variance of the noise of a Gaussian channel, whose own variance is one."""

Parameters = Mapping[str, Any]


class Window(NamedTuple):
    """Bins that a loss is made of, time first.

    Parameters
    ----------
    inputs
        What encoders see (:func:`neurodyn.recurrent.network.assemble`): less than there is, where training hides some.
    values, observed
        Per modality what is decoded, counts as recorded and other values z-scored, and the entries that count.
    scored
        Bins that may be fitted on.
    weight
        Of the divergence: 1, but less in the first steps of a training that is warmed up.
    """

    inputs: Float[Array, "time trial inputs"]
    values: tuple[Float[Array, "time trial _"], ...]
    observed: tuple[Bool[Array, "time trial _"], ...]
    scored: Bool[Array, "time trial"]
    weight: Float[Array, ""] | float = 1.0


class Belief(NamedTuple):
    """The state in every bin, given what was observed up to its end, time first."""

    mean: Float[Array, "time trial latent"]
    covariance: Float[Array, "time trial latent latent"]


@dataclass(frozen=True)
class SequenceModel(ABC):
    """A model as training knows it: hashable, without arrays; its parameters are a tree of them.

    Parameters
    ----------
    counts
        Whether each modality is counts.
    channels
        Of each modality.
    latent
        Latent states.
    hidden
        Units of each layer between observations and latents.
    """

    warm_up: ClassVar[int] = 0
    """Gradient steps in which the weight of the divergence grows to 1; of a short training a third."""
    counts: tuple[bool, ...]
    channels: tuple[int, ...]
    latent: int
    hidden: int

    @abstractmethod
    def draw(self, key: Key[Array, ""], outputs: Sequence[Float[Array, " _"]]) -> Parameters:
        """Parameters before training; ``outputs`` are those that give each channel its mean, per modality."""

    @abstractmethod
    def loss(self, parameters: Parameters, window: Window, key: Key[Array, ""]) -> Float[Array, ""]:
        """What is minimised: the negative evidence lower bound, nats; ``key`` draws the latents."""

    @abstractmethod
    def start(self, parameters: Parameters, trials: int) -> Any:
        """What is carried into the first bin of so many trials."""

    @abstractmethod
    def filtered(
        self, parameters: Parameters, inputs: Float[Array, "time trial inputs"], before: Any
    ) -> tuple[Any, Belief]:
        """What is carried out of a stretch of bins, and the state in each of them."""

    @property
    def n_modalities(self) -> int:
        """Number of modalities."""
        return len(self.channels)

    def shares(self, inputs: Float[Array, "*bins inputs"]) -> Float[Array, "*bins modality"]:
        """Share of each modality's channels that is seen in each bin."""
        first = sum(self.channels)
        return inputs[..., first : first + self.n_modalities]

    def encoder_inputs(self, inputs: Float[Array, "*bins inputs"]) -> list[Float[Array, "*bins _"]]:
        """Inputs of each modality's encoder: its values, the share that is seen, the age of the last sample."""
        total, by_modality, first = sum(self.channels), [], 0
        for number, channels in enumerate(self.channels):
            beside = inputs[..., total + number :: self.n_modalities]  # shares stand before ages, one per modality
            by_modality.append(jnp.concatenate([inputs[..., first : first + channels], beside], axis=-1))
            first += channels
        return by_modality

    def log_likelihood(
        self, number: int, decoder: Parameters, output: Float[Array, "time trial channel"], window: Window
    ) -> Float[Array, "time trial"]:
        """Of what was observed of a modality in each bin or datum, given the decoder's output: log rates, or means."""
        values, observed = window.values[number], window.observed[number]
        if self.counts[number]:
            return poisson_log_likelihood(values, observed, output)
        return gaussian_log_likelihood(values, observed, output, jnp.clip(decoder["log_noise"], *LOG_NOISE))


def draw_matrix(key: Key[Array, ""], rows: int, columns: int, scale: float = 1.0) -> Float[Array, "rows columns"]:
    """Weights whose outputs vary as much as their inputs do, times ``scale``."""
    return scale * columns**-0.5 * jax.random.normal(key, (rows, columns), jnp.result_type(float))
