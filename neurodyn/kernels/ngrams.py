"""n-grams, that is short stretches of symbols: their frequencies, how far these are from others, counts per trial.

The code of an n-gram is the number whose digits are its symbols, the last one last. Probabilities of n-grams in a
hidden Markov model, in the same order: ``markov.statistics.ngram_probabilities``.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def ngram_frequencies(sequences: Float[Array, "trial time symbol"], length: int) -> Float[Array, " ngram"]:
    """Share of all stretches of a length that each sequence of symbols makes up; differentiable in the one-hot symbols.

    The last symbol of a stretch varies fastest along the result.
    """
    if length == 1:
        return sequences.mean(axis=(0, 1))
    # A stretch is a first and a second half: one matrix product, where all its products would need symbols**length
    # numbers for every step.
    half = length // 2
    first = _products(sequences[:, : sequences.shape[1] - length + half], half)
    second = _products(sequences[:, half:], length - half)
    return jnp.tensordot(first, second, axes=((0, 1), (0, 1))).ravel() / (first.shape[0] * first.shape[1])


def _products(sequences: Float[Array, "trial time symbol"], length: int) -> Float[Array, "trial stretch ngram"]:
    """Product of the entries of every stretch, for each choice of a symbol per step."""
    stretches = sequences.shape[1] - length + 1
    products = sequences[:, :stretches]
    for offset in range(1, length):
        following = sequences[:, offset : offset + stretches]
        products = (products[..., :, None] * following[..., None, :]).reshape(*following.shape[:2], -1)
    return products


def ngram_discrepancy(
    x: Float[Array, "n time symbol"], frequencies: Float[Array, " ngram"], length: int, *, smoothing: float = 0.01
) -> Float[Array, ""]:
    r"""Squared difference of the frequencies of stretches from known ones, relative to these.

    ``x`` is cut into halves, which are independent draws if the trials are. With :math:`p_1, p_2` the frequencies of
    its halves and :math:`q` the known ones,

    .. math::
        D = \sum_g (p_1 - q)_g (p_2 - q)_g / (q + c)_g,

    has an expected value that is smallest (zero) for equal frequencies, whatever the number of trials: a maximum mean
    discrepancy whose kernel counts common stretches. ``c`` is ``smoothing`` times the mean frequency: rare stretches
    would have no bound without it, and they bring the more noise the smaller it is.

    Reference: Gretton and others (2012), A kernel two-sample test, JMLR 13.
    """
    halves = jnp.split(x[: len(x) // 2 * 2], 2)
    off, off_again = (ngram_frequencies(half, length) - frequencies for half in halves)
    return jnp.sum(off * off_again / (frequencies + smoothing / frequencies.size))


def count_ngrams(
    sequences: Int[np.ndarray, "trials time"], *, symbols: int, longest: int
) -> Float[np.ndarray, "trials features"]:
    """How often each run of 1 to ``longest`` successive symbols occurs in each trial."""
    trials, steps = sequences.shape
    columns, code = [], np.zeros((trials, steps), np.int64)
    for length in range(1, min(longest, steps) + 1):
        code = code[:, : steps - length + 1] * symbols + sequences[:, length - 1 :]
        places = code + symbols**length * np.arange(trials)[:, None]
        tally = np.bincount(places.ravel(), minlength=trials * symbols**length)
        columns.append(tally.reshape(trials, -1))
    return np.concatenate(columns, axis=1).astype(np.float64)
