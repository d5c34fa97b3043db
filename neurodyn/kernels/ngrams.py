"""Frequencies of short stretches of symbols, and how far apart those of two sets of sequences are."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def ngram_frequencies(sequences: Float[Array, "trial time symbol"], length: int) -> Float[Array, " ngram"]:
    """Share of all stretches of a length that each sequence of symbols makes up; differentiable in the one-hot symbols.

    The last symbol of a stretch varies fastest along the result.
    """
    stretches = sequences.shape[1] - length + 1
    products = sequences[:, :stretches]
    for offset in range(1, length):
        following = sequences[:, offset : offset + stretches]
        products = (products[..., :, None] * following[..., None, :]).reshape(*following.shape[:2], -1)
    return products.mean(axis=(0, 1))


def ngram_discrepancy(
    x: Float[Array, "n time symbol"], y: Float[Array, "m time symbol"], length: int, *, smoothing: float = 0.01
) -> Float[Array, ""]:
    r"""Squared difference of the frequencies of stretches, relative to those of ``y``.

    ``x`` is cut into halves and ``y`` into thirds, which are independent draws if the trials are. With :math:`p` the
    frequencies of the parts of ``x`` and :math:`q` those of the parts of ``y``,

    .. math::
        D = \sum_g (p_1 - q_1)_g (p_2 - q_2)_g / (q_3 + c)_g,

    has an expected value that is smallest (zero) for equal frequencies, whatever the number of trials: a maximum mean
    discrepancy whose kernel counts common stretches. ``c`` is ``smoothing`` times the mean frequency: rare stretches
    would have no bound without it, and they bring the more noise the smaller it is.

    Reference: Gretton and others (2012), A kernel two-sample test, JMLR 13.
    """
    (p, p_again), (q, q_again, scale) = (
        [ngram_frequencies(part, length) for part in jnp.split(cloud[: len(cloud) // parts * parts], parts)]
        for cloud, parts in ((x, 2), (y, 3))
    )
    return jnp.sum((p - q) * (p_again - q_again) / (scale + smoothing / scale.size))
