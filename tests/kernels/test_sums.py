"""Compensated sums against fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.kernels import sums


def exact(terms):
    return float(sum((Fraction(float(term)) for term in terms), Fraction(0)))


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("kind", ["like", "spread", "signs"])
def test_a_long_sum_is_rounded_once(kind):
    rng = np.random.default_rng(0)
    terms = {
        "like": rng.uniform(0.1, 1, 20_000),
        "spread": rng.lognormal(0, 8, 20_000),
        "signs": rng.permutation(np.concatenate([rng.normal(size=10_000) * 1e6, np.full(10_000, 1e-3)])),
    }[kind].astype(np.float32)
    got = float(jax.jit(sums.along_first)(jnp.asarray(terms)))
    assert got == pytest.approx(exact(terms), rel=2e-7, abs=1e-7 * float(abs(terms).max()))


@pytest.mark.usefixtures("float32")
def test_what_is_small_next_to_the_sum_is_not_lost():
    terms = jnp.concatenate([jnp.full(1, 2.0**24), jnp.full(1000, 0.5)])
    assert float(sums.along_first(terms)) == 2.0**24 + 500
    assert float(terms[0] + terms[1]) == 2.0**24  # as one by one they would be


def test_elementwise_and_infinite():
    terms = jnp.asarray([[1.0, -np.inf], [2.0, 1.0], [3.0, 2.0]])
    np.testing.assert_array_equal(sums.along_first(terms), [6.0, -np.inf])
    running = sums.add(sums.nothing(terms[0]), terms[1])
    np.testing.assert_array_equal(running.value(), terms[1])
