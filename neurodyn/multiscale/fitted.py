"""A trained model with everything needed to decode with it: network, read-outs of the target, names and units."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.binning.limits import measurements_of
from neurodyn.binning.modality import Modality
from neurodyn.binning.pieces import Piece, cut_out
from neurodyn.binning.scaling import Scaling
from neurodyn.display import Shown, listed
from neurodyn.errors import InputError
from neurodyn.multiscale.config import DecoderConfig
from neurodyn.multiscale.inference import Estimates, Network, Projection, estimate, estimate_both
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.recurrent import Predicted, predict
from neurodyn.targets import (
    LinearTarget,
    LinearVariance,
    LogLinearVariance,
    VarianceSources,
    conditions,
    loss_memory,
    memory_size,
)
from neurodyn.training import History

if TYPE_CHECKING:
    from neurodyn.realtime.runner import Frozen


@dataclass(frozen=True)
class Evidence:
    """What the target is read out from, in every bin of a batch (trial x time x ...).

    Parameters
    ----------
    estimates
        States, and what the read-out finds in the traces.
    recurrent
        Prediction of the recurrent network in target units, or None.
    memory
        Memory of what was lost (:func:`neurodyn.targets.loss_memory`).
    modalities
        How many there are.
    """

    estimates: Estimates
    recurrent: Predicted | None
    memory: Float[np.ndarray, "trial time memory"]
    modalities: int


@dataclass(frozen=True)
class Readout:
    """The target from several experts: ridge on the states, ridge on the traces, and the recurrent network.

    Parameters
    ----------
    experts
        Linear maps in the order of the features: the states first, then the traces. Models of format 2 have one map,
        of all of them.
    stack
        (conditions, experts, dims), weights of the experts, the recurrent network last if there is one; one row of
        conditions holds everywhere.
    centre
        (dims,), mean of the target in training, which weights do not touch.
    usual_variance
        (dims,), mean over the training bins of ``diag(W' P W)``, W the weights on the states: what exceeds it makes a
        bin less certain than usual.
    variance_model
        From what makes a bin uncertain to the variance of its target.
    """

    experts: tuple[LinearTarget, ...]
    stack: Float[np.ndarray, "conditions experts dims"]
    centre: Float[np.ndarray, " dims"]
    usual_variance: Float[np.ndarray, " dims"]
    variance_model: LinearVariance | LogLinearVariance

    @classmethod
    def of_one(cls, linear: LinearTarget, usual_variance: Float[np.ndarray, " dims"]) -> "Readout":
        """A single linear map, whose residual variance grows by what the states are less certain of than usual."""
        dims = len(linear.intercept)
        variance = LinearVariance(np.diag(linear.residual_covariance).copy(), np.ones((1, dims)))
        return cls((linear,), np.ones((1, 1, dims)), np.zeros(dims), usual_variance, variance)

    @property
    def follows_channels(self) -> bool:
        """Whether variance and weights depend on lost channels; in models of format 5 and before they do not."""
        if len(self.stack) == 1 or isinstance(self.variance_model, LinearVariance):
            return False
        return len(self.variance_model.slopes) == 1 + 2 * memory_size(len(self.stack) - 1)

    def projection(self, states: int) -> Projection:
        """What the experts want to know: weights on the states of the one that reads them, and weights on the traces.

        Those on the states are for their variance, which is not worked out where the target's does not depend on it.

        Parameters
        ----------
        states
            How many states the model has.
        """
        first, *others = self.experts
        traces = others[0].weights if others else first.weights[states:]
        uncertain = first.weights[:states] if isinstance(self.variance_model, LinearVariance) else None
        return Projection(uncertain, traces if len(traces) else None)

    def predictions(self, evidence: Evidence) -> Float[np.ndarray, "trial time expert dim"]:
        """What each expert decodes, minus the centre."""
        states, traced = evidence.estimates.states, evidence.estimates.traced
        first, *others = self.experts
        found = [states @ first.weights[: states.shape[-1]] + (first.intercept - self.centre)]
        if others:
            assert traced is not None
            found.append(traced + (others[0].intercept - self.centre))
        elif traced is not None:
            found[0] += traced
        if evidence.recurrent is not None:
            found.append(evidence.recurrent.mean - self.centre)
        return np.stack(found, axis=2)

    def predict(self, evidence: Evidence) -> Float[np.ndarray, "trial time dim"]:
        """Target in every bin: the experts with the weights of what has been lost lately."""
        predictions = self.predictions(evidence)
        if len(self.stack) == 1:
            return self.centre + np.einsum("ed,bted->btd", self.stack[0], predictions)
        shares = conditions(evidence.memory, evidence.modalities)
        return self.centre + np.einsum("btc,ced,bted->btd", shares, self.stack, predictions)

    def variance(self, evidence: Evidence) -> Float[np.ndarray, "trial time dim"]:
        """Predictive variance of the target in every bin, in squared target units."""
        return self.variance_model.variance(variance_sources(evidence, self.usual_variance))


def variance_sources(evidence: Evidence, usual_variance: Float[np.ndarray, " dims"]) -> VarianceSources:
    """What the variance of the target depends on, in every bin: trial x time x (dim or memory)."""
    spread, excess = evidence.estimates.spread, None
    if spread is not None:
        excess = np.maximum(np.asarray(spread, np.float64) - usual_variance, 0)
        excess = np.broadcast_to(excess, (*evidence.memory.shape[:2], len(usual_variance)))
    recurrent_variance = None if evidence.recurrent is None else np.asarray(evidence.recurrent.variance, np.float64)
    return VarianceSources(excess, recurrent_variance, evidence.memory)


@dataclass(frozen=True, repr=False)
class Fitted(Shown):
    """Result of a fit; immutable, and all that is saved."""

    config: DecoderConfig
    network: Network
    scaling: Scaling
    modalities: tuple[Modality, ...]
    target_names: tuple[str, ...]
    width: float
    filtered: Readout | None
    smoothed: Readout | None
    history: History
    status: str
    provenance: dict[str, Any]
    target_units: tuple[str, ...] = ()
    recurrent: RecurrentNetwork | None = None
    bounds: Float[np.ndarray, "2 dims"] | None = None
    """Least and greatest target seen in training, which no decoded one leaves; None: any value may be decoded."""

    def frozen(self) -> "Frozen":
        """Everything that a live decoder needs, as plain arrays (:mod:`neurodyn.multiscale.export`)."""
        from neurodyn.multiscale.export import freeze

        return freeze(self)

    def facts(self) -> Iterable[tuple[str, str]]:
        """What was fitted on what, and how its training went."""
        history = self.history
        yield "bins", f"{1e3 * self.width:g} ms"
        yield from ((row.name, row.in_short()) for row in self.modalities)
        yield "target", listed(self.target_names) or "none"
        best = f", best validation {history.best:.4g}" if history.validation else ""
        yield "training", f"{len(history.loss)} of {self.config.training.epochs} epochs{best}"

    _facts = facts

    def check(self, batch: MultimodalBatch) -> None:
        """Refuse a batch the model was not trained for.

        Raises
        ------
        InputError
            If modalities, their channels, rates or units, or the bin width differ; the message names the first
            difference.
        """
        if not np.isclose(batch.width, self.width):
            raise InputError(f"the model was fitted on {self.width:g} s bins, the batch has {batch.width:g} s bins")
        for row in self.modalities:
            found = batch.modality(row.name)
            if found.channels != row.channels:
                raise InputError(
                    f"modality '{row.name}' was fitted on {row.n_channels} channels "
                    f"({listed(row.channels)}), the batch has {found.n_channels} ({listed(found.channels)})"
                )
            if found.sample_every != row.sample_every:
                raise InputError(
                    f"modality '{row.name}' was fitted with a sample every {row.sample_every * self.width:g} s, "
                    f"the batch has one every {found.sample_every * self.width:g} s"
                )
            if row.unit and found.unit and found.unit != row.unit:
                raise InputError(f"modality '{row.name}' was fitted in {row.unit}, the batch is in {found.unit}")

    def aligned(self, batch: MultimodalBatch, *, target: bool = False) -> MultimodalBatch:
        """The batch with the model's channels, and its target too if asked, in the model's order, by label; checked.

        Values far beyond those of the training data are missing, as they are live.

        Raises
        ------
        InputError
            If a label of the model is not in the batch, or as in `check`.
        """
        aligned = check_batch(batch).aligned_to(self.modalities, self.target_names if target else ())
        self.check(aligned)
        return measurements_of(aligned, self.scaling)

    def within_bounds(self, target: Float[np.ndarray, "*bins dims"]) -> Float[np.ndarray, "*bins dims"]:
        """The target, or the nearest one that was seen in training."""
        return target if self.bounds is None else np.clip(target, *self.bounds)

    def estimate(self, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
        """Every state in every bin of every trial (see :mod:`neurodyn.multiscale.inference`)."""
        return self._estimate(self.aligned(batch), smooth)

    def _estimate(self, batch: MultimodalBatch, smooth: bool) -> Estimates:
        """The same of a batch that is aligned."""
        states = sum(self.config.model.states)
        filtered, smoothed = (None if r is None else r.projection(states) for r in (self.filtered, self.smoothed))
        if smooth:
            return estimate_both(self.network, batch, None, smoothed)[1]
        return estimate(self.network, batch, filtered)

    def evidence(self, batch: MultimodalBatch, *, smooth: bool) -> Evidence:
        """What the target of every bin of a batch is read out from."""
        batch, readout = self.aligned(batch), self.smoothed if smooth else self.filtered
        estimates = self._estimate(batch, smooth)
        if readout is None:
            return evidence_of(estimates, self.recurrent, self.scaling, batch)
        before, channels = readout.variance_model.lost_before, readout.follows_channels
        return evidence_of(estimates, self.recurrent, self.scaling, batch, before, channels=channels)


def evidence_of(
    estimates: Estimates,
    recurrent: RecurrentNetwork | None,
    scaling: Scaling,
    batch: MultimodalBatch,
    lost_before: float = LogLinearVariance.lost_before,
    *,
    channels: bool = True,
    chosen: Bool[np.ndarray, "trial member"] | None = None,
) -> Evidence:
    """States, the recurrent network's prediction in target units, and what was lost, side by side.

    The recurrent network predicts each trial with all members, or with those that are ``chosen``.
    """
    sample_every = [m.sample_every for m in batch.modalities]
    memory = loss_memory(observed_shares(batch), sample_every, lost_before, channels=channels)
    predicted = None
    if recurrent is not None:
        found = predict(recurrent, batch, chosen)
        scale = np.asarray(scaling.target_scale, np.float64)
        scatter = None if found.scatter is None else scale**2 * found.scatter
        predicted = Predicted(scaling.target_mean + scale * found.mean, scale**2 * found.variance, scatter)
    return Evidence(estimates, predicted, memory, len(batch.modalities))


def observed_shares(batch: MultimodalBatch) -> list[Float[np.ndarray, "trial time"]]:
    """Share of each modality's channels that have a value, in every bin of each trial; zero beyond its end."""
    whole = Piece(slice(0, batch.n_trials), 0, int(batch.lengths.max()))
    shares = (batch.observed[name].mean(axis=1)[:, None] for name in batch.names)
    return [cut_out(batch, column, whole)[..., 0] for column in shares]
