"""The matrix products of a computation, and the time they would take by themselves: how fast it could be at best.

A computation is read as JAX writes it down, as a jaxpr. A product in a loop counts as often as the loop goes round, and
of the branches of a condition the one with most arithmetic; a loop whose length is not written down counts once.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from neurodyn.benchmarks.timing import median_seconds

SMALL = 10**8
"""Floating-point operations of a product below which dispatching it takes a share of its time that counts."""
IN_A_LOOP = 500
"""How often such a product is made in a compiled loop, at most."""


class Product(NamedTuple):
    """A (batch of) matrix product(s): shapes of both sides, and the axes as ``lax.dot_general`` takes them."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    axes: Any

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        (_, contracted), (_, batch) = self.axes
        free = [size for axis, size in enumerate(self.right) if axis not in (*contracted, *batch)]
        return 2 * math.prod(self.left) * math.prod(free)


def matrices(rows: int, inner: int, columns: int) -> Product:
    """The product of two matrices."""
    return Product((rows, inner), (inner, columns), (((1,), (0,)), ((), ())))


def products_in(jaxpr: Any, times: int = 1) -> Counter[Product]:
    """Every matrix product of a computation (a jaxpr), and how often it is made."""
    found: Counter[Product] = Counter()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            left, right = (tuple(operand.aval.shape) for operand in equation.invars)
            found[Product(left, right, equation.params["dimension_numbers"])] += times
        elif equation.primitive.name == "cond":
            found += max((products_in(branch, times) for branch in _within(equation)), key=_flops)
        else:
            length = equation.params["length"] if equation.primitive.name == "scan" else 1
            for part in _within(equation):
                found += products_in(part, times * length)
    return found


def _within(equation: Any) -> Iterator[Any]:
    """Computations that an operation holds: a loop's body, a condition's branches."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                yield part


def _flops(products: Counter[Product]) -> int:
    return sum(often * product.flops for product, often in products.items())


def time_products(products: Counter[Product], repeats: int) -> tuple[float, tuple[float, float]]:
    """Seconds of all products one after the other, in single precision; the spread is that of the sums."""
    total, low, high = 0.0, 0.0, 0.0
    for product, often in products.items():
        seconds, (least, most) = _seconds(product, max(5, repeats))
        total, low, high = total + often * seconds, low + often * least, high + often * most
    return total, (low, high)


def _seconds(product: Product, repeats: int) -> tuple[float, tuple[float, float]]:
    """Seconds of one product; a small one is timed in a compiled loop, as it would take less than its dispatch."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    rng = np.random.default_rng(0)
    left, right = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in (product.left, product.right))
    often = 1 if product.flops >= SMALL else min(IN_A_LOOP, 10 * SMALL // product.flops)

    # Both sides are arguments: constants would be kept on the disk with the program.
    def multiply(left: Any, right: Any) -> Any:
        return lax.dot_general(left, right, product.axes)

    def many(left: Any, right: Any) -> Any:
        def once(_: Any, flat: Any) -> Any:
            # One number of the result goes into the next product, which therefore cannot be taken out of the loop.
            return flat.at[0].set(jnp.cos(multiply(flat.reshape(product.left), right).ravel()[0]))

        return lax.fori_loop(0, often, once, left.ravel())

    run = jax.jit(multiply if often == 1 else many)
    seconds, (low, high) = median_seconds(lambda: run(left, right), repeats=repeats)
    return seconds / often, (low / often, high / often)
