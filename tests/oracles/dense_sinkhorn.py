"""Sinkhorn divergence of clouds of points anywhere in space, by the recursion as it is written in the paper.

It takes all distances at once, searches for the largest entry in every sum, has no formula for its gradient (JAX
derives all iterations) and shares no code with ``neurodyn.kernels.sinkhorn``. Feydy et al. (2019).
"""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.jit, static_argnames="epsilons")
def transport_cost(x, y, epsilons):
    """``OT(x, y)`` for the cost ``|u - v|^2 / 2``: symmetric updates, then a full one at the last temperature."""
    cost = 0.5 * ((x[:, None] - y) ** 2).sum(-1)

    def softmin(potential, cost, epsilon):
        exponents = (potential - cost) / epsilon
        return -epsilon * (jax.nn.logsumexp(exponents, axis=1) - jnp.log(cost.shape[1]))

    def both(f, g, epsilon):
        return softmin(g, cost, epsilon), softmin(f, cost.T, epsilon)

    def averaged(potentials, epsilon):
        (f, g), (new_f, new_g) = potentials, both(*potentials, epsilon)
        return ((f + new_f) / 2, (g + new_g) / 2), None

    epsilons = jnp.asarray(epsilons)
    start = both(jnp.zeros(len(x)), jnp.zeros(len(y)), epsilons[0])
    (f, g), _ = jax.lax.scan(averaged, start, epsilons)
    f, g = both(f, g, epsilons[-1])
    return f.mean() + g.mean()


@partial(jax.jit, static_argnames="epsilons")
def sinkhorn_divergence(x, y, epsilons):
    """``OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2``."""
    between = transport_cost(x, y, epsilons)
    return between - 0.5 * transport_cost(x, x, epsilons) - 0.5 * transport_cost(y, y, epsilons)
