"""The random numbers of ``jax.random``, several times faster on a CPU.

JAX draws with Threefry-2x32, 20 rounds over the number of each entry. On a CPU it runs the rounds as a loop, in which
whole arrays go through memory once per round, to spare the compiler. Written out, they are one pass over the result.

Reference: Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC.
"""

import math
from collections.abc import Sequence

import jax
import jax.extend.random
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key, UInt32

ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
"""Bits by which the second word is turned in the rounds of even and of odd groups of four."""
PARITY = 0x1BD11BDA
"""Keeps a key of zeros from giving zeros."""


def fast_key(key: Key[Array, "*any"]) -> Key[Array, "*any"]:
    """The same key, whose draws by ``jax.random`` are the same numbers, sooner.

    A key of another generator, or of Threefry as it was before JAX numbered the entries, is returned as it is.
    """
    numbered = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    if jax.random.key_impl(key) != "threefry2x32" or not numbered:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_WRITTEN_OUT)


def threefry(key: UInt32[Array, "2"], high: UInt32[Array, "*any"], low: UInt32[Array, "*any"]) -> tuple[Array, Array]:
    """Two random words for every pair of words."""
    schedule = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(PARITY)
    high, low = high + schedule[0], low + schedule[1]
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            high = high + low
            low = high ^ _turned(low, bits)
        high = high + schedule[(group + 1) % 3]
        low = low + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    return high, low


def _turned(word: Array, bits: int) -> Array:
    return (word << jnp.uint32(bits)) | (word >> jnp.uint32(32 - bits))


def _random_bits(key: Array, width: int, shape: Sequence[int]) -> Array:
    """As ``jax.random.bits``: the number of an entry is what is encrypted."""
    size = math.prod(shape)
    if size >= 2**32 or width not in (32, 64):
        return _PLAIN.random_bits(key, width, shape)
    low = lax.iota(jnp.uint32, size)
    first, second = threefry(key, jnp.zeros_like(low), low)
    if width == 32:
        return (first ^ second).reshape(shape)
    return ((first.astype(jnp.uint64) << jnp.uint64(32)) | second.astype(jnp.uint64)).reshape(shape)


_PLAIN = jax.extend.random.threefry_prng_impl
_WRITTEN_OUT = jax.extend.random.define_prng_impl(
    key_shape=_PLAIN.key_shape, seed=_PLAIN.seed, split=_PLAIN.split, random_bits=_random_bits, fold_in=_PLAIN.fold_in,
    name="threefry2x32, written out", tag="fast_key",
)  # fmt: skip
