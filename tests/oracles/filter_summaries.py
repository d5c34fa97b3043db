"""What can be worked out from a filter's results: gains, the marginal likelihood, predictions further ahead.

The package needs none of them; the tests do, to hold innovations, predicted covariances and gains against the oracles.
"""

import jax
import jax.numpy as jnp

from neurodyn.kernels import kalman


def gains(model, covariances):
    """``K = P[t|t] H' R^-1`` of every bin, ([trial,] T, n, m); columns of missing channels are zero."""
    rows = model.emission / model.observation_noise[:, None]
    rows = jnp.where(covariances.observed[..., None], rows, jnp.zeros_like(rows))
    return covariances.filtered @ jnp.swapaxes(rows, -1, -2)


def predict_ahead(model, belief, steps):
    """A belief so many bins later, without observations."""
    for _ in range(steps):
        belief = kalman.predict(model, belief)
    return belief


def log_likelihood(model, filtered, observed):
    """Marginal log-likelihood of each trial's observed entries, (trial,): the sum of those of the innovations."""

    def one_bin(covariance, innovation, seen):
        emission = jnp.where(seen[:, None], model.emission, jnp.zeros_like(model.emission))
        noise = jnp.where(seen, model.observation_noise, jnp.ones_like(model.observation_noise))
        root = jnp.linalg.cholesky(emission @ covariance @ emission.T + jnp.diag(noise))
        white = jax.scipy.linalg.solve_triangular(root, innovation, lower=True)
        count = jnp.sum(jnp.broadcast_to(seen, innovation.shape).astype(innovation.dtype))
        constant = count * jnp.log(2 * jnp.pi).astype(innovation.dtype)
        return -0.5 * (white @ white + constant) - jnp.sum(jnp.log(jnp.diag(root)))

    in_axes = (None, 0, None) if observed.ndim == 2 else (0, 0, 0)
    each = jax.vmap(jax.vmap(one_bin), in_axes=in_axes)
    return jnp.sum(each(filtered.covariances.predicted, filtered.innovation, observed), axis=1)
