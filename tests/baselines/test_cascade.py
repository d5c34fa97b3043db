"""The Wiener cascade against nonlinearities that are known, and its polynomial against NumPy's."""

import numpy as np
import pytest

from neurodyn.baselines import WienerCascade, WienerFilter
from neurodyn.baselines.cascade import _degrees, fit_polynomial
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError

SHAPES = {
    "line": (lambda u: 2.0 * u - 1.0, 1),
    "parabola": (lambda u: u + 0.5 * u**2, 2),
    "cubic": (lambda u: u + 0.3 * u**3, 3),
}


def cascade(shape, *, bins=4000, noise=0.05, seed=0):
    """White noise through a filter of three lags and then through a static nonlinearity."""
    random = np.random.default_rng(seed)
    field = random.normal(size=(2, bins // 2, 4))
    kernel = random.normal(size=(3, 4))
    kernel /= np.linalg.norm(kernel)
    driven = np.zeros((2, bins // 2))
    for lag, weights in enumerate(kernel):
        driven[:, lag:] += field[:, : bins // 2 - lag] @ weights
    target = shape(driven) + noise * random.normal(size=driven.shape)
    batch = MultimodalBatch.from_arrays(
        {"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target[..., None]
    )
    return batch, driven


@pytest.mark.parametrize("name", SHAPES)
def test_the_nonlinearity_is_found(name):
    """At least its degree, and its values where inputs are: of Gaussian inputs the filter is right whatever follows."""
    shape, degree = SHAPES[name]
    batch, driven = cascade(shape)
    fitted = WienerCascade((3,)).fit(batch.with_trials([0]))
    assert fitted.degrees_[0] >= degree
    found = fitted.predict(batch.with_trials([1]))["target"].to_numpy()[0, 3:, 0]
    usual = np.abs(driven[1, 3:]) < 2
    # The filter's weights are known to a few per cent: the nonlinearity is no larger than its scatter for them.
    error = np.sqrt(np.mean((found - shape(driven[1, 3:]))[usual] ** 2))
    assert error < 0.12 * np.std(shape(driven[1, 3:]))
    linear = WienerFilter((3,)).fit(batch.with_trials([0])).score(batch.with_trials([1])).r2[0]
    gain = fitted.score(batch.with_trials([1])).r2[0] - linear
    assert abs(gain) < 1e-3 if name == "line" else gain > 0.1


def test_each_dimension_has_its_own():
    first, driven = cascade(SHAPES["line"][0])
    both = np.concatenate([first.target, SHAPES["parabola"][0](driven.reshape(-1, 1))], axis=1)
    batch = MultimodalBatch.from_arrays(
        {"field": first.stacked().observations["field"]}, width=0.05, likelihoods={"field": "gaussian"},
        target=both.reshape(2, -1, 2),
    )  # fmt: skip
    fitted = WienerCascade((3,), degrees=(1, 2)).fit(batch)
    found = fitted.predict(batch)["target"].to_numpy()
    usual = np.abs(driven) < 2
    straight, bent = ((found[..., dim] - both.reshape(2, -1, 2)[..., dim])[usual] for dim in (0, 1))
    assert max(np.std(straight) / np.std(both[:, 0]), np.std(bent) / np.std(both[:, 1])) < 0.1
    assert fitted.degrees_[1] == 2


def test_the_deviation_is_the_error_on_new_data():
    batch, _ = cascade(SHAPES["cubic"][0], noise=0.3)
    fitted = WienerCascade((3,)).fit(batch.with_trials([0]))
    found = fitted.predict(batch.with_trials([1]))
    error = found["target"].to_numpy()[0] - batch.stacked().target[1]
    np.testing.assert_allclose(found["deviation"][0, 0, 0], np.sqrt(np.mean(error**2)), rtol=0.1)


def test_a_filter_of_many_inputs_is_not_made_bolder():
    """Fitted to its own bins a polynomial takes back what the penalty shrank; fitted to bins left out it does not."""
    random = np.random.default_rng(0)
    field = random.normal(size=(2, 300, 40))
    target = field[..., :1] + 2.0 * random.normal(size=(2, 300, 1))
    batch = MultimodalBatch.from_arrays({"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target)
    train, test = batch.with_trials([0]), batch.with_trials([1])
    straight = WienerCascade((5,), degrees=(1,)).fit(train).score(test).r2[0]
    assert straight > WienerFilter((5,)).fit(train).score(test).r2[0] - 0.01
    assert straight > 0.0


@pytest.mark.parametrize("seed", range(3))
def test_the_polynomial_is_that_of_numpy(seed):
    """Every degree refitted without every group by NumPy's own least squares."""
    random = np.random.default_rng(seed)
    x = random.normal(size=200) * 3 + 5
    y = 0.1 * x**3 - x + random.normal(size=200)
    groups = np.arange(200) // 40
    degrees = (1, 2, 3, 4, 7)
    errors = []
    for degree in degrees:
        left_out = np.empty(200)
        for group in range(5):
            fit = np.polynomial.Polynomial.fit(x[groups != group], y[groups != group], degree)
            left_out[groups == group] = fit(x[groups == group])
        errors.append(np.mean((left_out - y) ** 2))
    curve, error = fit_polynomial(x, y, groups, degrees)
    assert curve.degree == degrees[int(np.argmin(errors))]
    np.testing.assert_allclose(error, min(errors), rtol=1e-6)
    expected = np.polynomial.Polynomial.fit(x, y, curve.degree)
    np.testing.assert_allclose(curve(x), expected(x), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(curve(np.array([-1e6, 1e6])), expected(np.array([x.min(), x.max()])), rtol=1e-6)


def test_a_filter_that_says_always_the_same():
    """Nothing to bend: the mean of the target."""
    target = np.arange(20.0)
    curve, _ = fit_polynomial(np.full(20, 3.0), target, np.arange(20) // 5, (1, 3))
    np.testing.assert_allclose(curve(np.array([3.0, 9.0])), target.mean())


def test_degrees_are_checked():
    batch, _ = cascade(SHAPES["line"][0], bins=200)
    for degrees in ((), (0,)):
        with pytest.raises(InputError, match="degrees are a list of whole numbers of 1 or more"):
            WienerCascade((2,), degrees=degrees).fit(batch)
    for degrees in ((1.5,), 3, ("a",)):
        with pytest.raises(InputError, match="degrees are a list of whole numbers of 1 or more"):
            _degrees(degrees)
    with pytest.raises(InputError, match="not fitted"):
        _ = WienerCascade().degrees_
