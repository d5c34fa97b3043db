"""Read-outs of the target: ridge on states, ridge on traces and the recurrent network, weighed on held-out bins.

1. Each linear expert is fitted on the bins that the networks were trained on, and once more on all bins.
2. On the held-out blocks, as they are and with samples hidden in every manner a rig loses them, every expert decodes.
3. Their weights, and the variance of what they decode together, are fitted there (:mod:`neurodyn.targets.stacking`).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.binning.batch import MultimodalBatch, Stacked
from neurodyn.binning.scaling import Scaling
from neurodyn.multiscale.fitted import Evidence, Readout, evidence_of, variance_features
from neurodyn.multiscale.inference import Estimates, Network, estimate_both, readout_variance
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.targets import (
    DEFAULT_PENALTIES,
    LinearTarget,
    Rows,
    VarianceModel,
    conditions,
    fit_ridge_stream,
    fit_stack,
    fit_variance,
    independent_bins,
    time_blocks,
)

RIDGE_BLOCKS = 10
"""Blocks of training time among which the penalty of a linear expert is chosen."""
BLOCK = 2**22
"""Numbers of features that are worked on at once."""
LONGEST_LOSS = 5.0
"""Longest simulated gap, seconds."""


def fit_readouts(
    network: Network,
    recurrent: RecurrentNetwork | None,
    scaling: Scaling,
    batch: MultimodalBatch,
    held: MultimodalBatch,
    seed: int = 0,
) -> tuple[Readout | None, Readout | None]:
    """Fit the filtered and the smoothed read-out.

    Parameters
    ----------
    network, recurrent
        Trained on the bins of ``batch`` that are not in ``held``.
    scaling
        Of the training data.
    batch
        All training trials.
    held
        Runs on the same timeline that training did not see.
    seed
        Of the simulated losses.
    """
    if batch.n_dims == 0:
        return None, None
    stacked, outside = batch.stacked(), ~_membership(batch, held)
    lossy = with_losses(held, seed)
    lossy_stacked = lossy.stacked()
    everything = estimate_both(network, batch)
    final, inner = zip(*(_linear_experts(batch, stacked, e, outside) for e in everything), strict=True)
    found = estimate_both(network, lossy, *(experts[0].weights for experts in inner))
    readouts = []
    for every, all_bins, some_bins, one in zip(everything, final, inner, found, strict=True):
        usual = np.asarray(readout_variance(every.usual, all_bins[0].weights))
        evidence = evidence_of(one, recurrent, scaling, lossy, lossy_stacked)
        readouts.append(_weighed(all_bins, some_bins, usual, evidence, lossy_stacked, scaling, held))
    return readouts[0], readouts[1]


def with_losses(held: MultimodalBatch, seed: int) -> MultimodalBatch:
    """Copies of the held-out runs: as they are, with bins lost at random, and with gaps in one and in all modalities.

    Gaps last from one bin to five seconds, evenly on a logarithmic scale, and take about a third of the time. The
    copies are further runs on one longer timeline.
    """
    generator, names = np.random.default_rng([seed, 5]), held.names
    bins, spans = _compact(held)
    copies = [{n: np.zeros(len(bins), np.bool_) for n in names}]
    copies.append({n: generator.random(len(bins)) < 0.4 for n in names})
    longest = max(2.0, LONGEST_LOSS / held.width)
    if len(names) > 1:
        copies += [{n: _gaps(generator, len(bins), longest) & (n == name) for n in names} for name in names]
    copies.append(dict.fromkeys(names, _gaps(generator, len(bins), longest)))
    observed = {n: np.concatenate([held.observed[n][bins] & ~c[n][:, None] for c in copies]) for n in names}
    whole = {n: np.concatenate([held.observations[n][bins]] * len(copies)) for n in names}
    observations = {n: np.where(observed[n], whole[n], np.float32(0)) for n in names}
    shift = np.repeat(np.arange(len(copies)), held.n_trials) * len(bins)
    time = np.concatenate([held.time[bins] + i * (held.time[-1] + 1.0) for i in range(len(copies))])
    return replace(
        held,
        observations=observations,
        observed=observed,
        target=np.concatenate([held.target[bins]] * len(copies)),
        target_observed=np.concatenate([held.target_observed[bins]] * len(copies)),
        time=time,
        starts=np.tile(spans, len(copies)) + shift,
        lengths=np.tile(held.lengths, len(copies)),
        lead=np.tile(held.lead, len(copies)),
    )


def _compact(held: MultimodalBatch) -> tuple[np.ndarray, np.ndarray]:
    """Bins of all runs end to end, and where each run then starts."""
    bins = np.concatenate([np.arange(s, s + n) for s, n in zip(held.starts, held.lengths, strict=True)])
    return bins, np.cumsum(held.lengths) - held.lengths


def _gaps(generator: np.random.Generator, bins: int, longest: float) -> Bool[np.ndarray, " bins"]:
    """Gaps of one bin to ``longest`` bins, with twice as much time between them as they take."""
    gaps, position = np.zeros(bins, np.bool_), 0
    while position < bins:
        length = max(1, round(float(np.exp(generator.uniform(0, np.log(longest))))))
        position += 1 + round(float(generator.exponential(2.0 * length)))
        gaps[position : position + length] = True
        position += length
    return gaps


def _membership(batch: MultimodalBatch, held: MultimodalBatch) -> Bool[np.ndarray, "trial time"]:
    """Bins of the trials of a batch, side by side, that are held out."""
    flags = held.in_trials()
    step = np.arange(int(batch.lengths.max()))
    inside = step < batch.lengths[:, None]
    return inside & flags[np.where(inside, batch.starts[:, None] + step, 0)]


def _linear_experts(
    batch: MultimodalBatch, stacked: Stacked, estimates: Estimates, outside: Bool[np.ndarray, "trial time"]
) -> tuple[tuple[LinearTarget, ...], tuple[LinearTarget, ...]]:
    """Ridge on the states and on the traces, fitted on all bins, and on those outside the held-out blocks."""
    scored = stacked.scored()
    blocks = np.zeros(scored.shape, int)
    blocks[stacked.valid] = time_blocks(batch.lengths, RIDGE_BLOCKS)
    parts = [part for part in (estimates.states, estimates.traces) if part.shape[-1]]
    rows, final, inner = scored & outside, [], []
    halves = np.cumsum(rows).reshape(rows.shape) > rows.sum() // 2
    for part in parts:
        whole = _ridge(part, stacked, scored, blocks)
        final.append(whole)
        inner.append(_ridge(part, stacked, rows, halves, tuple(set(whole.penalty))))
    return tuple(final), tuple(inner)


def _ridge(
    features: np.ndarray, stacked: Stacked, rows: np.ndarray, groups: np.ndarray, penalties=DEFAULT_PENALTIES
) -> LinearTarget:
    """Ridge regression on the chosen bins; traces of many units would not fit into memory in double precision."""
    length = max(1, BLOCK // features.shape[-1])

    def blocks() -> Iterator[Rows]:
        for trial, chosen in enumerate(rows):
            for first in range(0, len(chosen), length):
                kept = np.flatnonzero(chosen[first : first + length]) + first
                if len(kept):
                    target = np.asarray(stacked.target[trial, kept], np.float64)
                    yield Rows(features[trial, kept], target, groups[trial, kept].astype(int))

    return fit_ridge_stream(blocks, penalties=penalties)


def _weighed(
    final: tuple[LinearTarget, ...],
    inner: tuple[LinearTarget, ...],
    usual: Float[np.ndarray, " dim"],
    evidence: Evidence,
    stacked: Stacked,
    scaling: Scaling,
    held: MultimodalBatch,
) -> Readout:
    """Weights of the experts and variance of their mixture, from the held-out runs with their losses."""
    scored, dims = stacked.scored(), len(usual)
    centre = np.asarray(scaling.target_mean, np.float64)
    shares = conditions(evidence.memory, evidence.modalities)[scored]
    experts = len(inner) + (evidence.recurrent is not None)
    nothing = VarianceModel(np.zeros(dims), np.zeros((0, dims)))
    blank = Readout(inner, np.ones((shares.shape[1], experts, dims)), centre, usual, nothing)
    target = np.asarray(stacked.target[scored], np.float64)
    predictions, runs = blank.predictions(evidence), slice(held.n_trials)  # the first copies have lost nothing
    errors = predictions[runs].mean(axis=2) - (stacked.target[runs] - centre)
    independent = independent_bins(errors, scored[runs])
    stack = fit_stack(predictions[scored], target - centre, shares, independent)
    weighed = replace(blank, stack=stack)
    squares = np.square(target - weighed.predict(evidence)[scored])
    model = fit_variance(squares, variance_features(evidence, usual)[scored])
    return replace(weighed, experts=final, variance_model=model)
