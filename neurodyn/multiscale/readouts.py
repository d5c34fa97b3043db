"""Read-outs of the target: ridge on states, ridge on traces and the recurrent network, weighed on held-out bins.

1. Each linear expert is fitted on the bins that the networks were trained on, and once more on all bins.
2. On the held-out blocks, as they are and with samples hidden in every manner a rig loses them, every expert decodes.
3. Their weights, and the variance of what they decode together, are fitted there (:mod:`neurodyn.targets.stacking`,
   :mod:`neurodyn.targets.variance`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning.batch import MultimodalBatch, Stacked
from neurodyn.binning.pieces import Piece
from neurodyn.binning.scaling import Scaling
from neurodyn.history.filters import PRIOR, ExponentialFilters
from neurodyn.history.streams import Features, TrainingRows
from neurodyn.memory import give_back_memory
from neurodyn.multiscale.fitted import Evidence, Readout, evidence_of, variance_sources
from neurodyn.multiscale.inference import Estimates, Network, estimate_both, readout_variance
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.recurrent import Predicted
from neurodyn.targets import (
    LinearTarget,
    LogLinearVariance,
    VarianceSources,
    conditions,
    fit_log_linear_variance,
    fit_ridge_stream,
    fit_stack,
    independent_bins,
    time_blocks,
)
from neurodyn.targets.linear import EXACT_FEATURES

RIDGE_BLOCKS = 10
"""Blocks of training time among which the penalty of a linear expert is chosen."""
LONGEST_LOSS = 5.0
"""Longest simulated gap, seconds."""
SCATTERED = 0.3
"""Share of the channels that are lost in every bin, in one copy of the held-out runs."""
STRETCHES = (2.0, 20.0)
"""Longest stretch without some of the channels in each of two copies, seconds."""
MOST_CHANNELS = 0.9
"""Largest share of the channels that such a stretch is without."""
NO_PENALTY = 1e-9
"""What plain least squares has for a penalty, relative to the variance of a feature: none but for rounding."""
LEAST_LEFT = 0.25
"""Least share of the squared error that is left of it when all members of the recurrent network predict."""
PIECE = 2**13
"""Bins of states that a linear expert is fitted on at once."""


def fit_readouts(
    network: Network,
    recurrent: RecurrentNetwork | None,
    scaling: Scaling,
    batch: MultimodalBatch,
    held: MultimodalBatch,
    *,
    held_of: Bool[np.ndarray, "run member"] | None = None,
    seed: int = 0,
) -> tuple[Readout | None, Readout | None]:
    """Fit the filtered and the smoothed read-out.

    Parameters
    ----------
    network, recurrent
        The network is trained on the bins of ``batch`` that are not in ``held``; so are the members of ``held_of``.
    scaling
        Of the training data.
    batch
        All training trials.
    held
        Runs on the same timeline that training did not see.
    held_of
        For each of these runs, the members of the recurrent network that did not see it; None: none of them did.
    seed
        Of the simulated losses.
    """
    if batch.n_dims == 0:
        return None, None
    model, bins = network.model(), _FittedBins.of(batch, held)
    seconds = tuple(n * batch.width for n in model.trace_bins)
    states, final, inner = sum(d.latent for d in model.dynamics), [], []
    everything = estimate_both(network, batch)
    give_back_memory()
    for estimates, future in zip(everything, (False, True), strict=True):
        parts: list[Any] = [_States(estimates)]
        if seconds:
            parts.append(Features(batch, ExponentialFilters(seconds, PRIOR, newest=False), scaling, future=future))
        whole, some = zip(*(_expert(batch, part, bins) for part in parts), strict=True)
        give_back_memory()
        final.append(whole)
        inner.append(some)
    usual = [
        np.asarray(readout_variance(e.usual, all_bins[0].weights))
        for e, all_bins in zip(everything, final, strict=True)
    ]
    del everything, parts
    blanks = [_unfitted(experts, one, scaling) for experts, one in zip(inner, usual, strict=True)]
    projections, evidence = [blank.projection(states) for blank in blanks], ([], [])
    for copy in with_hidden_samples(held, seed):
        give_back_memory()
        for kept, estimates in zip(evidence, estimate_both(network, copy, *projections, share=False), strict=True):
            kept.append(evidence_of(estimates, recurrent, scaling, copy, chosen=held_of))
    stacked = held.stacked(observations=False)
    filtered, smoothed = (
        _stack_experts(blank, experts, _joined(found), stacked)
        for blank, experts, found in zip(blanks, final, evidence, strict=True)
    )
    return filtered, smoothed


def fit_plain_readouts(network: Network, batch: MultimodalBatch) -> tuple[Readout | None, Readout | None]:
    """Least squares from the backbone's state alone, on all bins, as in the paper; filtered and smoothed.

    Parameters
    ----------
    network, batch
        As in :func:`fit_readouts`.
    """
    if batch.n_dims == 0:
        return None, None
    bins, found = _FittedBins.of(batch, batch), []
    for estimates in estimate_both(network, batch):
        backbone, *others = estimates.means
        rows = TrainingRows(_States(estimates._replace(means=(backbone,))), batch, bins.everything)
        linear = fit_ridge_stream(rows, penalties=(NO_PENALTY,))
        silent = np.zeros((sum(mean.shape[2] for mean in others), len(linear.intercept)))
        linear = replace(linear, weights=np.concatenate([linear.weights, silent]))
        found.append(Readout.of_one(linear, np.asarray(readout_variance(estimates.usual, linear.weights))))
    filtered, smoothed = found
    return filtered, smoothed


def with_hidden_samples(held: MultimodalBatch, seed: int) -> Iterator[MultimodalBatch]:
    """Copies of the held-out runs: as they are, with bins lost at random, with gaps, and with single channels lost.

    Gaps last from one bin to five seconds, evenly on a logarithmic scale, and take about a third of the time. Where
    there are several modalities, each is also gone all the time: a minute without one is to be decoded by what does it
    best then, which short gaps do not tell. Channels are lost at random in every bin, and for stretches of time.
    """
    bins, starts = _compact(held)
    for hidden in _hidden_samples(held, len(bins), np.random.default_rng([seed, 5])):
        observed = {n: held.observed[n][bins] & ~hidden[n] for n in held.names}
        yield replace(
            held,
            observations={n: np.where(seen, held.observations[n][bins], np.float32(0)) for n, seen in observed.items()},
            observed=observed,
            target=held.target[bins],
            target_observed=held.target_observed[bins],
            time=held.time[bins],
            starts=starts,
        )


def _hidden_samples(
    held: MultimodalBatch, bins: int, generator: np.random.Generator
) -> Iterator[dict[str, Bool[np.ndarray, "bins _"]]]:
    """What each copy is without, per modality: whole bins (bins, 1) or channels; one copy's at a time in memory."""
    names, longest = held.names, max(2.0, LONGEST_LOSS / held.width)
    yield {n: np.zeros((bins, 1), np.bool_) for n in names}
    yield {n: generator.random((bins, 1)) < 0.4 for n in names}
    if len(names) > 1:
        for name in names:
            yield {n: (_gaps(generator, bins, longest) & (n == name))[:, None] for n in names}
        for name in names:
            yield {n: np.full((bins, 1), n == name) for n in names}
    yield dict.fromkeys(names, _gaps(generator, bins, longest)[:, None])
    channels = {n: held.observed[n].shape[1] for n in names}
    octets = round(256 * SCATTERED)  # a random byte for each sample: doubles would be eight times the data's masks
    yield {n: generator.integers(0, 256, (bins, channels[n]), np.uint8) < octets for n in names}
    for seconds in STRETCHES:
        yield {n: _channels(generator, bins, channels[n], seconds / held.width) for n in names}


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


def _channels(generator: np.random.Generator, bins: int, channels: int, longest: float) -> Bool[np.ndarray, "bins _"]:
    """Channels lost for stretches of a tenth of ``longest`` to ``longest`` bins, each time another share of them.

    A third of the stretches are whole, and so is a modality of one channel; in the others the share is anything up to
    nine tenths, of channels drawn anew.
    """
    lost, position = np.zeros((bins, channels), np.bool_), 0
    while position < bins and channels > 1:
        end = position + max(1, round(float(longest * 10 ** -generator.uniform(0, 1))))
        gone = round(float(generator.uniform(0, MOST_CHANNELS)) * channels) if generator.random() < 2 / 3 else 0
        lost[position:end, generator.permutation(channels)[:gone]] = True
        position = end
    return lost


def _membership(batch: MultimodalBatch, held: MultimodalBatch) -> Bool[np.ndarray, "trial time"]:
    """Bins of the trials of a batch, side by side, that are held out."""
    flags = held.in_trials()
    step = np.arange(int(batch.lengths.max()))
    inside = step < batch.lengths[:, None]
    return inside & flags[np.where(inside, batch.starts[:, None] + step, 0)]


@dataclass(frozen=True)
class _FittedBins:
    """Which bins linear experts are fitted on, in groups that take turns in choosing the penalty; -1 for the others.

    Parameters
    ----------
    everything
        All scored bins, in blocks of time.
    outside
        The scored bins that are not held out, in two halves.
    """

    everything: Int[np.ndarray, "trial time"]
    outside: Int[np.ndarray, "trial time"]

    @classmethod
    def of(cls, batch: MultimodalBatch, held: MultimodalBatch) -> "_FittedBins":
        laid = batch.stacked(observations=False)
        scored, blocks = laid.scored(), np.zeros(laid.valid.shape, int)
        blocks[laid.valid] = time_blocks(batch.lengths, RIDGE_BLOCKS)
        outside = scored & ~_membership(batch, held)
        outside = outside if outside.any() else scored  # nothing was held out
        halves = np.cumsum(outside).reshape(outside.shape) > outside.sum() // 2
        return cls(np.where(scored, blocks, -1), np.where(outside, halves.astype(int), -1))


class _States:
    """The states of all bins as features, a piece at a time."""

    def __init__(self, estimates: Estimates) -> None:
        self._means = estimates.means
        self.n_features = sum(mean.shape[2] for mean in self._means)

    def __iter__(self) -> Iterator[tuple[Piece, Float[np.ndarray, "trials time features"]]]:
        trials, bins = self._means[0].shape[:2]
        for trial in range(trials):
            for first in range(0, bins, PIECE):
                cut = Piece(slice(trial, trial + 1), first, min(first + PIECE, bins))
                parts = [mean[cut.trials, cut.first : cut.last] for mean in self._means]
                yield cut, np.concatenate(parts, axis=2, dtype=np.float64)


def _expert(batch: MultimodalBatch, features: Any, bins: _FittedBins) -> tuple[LinearTarget, LinearTarget]:
    """Ridge on all bins, and with the penalties found there on those outside the held-out blocks.

    A fit with more features than fit into one Gram matrix takes many passes over the data: then there is only one, on
    the bins outside the held-out blocks.
    """
    outside = TrainingRows(features, batch, bins.outside)
    if features.n_features > EXACT_FEATURES:
        only = fit_ridge_stream(outside)
        return only, only
    final = fit_ridge_stream(TrainingRows(features, batch, bins.everything))
    return final, fit_ridge_stream(outside, penalties=tuple(set(final.penalty)))


def _unfitted(experts: tuple[LinearTarget, ...], usual: Float[np.ndarray, " dim"], scaling: Scaling) -> Readout:
    """Experts without weights."""
    dims = len(usual)
    centre = np.asarray(scaling.target_mean, np.float64)
    return Readout(
        experts, np.zeros((0, 0, dims)), centre, usual, LogLinearVariance(np.zeros(dims), np.zeros((0, dims)))
    )


def _joined(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several copies as that of so many more trials."""
    trials, bins = parts[0].memory.shape[:2]

    def whole(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
        if arrays[0] is None:
            return None
        return np.concatenate([np.broadcast_to(a, (trials, bins, a.shape[-1])) for a in arrays if a is not None])

    estimates = [part.estimates for part in parts]
    means = tuple(np.concatenate(copies) for copies in zip(*(e.means for e in estimates), strict=True))
    spread, traced = whole([e.spread for e in estimates]), whole([e.traced for e in estimates])
    networks = [part.recurrent for part in parts if part.recurrent is not None]
    recurrent = None
    if networks:
        mean, variance = (np.concatenate([getattr(one, name) for one in networks]) for name in ("mean", "variance"))
        recurrent = Predicted(mean, variance, whole([one.scatter for one in networks]))
    memory = np.concatenate([part.memory for part in parts])
    return Evidence(Estimates(means, spread, traced, estimates[0].usual), recurrent, memory, parts[0].modalities)


def _stack_experts(blank: Readout, final: tuple[LinearTarget, ...], evidence: Evidence, stacked: Stacked) -> Readout:
    """Weights of the experts and variance of their mixture, from copies of the held-out runs with their losses."""
    runs, copies = len(stacked.target), len(evidence.memory) // len(stacked.target)
    scored, wanted = np.tile(stacked.scored(), (copies, 1)), np.tile(stacked.target, (copies, 1, 1))
    shares = conditions(evidence.memory, evidence.modalities)[scored]
    target, predictions = np.asarray(wanted[scored], np.float64), blank.predictions(evidence)
    errors = predictions[:runs].mean(axis=2) - (stacked.target - blank.centre)  # the first copy has lost nothing
    independent = independent_bins(errors, scored[:runs])
    scatter = _scatter(evidence, predictions)
    scatter = None if scatter is None else scatter[scored]
    stack = fit_stack(predictions[scored], target - blank.centre, shares, independent, scatter)
    weighed = replace(blank, stack=stack)
    squares = np.square(target - weighed.predict(evidence)[scored])
    if scatter is not None:
        goes = np.sum(np.square(np.einsum("bc,ced->bed", shares, stack)) * scatter, axis=1)
        squares = _without_scatter(squares, goes, copies)
    _, recurrent, memory = variance_sources(evidence, blank.usual_variance)
    sources = VarianceSources(None, None if recurrent is None else recurrent[scored], memory[scored])
    model = fit_log_linear_variance(squares, sources, independent)
    return replace(weighed, experts=final, variance_model=model)


def _scatter(evidence: Evidence, predictions: np.ndarray) -> np.ndarray | None:
    """Variance of each expert's prediction that goes once all members of the recurrent network predict."""
    if evidence.recurrent is None or evidence.recurrent.scatter is None:
        return None
    found = np.zeros_like(predictions)
    found[:, :, -1] = evidence.recurrent.scatter
    return found


def _without_scatter(
    squares: Float[np.ndarray, "bins dims"], goes: Float[np.ndarray, "bins dims"], copies: int
) -> Float[np.ndarray, "bins dims"]:
    """Squared errors as they will be on average, in each copy of the held-out runs, without the variance that goes."""
    found, gone = (array.reshape(copies, -1, array.shape[1]) for array in (squares, goes))
    left = 1 - gone.mean(axis=1) / np.maximum(found.mean(axis=1), np.finfo(np.float64).tiny)
    return (found * np.maximum(left, LEAST_LEFT)[:, None]).reshape(squares.shape)
