"""Segments of a recording to train on: where they may start, and how they are cut out on the device."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.multiscale.model import ObservedTrials
from neurodyn.multiscale.objective import TrainingBatch

MIN_REGULAR_FRACTION = 0.8
"""Fraction of the segments that must see every modality in the same bins for the others to be left out."""


class Timeline(NamedTuple):
    """The bins of a recording on the device, stored once; segments are gathered from it inside the compiled step."""

    values: dict[str, Array]
    observed: dict[str, Array]
    target: Array
    target_observed: Array


@dataclass(frozen=True)
class Segments:
    """Every place a segment may start at on the timeline, and how many of its bins belong to the trial."""

    starts: Int[np.ndarray, " candidate"]
    lengths: Int[np.ndarray, " candidate"]
    leads: Int[np.ndarray, " candidate"]
    bins: int
    per_epoch: int

    def draw(self, seed: int, epoch: int, batch: int) -> Int[np.ndarray, "3 step batch"]:
        """Starts, lengths and leads of the segments of each step of an epoch, from (seed, epoch) alone."""
        generator = np.random.default_rng([seed, epoch])
        batch = min(batch, self.per_epoch)
        steps = max(1, round(self.per_epoch / batch))
        rounds = -(-steps * batch // len(self.starts))
        drawn = np.concatenate([generator.permutation(len(self.starts)) for _ in range(rounds)])
        table = np.stack([self.starts, self.lengths, self.leads])
        return table[:, drawn[: steps * batch]].reshape(3, steps, batch)

    def everything(self) -> Int[np.ndarray, "3 candidate"]:
        """All candidates as one batch."""
        return np.stack([self.starts, self.lengths, self.leads])


def segments_of(batch: MultimodalBatch, seconds: float) -> Segments:
    """Segments of at most ``seconds``: short trials whole, longer ones from where all modalities are in phase.

    Their samples repeat in a common cycle of bins. Starts keep its phase, so that segments of a regular recording share
    one mask and their covariances are computed once.
    """
    cycle = math.lcm(*(m.sample_every for m in batch.modalities))
    bins = min(max(2, cycle, round(seconds / batch.width)), int(batch.lengths.max()))
    starts, lengths, leads = [], [], []
    for start, length, lead in zip(batch.starts, batch.lengths, batch.lead, strict=True):
        first = -int(start) % cycle if length > bins + cycle else 0
        offsets = np.arange(first, max(first + 1, length - bins + 1), cycle)
        starts.append(start + offsets)
        lengths.append(np.minimum(bins, length - offsets))
        leads.append(np.maximum(lead - offsets, 0))
    per_epoch = max(1, round(batch.n_bins / bins))
    return Segments(np.concatenate(starts), np.concatenate(lengths), np.concatenate(leads), bins, per_epoch)


def timeline_of(batch: MultimodalBatch, scaling: Scaling) -> Timeline:
    """The batch's timeline as device arrays, target z-scored."""
    dtype = jnp.result_type(float)
    target = np.where(batch.target_observed[:, None], scaling.apply_target(batch.target), 0)
    return Timeline(
        {n: jnp.asarray(batch.observations[n], dtype) for n in batch.names},
        {n: jnp.asarray(batch.observed[n]) for n in batch.names},
        jnp.asarray(target, dtype),
        jnp.asarray(batch.target_observed),
    )


def gather(
    timeline: Timeline,
    segments: Int[Array | np.ndarray, "3 trial"],
    bins: int,
    *,
    shared: bool,
) -> TrainingBatch:
    """Cut segments out of the timeline.

    Parameters
    ----------
    segments
        Starts, lengths and leads in bins; beyond its length a segment is masked, in its lead not scored.
    shared
        Whether all segments have one mask (checked by the caller); the covariances are then computed once.
    """
    starts, lengths, leads = segments
    offset = jnp.arange(bins)
    index = jnp.minimum(starts[:, None] + offset, timeline.target.shape[0] - 1)
    valid = offset < lengths[:, None]
    observed = {n: o[index] & valid[..., None] for n, o in timeline.observed.items()}
    seen = {n: jnp.any(o, axis=-1) for n, o in observed.items()}
    if shared:
        seen = {n: s[0] for n, s in seen.items()}
    values = {n: v[index] for n, v in timeline.values.items()}
    scored = timeline.target_observed[index] & valid & (offset >= leads[:, None])
    trials = ObservedTrials(values, observed, seen, valid[0] if shared else valid)
    return TrainingBatch(trials, timeline.target[index], scored)


def most_share_a_mask(batch: MultimodalBatch, segments: Segments) -> tuple[Segments, bool]:
    """Segments that see every modality in the same bins, if nearly all do; else all segments.

    One mask means one covariance recursion for the whole batch instead of one per segment, so the few segments that
    touch a gap of an otherwise regular recording are left out of training.

    Returns
    -------
    The segments to train on, and whether they share one mask.
    """
    if np.any(segments.lengths < segments.bins):
        return segments, False
    irregular = np.concatenate([[0], np.cumsum(_irregular_bins(batch))])
    same = irregular[segments.starts + segments.bins] == irregular[segments.starts]
    cycle = math.lcm(*(m.sample_every for m in batch.modalities))
    in_phase = segments.starts % cycle == np.bincount(segments.starts % cycle).argmax()
    kept = same & in_phase
    if kept.mean() < MIN_REGULAR_FRACTION:
        return segments, False
    starts, lengths, leads = segments.everything()[:, kept]
    return Segments(starts, lengths, leads, segments.bins, segments.per_epoch), True


def share_a_mask(batch: MultimodalBatch, segments: Segments) -> bool:
    """Whether all segments see every modality in the same bins, and are equally long."""
    if np.any(segments.lengths < segments.bins):
        return False
    index = segments.starts[:, None] + np.arange(segments.bins)
    masks = (np.any(batch.observed[name], axis=1)[index] for name in batch.names)
    return all(bool((mask == mask[0]).all()) for mask in masks)


def _irregular_bins(batch: MultimodalBatch) -> Bool[np.ndarray, " bin"]:
    """Bins of the timeline in which some modality is not seen (or seen) as usual at that phase of its sampling."""
    odd = np.zeros(len(batch.time), np.bool_)
    inside = batch.in_trials()
    for modality in batch.modalities:
        seen = np.asarray(batch.observed[modality.name].any(axis=1))
        phase = np.arange(len(seen)) % modality.sample_every
        share = np.bincount(phase[inside], seen[inside]) / np.maximum(np.bincount(phase[inside]), 1)
        odd |= seen != (share > 0.5)[phase]
    return odd


def whole_trials(batch: MultimodalBatch) -> Segments:
    """Every trial as a segment."""
    return Segments(batch.starts, batch.lengths, batch.lead, int(batch.lengths.max()), batch.n_trials)
