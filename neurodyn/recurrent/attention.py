r"""Causal self-attention over a window of the last bins, and the network that is made of it.

.. math::
    a_{tk} = \operatorname{softmax}_{k} \Big( \frac{q_t \cdot k_{t-k}}{\sqrt{d}} + b_k \Big), \qquad
    z_t = \sum_{k=0}^{K-1} a_{tk}\, v_{t-k}

for each head, :math:`k` bins back within a reach of :math:`K` bins and the trial. The bias :math:`b_k` is learned,
and all that is said of positions, so that a bin is decoded alike wherever it stands in a trial. It starts out falling
with the distance, in each head at another rate. Time is cut into chunks as long as the reach, each of which attends to
itself and to the one before: cost and memory grow in proportion to the bins.

A block adds to the states what its heads bring, and then what two layers make of that; both see normalised states.

References: Vaswani et al. (2017), Attention is all you need, NeurIPS. Xiong et al. (2020), On layer normalization in
the transformer architecture, ICML. Press et al. (2022), Train short, test long: attention with linear biases enables
input length extrapolation, ICLR (the start of the biases). Beltagy et al. (2020), Longformer, arXiv:2004.05150 (the
chunks).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurodyn.errors import InputError
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.network import Weights, thinned

WIDENING = 2
"""Units of the layer between the two of a block, per unit of the state."""
STEEPEST = 8.0
"""Heads start out with slopes of 2 to the power of minus 1 to minus this per bin, as in Press et al. (2022)."""
LEAST_VARIANCE = 1e-5
"""Added to the variance that states are divided by: a state may be the same in all units."""


def attend(
    query: Float[Array, "time trial head dim"],
    key: Float[Array, "time trial head dim"],
    value: Float[Array, "time trial head dim"],
    bias: Float[Array, "head reach"],
) -> Float[Array, "time trial head dim"]:
    """What each bin takes from itself and the bins before it, within the reach.

    Parameters
    ----------
    query, key, value
        Of every bin; there is none before the first.
    bias
        Added to the score of a bin so many bins back.

    Returns
    -------
    Weighted means of the values.
    """
    bins, reach = query.shape[0], bias.shape[1]
    length = min(reach, bins)
    chunks = -(-bins // length)

    def cut(array: Array) -> Array:
        padded = jnp.pad(array, ((0, chunks * length - bins), (0, 0), (0, 0), (0, 0)))
        return padded.reshape(chunks, length, *array.shape[1:])

    def with_the_one_before(array: Array) -> Array:
        chunked = cut(array)
        before = jnp.concatenate([jnp.zeros_like(chunked[:1]), chunked[:-1]])
        return jnp.concatenate([before, chunked], axis=1)

    place = jnp.arange(2 * length)
    back = length + jnp.arange(length)[:, None] - place
    there = (jnp.arange(chunks)[:, None, None] > 0) | (place >= length)  # before the first chunk there is nothing
    seen = there & (back >= 0) & (back < reach)
    scores = jnp.einsum("cqthd,ckthd->cthqk", cut(query), with_the_one_before(key)) * query.shape[-1] ** -0.5
    scores = scores + bias[:, jnp.clip(back, 0, reach - 1)]
    shares = jax.nn.softmax(jnp.asarray(jnp.where(seen[:, None, None], scores, -jnp.inf)), axis=-1)
    found = jnp.einsum("cthqk,ckthd->cqthd", shares, with_the_one_before(value))
    return found.reshape(chunks * length, *query.shape[1:])[:bins]


@dataclass(frozen=True)
class Attention:
    """Blocks of causal self-attention behind a linear embedding: a `Body`.

    What is known before a stretch of bins are the inputs of the bins that its first bin depends on.

    Parameters
    ----------
    blocks
        Of attention and two layers.
    heads
        Of each block; they share the units of the state.
    reach
        Bins that a head sees, the present one included.
    dropout
        Probability with which a number that a block adds to the state is zero in training.

    Examples
    --------
    >>> from neurodyn.recurrent import Attention
    >>> body = Attention(blocks=2, heads=4, reach=50)
    >>> body.before, body.held  # bins that a state depends on, and scores in memory of each bin
    (98, 400)
    """

    blocks: int = 2
    heads: int = 4
    reach: int = 50
    dropout: float = 0.1

    @property
    def before(self) -> int:
        """Bins before a bin that its state depends on."""
        return self.blocks * (self.reach - 1)

    @property
    def held(self) -> int:
        """Scores of all heads."""
        return 2 * self.reach * self.heads

    def draw(self, keys: Key[Array, "2"], inputs: int, config: RecurrentConfig) -> dict[str, Array]:
        """Weights before training; a block changes little of the state at first.

        Raises
        ------
        InputError
            If the units of the state cannot be shared by the heads.
        """
        width, blocks, dtype = config.hidden, self.blocks, jnp.result_type(float)
        if width % self.heads:
            raise InputError(f"heads: {width} units cannot be shared by {self.heads} heads: give a divisor of {width}")

        def draw(key: Array, outputs: int, inputs: int, size: float = 1.0) -> Array:
            return size * inputs**-0.5 * jax.random.normal(key, (blocks, outputs, inputs), dtype)

        small, wide = (2 * blocks) ** -0.5, WIDENING * width
        drawn = jax.random.split(keys[0], 4)
        slopes = 2.0 ** -(STEEPEST * jnp.arange(1, self.heads + 1, dtype=dtype) / self.heads)
        falling = -slopes[:, None] * jnp.arange(self.reach, dtype=dtype)
        return {
            "embed": inputs**-0.5 * jax.random.normal(keys[1], (width, inputs), dtype),
            "embed_bias": jnp.zeros(width, dtype),
            "scales": jnp.ones((blocks, 2, width), dtype),
            "last_scale": jnp.ones(width, dtype),
            "attention": draw(drawn[0], 3 * width, width),
            "distance": jnp.broadcast_to(falling, (blocks, *falling.shape)),
            "joined": draw(drawn[1], width, width, small),
            "widened": draw(drawn[2], wide, width),
            "widened_bias": jnp.zeros((blocks, wide), dtype),
            "narrowed": draw(drawn[3], width, wide, small),
            "narrowed_bias": jnp.zeros((blocks, width), dtype),
        }

    def start(self, weights: Weights, trials: int, inputs: int) -> Float[Array, "before trial inputs"]:
        """No bins."""
        return jnp.zeros((0, trials, inputs), jnp.result_type(float))

    def states(
        self,
        weights: Weights,
        known: Float[Array, "before trial inputs"],
        inputs: Float[Array, "time trial inputs"],
        key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "time trial hidden"], Float[Array, "kept trial inputs"]]:
        """States of a stretch of bins, and the inputs that those after it depend on."""
        seen = jnp.concatenate([known, inputs])
        share = 0.0 if key is None else self.dropout
        keys = jax.random.split(jax.random.key(0) if key is None else key, 2 * self.blocks)
        states = seen @ weights["embed"].T + weights["embed_bias"]
        for block in range(self.blocks):
            of_block = {name: weights[name][block] for name in BLOCK}
            states = states + thinned(keys[2 * block], self._gathered(of_block, states), share)
            states = states + thinned(keys[2 * block + 1], _transformed(of_block, states), share)
        kept = max(0, len(seen) - self.before)
        return normalised(states, weights["last_scale"])[len(known) :], seen[kept:]

    def _gathered(
        self, weights: Weights, states: Float[Array, "time trial hidden"]
    ) -> Float[Array, "time trial hidden"]:
        """What the heads of a block bring."""
        parts = (normalised(states, weights["scales"][0]) @ weights["attention"].T).reshape(
            *states.shape[:2], 3, self.heads, -1
        )
        found = attend(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2], weights["distance"])
        return found.reshape(states.shape) @ weights["joined"].T


BLOCK = ("scales", "attention", "distance", "joined", "widened", "widened_bias", "narrowed", "narrowed_bias")
"""Weights of a block; their first axis is the blocks."""


def normalised(states: Float[Array, "*bins hidden"], scale: Float[Array, " hidden"]) -> Float[Array, "*bins hidden"]:
    """States less their mean over units, over their deviation."""
    centred = states - jnp.mean(states, axis=-1, keepdims=True)
    return scale * centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + LEAST_VARIANCE)


def _transformed(weights: Weights, states: Float[Array, "time trial hidden"]) -> Float[Array, "time trial hidden"]:
    """What the two layers of a block make of each bin."""
    wide = jax.nn.gelu(normalised(states, weights["scales"][1]) @ weights["widened"].T + weights["widened_bias"])
    return wide @ weights["narrowed"].T + weights["narrowed_bias"]
