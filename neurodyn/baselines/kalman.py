r"""The velocity Kalman filter: what most brain-computer interfaces decode movement with.

The state is the target and its change per bin, the observations are linear in it:

.. math::
    s_t = (x_t, x_t - x_{t-1}), \qquad s_t = A s_{t-1} + w_t, \qquad y_{t-l} = H s_t + d + q_t

with :math:`w \sim N(0, W)`, :math:`q \sim N(0, Q)`, all fitted by least squares to the training data, and a lag
:math:`l` of the observations, which are of the past only, chosen on blocks of time kept out. Missing samples are exact:
a bin is updated by the channels that were observed, with their part of Q.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_target,
    facts_of,
    kept_out,
    with_root_counts,
)
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.binning.scaling import Scaling
from neurodyn.display import several
from neurodyn.errors import InputError
from neurodyn.given import integer, parse_sequence

FLOOR = 1e-6
"""Least variance in any direction of the state or the observations, of deviations of one."""


class StateSpace(NamedTuple):
    """The fitted model; states and observations are in standard deviations of the training data.

    transition, process
        (state, state): A, and the covariance W of its noise.
    emission, offset, noise
        (channel, state) H, (channel,) d, and (channel, channel) Q.
    mean, covariance
        Of the state in training: what is known of the first bin.
    """

    transition: Float[np.ndarray, "state state"]
    process: Float[np.ndarray, "state state"]
    emission: Float[np.ndarray, "channels state"]
    offset: Float[np.ndarray, " channels"]
    noise: Float[np.ndarray, "channels channels"]
    mean: Float[np.ndarray, " state"]
    covariance: Float[np.ndarray, "state state"]


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    scaling: Scaling
    model: StateSpace
    lag: int
    inflation: Float[np.ndarray, " dims"]


@dataclass(frozen=True, repr=False)
class VelocityKalman(BaselineDecoder[_Fitted]):
    """Kalman filter whose state is the target and its velocity.

    Smoothed estimates are those of Rauch, Tung and Striebel. The deviation is that of the state, times what makes it
    right on average in the training data.

    Parameters
    ----------
    lags
        Bins by which the observations may precede the target, to choose from.
    root_counts
        Take the square root of Poisson counts first, which evens out their variance (Anscombe 1948).
    fitted_
        What a fit found; None before.

    Reference
    ---------
    Wu et al. (2006), Bayesian population decoding of motor cortical activity using a Kalman filter, Neural Computation
    18(1).

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> nd.baselines.VelocityKalman().fit(batch).predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    lags: tuple[int, ...] = (0, 1, 2, 4)
    root_counts: bool = field(default=True, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def fit(self, batch: MultimodalBatch) -> "VelocityKalman":
        """Fit the model to the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are left out of the regression.

        Raises
        ------
        InputError
            If there is no target, a dimension of it is constant, there are too few bins, or a lag is below 0.
        """
        check_target(check_batch(batch))
        lags = _whole(self.lags)
        return self._fit(batch, lags[0] if len(lags) == 1 else self._chosen_lag(batch, lags))

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        values, observed = _observations(self._prepared(batch), fitted.scaling, fitted.lag)
        means, covariances = _decode(fitted.model, values, observed, smoothed=smoothed)
        dims, scale = len(fitted.dims), fitted.scaling.target_scale
        deviation = fitted.inflation * np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1)[..., :dims])
        return fitted.scaling.target_mean + scale * means[..., :dims], scale * deviation

    @property
    def lag_(self) -> int:
        """Bins by which the observations precede the target, as chosen."""
        return self._require().lag

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            yield "lag", f"{fitted.lag} bins, chosen from {several(self.lags)}"
        else:
            yield "lags", f"{several(self.lags)} bins"

    def _chosen_lag(self, batch: MultimodalBatch, lags: tuple[int, ...]) -> int:
        """The lag that decodes blocks of the training data best that are kept out."""
        inner, held = kept_out(batch)
        stacked = held.stacked(observations=False)
        scored = stacked.scored()
        if not scored.any():
            return lags[0]
        scale = Scaling.fit(batch).target_scale

        def error(lag: int) -> float:
            found = self._fit(inner, lag).predict(held)["target"].to_numpy()
            return float(np.mean(((found - stacked.target)[scored] / scale) ** 2))

        return lags[int(np.argmin([error(lag) for lag in lags]))]

    def _fit(self, batch: MultimodalBatch, lag: int) -> "VelocityKalman":
        prepared = self._prepared(batch)
        scaling = Scaling.fit(prepared)
        stacked = batch.stacked(observations=False)
        values, observed = _observations(prepared, scaling, lag)
        scored = stacked.scored()
        target = (stacked.target - scaling.target_mean) / scaling.target_scale
        model = _fit_model(target.astype(np.float64), scored, values, observed)
        means, covariances = _decode(model, values, observed)
        dims = target.shape[-1]
        squared = ((means[..., :dims] - target) ** 2)[scored].mean(axis=0)
        variance = np.diagonal(covariances, axis1=-2, axis2=-1)[scored][:, :dims].mean(axis=0)
        inflation = np.sqrt(squared / variance)
        fitted = _Fitted(**facts_of(batch), scaling=scaling, model=model, lag=lag, inflation=inflation)
        return replace(self, fitted_=fitted)

    def _prepared(self, batch: MultimodalBatch) -> MultimodalBatch:
        return with_root_counts(batch) if self.root_counts else batch


def _whole(lags: Any) -> tuple[int, ...]:
    """Lags as whole numbers.

    Raises
    ------
    InputError
        If they are none.
    """
    message = f"lags are a list of whole numbers of bins, 0 or more: the future is not known; got {lags!r}"
    found = parse_sequence(lags, integer, message)
    if min(found) < 0:
        raise InputError(message)
    return found


def _observations(
    batch: MultimodalBatch, scaling: Scaling, lag: int
) -> tuple[Float[np.ndarray, "trials time channels"], Bool[np.ndarray, "trials time channels"]]:
    """All modalities side by side in standard deviations, so many bins after they came; 0 where missing."""
    stacked = batch.stacked()
    scaled = [(stacked.observations[n] - scaling.mean[n]) / scaling.scale[n] for n in batch.names]
    observed = np.concatenate([stacked.observed[n] for n in batch.names], axis=-1)
    values = np.where(observed, np.concatenate(scaled, axis=-1), 0.0).astype(np.float64)
    if lag:
        values[:, lag:], observed[:, lag:] = values[:, :-lag].copy(), observed[:, :-lag].copy()
        observed[:, :lag] = False
        values[:, :lag] = 0.0
    return values, observed


def _fit_model(
    target: Float[np.ndarray, "trials time dims"],
    scored: Bool[np.ndarray, "trials time"],
    values: Float[np.ndarray, "trials time channels"],
    observed: Bool[np.ndarray, "trials time channels"],
) -> StateSpace:
    """Least squares for every part of the model.

    Raises
    ------
    InputError
        If there are fewer pairs of bins than numbers to fit, or a channel is hardly observed.
    """
    known = scored[:, 1:] & scored[:, :-1]  # whose velocity is known
    states = np.concatenate([target[:, 1:], np.diff(target, axis=1)], axis=-1)
    pairs = known[:, 1:] & known[:, :-1]
    size = states.shape[-1]
    if np.count_nonzero(pairs) < 4 * size:
        raise InputError(
            f"a Kalman filter needs runs of bins with a target: of {np.count_nonzero(scored)} bins only "
            f"{np.count_nonzero(pairs)} have one, and so have the two before; at least {4 * size} are needed"
        )
    before, after = states[:, :-1][pairs], states[:, 1:][pairs]
    transition = np.linalg.lstsq(before, after, rcond=None)[0].T
    process = _covariance(after - before @ transition.T)
    rows, seen = values[:, 1:][known], observed[:, 1:][known]
    inputs = np.concatenate([states[known], np.ones((len(rows), 1))], axis=1)
    if (few := seen.sum(axis=0).min(initial=len(seen))) < 4 * (size + 1):
        raise InputError(
            f"a channel is observed in {few} of the bins with a target: at least {4 * (size + 1)} are needed"
        )
    # Normal equations of each channel, over the bins in which it was observed.
    products = np.einsum("ti,tj->tij", inputs, inputs).reshape(len(inputs), -1)
    gram = (seen.astype(np.float64).T @ products).reshape(-1, size + 1, size + 1)
    weights = np.linalg.solve(gram + FLOOR * np.eye(size + 1), (rows.T @ inputs)[..., None])[..., 0]
    residual = np.where(seen, rows - inputs @ weights.T, 0.0)
    together = np.maximum(seen.T.astype(np.float64) @ seen, 1.0)
    noise = residual.T @ residual / together
    # Few bins tell little of how channels go together; they tell more of each by itself.
    share = len(noise) / (len(noise) + len(rows))
    noise = (1 - share) * noise + share * np.diag(np.diag(noise))
    least, vectors = np.linalg.eigh(noise)
    noise = (vectors * np.maximum(least, max(1e-3 * np.median(np.diag(noise)), FLOOR))) @ vectors.T
    return StateSpace(
        transition, process, weights[:, :-1], weights[:, -1], noise, states[known].mean(axis=0),
        covariance=_covariance(states[known]),
    )  # fmt: skip


def _covariance(rows: Float[np.ndarray, "n size"]) -> Float[np.ndarray, "size size"]:
    away = rows - rows.mean(axis=0)
    return away.T @ away / len(away) + FLOOR * np.eye(away.shape[1])


def _decode(
    model: StateSpace,
    values: Float[np.ndarray, "trials time channels"],
    observed: Bool[np.ndarray, "trials time channels"],
    *,
    smoothed: bool = False,
) -> tuple[Float[np.ndarray, "trials time state"], Float[np.ndarray, "trials time state state"]]:
    """Means and covariances of the states, in double precision whatever the process computes in."""
    import jax

    precision, information = _evidence(model, values, observed)
    with jax.enable_x64(True):
        found = _run(model, precision, information, smoothed=smoothed)
        return np.asarray(found[0]), np.asarray(found[1])


def _evidence(
    model: StateSpace,
    values: Float[np.ndarray, "trials time channels"],
    observed: Bool[np.ndarray, "trials time channels"],
) -> tuple[Float[np.ndarray, "trials time state state"], Float[np.ndarray, "trials time state"]]:
    """What each bin says about its state: ``H' Q^-1 H`` and ``H' Q^-1 (y - d)`` of the channels observed in it."""
    size = model.emission.shape[1]
    patterns, which = np.unique(observed.reshape(-1, observed.shape[-1]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    flat = values.reshape(len(which), -1) - model.offset
    precision, information = np.zeros((len(patterns), size, size)), np.zeros((len(which), size))
    order = np.argsort(which, kind="stable")
    bins = np.split(order, np.cumsum(np.bincount(which, minlength=len(patterns)))[:-1])
    for number, (seen, rows) in enumerate(zip(patterns, bins, strict=True)):
        if seen.any():
            emission = model.emission[seen]
            gain = scipy.linalg.cho_solve(scipy.linalg.cho_factor(model.noise[np.ix_(seen, seen)]), emission)
            precision[number] = emission.T @ gain
            information[rows] = flat[rows][:, seen] @ gain
    shape = values.shape[:2]
    return precision[which].reshape(*shape, size, size), information.reshape(*shape, size)


def _run(model: StateSpace, precision, information, *, smoothed: bool):
    """Filter all trials side by side, and smooth them if asked."""
    import jax
    import jax.numpy as jnp

    trials, _, size = information.shape
    transition, process = jnp.asarray(model.transition), jnp.asarray(model.process)
    start = (
        jnp.broadcast_to(jnp.asarray(model.mean), (trials, size)),
        jnp.broadcast_to(jnp.asarray(model.covariance), (trials, size, size)),
    )

    def step(predicted, evidence):
        mean, covariance = predicted
        matrix, vector = evidence
        # P = (I + P' J)^-1 P': no covariance is inverted, so that nothing has to be known of one.
        updated = jnp.linalg.solve(jnp.eye(size) + covariance @ matrix, covariance)
        updated = 0.5 * (updated + jnp.swapaxes(updated, -1, -2))
        mean = mean + jnp.einsum("bij,bj->bi", updated, vector - jnp.einsum("bij,bj->bi", matrix, mean))
        following = transition @ updated @ transition.T + process
        return (mean @ transition.T, following), (mean, updated, mean @ transition.T, following)

    def back(after, bin_):
        mean, covariance = after
        filtered, spread, predicted, following = bin_
        gain = jnp.swapaxes(jnp.linalg.solve(following, transition @ spread), -1, -2)
        mean = filtered + jnp.einsum("bij,bj->bi", gain, mean - predicted)
        covariance = spread + gain @ (covariance - following) @ jnp.swapaxes(gain, -1, -2)
        return (mean, covariance), (mean, covariance)

    def run(precision, information):
        evidence = jnp.swapaxes(precision, 0, 1), jnp.swapaxes(information, 0, 1)
        _, bins = jax.lax.scan(step, start, evidence)
        means, covariances = bins[:2]
        if smoothed:
            last = means[-1], covariances[-1]
            _, earlier = jax.lax.scan(back, last, tuple(array[:-1] for array in bins), reverse=True)
            means = jnp.concatenate([earlier[0], last[0][None]])
            covariances = jnp.concatenate([earlier[1], last[1][None]])
        return jnp.swapaxes(means, 0, 1), jnp.swapaxes(covariances, 0, 1)

    return jax.jit(run)(jnp.asarray(precision), jnp.asarray(information))
