"""A fitted model as a decoder that takes one bin at a time."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurodyn.errors import InputError, unknown_name
from neurodyn.evaluation.intervals import NORMAL_95
from neurodyn.multiscale.fitted import Fitted
from neurodyn.multiscale.inference import readout_variance
from neurodyn.multiscale.model import Frozen, State


class LiveEstimate(NamedTuple):
    """What is known at the end of one bin.

    ``rates`` are expected spikes per second for counts and expected values in the recording's unit for field
    features; ``lower`` and ``upper`` bound the central 95 % of the predictive distribution of the target.
    """

    time: float
    latent: np.ndarray
    covariance: np.ndarray
    rates: dict[str, np.ndarray]
    target: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    seen: tuple[str, ...]
    microseconds: float


class RealtimeDecoder:
    """Recursive decoder: equal to the offline filter bin for bin, compiled once when it is made.

    Arguments
    ---------
    fitted: the trained model with its read-outs.
    """

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted
        model = fitted.network.model()
        self._dynamics: Frozen = jax.jit(lambda: model.freeze())()
        self._start: State = jax.jit(model.initial_state)(self._dynamics)
        self._state = self._start
        readout = fitted.filtered
        features = sum(fitted.config.model.states) + fitted.config.model.n_traces
        weights = np.zeros((features, 0)) if readout is None else readout.linear.weights
        self._intercept = np.zeros(0) if readout is None else readout.linear.intercept
        self._residual = np.zeros(0) if readout is None else np.diag(readout.linear.residual_covariance)
        self._usual = np.zeros(0) if readout is None else readout.usual_variance
        self._weights = jnp.asarray(weights, jnp.result_type(float))
        self._step = jax.jit(self._compiled_step)
        self.warmup()

    def warmup(self) -> None:
        """Compile the step on an empty bin, so that the first real one is as fast as the rest."""
        self.step({}, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything seen: the next bin is the first of a session."""
        self._state = self._start

    def step(self, observations: Mapping[str, Any], t: float) -> LiveEstimate:
        """Take in one bin and return what is known at its end.

        Arguments
        ---------
        observations: array (channel) per modality, in the unit of the training data; a modality that is None or left
            out is missing in this bin, and so is a single channel whose value is not finite.
        t: time of the bin's end, seconds; passed through.

        Raises
        ------
        InputError
            If a modality is unknown or has another number of channels; the decoder's state is unchanged.
        """
        begin = time.perf_counter()
        values, observed, seen = self._arrays(observations)
        self._state, latent, covariance, means, target, spread = self._step(self._state, values, observed)
        target = np.asarray(target, np.float64) + self._intercept
        deviation = np.sqrt(self._residual + np.maximum(np.asarray(spread) - self._usual, 0))
        return LiveEstimate(
            t,
            np.asarray(latent),
            np.asarray(covariance),
            self._rates(means),
            target,
            target - NORMAL_95 * deviation,
            target + NORMAL_95 * deviation,
            seen,
            1e6 * (time.perf_counter() - begin),
        )

    def _compiled_step(self, state: State, values: dict[str, Array], observed: dict[str, Array]):
        model = self._fitted.network.model()
        state, output = model.step(self._dynamics, state, values, observed)
        latent = output.states[0]
        target = jnp.concatenate([*(s.mean for s in output.states), output.traces]) @ self._weights
        spread = readout_variance([s.covariance for s in output.states], self._weights)
        return state, latent.mean, latent.covariance, output.means, target, spread

    def _arrays(self, observations: Mapping[str, Any]) -> tuple[dict, dict, tuple[str, ...]]:
        dtype = np.dtype(jnp.result_type(float))
        rows = self._fitted.modalities
        for name in observations:
            if name not in {row.name for row in rows}:
                raise unknown_name("modality", name, [row.name for row in rows])
        values, observed = {}, {}
        for row in rows:
            given = observations.get(row.name)
            array = np.full(row.n_channels, np.nan, dtype) if given is None else np.asarray(given, dtype)
            if array.shape != (row.n_channels,):
                raise InputError(
                    f"modality '{row.name}' needs one bin of {row.n_channels} channels, got shape {array.shape}"
                )
            observed[row.name] = np.isfinite(array)
            values[row.name] = np.where(observed[row.name], array, dtype.type(0))
        return values, observed, tuple(n for n, o in observed.items() if o.any())

    def _rates(self, means: tuple[Array, ...]) -> dict[str, np.ndarray]:
        fitted = self._fitted
        rates = {}
        for row, mean in zip(fitted.modalities, means, strict=True):
            value = fitted.scaling.invert_observation(row.name, np.asarray(mean))
            rates[row.name] = value / fitted.width if row.likelihood == "poisson" else value
        return rates
