"""From a batch to latents with a trained model: pieces of bounded size, compiled once per shape, host arrays out."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.pieces import Piece as Cut
from neurodyn.binning.pieces import cut_out
from neurodyn.kernels.kalman import Belief
from neurodyn.multiscale.model import Future, MultiscaleModel, ObservedTrials, State
from neurodyn.multiscale.traces import TraceState

PADDING = 512
"""Bins of long trials are padded to a multiple of this, so that trials of similar length share one compilation."""

LARGEST = 2**23
"""Most numbers that the covariances of one state, or the traces, may take at once (32 MiB): longer trials are
estimated in pieces."""

SHORTEST = 64
"""Bins of a piece where many trials with a mask each would ask for fewer."""

BINS_DECODED = 2**15
"""Bins whose expected observations are worked out at once."""


class Network(NamedTuple):
    """A trained model as arrays: graph (static), parameters, constants of the training data."""

    graph: Any
    parameters: Any
    constants: Any

    def model(self) -> MultiscaleModel:
        """The model with its methods."""
        return nnx.merge(self.graph, self.parameters, self.constants)


class Projection(NamedTuple):
    """What is read out of states and traces: of neither all is kept.

    Parameters
    ----------
    states
        Weights (state x dim) of the read-out whose variance is followed.
    traces
        Weights (trace x dim) of what is read out of the traces; None where there are none.
    """

    states: np.ndarray | None
    traces: np.ndarray | None = None


class Estimates(NamedTuple):
    """Every state of the model in every bin of a batch, the backbone's first, and what a projection finds.

    Means are trial x time x state, as long as the longest trial. Of the covariances, which would not fit into memory
    for a long recording, two summaries are kept: ``spread``, the variance ``diag(W' P W)`` of a read-out with weights W
    in every bin (without a trial axis where all trials have one mask), and ``usual``, the mean over the scored bins.
    Of the traces of the observations, wider still, what is read out of them: ``traced`` (trial x time x dim).
    """

    means: tuple[np.ndarray, ...]
    spread: np.ndarray | None
    traced: np.ndarray | None
    usual: tuple[np.ndarray, ...]

    @property
    def latent(self) -> Float[np.ndarray, "trial time latent"]:
        """Mean of the backbone's state, x."""
        return self.means[0]

    @property
    def states(self) -> Float[np.ndarray, "trial time feature"]:
        """All means side by side, in double precision."""
        return np.concatenate(self.means, axis=-1, dtype=np.float64)


class Piece(NamedTuple):
    """Some bins of every trial, the same ones, and which of them are scored."""

    trials: ObservedTrials
    scored: Bool[Array, "trial time"]


class _Summary(NamedTuple):
    """What is kept of a piece: means, what a projection finds, covariances summed over the scored bins."""

    means: tuple[Array, ...]
    spread: Array | None
    traced: Array | None
    total: tuple[Array, ...]


def estimate(
    network: Network, batch: MultimodalBatch, projection: Projection | None = None, *, largest: int = LARGEST
) -> Estimates:
    """Causal estimates of every trial; beyond a shorter trial's end stand predictions.

    Trials of any length take bounded memory: piece after piece of them, each from where the one before ended.

    Parameters
    ----------
    projection
        What is to be read out.
    largest
        Most numbers that the covariances of one state, or the traces, may take at once.
    """
    found, state, projection = [], None, _numbers(projection)
    for piece in _Pieces(network, batch, largest, (projection,)):
        state = state or _start(*network[1:], piece.trials, network.graph)
        state, summary = _filter(*network[1:], state, piece, projection, network.graph)
        found.append(_on_host(summary))
    return _joined(found, batch)


def estimate_both(
    network: Network,
    batch: MultimodalBatch,
    filtered: Projection | None = None,
    smoothed: Projection | None = None,
    *,
    largest: int = LARGEST,
    share: bool = True,
) -> tuple[Estimates, Estimates]:
    """Causal and smoothed estimates of every trial, in bounded memory: forwards through the pieces, then backwards.

    Parameters
    ----------
    filtered, smoothed
        What is to be read out of each.
    largest
        Most numbers that the covariances of one state, or the traces, may take at once.
    share
        False has covariances of every trial, also where all have one mask: batches that differ in this alone then
        share a compiled program.
    """
    projections = _numbers(filtered), _numbers(smoothed)
    pieces = _Pieces(network, batch, largest, projections, share=share)
    starts = [_start(*network[1:], pieces[0].trials, network.graph)]
    for number in range(len(pieces) - 1):
        # Nothing of it is kept but where it ends: each piece is filtered again when it is smoothed.
        starts.append(_filter(*network[1:], starts[-1], pieces[number], Projection(None), network.graph)[0])
    future, found = None, []
    for number, start in reversed(list(enumerate(starts))):
        future, summaries = _smooth(*network[1:], start, future, pieces[number], projections, network.graph)
        found.append(_on_host(summaries))
    forwards, backwards = zip(*reversed(found), strict=True)
    return _joined(forwards, batch), _joined(backwards, batch)


def expected_observations(network: Network, latent: Float[np.ndarray, "trial time latent"]) -> tuple[np.ndarray, ...]:
    """Expected observation of each modality (trial x time x channel), piece by piece where trials are long."""
    bins = latent.shape[1]
    length = max(PADDING, BINS_DECODED // len(latent))
    parts = [
        _on_host(decode_means(network.parameters, network.constants, latent[:, first : first + length], network.graph))
        for first in range(0, bins, length)
    ]
    return tuple(np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))


# One piece, compiled ------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="graph")
def _start(parameters: Any, constants: Any, first: ObservedTrials, graph: Any) -> State:
    """The state before the first bin, of every trial (and every mask)."""
    model = nnx.merge(graph, parameters, constants)
    trials, seen = len(next(iter(first.observations.values()))), first.seen
    single = model.initial_state(model.step_parameters())

    def of_trials(belief: Belief, mask: Array) -> Belief:
        axes = mask.shape[:-1]
        covariance = jnp.broadcast_to(belief.covariance, (*axes, *belief.covariance.shape))
        return Belief(jnp.broadcast_to(belief.mean, (trials, *belief.mean.shape)), covariance)

    # With one modality there are no states of modalities, and the names go on.
    modalities = tuple(of_trials(b, seen[n]) for b, n in zip(single.modalities, model.names, strict=False))
    backbone = of_trials(single.backbone, first.valid if model.fusion is not None else seen[model.names[0]])
    traces = jax.tree.map(lambda a: jnp.broadcast_to(a, (trials, *a.shape)), single.traces)
    return State(modalities, backbone, traces)


@partial(jax.jit, static_argnames="graph")
def _filter(
    parameters: Any, constants: Any, state: State, piece: Piece, projection: Projection | None, graph: Any
) -> tuple[State, _Summary]:
    model = nnx.merge(graph, parameters, constants)
    filtered = model.filter(piece.trials, state)
    # They are carried on whether they are read here or not: a smoothed projection of the next piece begins from them.
    traces_after, traces = model.traces(piece.trials, state.traces)
    traced = None if projection is None or projection.traces is None else _read(traces, projection.traces)
    backbone, *modalities = (d.after(f) for d, f in zip(model.dynamics, filtered, strict=True))
    beliefs = [Belief(f.mean, f.covariances.filtered) for f in filtered]
    return State(tuple(modalities), backbone, traces_after), _summary(beliefs, traced, piece, projection)


@partial(jax.jit, static_argnames="graph")
def _smooth(
    parameters: Any,
    constants: Any,
    state: State,
    future: Future | None,
    piece: Piece,
    projections: tuple[Projection | None, Projection | None],
    graph: Any,
) -> tuple[Future, tuple[_Summary, _Summary]]:
    """Filter a piece from its start, then smooth it with what is known of its future."""
    model = nnx.merge(graph, parameters, constants)
    filtered = model.filter(piece.trials, state)
    evidence = [None] * len(filtered) if future is None else future.states
    smoothed = [d.smooth(f, e) for d, f, e in zip(model.dynamics, filtered, evidence, strict=True)]
    future_traces, traced = _read_traces(model, state, future, piece, projections)
    forwards, backwards = [], []
    for dynamics, one, other in zip(model.dynamics, filtered, smoothed, strict=True):
        forwards.append(Belief(one.mean, one.covariances.filtered))
        backwards.append(Belief(other.mean, dynamics.smoothed_covariances(one, other)))
    return Future(tuple(s.evidence_at_first for s in smoothed), future_traces), (
        _summary(forwards, traced[0], piece, projections[0]),
        _summary(backwards, traced[1], piece, projections[1]),
    )


def _read_traces(
    model: MultiscaleModel,
    state: State,
    future: Future | None,
    piece: Piece,
    projections: tuple[Projection | None, Projection | None],
) -> tuple[tuple[TraceState, ...], tuple[Array | None, Array | None]]:
    """What is read out of the traces of the past, and of past and future; and how those of the future go on."""
    future_traces = jax.tree.map(jnp.zeros_like, state.traces) if future is None else future.traces
    filtered, smoothed = (None if projection is None else projection.traces for projection in projections)
    if filtered is None and smoothed is None:
        return future_traces, (None, None)
    _, past = model.traces(piece.trials, state.traces)
    from_past = None if filtered is None else _read(past, filtered)
    if smoothed is None:
        return future_traces, (from_past, None)
    future_traces, ahead = model.traces(piece.trials, future_traces, reverse=True)
    count = past.shape[-1]
    return future_traces, (from_past, _read(past, smoothed[:count]) + _read(ahead, smoothed[count:]))


def _read(traces: Array, weights: np.ndarray | Array) -> Float[Array, "trial time dim"]:
    return jnp.matmul(traces, jnp.asarray(weights, traces.dtype), precision=jax.lax.Precision.HIGHEST)


def _summary(beliefs: Sequence[Belief], traced: Array | None, piece: Piece, projection: Projection | None) -> _Summary:
    means = tuple(belief.mean for belief in beliefs)
    weights = None if projection is None else projection.states
    if projection is not None and weights is None:
        return _Summary(means, None, traced, ())  # the compiled program then works out no covariance for it
    covariances = [belief.covariance for belief in beliefs]
    scored = piece.scored.astype(covariances[0].dtype)
    total = tuple(
        jnp.einsum("bt,btij->ij", scored, c)
        if c.ndim == 4
        else (scored.sum(0) @ c.reshape(len(c), -1)).reshape(c.shape[1:])  # one product of matrices
        for c in covariances
    )
    spread = None if weights is None else readout_variance(covariances, weights)
    return _Summary(means, spread, traced, total)


@partial(jax.jit, static_argnames="graph")
def decode_means(parameters: Any, constants: Any, latent: Array, graph: Any) -> tuple[Array, ...]:
    """Expected observation of each modality given latents (trial x time x latent)."""
    return nnx.merge(graph, parameters, constants).means(latent)


@partial(jax.jit, static_argnames=("graph", "steps"))
def look_ahead(parameters: Any, constants: Any, latent: Array, graph: Any, steps: int) -> Array:
    """Latents ``steps`` bins later, predicted by the backbone alone."""
    return nnx.merge(graph, parameters, constants).backbone.ahead(latent, (steps,))[0]


def readout_variance(
    covariances: Sequence[np.ndarray | Array], weights: Float[np.ndarray | Array, "feature dim"]
) -> Float[Array, "*bins dim"]:
    """``diag(W' P W)`` for each bin, P block-diagonal with one block per state.

    The correlation between the errors of the backbone and of a modality's own state is not known and left out.
    """
    total, first = jnp.zeros(()), 0
    for covariance in covariances:
        part = jnp.asarray(weights[first : first + covariance.shape[-1]], covariance.dtype)
        total = total + jnp.einsum("...ij,id,jd->...d", covariance, part, part)
        first += covariance.shape[-1]
    return total


# Between the host and the compiled functions ------------------------------------------------------------------


class _Pieces:
    """The trials side by side, cut into pieces of equal length; masks are shared where all trials have the same.

    Each piece is made when it is asked for: all of them would be the recording once more.
    """

    def __init__(
        self,
        network: Network,
        batch: MultimodalBatch,
        largest: int,
        projections: Sequence[Projection | None] = (),
        *,
        share: bool = True,
    ) -> None:
        laid = batch.stacked(observations=False)
        self._batch, self._bins = batch, laid.valid.shape[1]
        shared = _shared if share else np.asarray
        self._valid, self._scored = shared(laid.valid), laid.scored()
        self._seen = {name: shared(mask) for name, mask in seen_bins(batch).items()}
        masks = max(mask.size for mask in (self._valid, *self._seen.values())) // self._bins
        model = network.model()
        length = _length(largest // (masks * max(d.latent for d in model.dynamics) ** 2))
        if any(projection is not None and projection.traces is not None for projection in projections):
            channels = sum(m.n_channels for m in batch.modalities)
            length = min(length, _length(largest // (batch.n_trials * channels * len(model.trace_bins))))
        if self._bins <= length:
            length = self._bins if self._bins <= PADDING else self._bins + (-self._bins) % PADDING
        self._length = length

    def __len__(self) -> int:
        return -(-self._bins // self._length)

    def __iter__(self) -> Iterator[Piece]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Piece:
        first = number * self._length
        cut = Cut(slice(0, self._batch.n_trials), first, min(first + self._length, self._bins))
        dtype, batch = jnp.result_type(float), self._batch

        def part(array: np.ndarray) -> np.ndarray:
            return self._padded(cut_out(batch, array, cut), 1)

        def mask(array: np.ndarray) -> Array:
            return jnp.asarray(self._padded(array[..., cut.first : cut.last], array.ndim - 1))

        trials = ObservedTrials(
            observations={n: jnp.asarray(part(batch.observations[n]), dtype) for n in batch.names},
            observed={n: jnp.asarray(part(batch.observed[n])) for n in batch.names},
            seen={n: mask(s) for n, s in self._seen.items()},
            valid=mask(self._valid),
        )
        return Piece(trials, mask(self._scored))

    def _padded(self, array: np.ndarray, axis: int) -> np.ndarray:
        missing = self._length - array.shape[axis]
        return np.pad(array, [(0, missing * (a == axis)) for a in range(array.ndim)]) if missing else array


def seen_bins(batch: MultimodalBatch) -> dict[str, Bool[np.ndarray, "trial time"]]:
    """Bins of each trial in which a modality has a sample, False beyond its end."""
    whole = Cut(slice(0, batch.n_trials), 0, int(batch.lengths.max()))
    seen = {name: np.asarray(batch.observed[name].any(axis=1))[:, None] for name in batch.names}
    return {name: cut_out(batch, mask, whole)[..., 0] for name, mask in seen.items()}


def _length(bins: int) -> int:
    """Bins of a piece: so many at most, a multiple of the padding where that is possible."""
    return bins // PADDING * PADDING if bins >= PADDING else max(bins, SHORTEST)


def _shared(mask: np.ndarray) -> np.ndarray:
    """A mask as time, when all trials have the same one, or trial x time."""
    return mask[0] if (mask == mask[:1]).all() else mask


def _numbers(projection: Projection | None) -> Projection | None:
    return jax.tree.map(lambda weights: np.asarray(weights, np.dtype(jnp.result_type(float))), projection)


def _on_host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _joined(parts: Sequence[_Summary], batch: MultimodalBatch) -> Estimates:
    bins, scored = int(batch.lengths.max()), max(1, int(batch.scored().sum()))

    def whole(pieces: Sequence[Any]) -> np.ndarray:
        return np.concatenate(pieces, axis=-2)[..., :bins, :]

    return Estimates(
        tuple(whole(means) for means in zip(*(p.means for p in parts), strict=True)),
        None if parts[0].spread is None else whole([p.spread for p in parts]),
        None if parts[0].traced is None else whole([p.traced for p in parts]),
        tuple(np.sum(totals, axis=0) / scored for totals in zip(*(p.total for p in parts), strict=True)),
    )
