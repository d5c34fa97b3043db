r"""Debiased Sinkhorn divergence between two sets of one-hot sequences of equal weight, in the log domain.

With the cost :math:`C(u, v) = \tfrac12 |u - v|^2` and a temperature :math:`\varepsilon`,

.. math::
    S(x, y) = OT_\varepsilon(x, y) - \tfrac12 OT_\varepsilon(x, x) - \tfrac12 OT_\varepsilon(y, y).

The potentials f and g of each term are found by symmetric updates, averaged with the potentials before, while the
temperature falls from the squared diameter of the clouds to its last value; a full update ends it. What makes it fast:

1. ``K = exp((f_i + g_j - C_ij) / epsilon)`` gives both updates, one by its rows and one by its columns:
   ``f_i - epsilon log mean_j K_ij`` and ``g_j - epsilon log mean_i K_ij``. That is one exponential per pair, and no
   search for the largest entry, which is how exponents are usually kept in range. They stay there by themselves: with r
   and c the log means of rows and columns, ``E_ij <= log m + r_i`` and ``E_ij <= log n + c_j``; the averaged update
   takes ``(r_i + c_j) / 2`` away and leaves ``E_ij <= log max(n, m)``; a scaling of a half makes at most 4 times that
   of it. Rows or columns that all but vanish are noticed, and that update is done again with a search.
2. For one-hot sequences the cost is the Hamming distance, ``steps - matches``: whole numbers, by one matrix product.
3. The gradient needs no derivative of the iterations. With the potentials and the other cloud held, it is
   ``(x - P y)_i / n`` for the term between the clouds and ``(x - P x)_i / n`` for the half self-term (P: rows of K made
   to add up to one), so ``(P_xx x - P_xy y)_i / n`` in all. To derive the self-term through both of its clouds would
   count it twice.

Reference: Feydy, Sejourne, Vialard, Amari, Trouve & Peyre (2019), Interpolating between optimal transport and MMD using
Sinkhorn divergences, AISTATS.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from neurodyn.errors import InputError

Epsilons = tuple[float, ...]


def epsilon_schedule(diameter: float, blur: float, scaling: float = 0.5) -> Epsilons:
    """Temperatures from ``diameter**2`` down to ``blur**2``, as in GeomLoss (the first one comes twice there too).

    Parameters
    ----------
    diameter
        Largest distance between two points.
    blur
        Distance below which points are not distinguished.
    scaling
        Factor on the distance from one temperature to the next.

    Raises
    ------
    InputError
        Unless ``0 < blur < diameter`` and ``0 < scaling < 1``.
    """
    if not 0 < blur < diameter or not 0 < scaling < 1:
        raise InputError(
            f"expected 0 < blur < diameter and 0 < scaling < 1, got blur {blur:g}, diameter {diameter:g} and "
            f"scaling {scaling:g}"
        )
    count = math.ceil(math.log(blur / diameter) / math.log(scaling))
    return (diameter**2, *((diameter * scaling**k) ** 2 for k in range(count)), blur**2)


def one_hot_diameter(steps: int, symbols: int) -> float:
    """Diagonal of the box around all one-hot sequences, which GeomLoss takes for the diameter."""
    return math.sqrt(steps * symbols)


def one_hot(symbols: Int[Array, "*any"], count: int) -> Float[Array, "*any {count}"]:
    """Rows of zeros with a one at the symbol."""
    return jax.nn.one_hot(symbols, count, dtype=jnp.result_type(float))


@partial(jax.jit, static_argnames=("epsilons", "block"))
def one_hot_divergence(
    x: Float[Array, "n time symbol"],
    y: Float[Array, "m time symbol"],
    epsilons: Epsilons,
    *,
    block: int | None = None,
) -> Float[Array, ""]:
    """``S(x, y)``: zero for equal sets, the same if they change places, differentiable in both.

    The gradient is the one of points anywhere in space, at these points (for a straight-through estimator).

    Parameters
    ----------
    x, y
        Sequences of one-hot rows; nothing checks that they are.
    epsilons
        Temperatures, see :func:`epsilon_schedule`.
    block
        Rows of pairs that are held at a time; None: all of them, which is faster while they fit.
    """
    steps = x.shape[1]
    x, y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
    of_both = jnp.asarray(_cross(x, y, epsilons, steps, block))
    return of_both - jnp.asarray(_self(x, epsilons, steps, block)) - jnp.asarray(_self(y, epsilons, steps, block))


@partial(jax.jit, static_argnames=("epsilons", "block"))
def one_hot_energy(
    x: Float[Array, "n time symbol"],
    y: Float[Array, "m time symbol"],
    epsilons: Epsilons,
    *,
    block: int | None = None,
) -> Float[Array, ""]:
    r"""Energy distance whose ground distance is the transport cost of batches of one-hot sequences.

    Both clouds are cut into halves, which are independent draws if the points are:

    .. math::
        D = \tfrac14 \sum_{a, b} OT(x_a, y_b) - \tfrac12 OT(x_1, x_2) - \tfrac12 OT(y_1, y_2).

    Where the divergence of two samples is smallest is not where their distributions are equal: at a small last
    temperature every point of a sample is sent to itself in its self-term, which then takes nothing away. The expected
    value of this one is smallest (zero) for equal distributions, whatever the size of the batch.

    Reference: Salimans, Zhang, Radford & Metaxas (2018), Improving GANs using optimal transport, ICLR.
    """
    steps = x.shape[1]
    first, second = (jnp.split(cloud.reshape(len(cloud), -1)[: len(cloud) // 2 * 2], 2) for cloud in (x, y))
    between = jnp.asarray([_cross(a, b, epsilons, steps, block) for a in first for b in second])
    within = jnp.asarray([_cross(*halves, epsilons, steps, block) for halves in (first, second)])
    return jnp.mean(between) - jnp.mean(within)


class _Pairs(NamedTuple):
    """All pairs of two clouds, seen only through sums over their rows and columns.

    log_means: (f, g, epsilon) -> log means of K over each row and over each column.
    barycentres: (f, g, epsilon) -> mean over each row of K times y, and over each column of K times x.
    """

    log_means: Callable[[Array, Array, Array], tuple[Array, Array]]
    barycentres: Callable[[Array, Array, Array], tuple[Array, Array]]


class _Solution(NamedTuple):
    """Potentials after the last full update, and the ones before it."""

    f: Array
    g: Array
    f_before: Array
    g_before: Array
    epsilon: Array


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _cross(x: Array, y: Array, epsilons: Epsilons, steps: int, block: int | None) -> Array:
    """``OT(x, y)`` of one-hot sequences of ``steps`` steps, each flattened to a row."""
    return _cross_forward(x, y, epsilons, steps, block)[0]


def _cross_forward(x, y, epsilons, steps, block):
    pairs = _pairs(x, y, steps, block)
    at = _solve(pairs, x, y, epsilons)
    towards_y, _ = pairs.barycentres(at.f, at.g_before, at.epsilon)
    _, towards_x = pairs.barycentres(at.f_before, at.g, at.epsilon)
    return jnp.mean(at.f) + jnp.mean(at.g), ((x - towards_y) / x.shape[0], (y - towards_x) / y.shape[0])


def _cross_backward(epsilons, steps, block, gradients, cotangent):
    return tuple(cotangent * gradient for gradient in gradients)


_cross.defvjp(_cross_forward, _cross_backward)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _self(x: Array, epsilons: Epsilons, steps: int, block: int | None) -> Array:
    """``OT(x, x) / 2``: both potentials are the same one."""
    return _self_forward(x, epsilons, steps, block)[0]


def _self_forward(x, epsilons, steps, block):
    pairs = _pairs(x, x, steps, block, mirrored=True)
    at = _solve(pairs, x, x, epsilons)
    towards, _ = pairs.barycentres(at.f, at.g_before, at.epsilon)
    return jnp.mean(at.f), (x - towards) / x.shape[0]


def _self_backward(epsilons, steps, block, gradient, cotangent):
    return (cotangent * gradient,)


_self.defvjp(_self_forward, _self_backward)


def _solve(pairs: _Pairs, x: Array, y: Array, epsilons: Epsilons) -> _Solution:
    """Potentials at the last temperature."""

    def update(f: Array, g: Array, epsilon: Array) -> tuple[Array, Array]:
        rows, columns = pairs.log_means(f, g, epsilon)
        return f - epsilon * rows, g - epsilon * columns

    def averaged(potentials: tuple[Array, Array], epsilon: Array) -> tuple[tuple[Array, Array], None]:
        (f, g), (f_full, g_full) = potentials, update(*potentials, epsilon)
        return ((f + f_full) / 2, (g + g_full) / 2), None

    temperatures = jnp.asarray(epsilons, x.dtype)
    start = update(jnp.zeros(x.shape[0], x.dtype), jnp.zeros(y.shape[0], y.dtype), temperatures[0])
    (f, g), _ = lax.scan(averaged, start, temperatures)
    return _Solution(*update(f, g, temperatures[-1]), f, g, temperatures[-1])


def _pairs(x: Array, y: Array, steps: int, block: int | None, *, mirrored: bool = False) -> _Pairs:
    """Pairs of two clouds.

    Parameters
    ----------
    mirrored
        The clouds are one; rows stand for columns too, which are equal, but rounding would let the two potentials
        drift apart.
    """
    if block is None or block >= x.shape[0]:
        cost = _cost(x, y, steps)
        log_means, barycentres = partial(_log_means, cost), partial(_barycentres, cost, x, y)
    else:
        clouds = _Clouds(x, y, steps, block)
        log_means, barycentres = partial(_blocked_log_means, clouds), partial(_blocked_barycentres, clouds)
    return _Pairs(partial(log_means, mirrored=mirrored), barycentres)


def _cost(x: Array, y: Array, steps: int) -> Float[Array, "n m"]:
    """Hamming distances: half the squared distances, because every sequence has the squared norm ``steps``."""
    return steps - x @ y.T


def _kernel(cost: Array, f: Array, g: Array, epsilon: Array) -> Array:
    return jnp.exp((f[:, None] + g - cost) * (1 / epsilon))


def _log_means(cost: Array, f: Array, g: Array, epsilon: Array, *, mirrored: bool) -> tuple[Array, Array]:
    n, m = cost.shape
    # As products, which run on every core, of a matrix that is there: XLA would take the exponentials into them.
    kernel = lax.optimization_barrier(_kernel(cost, f, g, epsilon))
    rows = kernel @ jnp.full(m, 1 / m, cost.dtype)
    columns = rows if mirrored else jnp.full(n, 1 / n, cost.dtype) @ kernel
    least = jnp.minimum(jnp.min(rows), jnp.min(columns))
    # Above this, what has underflowed in a row is below the row's mean by far more than the rounding.
    usable = (least > float(jnp.finfo(cost.dtype).tiny) ** 0.65) & jnp.all(jnp.isfinite(rows))

    def safe() -> tuple[Array, Array]:
        rows, columns = _safe_log_means(cost, f, g, epsilon)
        return rows, rows if mirrored else columns

    return lax.cond(usable, lambda: (jnp.log(rows), jnp.log(columns)), safe)


def _safe_log_means(cost: Array, f: Array, g: Array, epsilon: Array) -> tuple[Array, Array]:
    exponents = (f[:, None] + g - cost) / epsilon
    rows, columns = (jax.nn.logsumexp(exponents, axis=axis) for axis in (1, 0))
    return rows - math.log(cost.shape[1]), columns - math.log(cost.shape[0])


def _barycentres(cost: Array, x: Array, y: Array, f: Array, g: Array, epsilon: Array) -> tuple[Array, Array]:
    kernel = _kernel(cost, f, g, epsilon)
    return kernel @ y / y.shape[0], kernel.T @ x / x.shape[0]


class _Clouds(NamedTuple):
    """Two clouds, whose pairs are gone through in blocks of the first."""

    x: Array
    y: Array
    steps: int
    block: int


def _blocked_log_means(clouds: _Clouds, f: Array, g: Array, epsilon: Array, *, mirrored: bool) -> tuple[Array, Array]:
    x, y, steps, block = clouds

    def one_block(columns: Array, rows_of: tuple[Array, Array]) -> tuple[Array, Array]:
        some, potentials = rows_of
        rows, more = _log_means(_cost(some, y, steps), potentials, g, epsilon, mirrored=mirrored)
        if mirrored:
            return columns, rows
        return jnp.logaddexp(columns, more + math.log(some.shape[0] / x.shape[0])), rows

    rows, columns = _over_blocks(one_block, jnp.full(y.shape[0], -jnp.inf, y.dtype), (x, f), block)
    return rows, rows if mirrored else columns


def _blocked_barycentres(clouds: _Clouds, f: Array, g: Array, epsilon: Array) -> tuple[Array, Array]:
    x, y, steps, block = clouds

    def one_block(columns: Array, rows_of: tuple[Array, Array]) -> tuple[Array, Array]:
        some, potentials = rows_of
        rows, more = _barycentres(_cost(some, y, steps), some, y, potentials, g, epsilon)
        return columns + more * (some.shape[0] / x.shape[0]), rows

    return _over_blocks(one_block, jnp.zeros_like(y), (x, f), block)


def _over_blocks(one_block: Callable, start: Array, arrays: tuple[Array, ...], block: int) -> tuple[Array, Array]:
    """Carry a sum over columns through blocks of rows, the last of which may be shorter; rows, then columns."""
    whole = arrays[0].shape[0] // block * block
    blocks = jax.tree.map(lambda a: a[:whole].reshape(-1, block, *a.shape[1:]), arrays)
    columns, rows = lax.scan(one_block, start, blocks)
    rows = rows.reshape(whole, *rows.shape[2:])
    if whole < arrays[0].shape[0]:
        columns, rest = one_block(columns, jax.tree.map(lambda a: a[whole:], arrays))
        rows = jnp.concatenate([rows, rest])
    return rows, columns
