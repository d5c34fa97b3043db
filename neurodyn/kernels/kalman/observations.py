"""What the observed channels of a bin say about its state: ``J = H' R^-1 H`` and ``h = H' R^-1 y``.

The log-likelihood of an observation y with noise R is ``-x' J x / 2 + h' x`` plus what does not depend on the state x,
so that J (state x state) and h (state) are all that filter and smoother need of it, however many channels there are.
The noise is diagonal: J and h are sums over channels, and a missing channel adds nothing to either.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.kernels.kalman.model import LinearGaussian


def zero_missing(values: Float[Array, "..."], observed: Bool[Array, "..."]) -> Float[Array, "..."]:
    """Values with zeros where they are missing; what stands there is never read and may be NaN.

    Examples
    --------
    >>> zero_missing(jnp.array([1.5, jnp.nan]), jnp.array([True, False])).tolist()
    [1.5, 0.0]
    """
    return jnp.where(observed, values, jnp.zeros_like(values))


def whitened_emission(model: LinearGaussian, observed: Bool[Array, "*mask #m"]) -> Float[Array, "*bins m n"]:
    """``R^-1/2 H``, the rows of missing channels zero.

    Parameters
    ----------
    model
        Model of n state dimensions and m channels.
    observed
        Mask of the channels; with one entry per bin (the last axis is 1) nothing is zeroed and the result has no axes
        of bins, because whole bins that are missing are left out elsewhere.

    Examples
    --------
    >>> eye, two = jnp.eye(2), jnp.full(2, 4.0)
    >>> model = LinearGaussian(eye, two, eye, two, two, eye)
    >>> whitened_emission(model, jnp.array([True, False])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    rows = model.emission / jnp.sqrt(model.observation_noise)[:, None]
    return rows if observed.shape[-1] == 1 else zero_missing(rows, observed[..., None])


def gram(rows: Float[Array, "*bins m n"]) -> Float[Array, "*bins n n"]:
    """``E' E`` of rows E.

    Examples
    --------
    >>> gram(jnp.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    return jnp.swapaxes(rows, -1, -2) @ rows


def information_factor(rows: Float[Array, "*bins m n"]) -> Float[Array, "*bins k n"]:
    """A factor E of ``J = E' E`` with no more rows than state dimensions.

    If there are more channels than that, QR makes E of them: orthogonal mixtures of the channels, which leave ``E' E``
    as it is. The derivative of E is never needed, that of J is (:mod:`neurodyn.kernels.kalman.covariance_derivative`).

    Examples
    --------
    >>> rows = jnp.array([[3.0], [4.0]])
    >>> abs(float(information_factor(rows)[0, 0]))
    5.0
    """
    rows = lax.stop_gradient(rows)
    return rows if rows.shape[-2] <= rows.shape[-1] else jnp.linalg.qr(rows, mode="r")


def information_matrix(model: LinearGaussian, observed: Bool[Array, "*bins #m"]) -> Float[Array, "*bins n n"]:
    """``J = H' R^-1 H`` of the channels observed.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, 3 * eye, one, one, eye)
    >>> information_matrix(model, jnp.array([[True], [False]])).ravel().tolist()
    [9.0, 0.0]
    """
    information = gram(whitened_emission(model, observed))
    return information if observed.shape[-1] != 1 else zero_missing(information, observed[..., None])


def information_vector(model: LinearGaussian, values: Float[Array, "*bins m"]) -> Float[Array, "*bins n"]:
    """``h = H' R^-1 y`` of values y that are zero where missing.

    Examples
    --------
    >>> one, eye = jnp.ones(1), jnp.eye(1)
    >>> model = LinearGaussian(eye, one, 3 * eye, 2 * one, one, eye)
    >>> information_vector(model, jnp.array([4.0])).tolist()
    [6.0]
    """
    return (values / model.observation_noise) @ model.emission
