"""A Bayesian read-out of the states of a fitted decoder: what the data leave open of its weights and its noise.

The decoder's own read-out is one set of weights. This one is all that are possible: the target is linear in the states
(the backbone's and each modality's own), its noise is unknown and depends on what was lost lately, and both have a
posterior that says which state carries which part of the target, and how surely (:mod:`neurodyn.targets.bayesian`).
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.evaluation.labelled import labelled_target, score_of
from neurodyn.evaluation.metrics import Score
from neurodyn.multiscale.estimator import MultiscaleDecoder
from neurodyn.multiscale.fitted import Evidence, Fitted, Readout, evidence_of
from neurodyn.multiscale.inference import estimate, estimate_both
from neurodyn.multiscale.readouts import with_hidden_samples
from neurodyn.sampler import Sampler
from neurodyn.targets import (
    LinearTarget,
    LogLinearVariance,
    TargetPosterior,
    VarianceSources,
    fit_bayesian_target,
    independent_bins,
)
from neurodyn.targets.bayesian import USUAL
from neurodyn.targets.losses import TIMES

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class BayesianReadout:
    """The posterior of a read-out, and the decoder whose states it reads.

    Parameters
    ----------
    posterior
        Draws of weights and noise, with the names of states and dimensions.
    decoder
        Whose states they are, with the posterior means as its only read-out: it decodes live, and is saved and exported
        as any other. Its variance holds what the posterior leaves open on average, not bin by bin. Filtered and
        smoothed states are read with the same weights.
    smoothed
        Whether the states that were fitted on are smoothed ones.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.multiscale import fit_bayesian_readout
    >>> from neurodyn.sampler import Sampler
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=8), seed=0)
    >>> small = nd.MultiscaleDecoder(latent=4, epochs=1, recurrent=None, traces=(), progress=False).fit(batch)
    >>> readout = fit_bayesian_readout(small, batch, seed=0, sampler=Sampler(20, 20))
    >>> readout.posterior.weights.shape, readout.posterior.features[:2]  # three dimensions of the target
    ((2, 20, 12, 3), ('x0', 'x1'))
    >>> dict(readout.predict(batch)["deviation"].sizes)
    {'trial': 8, 'time': 100, 'dim': 3}
    """

    posterior: TargetPosterior
    decoder: MultiscaleDecoder = field(repr=False)
    smoothed: bool = False

    def predict(self, batch: MultimodalBatch) -> "xr.Dataset":
        """Predictive distribution in every bin: its mean and standard deviation, over all draws.

        Parameters
        ----------
        batch
            As for :meth:`MultiscaleDecoder.predict`.

        Returns
        -------
        Dataset with ``target`` and ``deviation`` (trial x time x dim), in the unit of the target.
        """
        fitted = _fitted(self.decoder)
        batch = fitted.aligned(batch)
        evidence = fitted.evidence(batch, smooth=self.smoothed)
        features, sources = _regressors(evidence, len(self.posterior.dims))
        shape = (*evidence.memory.shape[:2], len(self.posterior.dims))
        flat = (a.reshape(-1, *a.shape[2:]) for a in (features, sources))
        mean, variance = (a.reshape(shape) for a in self.posterior.predict(*flat))
        stacked = batch.stacked(observations=False)
        target = fitted.within_bounds(mean)
        return labelled_target(batch, stacked, target, np.sqrt(variance), fitted.target_names, fitted.target_units)

    def score(self, batch: MultimodalBatch) -> Score:
        """How well the batch is decoded, as :meth:`MultiscaleDecoder.score` says it."""
        batch = _fitted(self.decoder).aligned(batch, target=True)
        return score_of(batch, self.predict(batch))


def fit_bayesian_readout(
    decoder: MultiscaleDecoder,
    batch: MultimodalBatch,
    *,
    seed: int,
    smoothed: bool = False,
    sampler: Sampler = USUAL,
) -> BayesianReadout:
    """Draw read-outs of a decoder's states from their posterior.

    The batch is decoded as it is and with samples hidden in every manner a rig loses them, so that the noise is known
    for losses too; the copies together count for no more bins than the batch has independent ones.

    Parameters
    ----------
    decoder
        Fitted. Its other experts (traces, recurrent network) have no part in it.
    batch
        With the target. Bins that the decoder was not trained on tell its errors as they will be; of those that it was
        trained on they are somewhat smaller.
    seed
        Of the hidden samples and of the sampler.
    smoothed
        Read smoothed states instead of filtered ones.
    sampler
        How many draws, and how they are made.

    Raises
    ------
    InputError
        If the decoder is not fitted or has no target, the batch does not fit it, or fewer than two of its bins have a
        target.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.multiscale import fit_bayesian_readout
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=2), seed=0)
    >>> fit_bayesian_readout(nd.MultiscaleDecoder(), batch, seed=0)
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: this decoder has not been fitted: use the one that fit(batch) returns
    """
    fitted = _fitted(decoder)
    if not fitted.target_names:
        raise InputError("this model was fitted without a target: give the batch one and fit again")
    batch = fitted.aligned(batch, target=True)
    stacked = batch.stacked(observations=False)
    scored, dims = stacked.scored(), len(fitted.target_names)
    if scored.sum() < 2:
        raise InputError(f"a read-out needs at least two bins with a target, the batch has {scored.sum()}")
    parts = [_regressors(_evidence(fitted, copy, smoothed), dims, scored) for copy in with_hidden_samples(batch, seed)]
    whole = parts[0][0]
    plain = np.linalg.lstsq(np.column_stack([whole, np.ones(len(whole))]), stacked.target[scored], rcond=None)[0]
    errors = np.zeros(stacked.target.shape)
    errors[scored] = stacked.target[scored] - whole @ plain[:-1] - plain[-1]
    features, sources = (np.concatenate(part) for part in zip(*parts, strict=True))
    posterior = fit_bayesian_target(
        features, np.tile(stacked.target[scored], (len(parts), 1)), sources, independent_bins(errors, scored),
        seed=seed, names=(_state_names(fitted), _source_names(fitted), fitted.target_names), sampler=sampler,
    )  # fmt: skip
    return BayesianReadout(posterior, _with_means(decoder, posterior, features, sources), smoothed)


def _fitted(decoder: MultiscaleDecoder) -> Fitted:
    if not isinstance(decoder, MultiscaleDecoder):
        raise InputError(f"expected a fitted MultiscaleDecoder, got {type(decoder).__name__}")
    if decoder.fitted_ is None:
        raise InputError("this decoder has not been fitted: use the one that fit(batch) returns")
    return decoder.fitted_


def _evidence(fitted: Fitted, batch: MultimodalBatch, smoothed: bool) -> Evidence:
    estimates = estimate_both(fitted.network, batch)[1] if smoothed else estimate(fitted.network, batch)
    return evidence_of(estimates, None, fitted.scaling, batch)


def _regressors(evidence: Evidence, dims: int, scored: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """States, and features of the log variance per dimension: of all bins (trial, time, ...), or of the scored ones."""
    states, memory = np.asarray(evidence.estimates.states, np.float64), evidence.memory
    memory = np.broadcast_to(memory, (*states.shape[:2], memory.shape[-1]))
    if scored is not None:
        states, memory = states[scored], memory[scored]
    return states, VarianceSources(None, None, memory).logarithmic(dims)


def _with_means(
    decoder: MultiscaleDecoder, posterior: TargetPosterior, features: np.ndarray, sources: np.ndarray
) -> MultiscaleDecoder:
    """The decoder that reads its states with the posterior means; its mean log variance is that of the posterior."""
    fitted, (linear, variance) = _fitted(decoder), posterior.mean()
    own = variance.constant + np.einsum("bsd,sd->bd", sources, variance.slopes)
    open_still = np.mean(np.log(posterior.predict(features, sources)[1]) - own, axis=0)
    model = LogLinearVariance(variance.constant + open_still, variance.slopes)
    centre, traces = np.asarray(fitted.scaling.target_mean, np.float64), fitted.config.model.n_traces
    filtered, smoothed = (
        _of_states(linear, model, silent, centre, len(fitted.modalities)) for silent in (traces, 2 * traces)
    )
    config = replace(fitted.config, recurrent=None)
    found = replace(fitted, config=config, recurrent=None, filtered=filtered, smoothed=smoothed)
    return replace(decoder, recurrent=None, fitted_=found)


def _of_states(
    linear: LinearTarget, variance: LogLinearVariance, silent: int, centre: np.ndarray, modalities: int
) -> Readout:
    """A read-out whose only weight is on the states, whatever was lost; so many traces have none."""
    dims = len(centre)
    nothing = LinearTarget(np.zeros((silent, dims)), centre, np.zeros(dims), np.zeros((dims, dims)))
    experts = (linear, nothing) if silent else (linear,)
    stack = np.zeros((modalities + 1, len(experts), dims))
    stack[:, 0] = 1.0
    return Readout(experts, stack, centre, np.zeros(dims), variance)


def _state_names(fitted: Fitted) -> tuple[str, ...]:
    """The backbone's states, then each modality's own."""
    backbone, *others = fitted.config.model.states
    names = [f"x{i}" for i in range(backbone)]
    for row, size in zip(fitted.modalities, others, strict=False):
        names += [f"{row.name} {i}" for i in range(size)]
    return tuple(names)


def _source_names(fitted: Fitted) -> tuple[str, ...]:
    """What the noise depends on, in the order of the features of the log variance."""
    lost = [row.name for row in fitted.modalities]
    lost += ["all"] if len(lost) > 1 else []
    memories = [f"{name} lost, {bins:g} bins" for name in lost for bins in TIMES]
    memories += [f"{row.name} channels lost" for row in fitted.modalities]
    return ("recurrent", *memories, *(f"root of {name}" for name in memories))
