r"""A linear dynamical system of spikes and fields, fitted by EM: the linear model that nonlinear ones are held against.

One latent state of linear dynamics drives every modality: Gaussian ones linearly, counts as Poisson with a log rate
that is linear in it (:mod:`neurodyn.kernels.laplace`). It is fitted to the observations alone by
expectation-maximisation (:mod:`neurodyn.baselines.em`); the target is then read out of the filtered state by ridge
regression. With counts alone it is the Poisson linear dynamical system, with signals alone the Kalman filter with EM,
with both the multiscale filter of spikes and fields. Bins between samples and lost samples are missing entries,
which are left out exactly.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_likelihoods,
    check_target,
    facts_of,
    kept_out,
)
from neurodyn.baselines.em import fit_em
from neurodyn.baselines.readout import StateReadOut, States, fit_read_out
from neurodyn.binning.batch import Modality, MultimodalBatch, check_usable
from neurodyn.binning.scaling import Scaling
from neurodyn.display import pluralised, several
from neurodyn.errors import InputError
from neurodyn.given import argument_named, count, number

if TYPE_CHECKING:
    from neurodyn.kernels.laplace import LinearMultiscale, Observations

SEGMENT = 400
"""Bins of the pieces that long trials are cut into for EM, which works on all pieces at once."""


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    scaling: Scaling
    model: "LinearMultiscale"
    filtered: StateReadOut
    smoothed: StateReadOut
    log_likelihood: tuple[float, ...]
    converged: bool


@dataclass(frozen=True, repr=False)
class LinearDynamicalSystem(BaselineDecoder[_Fitted]):
    """Linear state-space model with Gaussian and Poisson observations, fitted by EM.

    The deviation is that of the error on blocks of the training data kept out, wider where samples are missing and the
    state is known less well.

    Parameters
    ----------
    latent
        Number of latent states; of several, the one that decodes blocks of the training data best that are kept out.
    iterations
        Of EM, at most.
    tolerance
        EM ends when the log-likelihood grows by less, in nats per bin.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.

    Notes
    -----
    The target is not seen by EM: states follow what varies most in the observations, which need not be what the target
    depends on.

    Reference
    ---------
    Abbaspourazad, Hsieh & Shanechi (2019), A multiscale dynamical modeling and identification framework for spike-field
    activity, IEEE Transactions on Neural Systems and Rehabilitation Engineering 27(6).

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> lds = nd.baselines.LinearDynamicalSystem(3, iterations=3).fit(batch)
    >>> lds.latent_, lds.predict(batch)["target"].dims
    (3, ('trial', 'time', 'dim'))
    """

    latent: int | tuple[int, ...] = (5, 10, 20)
    iterations: int = field(default=30, kw_only=True)
    tolerance: float = field(default=1e-3, kw_only=True)
    progress: bool = field(default=False, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)
    supervised: ClassVar[bool] = False

    def fit(self, batch: MultimodalBatch) -> "LinearDynamicalSystem":
        """Fit the model to the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data. EM takes the observations of all bins but those of context, the read-out the bins with a
            target.

        Raises
        ------
        InputError
            If there is no target, a dimension of it is constant, a channel is never observed, trials have a single
            bin, a modality is neither Poisson nor Gaussian, or a setting is out of range.
        NumericalError
            If the likelihood stops being finite.
        """
        check_usable(batch)
        check_target(batch)
        check_likelihoods(batch, type(self).__name__)
        sizes = _sizes(self.latent)
        argument_named("iterations", count, self.iterations)
        if number(self.tolerance, f"tolerance: expected nats per bin, got {self.tolerance!r}") < 0:
            raise InputError(f"tolerance: expected nats per bin, 0 or more, got {self.tolerance!r}")
        if (batch.lengths - batch.lead).max() < 2:
            raise InputError("dynamics are fitted to trials of at least two bins after their context: all are shorter")
        return self._fit(batch, sizes[0] if len(sizes) == 1 else self._chosen_size(batch, sizes))

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        states = _states(fitted.model, _observations(batch, fitted.scaling), smoothed=smoothed)
        read_out = fitted.smoothed if smoothed else fitted.filtered
        return read_out.decode(states)

    @property
    def latent_(self) -> int:
        """Number of latent states, as given or chosen."""
        return len(self._require().model.transition)

    @property
    def log_likelihood_(self) -> tuple[float, ...]:
        """Of the training data before each iteration of EM and after the last; Laplace's approximation with counts."""
        return self._require().log_likelihood

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            end = "converged" if fitted.converged else "not yet converged"
            yield "latent", pluralised(self.latent_, "state")
            yield "EM", f"{len(fitted.log_likelihood) - 1} iterations, {end}"
        else:
            yield "latent", f"{several(self.latent)} states"
            yield "EM", f"up to {self.iterations} iterations"

    def _chosen_size(self, batch: MultimodalBatch, sizes: tuple[int, ...]) -> int:
        """The number of states that decodes blocks of the training data best that are kept out."""
        inner, held = kept_out(batch)
        scored, known = held.scored(), inner.target[inner.in_trials() & inner.target_observed]
        varies = np.ptp(known, axis=0) > 0 if len(known) else np.zeros(batch.n_dims, np.bool_)
        if not (scored.any() and varies.any()):
            return sizes[0]
        names = tuple(name for name, used in zip(batch.target_names, varies, strict=True) if used)
        inner, held = (part.aligned_to(batch.modalities, names) for part in (inner, held))
        target, scale = held.stacked(observations=False).target[scored], Scaling.fit(batch).target_scale[varies]

        def error(size: int) -> float:
            found = self._fit(inner, size, smoothed=False).predict(held)["target"].to_numpy()[scored]
            return float(np.mean(((found - target) / scale) ** 2))

        return sizes[int(np.argmin([error(size) for size in sizes]))]

    def _fit(self, batch: MultimodalBatch, size: int, *, smoothed: bool = True) -> "LinearDynamicalSystem":
        """Fit with so many states; without the smoothed read-out its place is taken by the filtered one."""
        scaling = Scaling.fit(batch)
        pieces = _pieces(batch)
        with self._progress(batch, size) as progress:
            found = fit_em(
                _observations(pieces, scaling), pieces.stacked(observations=False).valid, size,
                iterations=self.iterations, tolerance=self.tolerance,
                smoothing=_smoothing(batch.modalities), progress=progress,
            )  # fmt: skip
        read_out = _read_out(found.model, batch, scaling, smoothed=False)
        fitted = _Fitted(
            **facts_of(batch), scaling=scaling, model=found.model, filtered=read_out,
            smoothed=_read_out(found.model, batch, scaling, smoothed=True) if smoothed else read_out,
            log_likelihood=found.log_likelihood, converged=found.converged,
        )  # fmt: skip
        return replace(self, fitted_=fitted)

    @contextmanager
    def _progress(self, batch: MultimodalBatch, size: int) -> Iterator[Callable[[int, float], None] | None]:
        """What shows an iteration on a progress bar, which ends with the context; None where none is wanted."""
        if not self.progress:
            yield None
            return
        from neurodyn.training import ProgressBar

        bar, losses, status = (
            ProgressBar(f"fit lds {'+'.join(batch.names)}, {pluralised(size, 'state')}"),
            [],
            "stopped",
        )

        def show(iteration: int, log_likelihood: float) -> None:
            losses.append(-log_likelihood)
            bar.update(iteration, self.iterations, losses[-1], min(losses))

        try:
            yield show
            status = "finished"
        finally:
            bar.finish(status)


def _sizes(latent: Any) -> tuple[int, ...]:
    """Numbers of states to choose from.

    Raises
    ------
    InputError
        If they are none.
    """
    given = tuple(latent) if isinstance(latent, Iterable) and not isinstance(latent, str) else (latent,)
    if not given:
        raise InputError("latent: expected a number of states, or several to choose from, got none")
    return tuple(argument_named("latent", count, size) for size in given)


def _pieces(batch: MultimodalBatch) -> MultimodalBatch:
    """Trials without context, the long ones in pieces; what is left of one bin has no dynamics and is left out."""
    kept = np.flatnonzero(batch.lengths > batch.lead)
    starts, lengths = (batch.starts + batch.lead)[kept], (batch.lengths - batch.lead)[kept]
    pieces = batch.with_runs(starts, lengths, 0 * lengths).segments(SEGMENT * batch.width)
    return pieces.with_trials(np.flatnonzero(pieces.lengths > 1))


def _observations(batch: MultimodalBatch, scaling: Scaling) -> "Observations":
    """Gaussian modalities side by side in standard deviations, counts side by side; 0 where missing."""
    from neurodyn.kernels.laplace import Observations

    stacked = batch.stacked()
    bins = stacked.valid.shape

    def joined(counts: bool) -> tuple[Float[np.ndarray, "trial time c"], Bool[np.ndarray, "trial time c"]]:
        names = [row.name for row in batch.modalities if row.counts == counts]
        observed = [stacked.observed[name] for name in names]
        scaled = [scaling.apply_observation(name, stacked.observations[name]) for name in names]
        seen = np.concatenate([np.zeros((*bins, 0), np.bool_), *observed], axis=-1)
        return np.where(seen, np.concatenate([np.zeros((*bins, 0)), *scaled], axis=-1), 0.0), seen

    return Observations(*joined(counts=False), *joined(counts=True))


def _smoothing(modalities: tuple[Modality, ...]) -> Int[np.ndarray, " channels"]:
    """Bins that each channel is smoothed over for the start of EM: enough to bridge slow sampling, one at least."""
    rows = sorted(modalities, key=lambda row: row.counts)  # signals first, as in the observations
    return np.repeat([max(1, row.sample_every // 2) for row in rows], [row.n_channels for row in rows])


def _states(model: "LinearMultiscale", data: "Observations", *, smoothed: bool) -> States:
    """Of whole trials, in double precision whatever the process computes in."""
    import jax
    import jax.numpy as jnp

    from neurodyn.kernels.laplace import filter_states, smooth_states

    with jax.enable_x64(True):
        parameters = jax.tree.map(jnp.asarray, model)
        found = filter_states(parameters, jax.tree.map(jnp.asarray, data))
        if smoothed:
            found = smooth_states(parameters, found)
        return States(np.asarray(found.mean), np.asarray(found.covariance))


def _read_out(model: "LinearMultiscale", batch: MultimodalBatch, scaling: Scaling, *, smoothed: bool) -> StateReadOut:
    """Ridge regression from the states of whole trials, as they will be decoded."""
    return fit_read_out(_states(model, _observations(batch, scaling), smoothed=smoothed), batch)
