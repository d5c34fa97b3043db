"""The velocity Kalman filter against a textbook's loop, on a system that is one, and through its interface."""

from dataclasses import replace

import numpy as np
import pytest

from neurodyn.baselines import CausalRidge, VelocityKalman
from neurodyn.baselines.kalman import StateSpace, _decode, _whole
from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.evaluation import cross_val_score

RANDOM = np.random.default_rng(0)


def some_model(size=4, channels=6):
    noise, process = RANDOM.normal(size=(channels, channels)), RANDOM.normal(size=(size, size))
    return StateSpace(
        0.9 * np.linalg.qr(RANDOM.normal(size=(size, size)))[0], 0.1 * process @ process.T + 0.01 * np.eye(size),
        RANDOM.normal(size=(channels, size)), RANDOM.normal(size=channels), noise @ noise.T + 0.1 * np.eye(channels),
        mean=RANDOM.normal(size=size), covariance=np.eye(size),
    )  # fmt: skip


def by_hand(model, values, observed):
    """One trial: predict and update as they are printed, with the rows of missing channels dropped."""
    mean, covariance, found = model.mean, model.covariance, []
    for y, seen in zip(values, observed, strict=True):
        if seen.any():
            h, q = model.emission[seen], model.noise[np.ix_(seen, seen)]
            gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + q)
            mean = mean + gain @ (y[seen] - model.offset[seen] - h @ mean)
            covariance = covariance - gain @ h @ covariance
        found.append((mean, covariance))
        mean = model.transition @ mean
        covariance = model.transition @ covariance @ model.transition.T + model.process
    return [np.stack(part) for part in zip(*found, strict=True)]


def by_one_gaussian(model, values, observed):
    """Smoothed means of one trial: all states and observations are one Gaussian vector, conditioned at once."""
    steps, size = len(values), len(model.mean)
    means, covariance = [model.mean], np.zeros((steps * size, steps * size))
    blocks = [[None] * steps for _ in range(steps)]
    blocks[0][0] = model.covariance
    for t in range(1, steps):
        means.append(model.transition @ means[-1])
        blocks[t][t] = model.transition @ blocks[t - 1][t - 1] @ model.transition.T + model.process
    for t in range(steps):
        for later in range(t + 1, steps):
            blocks[later][t] = model.transition @ blocks[later - 1][t]
            blocks[t][later] = blocks[later][t].T
    covariance = np.block(blocks)
    h = np.kron(np.eye(steps), model.emission)[observed.ravel()]
    q = np.kron(np.eye(steps), model.noise)[np.ix_(observed.ravel(), observed.ravel())]
    away = (values - model.offset).ravel()[observed.ravel()] - h @ np.concatenate(means)
    gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + q)
    return (np.concatenate(means) + gain @ away).reshape(steps, size), covariance - gain @ h @ covariance


class TestDecoding:
    model = some_model()
    values = RANDOM.normal(size=(2, 12, 6))
    observed = RANDOM.random((2, 12, 6)) > 0.4

    def test_filtered_is_the_textbooks(self):
        means, covariances = _decode(self.model, self.values, self.observed)
        for trial in range(2):
            expected = by_hand(self.model, self.values[trial], self.observed[trial])
            np.testing.assert_allclose(means[trial], expected[0], rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(covariances[trial], expected[1], rtol=1e-8, atol=1e-10)

    def test_smoothed_is_that_of_one_gaussian(self):
        means, covariances = _decode(self.model, self.values, self.observed, smoothed=True)
        for trial in range(2):
            mean, covariance = by_one_gaussian(self.model, self.values[trial], self.observed[trial])
            np.testing.assert_allclose(means[trial], mean, rtol=1e-7, atol=1e-9)
            size = len(self.model.mean)
            for t in range(12):
                block = covariance[t * size : (t + 1) * size, t * size : (t + 1) * size]
                np.testing.assert_allclose(covariances[trial, t], block, rtol=1e-7, atol=1e-9)


def a_walk(bins=4000, trials=4, channels=12, seed=0):
    """A smooth target in two dimensions, and noisy channels that are linear in it and in its velocity."""
    random = np.random.default_rng(seed)
    velocity = np.zeros((bins, 2))
    for t in range(1, bins):
        velocity[t] = 0.9 * velocity[t - 1] + 0.05 * random.normal(size=2)
    target = np.zeros((bins, 2))
    for t in range(1, bins):
        target[t] = 0.995 * target[t - 1] + velocity[t]
    weights = random.normal(size=(channels, 4))
    field = np.concatenate([target, 5 * velocity], axis=1) @ weights.T + 2.0 + random.normal(size=(bins, channels))
    return MultimodalBatch.from_arrays(
        {"field": field.reshape(trials, -1, channels)}, width=0.05, likelihoods={"field": "gaussian"},
        target=target.reshape(trials, -1, 2), target_names=("x", "y"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def walk():
    return a_walk()


def test_a_system_that_is_one_is_decoded_nearly_as_well_as_can_be(walk):
    """Better than ridge regression, which knows no dynamics, and with intervals that hold."""
    train, test = walk.with_trials([0, 1, 2]), walk.with_trials([3])
    fitted = VelocityKalman().fit(train)
    score = fitted.score(test)
    assert fitted.lag_ == 0
    assert score.mean("r2") > CausalRidge(smoothed=False).fit(train).score(test).mean("r2")
    assert score.mean("r2") > 0.95
    np.testing.assert_allclose(score.intervals.coverage[-1], 0.95, atol=0.04)
    assert fitted.score(test, smoothed=True).mean("r2") > score.mean("r2")


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_the_lag_is_found(lag):
    """Of a target that changes so fast that only the observations of the right bin tell anything of it."""
    random = np.random.default_rng(lag)
    target = random.normal(size=(1200, 2))
    field = np.roll(target @ random.normal(size=(2, 6)) + 0.3 * random.normal(size=(1200, 6)), -lag, axis=0)
    batch = MultimodalBatch.from_arrays(
        {"field": field.reshape(4, 300, 6)}, width=0.05, likelihoods={"field": "gaussian"},
        target=target.reshape(4, 300, 2),
    )  # fmt: skip
    fitted = VelocityKalman().fit(batch.with_trials([0, 1, 2]))
    assert fitted.lag_ == lag
    assert fitted.score(batch.with_trials([3])).mean("r2") > 0.7


def test_what_comes_later_changes_nothing(walk):
    fitted = VelocityKalman((1,)).fit(walk.with_trials([0, 1, 2]))
    test = walk.with_trials([3])
    before = fitted.predict(test)["target"].to_numpy()
    values = {"field": test.observations["field"].copy()}
    first = int(test.starts[0])
    values["field"][first + 500 :] = 7.0
    after = fitted.predict(replace(test, observations=values))["target"].to_numpy()
    np.testing.assert_array_equal(before[0, :501], after[0, :501])  # a lag of one bin: the change is seen a bin later
    assert np.abs(before - after)[0, 501:].max() > 0.1


def test_missing_samples_are_left_out_and_widen_the_interval(walk):
    fitted = VelocityKalman().fit(walk.with_trials([0, 1, 2]))
    test = walk.with_trials([3])
    first = int(test.starts[0])
    observed = {"field": test.observed["field"].copy()}
    observed["field"][first + 100 : first + 140] = False
    values = {"field": np.where(observed["field"], test.observations["field"], np.float32(0))}
    hidden = replace(test, observed=observed, observations=values)
    deviation = fitted.predict(hidden)["deviation"].to_numpy()[0]
    assert (deviation[139] > 2 * deviation[99]).all()
    np.testing.assert_allclose(deviation[300], deviation[99], rtol=1e-3)


def test_channels_and_targets_that_rest_do_no_harm(walk):
    """Most channels silent in training, one dimension at rest in the blocks that the lag is chosen on."""
    values = walk.observations["field"].copy()
    values[:, 3:] = 0.0
    target = walk.target.copy()
    target[len(target) // 4 :, 1] = 0.0
    batch = replace(walk, observations={"field": values}, target=target)
    fitted = VelocityKalman().fit(batch.with_trials([0, 1, 2]))
    assert np.isfinite(fitted.predict(batch.with_trials([3]))["target"].to_numpy()).all()


def test_it_goes_through_cross_validation(walk):
    assert cross_val_score(VelocityKalman((0,)), walk, 2).shape == (2,)


def test_what_it_cannot_do_is_refused(walk):
    with pytest.raises(InputError, match="not fitted"):
        VelocityKalman().predict(walk)
    with pytest.raises(InputError, match="the future is not known"):
        VelocityKalman((-1,)).fit(walk)
    for lags in ((-1,), (), (0.5,), 3, (float("nan"),), ("a",)):
        with pytest.raises(InputError, match="the future is not known"):
            _whole(lags)
    assert _whole((0, 2.0, np.int64(3))) == (0, 2, 3)
    with pytest.raises(InputError, match=r"fitted on 0.05 s bins, the batch has 0.1 s bins"):
        VelocityKalman((0,)).fit(walk).predict(replace(walk, width=0.1))
    with pytest.raises(InputError, match="no target"):
        VelocityKalman().fit(replace(walk, target=walk.target[:, :0], target_names=()))
    short = a_walk(bins=20, trials=2)
    with pytest.raises(InputError, match="runs of bins with a target"):
        VelocityKalman((0,)).fit(short.with_trials([0]))
    assert "lags  0, 1, 2, 4 bins" in repr(VelocityKalman())
