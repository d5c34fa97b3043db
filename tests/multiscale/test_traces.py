"""Fading memory: the same averages as the baseline's filters, one bin at a time, in pieces and backwards."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.history.filters import PRIOR, ExponentialFilters
from neurodyn.multiscale.traces import TraceState, start_traces, step_traces, traces_of_trials

WIDTH, SECONDS = 0.05, (0.1, 0.7, 3.0)
TRIALS, BINS, CHANNELS = 3, 40, 2
DECAYS = jnp.exp(-WIDTH / jnp.asarray(SECONDS))


def case(share=0.4):
    rng = np.random.default_rng(0)
    observed = rng.random((TRIALS, BINS, CHANNELS)) > share
    observed[0, 10:30] = False
    return rng.normal(size=observed.shape), observed


def start() -> TraceState:
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (TRIALS, *a.shape)), start_traces(DECAYS, CHANNELS))


def traces(values, observed, begin=None, *, reverse=False):
    arrays = jnp.asarray(values), jnp.asarray(observed)
    return traces_of_trials(DECAYS, *arrays, begin or start(), reverse=reverse)


def test_traces_are_the_filters_of_the_baseline():
    values, observed = case()
    filters = ExponentialFilters(SECONDS, strength=PRIOR, newest=False)
    expected = filters.history(np.where(observed, values, 0.0), observed, WIDTH)
    with_newest = replace(filters, newest=True).history(np.where(observed, values, 0.0), observed, WIDTH)
    np.testing.assert_array_equal(with_newest[..., CHANNELS:], expected)
    np.testing.assert_allclose(traces(values, observed)[1], expected, rtol=1e-10, atol=1e-14)


def test_a_loop_of_steps_equals_the_scan():
    values, observed = case()
    _, found = traces(values, observed)
    for i in range(TRIALS):
        state = start_traces(DECAYS, CHANNELS)
        for t in range(BINS):
            state, features = step_traces(DECAYS, state, jnp.asarray(values[i, t]), jnp.asarray(observed[i, t]))
            np.testing.assert_allclose(features, found[i, t], rtol=1e-12)


def test_the_future_is_the_past_of_reversed_time():
    values, observed = case()
    _, future = traces(values, observed, reverse=True)
    np.testing.assert_allclose(future, traces(values[:, ::-1], observed[:, ::-1])[1][:, ::-1], rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_pieces_one_after_the_other_equal_the_whole(reverse):
    values, observed = case()
    pieces = [slice(0, 13), slice(13, 14), slice(14, BINS)]
    state, found = start(), {}
    for piece in reversed(pieces) if reverse else pieces:
        state, found[piece.start] = traces(values[:, piece], observed[:, piece], state, reverse=reverse)
    together = np.concatenate([found[piece.start] for piece in pieces], axis=1)
    np.testing.assert_allclose(together, traces(values, observed, reverse=reverse)[1], rtol=1e-12)


def test_the_value_of_a_missing_sample_never_matters():
    values, observed = case()
    poisoned = np.where(observed, values, np.nan)
    np.testing.assert_array_equal(traces(poisoned, observed)[1], traces(values, observed)[1])
