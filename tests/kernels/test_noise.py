"""Random numbers, sooner: the same ones as JAX's, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.kernels.noise import fast_key, threefry

DRAWS = {
    "bits": lambda key: jax.random.bits(key, (7, 5)),
    "bits of 8": lambda key: jax.random.bits(key, (7, 5), "uint8"),
    "uniform": lambda key: jax.random.uniform(key, (3, 4, 5)),
    "normal": lambda key: jax.random.normal(key, (101,)),
    "doubles": lambda key: jax.random.normal(key, (101,), jnp.float64),
    "gumbel": lambda key: jax.random.gumbel(key, (6, 3)),
    "one": lambda key: jax.random.uniform(key),
    "none": lambda key: jax.random.uniform(key, (0, 3)),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (40,)),
    "permutation": lambda key: jax.random.permutation(key, 20),
    "children": lambda key: jax.vmap(lambda k: jax.random.normal(k, (3,)))(jax.random.split(key, 4)),
    "folded": lambda key: jax.random.normal(jax.random.fold_in(key, 3), (3,)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_same_numbers(draw, seed):
    key = jax.random.key(seed)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(draw(fast_key(key)), draw(key))
        np.testing.assert_array_equal(jax.jit(lambda k: draw(fast_key(k)))(key), draw(key))


def test_keys_of_other_generators_are_left_as_they_are():
    key = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(jax.random.bits(fast_key(key), (5,)), jax.random.bits(key, (5,)))
    with jax.threefry_partitionable(False):
        key = jax.random.key(0)
        np.testing.assert_array_equal(jax.random.bits(fast_key(key), (5,)), jax.random.bits(key, (5,)))


def test_a_quick_key_stays_one():
    key = fast_key(jax.random.key(0))
    assert jax.random.key_impl(fast_key(key)) == jax.random.key_impl(key)


def test_known_answers_of_the_authors():
    """The vectors of 20 rounds that come with the authors' library (Random123, kat_vectors)."""
    words = [(0, 0), (2**32 - 1, 2**32 - 1), (0x243F6A88, 0x85A308D3)]
    keys = [(0, 0), (2**32 - 1, 2**32 - 1), (0x13198A2E, 0x03707344)]
    answers = [(0x6B200159, 0x99BA4EFE), (0x1CB996FC, 0xBB002BE7), (0xC4923A9C, 0x483DF7A0)]
    for key, (high, low), answer in zip(keys, words, answers, strict=True):
        found = threefry(jnp.asarray(key, jnp.uint32), jnp.uint32(high), jnp.uint32(low))
        assert tuple(int(word) for word in found) == answer
