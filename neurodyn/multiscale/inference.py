"""From a batch to latents with a trained model: pieces of bounded size, compiled once per shape, host arrays out."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.kernels.kalman import Belief
from neurodyn.multiscale.model import Future, MultiscaleModel, Observations, State

PADDING = 512
"""Bins of long trials are padded to a multiple of this, so that trials of similar length share one compilation."""

LARGEST = 2**23
"""Most numbers that the covariances of one state may take at once (32 MiB): longer trials are estimated in pieces."""

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


class Estimates(NamedTuple):
    """Every state of the model in every bin of a batch, the backbone's first, and the traces of the observations.

    Means are trial x time x state, as long as the longest trial. Of the covariances, which would not fit into memory
    for a long recording, two summaries are kept: ``spread``, the variance ``diag(W' P W)`` of a read-out with weights W
    in every bin (without a trial axis where all trials have one mask), and ``usual``, the mean over the scored bins.
    """

    means: tuple[np.ndarray, ...]
    traces: np.ndarray
    spread: np.ndarray | None
    usual: tuple[np.ndarray, ...]

    @property
    def latent(self) -> Float[np.ndarray, "trial time latent"]:
        """Mean of the backbone's state, x."""
        return self.means[0]

    @property
    def states(self) -> Float[np.ndarray, "trial time feature"]:
        """All means side by side, in double precision."""
        return np.concatenate(self.means, axis=-1, dtype=np.float64)

    @property
    def features(self) -> Float[np.ndarray, "trial time feature"]:
        """States, then traces: what the target is read out from."""
        return np.concatenate([*self.means, self.traces], axis=-1, dtype=np.float64)

    def bins(self, first: int, past: int) -> "Estimates":
        """The means and traces of a stretch of bins."""
        cut = slice(first, past)
        return self._replace(means=tuple(m[:, cut] for m in self.means), traces=self.traces[:, cut], spread=None)


class Piece(NamedTuple):
    """Some bins of every trial, the same ones, and which of them are scored."""

    observations: Observations
    scored: Bool[Array, "trial time"]


class _Summary(NamedTuple):
    """What is kept of a piece: means, traces, variances of a read-out, covariances summed over the scored bins."""

    means: tuple[Array, ...]
    traces: Array
    spread: Array | None
    total: tuple[Array, ...]


def estimate(
    network: Network, batch: MultimodalBatch, weights: np.ndarray | None = None, *, largest: int = LARGEST
) -> Estimates:
    """Causal estimates of every trial; beyond a shorter trial's end stand predictions.

    Trials of any length take bounded memory: piece after piece of them, each from where the one before ended.

    Arguments
    ---------
    weights: read-out (feature x dim) whose variance is wanted.
    largest: most numbers that the covariances of one state may take at once.
    """
    found, state = [], None
    for piece in _pieces(network, batch, largest):
        state = state or _start(*network[1:], piece.observations, network.graph)
        state, summary = _filter(*network[1:], state, piece, _numbers(weights), network.graph)
        found.append(_on_host(summary))
    return _joined(found, batch)


def estimate_both(
    network: Network,
    batch: MultimodalBatch,
    filtered: np.ndarray | None = None,
    smoothed: np.ndarray | None = None,
    *,
    largest: int = LARGEST,
) -> tuple[Estimates, Estimates]:
    """Causal and smoothed estimates of every trial, in bounded memory: forwards through the pieces, then backwards.

    Arguments
    ---------
    filtered, smoothed: read-outs (feature x dim) whose variances are wanted.
    largest: most numbers that the covariances of one state may take at once.
    """
    pieces = _pieces(network, batch, largest)
    starts = [_start(*network[1:], pieces[0].observations, network.graph)]
    for piece in pieces[:-1]:
        starts.append(_filter(*network[1:], starts[-1], piece, None, network.graph)[0])
    weights, future, found = (_numbers(filtered), _numbers(smoothed)), None, []
    for piece, start in zip(reversed(pieces), reversed(starts), strict=True):
        future, summaries = _smooth(*network[1:], start, future, piece, weights, network.graph)
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
def _start(parameters: Any, constants: Any, observations: Observations, graph: Any) -> State:
    """The state before the first bin, of every trial (and every mask)."""
    model = nnx.merge(graph, parameters, constants)
    trials, seen = len(next(iter(observations.values.values()))), observations.seen
    one = model.initial_state(model.freeze())

    def belief(single: Belief, mask: Array) -> Belief:
        axes = mask.shape[:-1]
        covariance = jnp.broadcast_to(single.covariance, (*axes, *single.covariance.shape))
        return Belief(jnp.broadcast_to(single.mean, (trials, *single.mean.shape)), covariance)

    own = tuple(belief(b, seen[n]) for b, n in zip(one.modalities, model.names, strict=False))
    backbone = belief(one.backbone, observations.valid if model.fusion is not None else seen[model.names[0]])
    traces = jax.tree.map(lambda a: jnp.broadcast_to(a, (trials, *a.shape)), one.traces)
    return State(own, backbone, traces)


@partial(jax.jit, static_argnames="graph")
def _filter(
    parameters: Any, constants: Any, state: State, piece: Piece, weights: Array | None, graph: Any
) -> tuple[State, _Summary]:
    model = nnx.merge(graph, parameters, constants)
    filtered = model.filter(piece.observations, state)
    onward, traces = model.traces(piece.observations, state.traces)
    backbone, *own = (d.after(f) for d, f in zip(model.dynamics, filtered, strict=True))
    beliefs = [Belief(f.mean, f.covariances.filtered) for f in filtered]
    return State(tuple(own), backbone, onward), _summary(beliefs, traces, piece, weights)


@partial(jax.jit, static_argnames="graph")
def _smooth(
    parameters: Any,
    constants: Any,
    state: State,
    future: Future | None,
    piece: Piece,
    weights: tuple[Array | None, Array | None],
    graph: Any,
) -> tuple[Future, tuple[_Summary, _Summary]]:
    """Filter a piece from its start, then smooth it with what is known of its future."""
    model = nnx.merge(graph, parameters, constants)
    filtered = model.filter(piece.observations, state)
    laters = [None] * len(filtered) if future is None else future.states
    smoothed = [d.smooth(f, later) for d, f, later in zip(model.dynamics, filtered, laters, strict=True)]
    _, past = model.traces(piece.observations, state.traces)
    nothing = jax.tree.map(jnp.zeros_like, state.traces)
    coming, ahead = model.traces(piece.observations, nothing if future is None else future.traces, reverse=True)
    forwards, backwards = [], []
    for dynamics, one, other in zip(model.dynamics, filtered, smoothed, strict=True):
        forwards.append(Belief(one.mean, one.covariances.filtered))
        backwards.append(Belief(other.mean, dynamics.smoothed_covariances(one, other)))
    both = jnp.concatenate([past, ahead], axis=-1)
    return Future(tuple(s.onward for s in smoothed), coming), (
        _summary(forwards, past, piece, weights[0]),
        _summary(backwards, both, piece, weights[1]),
    )


def _summary(beliefs: Sequence[Belief], traces: Array, piece: Piece, weights: Array | None) -> _Summary:
    covariances = [belief.covariance for belief in beliefs]
    scored = piece.scored.astype(traces.dtype)
    total = tuple(
        jnp.einsum("bt,btij->ij", scored, c) if c.ndim == 4 else jnp.einsum("t,tij->ij", scored.sum(0), c)
        for c in covariances
    )
    means = tuple(belief.mean for belief in beliefs)
    return _Summary(means, traces, None if weights is None else readout_variance(covariances, weights), total)


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


def _pieces(network: Network, batch: MultimodalBatch, largest: int) -> list[Piece]:
    """The trials side by side, cut into pieces of equal length; masks are shared where all trials have the same."""
    stacked = batch.stacked()
    seen = {name: _shared(np.any(observed, axis=-1)) for name, observed in stacked.observed.items()}
    valid, scored = _shared(stacked.valid), stacked.scored()
    bins = stacked.valid.shape[1]
    masks = max(mask.size for mask in (valid, *seen.values())) // bins
    length = _length(largest // (masks * max(d.latent for d in network.model().dynamics) ** 2))
    if bins <= length:
        length = bins if bins <= PADDING else bins + (-bins) % PADDING

    def cut(array: np.ndarray, first: int, axis: int) -> np.ndarray:
        part = array[(slice(None),) * axis + (slice(first, first + length),)]
        return np.pad(part, [(0, (length - part.shape[axis]) * (a == axis)) for a in range(part.ndim)])

    def piece(first: int) -> Piece:
        dtype = jnp.result_type(float)
        observations = Observations(
            values={n: jnp.asarray(cut(v, first, 1), dtype) for n, v in stacked.observations.items()},
            observed={n: jnp.asarray(cut(o, first, 1)) for n, o in stacked.observed.items()},
            seen={n: jnp.asarray(cut(s, first, s.ndim - 1)) for n, s in seen.items()},
            valid=jnp.asarray(cut(valid, first, valid.ndim - 1)),
        )
        return Piece(observations, jnp.asarray(cut(scored, first, 1)))

    return [piece(first) for first in range(0, bins, length)]


def _length(bins: int) -> int:
    """Bins of a piece: so many at most, a multiple of the padding where that is possible."""
    return bins // PADDING * PADDING if bins >= PADDING else max(bins, SHORTEST)


def _shared(mask: np.ndarray) -> np.ndarray:
    """A mask as time, when all trials have the same one, or trial x time."""
    return mask[0] if (mask == mask[:1]).all() else mask


def _numbers(weights: np.ndarray | None) -> np.ndarray | None:
    return None if weights is None else np.asarray(weights, np.dtype(jnp.result_type(float)))


def _on_host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _joined(parts: Sequence[_Summary], batch: MultimodalBatch) -> Estimates:
    bins, scored = int(batch.lengths.max()), max(1, int(batch.scored().sum()))

    def whole(pieces: Sequence[Any]) -> np.ndarray:
        return np.concatenate(pieces, axis=-2)[..., :bins, :]

    return Estimates(
        tuple(whole(means) for means in zip(*(p.means for p in parts), strict=True)),
        whole([p.traces for p in parts]),
        None if parts[0].spread is None else whole([p.spread for p in parts]),
        tuple(np.sum(totals, axis=0) / scored for totals in zip(*(p.total for p in parts), strict=True)),
    )
