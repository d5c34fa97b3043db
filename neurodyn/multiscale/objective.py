"""What training maximises: prediction of every modality, smooth outputs and latents, and the target's read-out."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neurodyn.kernels.linalg import masked_mean
from neurodyn.multiscale import piecewise
from neurodyn.multiscale.config import ModelConfig, ObjectiveConfig
from neurodyn.multiscale.modality_decoders import ModalityDecoder
from neurodyn.multiscale.model import Dropout, Latents, MultiscaleModel, ObservedTrials


class TrainingBatch(NamedTuple):
    """Segments of one training step: observations, z-scored target and the bins in which it is scored."""

    trials: ObservedTrials
    target: Float[Array, "trial time dim"]
    scored: Bool[Array, "trial time"]


class Terms(NamedTuple):
    """The terms of the loss, each with its weight applied; their sum is what is minimised."""

    likelihood: Float[Array, ""]
    output_smoothness: Float[Array, ""]
    latent_smoothness: Float[Array, ""]
    weights: Float[Array, ""]
    target: Float[Array, ""]

    def total(self) -> Float[Array, ""]:
        """What is minimised."""
        return jnp.sum(jnp.stack(self))


def loss_terms(
    model: MultiscaleModel,
    batch: TrainingBatch,
    scales: Mapping[str, Float[Array, ""]],
    config: ModelConfig,
    objective: ObjectiveConfig,
    dropout: Dropout | None,
) -> Terms:
    """All terms of the loss on one batch.

    Parameters
    ----------
    scales
        Tau of the spec per modality, the weight of its log-likelihood (:func:`likelihood_scales`).
    dropout
        What to hide, or None for validation.
    """
    latents = model.infer(batch.trials, dropout)
    ahead = tuple(k for k in objective.horizons if k > 0)
    states = [latents.smoothed[None]] + ([model.backbone.ahead(latents.filtered, ahead)] if ahead else [])
    embeddings = model.backbone.emit(jnp.concatenate(states))
    horizons = (0, *ahead)
    total_likelihood = total_roughness = jnp.zeros((), embeddings.dtype)
    for row, encoder, decoder in zip(config.modalities, model.encoders, model.decoders, strict=True):
        values = batch.trials.observations[row.name]
        if decoder.likelihood.scaled:
            values = encoder.scaled(values)
        observed = batch.trials.observed[row.name]
        visible = observed
        if dropout is not None and not objective.score_hidden:
            visible = observed & ~dropout.hidden_bins[row.name][..., None]
        log_likelihood, roughness = _decoded(
            decoder, embeddings, values, visible, observed, horizons=horizons, objective=objective
        )
        total_likelihood += scales[row.name] * log_likelihood
        total_roughness += row.smoothness * roughness
    return Terms(
        -total_likelihood,
        total_roughness,
        objective.latent_smoothness * _latent_roughness(latents, batch.trials.valid),
        objective.weight_penalty * _weight_norms(model),
        objective.target * _target_error(model, latents.filtered, batch),
    )


def _decoded(
    decoder: ModalityDecoder,
    embeddings: Float[Array, "horizon trial time embedding"],
    values: Float[Array, "trial time channel"],
    visible: Bool[Array, "trial time channel"],
    observed: Bool[Array, "trial time channel"],
    horizons: tuple[int, ...],
    objective: ObjectiveConfig,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Log-likelihood of what is visible at all horizons, and roughness of the smoothed outputs where observed.

    Whether training hides a bin makes no difference to the roughness, as in the paper.
    """
    if len(horizons) * values.size > piecewise.MANY:
        return _decoded_in_pieces(
            decoder, embeddings, values, visible, observed, horizons=horizons, objective=objective
        )
    outputs = decoder(embeddings)
    log_likelihood = _log_likelihood(decoder, outputs, values, visible, horizons, objective)
    return log_likelihood, _output_roughness(decoder, outputs[0], jnp.any(observed, -1))


def _decoded_in_pieces(
    decoder: ModalityDecoder,
    embeddings: Float[Array, "horizon trial time embedding"],
    values: Float[Array, "trial time channel"],
    visible: Bool[Array, "trial time channel"],
    observed: Bool[Array, "trial time channel"],
    horizons: tuple[int, ...],
    objective: ObjectiveConfig,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The same a few bins at a time, and once more for the derivative: where there are many channels.

    The decoder's outputs for all bins and horizons would be several times what a step needs otherwise. Embeddings,
    which are small, are brought to the bin that they predict, so that no bin of the outputs depends on another one.
    """
    trials, bins, channels = values.shape
    moved = [jnp.pad(e, ((0, 0), (k, 0), (0, 0)))[:, :bins] for e, k in zip(embeddings, horizons, strict=True)]
    asked = jnp.asarray([k in objective.horizons for k in horizons])
    there = jnp.broadcast_to(asked & (jnp.arange(bins)[:, None] >= jnp.asarray(horizons)), (trials, bins, len(moved)))
    before, has_previous = _seen_before(jnp.any(observed, -1))
    previous = jnp.take_along_axis(embeddings[0], before[..., None], axis=1)

    def of_piece(
        predicting: Array,
        smoothed: Array,
        previous: Array,
        values: Array,
        visible: Array,
        there: Array,
        has_previous: Array,
    ) -> tuple[Array, Array]:
        log_prob = decoder.log_prob(decoder(jnp.swapaxes(predicting, 0, 1)), values)
        counted = visible & jnp.swapaxes(there, 0, 1)[..., None]
        divergence = decoder.divergence(decoder(previous), decoder(smoothed))
        nothing = jnp.zeros((), divergence.dtype)
        rough = jnp.sum(jnp.where(has_previous[:, None], divergence, nothing))
        return jnp.sum(jnp.where(counted, log_prob, nothing), axis=(1, 2)), rough

    parts = (jnp.stack(moved, axis=2), embeddings[0], previous, values, visible, there, has_previous)
    sums, rough = piecewise.in_pieces(of_piece, parts, len(horizons) * channels)
    number = jnp.sum(visible, axis=-1, dtype=values.dtype)
    counts = jnp.einsum("bt,bth->h", number, there.astype(values.dtype))
    pairs = channels * jnp.sum(has_previous, dtype=values.dtype)
    one = jnp.ones((), values.dtype)
    return jnp.sum(jnp.sum(sums, axis=0) / jnp.maximum(counts, one)), jnp.sum(rough) / jnp.maximum(pairs, one)


def _log_likelihood(
    decoder: ModalityDecoder,
    outputs: Float[Array, "horizon trial time channel"],
    values: Float[Array, "trial time channel"],
    observed: Bool[Array, "trial time channel"],
    horizons: tuple[int, ...],
    objective: ObjectiveConfig,
) -> Float[Array, ""]:
    """Sum over horizons k of the masked mean log-likelihood of the observation at ``t + k``."""
    bins = outputs.shape[2]
    scored = [(row, k) for row, k in enumerate(horizons) if k in objective.horizons and k < bins]
    if not scored:  # trials may be shorter than every horizon
        return jnp.zeros((), outputs.dtype)
    # Predictions go to the bin that they are of: what depends on the observations alone is then computed once for all.
    predicted = jnp.stack([jnp.pad(outputs[row], ((0, 0), (k, 0), (0, 0)))[:, :bins] for row, k in scored])
    log_prob = decoder.log_prob(predicted, values)
    # The first k bins of a trial have no prediction from k bins before.
    predicted_there = jnp.arange(bins) >= jnp.asarray([k for _, k in scored])[:, None]
    return jnp.sum(jax.vmap(masked_mean)(log_prob, observed & predicted_there[:, None, :, None]))


def _output_roughness(
    decoder: ModalityDecoder,
    output: Float[Array, "trial time channel"],
    seen: Bool[Array, "trial time"],
) -> Float[Array, ""]:
    """Mean divergence between the outputs of a seen bin and of the seen bin before it."""
    before, has_previous = _seen_before(seen)
    divergence = decoder.divergence(jnp.take_along_axis(output, before[..., None], axis=1), output)
    return masked_mean(divergence, jnp.broadcast_to(has_previous[..., None], divergence.shape))


def _seen_before(seen: Bool[Array, "trial time"]) -> tuple[Int[Array, "trial time"], Bool[Array, "trial time"]]:
    """The seen bin before each bin, and which seen bins have one."""
    latest = jax.lax.cummax(jnp.where(seen, jnp.arange(seen.shape[1]), -1), axis=1)
    before = jnp.concatenate([jnp.full_like(latest[:, :1], -1), latest[:, :-1]], axis=1)
    return jnp.maximum(before, 0), seen & (before >= 0)


def _latent_roughness(latents: Latents, valid: Bool[Array, "*trial time"]) -> Float[Array, ""]:
    """Mean divergence between consecutive smoothed latents of a trial, over the first half of their dimensions."""
    half = max(1, latents.smoothed.shape[-1] // 2)
    mean, variance = latents.smoothed[..., :half], latents.smoothed_variance[..., :half]
    early, late = variance[..., :-1, :], variance[..., 1:, :]
    shift = jnp.square(mean[:, 1:] - mean[:, :-1])
    divergence = 0.5 * (jnp.log(late / early) + (early + shift) / late - 1)
    return masked_mean(divergence, jnp.broadcast_to(valid[..., 1:, None], divergence.shape))


def _weight_norms(model: MultiscaleModel) -> Float[Array, ""]:
    """Sum of the Frobenius norms of all network weight matrices."""
    networks = [e.network for e in model.encoders] + [d.network for d in model.decoders]
    if model.fusion is not None:
        networks.append(model.fusion.network)
    squares = jnp.stack([jnp.sum(jnp.square(kernel)) for network in networks for kernel in network.kernels()])
    # The norm has no derivative at zero, where some output layers start: rounded off there.
    return jnp.sum(jnp.sqrt(squares + jnp.finfo(squares.dtype).eps))


def _target_error(
    model: MultiscaleModel, latent: Float[Array, "trial time latent"], batch: TrainingBatch
) -> Float[Array, ""]:
    """Mean squared error of the linear read-out of the z-scored target from the filtered latent."""
    if model.readout is None:
        return jnp.zeros((), latent.dtype)
    error = jnp.square(model.readout(latent) - batch.target)
    return masked_mean(error, jnp.broadcast_to(batch.scored[..., None], error.shape))
