"""Frequencies of short stretches against counting, and a discrepancy that is zero on average for equal laws."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.kernels.ngrams import ngram_discrepancy, ngram_frequencies
from neurodyn.kernels.sinkhorn import one_hot


@pytest.mark.parametrize("length", [1, 2, 4, 7])
def test_frequencies_are_those_of_counting(length):
    symbols = np.random.default_rng(0).integers(0, 3, (5, 7))
    found = np.asarray(ngram_frequencies(one_hot(jnp.asarray(symbols), 3), length)).reshape((3,) * length)
    counts = Counter(tuple(row[t : t + length]) for row in symbols.tolist() for t in range(7 - length + 1))
    assert found.sum() == pytest.approx(1.0)
    for stretch in np.ndindex(found.shape):
        assert found[stretch] == pytest.approx(counts[stretch] / counts.total())


def test_it_is_zero_on_average_for_equal_laws_and_positive_for_others():
    keys, expected = jax.random.split(jax.random.key(0), 400), jnp.asarray([0.5, 0.3, 0.2])
    pairs = jnp.outer(expected, expected).ravel()

    def mean(p):
        def drawn(key):
            return one_hot(jax.random.choice(key, 3, (9, 5), p=jnp.asarray(p)), 3)

        values = jax.vmap(lambda key: ngram_discrepancy(drawn(key), pairs, 2))(keys)
        return float(values.mean()), float(values.std() / len(keys) ** 0.5)

    same, error = mean([0.5, 0.3, 0.2])
    assert abs(same) < 3 * error
    other, error = mean([0.2, 0.3, 0.5])
    assert other > 10 * error


def test_parts_that_differ_alike_add_up():
    """By hand, with stretches of one symbol: (p - q)^2 / (q + c), summed over the symbols."""
    x = one_hot(jnp.asarray([[0, 0, 0, 1]] * 6), 2)
    found = ngram_discrepancy(x, jnp.asarray([0.5, 0.5]), 1)
    assert float(found) == pytest.approx(2 * 0.25**2 / (0.5 + 0.005))
