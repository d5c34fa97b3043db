"""The masked Kalman kernels against two oracles that share no code, and the invariances they must have."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import dense_gaussian, filter_summaries, textbook_kalman

from neurodyn.kernels import kalman
from neurodyn.kernels.kalman import Belief, LinearGaussian, trials

TRIALS, BINS, LATENT, CHANNELS = 3, 9, 3, 4


def make_model(seed: int, latent: int = LATENT, channels: int = CHANNELS, dtype=np.float64) -> LinearGaussian:
    rng = np.random.default_rng(seed)
    transition = rng.normal(size=(latent, latent))
    transition *= 0.95 / np.linalg.norm(transition, 2)
    root = rng.normal(size=(latent, latent))
    arrays = (
        transition,
        rng.uniform(0.05, 1.0, latent),
        rng.normal(size=(channels, latent)),
        rng.uniform(0.1, 2.0, channels),
        rng.normal(size=latent),
        root @ root.T + 0.1 * np.eye(latent),
    )
    return LinearGaussian(*(jnp.asarray(a, dtype) for a in arrays))


def make_data(seed: int, *, trials: int = TRIALS, bins: int = BINS, channels: int = CHANNELS):
    """Values and a mask per trial in which single channels and, now and then, whole bins are missing."""
    rng = np.random.default_rng(1000 + seed)
    observed = (rng.random((trials, bins, channels)) < 0.7) & (rng.random((trials, bins, 1)) < 0.75)
    observed[0, 2] = False
    return rng.normal(size=(trials, bins, channels)), observed


class Results(NamedTuple):
    filtered: kalman.Filtered
    smoothed: kalman.Smoothed
    smoothed_covariance: jax.Array
    log_likelihood: jax.Array


def everything(model, values, observed) -> Results:
    filtered = kalman.filter_trials(model, values, observed)
    smoothed = kalman.smooth_trials(model, filtered)
    covariance = kalman.smoothed_covariances(model, filtered.covariances.filtered, smoothed.information)
    return Results(filtered, smoothed, covariance, filter_summaries.log_likelihood(model, filtered, observed))


# Compiled once per shape here: uncompiled, every call would trace and compile its scans again.
compiled = jax.jit(everything)
filter_piece, smooth_piece = (
    jax.jit(function, static_argnames="parallel") for function in (kalman.filter_trials, kalman.smooth_trials)
)
update, predict = jax.jit(kalman.update), jax.jit(kalman.predict)
predict_ahead = jax.jit(filter_summaries.predict_ahead, static_argnums=2)


def run(model, values, observed) -> Results:
    return compiled(model, jnp.asarray(values), jnp.asarray(observed))


def numbers(results: Results) -> Results:
    """The same without the mask, which is one flag per bin or per channel."""
    covariances = results.filtered.covariances._replace(observed=None)
    return results._replace(filtered=results.filtered._replace(covariances=covariances))


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


seeds = pytest.mark.parametrize("seed", range(4))


@pytest.mark.parametrize("channels", [1, 2, 9])
def test_fewer_or_many_more_channels_than_latents(channels):
    model, (values, observed) = make_model(12, channels=channels), make_data(12, channels=channels)
    found = run(model, values, observed)
    for i in range(TRIALS):
        mean, covariance = dense_gaussian.smoothed(model, values[i], observed[i])
        close(found.smoothed.mean[i], mean)
        close(found.smoothed_covariance[i], covariance)
        close(found.filtered.mean[i], dense_gaussian.filtered(model, values[i], observed[i])[0])


@seeds
@pytest.mark.parametrize("oracle", ["dense", "textbook"])
def test_filter_equals_the_oracles(seed, oracle):
    model, (values, observed) = make_model(seed), make_data(seed)
    found = run(model, values, observed).filtered
    for i in range(TRIALS):
        if oracle == "dense":
            mean, covariance = dense_gaussian.filtered(model, values[i], observed[i])
        else:
            result = textbook_kalman.kalman_filter(model, values[i], observed[i])
            mean, covariance = result["mean"], result["covariance"]
            close(found.covariances.predicted[i], result["predicted_covariance"])
        close(found.mean[i], mean)
        close(found.covariances.filtered[i], covariance)


@seeds
@pytest.mark.parametrize("oracle", [dense_gaussian.smoothed, textbook_kalman.rts_smoother])
def test_smoother_equals_the_oracles(seed, oracle):
    model, (values, observed) = make_model(seed), make_data(seed)
    found = run(model, values, observed)
    for i in range(TRIALS):
        mean, covariance = oracle(model, values[i], observed[i])
        close(found.smoothed.mean[i], mean)
        close(found.smoothed_covariance[i], covariance)
        close(found.smoothed.variance[i], np.diagonal(covariance, axis1=1, axis2=2))


@seeds
def test_log_likelihood_equals_the_oracles(seed):
    model, (values, observed) = make_model(seed), make_data(seed)
    found = run(model, values, observed).log_likelihood
    close(found, [dense_gaussian.log_likelihood(model, v, o) for v, o in zip(values, observed, strict=True)])
    textbook = [textbook_kalman.kalman_filter(model, v, o) for v, o in zip(values, observed, strict=True)]
    close(found, [t["log_likelihood"] for t in textbook])


def test_a_trial_of_one_bin():
    model, (values, observed) = make_model(1), make_data(1, bins=3)
    values, observed = values[:, :1], observed[:, :1]
    found = run(model, values, observed)
    for i in range(TRIALS):
        mean, covariance = dense_gaussian.smoothed(model, values[i], observed[i])
        close(found.smoothed.mean[i], mean)
        close(found.smoothed_covariance[i], covariance)


def test_nothing_observed_is_the_prior():
    model, (values, observed) = make_model(0), make_data(0)
    filtered, smoothed, smoothed_covariance, log_likelihood = run(model, values, np.zeros_like(observed[0]))
    joint = dense_gaussian.joint_gaussian(model, BINS)
    close(filtered.mean, np.broadcast_to(joint.latent_mean.reshape(BINS, LATENT), (TRIALS, BINS, LATENT)))
    close(smoothed.mean, filtered.mean)
    close(smoothed_covariance, filtered.covariances.filtered)
    close(log_likelihood, np.zeros(TRIALS))


@seeds
@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_prediction_ahead_equals_the_dense_gaussian(seed, ahead):
    model, (values, observed) = make_model(seed), make_data(seed)
    filtered = run(model, values, observed).filtered
    mean, covariance = dense_gaussian.predicted(model, values[1], observed[1], ahead)
    found = predict_ahead(model, Belief(filtered.mean[1], filtered.covariances.filtered[1]), ahead)
    close(found.mean, mean)
    close(found.covariance, covariance)


# Invariances --------------------------------------------------------------------------------------------------


@seeds
def test_shared_mask_equals_one_mask_per_trial(seed):
    model, (values, observed) = make_model(seed), make_data(seed)
    together = run(model, values, observed[0])
    apart = run(model, values, np.broadcast_to(observed[0], values.shape))
    assert together.filtered.covariances.filtered.ndim == together.smoothed_covariance.ndim == 3
    jax.tree.map(lambda one, each: close(np.broadcast_to(one, each.shape), each), together, apart)


@seeds
def test_a_loop_of_steps_equals_the_filter(seed):
    model, (values, observed) = make_model(seed), make_data(seed)
    found = run(model, values, observed).filtered
    for i in range(TRIALS):
        predicted = kalman.initial_belief(model)
        for t in range(BINS):
            belief = update(model, predicted, jnp.asarray(values[i, t]), jnp.asarray(observed[i, t]))
            close(belief.mean, found.mean[i, t])
            close(belief.covariance, found.covariances.filtered[i, t])
            predicted = predict(model, belief)


def test_an_observation_of_nothing_changes_nothing():
    model = make_model(0)
    belief = kalman.initial_belief(model)
    after = kalman.update(model, belief, jnp.full(CHANNELS, jnp.nan), jnp.zeros(CHANNELS, bool))
    np.testing.assert_array_equal(after.mean, belief.mean)
    np.testing.assert_array_equal(after.covariance, belief.covariance)


def test_trials_taken_in_blocks_give_the_same(monkeypatch):
    """With their own masks, five trials, two at a time: the last block is filled up."""
    model, (values, observed) = make_model(14), make_data(14, trials=5)
    whole = run(model, values, observed)
    monkeypatch.setattr(trials, "CACHED", 0)
    monkeypatch.setattr(trials, "SMALLEST_BLOCK", 2)
    blocks = jax.jit(lambda *arguments: everything(*arguments))  # not the one compiled before
    jax.tree.map(close, blocks(model, jnp.asarray(values), jnp.asarray(observed)), whole)


def test_masking_channels_equals_a_model_without_them():
    model, (values, _) = make_model(2), make_data(2)
    kept = np.array([0, 2])
    mask = jnp.zeros((BINS, CHANNELS), bool).at[:, kept].set(True)
    smaller = model._replace(emission=model.emission[kept], observation_noise=model.observation_noise[kept])
    masked, without = run(model, values, mask), run(smaller, values[..., kept], np.ones((BINS, 2), bool))
    jax.tree.map(close, masked[1:], without[1:])
    close(masked.filtered.mean, without.filtered.mean)
    gain = filter_summaries.gains(model, masked.filtered.covariances)
    close(gain[..., kept], filter_summaries.gains(smaller, without.filtered.covariances))
    assert not np.any(gain[..., [1, 3]])


def test_a_masked_end_equals_a_shorter_trial():
    model, (values, observed) = make_model(3), make_data(3)
    mask, cut = observed[1].copy(), BINS - 3
    mask[cut:] = False
    masked, shorter = run(model, values, mask), run(model, values[:, :cut], mask[:cut])
    close(masked.filtered.mean[:, :cut], shorter.filtered.mean)
    close(masked.smoothed.mean[:, :cut], shorter.smoothed.mean)
    close(masked.smoothed_covariance[:cut], shorter.smoothed_covariance)
    close(masked.log_likelihood, shorter.log_likelihood)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
def test_pieces_one_after_the_other_equal_the_whole(shared, parallel):
    """Forwards each piece starts from where the one before ended, backwards from what the one after says."""
    model, (values, observed) = make_model(13), make_data(13, bins=12)
    mask, values = jnp.asarray(observed[0] if shared else observed), jnp.asarray(values)
    whole = run(model, values, mask)
    start, filtered = None, []
    for piece in (slice(0, 4), slice(4, 8), slice(8, 12)):
        filtered.append(filter_piece(model, values[:, piece], mask[..., piece, :], start, parallel=parallel))
        start = kalman.after(model, filtered[-1])
    close(jnp.concatenate([f.mean for f in filtered], axis=1), whole.filtered.mean)
    close(jnp.concatenate([f.innovation for f in filtered], axis=1), whole.filtered.innovation)
    covariances = jnp.concatenate([f.covariances.filtered for f in filtered], axis=-3)
    close(covariances, whole.filtered.covariances.filtered)
    future, smoothed = None, []
    for one in reversed(filtered):
        smoothed.insert(0, smooth_piece(model, one, future, parallel=parallel))
        future = smoothed[0].evidence_at_first
    close(jnp.concatenate([s.mean for s in smoothed], axis=1), whole.smoothed.mean)
    close(jnp.concatenate([s.variance for s in smoothed], axis=-2), whole.smoothed.variance)
    information = jnp.concatenate([s.information for s in smoothed], axis=-3)
    close(kalman.smoothed_covariances(model, covariances, information), whole.smoothed_covariance)


@pytest.mark.parametrize("shared", [True, False])
def test_one_flag_per_bin_equals_one_per_channel(shared):
    model, (values, observed) = make_model(10), make_data(10)
    seen = observed.any(axis=2, keepdims=True)[0 if shared else slice(None)]
    whole = run(model, values, seen)
    each = run(model, values, np.broadcast_to(seen, (*seen.shape[:-1], CHANNELS)))
    jax.tree.map(close, numbers(whole), numbers(each))


def test_the_order_of_channels_does_not_matter():
    model, (values, observed) = make_model(4), make_data(4)
    order = np.array([2, 0, 3, 1])
    permuted = model._replace(emission=model.emission[order], observation_noise=model.observation_noise[order])
    one = run(model, values, observed)
    other = run(permuted, values[..., order], observed[..., order])
    close(one.filtered.mean, other.filtered.mean)
    jax.tree.map(close, one[1:], other[1:])


def test_compiled_equals_interpreted():
    model, (values, observed) = make_model(5, latent=2, channels=2), make_data(5, trials=1, bins=3, channels=2)
    arrays = jnp.asarray(values), jnp.asarray(observed)
    with jax.disable_jit():
        plain = everything(model, *arrays)
    jax.tree.map(close, compiled(model, *arrays), plain)


def test_the_value_of_a_missing_entry_never_matters():
    model, (values, observed) = make_model(6), make_data(6)
    mask = jnp.asarray(observed)
    poisoned = jnp.asarray(np.where(observed, values, np.nan))

    @jax.jit
    def total(model, values):
        found = everything(model, values, mask)
        return jnp.sum(found.log_likelihood) + jnp.sum(found.smoothed.mean**2) + jnp.sum(found.filtered.mean)

    gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    found = gradients(model, poisoned)
    jax.tree.map(np.testing.assert_array_equal, found, gradients(model, jnp.asarray(values)))
    by_value = np.asarray(found[1][1])
    assert np.all(np.isfinite(by_value))
    assert not np.any(by_value[~observed])


# Gradients and precision --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_equal_finite_differences(shared, channels):
    """Also those that the recursion of the covariances has in closed form, with a flag per bin or per channel."""
    model = make_model(7, latent=2, channels=channels)
    values, observed = make_data(7, trials=2, bins=5, channels=channels)
    mask = jnp.asarray(observed[0] if shared else observed)

    @jax.jit
    def total(model):
        found = everything(model, jnp.asarray(values), mask)
        bent = jnp.sum(found.smoothed.mean**2) + jnp.sum(jnp.sin(found.smoothed_covariance))
        gain, variance = filter_summaries.gains(model, found.filtered.covariances), found.smoothed.variance
        return jnp.sum(found.log_likelihood) + bent + jnp.sum(gain**2) + jnp.sum(jnp.log(variance))

    gradient = jax.jit(jax.grad(total))(model)
    step = 1e-5
    for name, array in model._asdict().items():
        numeric = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            up, down = array.at[index].add(step), array.at[index].add(-step)
            difference = total(model._replace(**{name: up})) - total(model._replace(**{name: down}))
            numeric[index] = difference / (2 * step)
        np.testing.assert_allclose(getattr(gradient, name), numeric, rtol=1e-6, atol=1e-6, err_msg=name)


def test_float32_is_close_to_float64():
    values, observed = make_data(8, bins=200)
    results = []
    for dtype in (np.float32, np.float64):
        found = run(make_model(8, dtype=dtype), values.astype(dtype), observed[0])
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(numbers(found)))
        results.append(found)
    single, double = results
    for name in ("smoothed", "smoothed_covariance"):
        close32 = partial(np.testing.assert_allclose, atol=1e-4, rtol=1e-4)
        jax.tree.map(close32, getattr(single, name), getattr(double, name))
    np.testing.assert_allclose(single.filtered.mean, double.filtered.mean, atol=1e-4)
    np.testing.assert_allclose(single.log_likelihood, double.log_likelihood, rtol=1e-4)


def long_run(dtype, steps: int):
    """Filter one long recording step by step; per 100 bins the worst asymmetry and eigenvalue, and the last beliefs."""
    rng = np.random.default_rng(9)
    model = make_model(9, dtype=dtype)
    # Near-perfect channels and almost no process noise: the hard case for a covariance in single precision.
    model = model._replace(
        transition=jnp.asarray(np.diag([0.9999, 0.99, 0.5]), dtype),
        process_noise=jnp.asarray([1e-6, 1e-4, 1e-2], dtype),
        observation_noise=jnp.asarray([1e-4, 1e-2, 1.0, 10.0], dtype),
    )
    observed = (rng.random((steps, CHANNELS)) < 0.6) & (rng.random((steps, 1)) < 0.7)
    observed[steps // 2 : steps // 2 + 3000] = False
    values = rng.normal(size=(steps, CHANNELS))

    def step(predicted, inputs):
        belief = kalman.update(model, predicted, *inputs)
        covariance = belief.covariance
        asymmetry = jnp.max(jnp.abs(covariance - covariance.T))
        return kalman.predict(model, belief), (belief, asymmetry)

    inputs = jnp.asarray(values, dtype), jnp.asarray(observed)
    return jax.jit(lambda: jax.lax.scan(step, kalman.initial_belief(model), inputs)[1])()


def test_a_long_run_in_float32_stays_positive_and_close():
    single, asymmetry = long_run(np.float32, 100_000)
    double, _ = long_run(np.float64, 100_000)
    assert np.all(np.asarray(asymmetry) == 0)
    eigenvalues = np.linalg.eigvalsh(np.asarray(single.covariance, np.float64))
    assert np.all(eigenvalues > 0)
    deviation = np.sqrt(np.diagonal(double.covariance, axis1=1, axis2=2))
    covariance_error = np.abs(np.asarray(single.covariance, np.float64) - np.asarray(double.covariance))
    assert np.max(covariance_error / (deviation[:, :, None] * deviation[:, None, :])) < 1e-2
    assert np.max(np.abs(np.asarray(single.mean, np.float64) - np.asarray(double.mean)) / deviation) < 1e-1


def test_smoothed_variances_in_float32_stay_positive_and_close():
    """The smoothed variance is a difference: where later bins say nearly everything, it must not round below zero."""
    results = []
    for dtype in (np.float32, np.float64):
        model = make_model(11, dtype=dtype)._replace(
            transition=jnp.asarray(np.diag([0.9999, 0.99, 0.5]), dtype),
            process_noise=jnp.asarray([1e-6, 1e-4, 1e-2], dtype),
            observation_noise=jnp.asarray([1e-4, 1e-2, 1.0, 10.0], dtype),
            initial_covariance=jnp.asarray(100 * np.eye(3), dtype),
        )
        values, observed = make_data(11, bins=3000)
        results.append(run(model, values.astype(dtype), observed[0]))
    single, double = results
    assert np.all(np.asarray(single.smoothed.variance) > 0)
    np.testing.assert_allclose(single.smoothed.variance[100:], double.smoothed.variance[100:], rtol=2e-2)
    error = np.abs(np.asarray(single.smoothed.mean, np.float64) - np.asarray(double.smoothed.mean))
    assert np.max((error / np.sqrt(double.smoothed.variance))[:, 100:]) < 0.1


@pytest.mark.parametrize("shared", [True, False])
def test_parallel_in_time_equals_sequential_and_so_do_its_gradients(shared):
    model = make_model(17)
    values, observed = make_data(17, bins=13)
    observed = jnp.asarray(observed[0] if shared else observed)

    @partial(jax.jit, static_argnames="parallel")
    def summary(model, values, parallel):
        filtered = kalman.filter_trials(model, values, observed, parallel=parallel)
        smoothed = kalman.smooth_trials(model, filtered, parallel=parallel)
        total = jnp.sum(jnp.sin(filtered.mean)) + jnp.sum(jnp.cos(smoothed.mean)) + jnp.sum(smoothed.variance)
        return total, (filtered, smoothed)

    results = [
        jax.value_and_grad(partial(summary, parallel=parallel), argnums=(0, 1), has_aux=True)(
            model, jnp.asarray(values)
        )
        for parallel in (False, True)
    ]
    for one, other in zip(*(jax.tree.leaves(r) for r in results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
