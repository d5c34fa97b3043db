r"""What has been lost lately: a fading memory of missing samples, and the conditions that decoders are weighed in.

A modality is *lost* in a bin if it has had no sample in its last `sample_every` bins. Its memory fades over a few
time constants (in bins):

.. math::
    m_t = \gamma\, m_{t-1} + (1 - \gamma)\, \mathrm{lost}_t, \qquad \gamma = \exp(-1 / \tau), \qquad m_{-1} = b

Before the first bin it is one: a decoder that begins has lost everything so far (zero in models of format 3).
All of it depends on masks alone, never on values. :mod:`neurodyn.realtime.runner` has the same recursion, bin by bin.
"""

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Bool, Float

TIMES = (2.0, 6.0, 18.0, 54.0)
"""Time constants of the memory, bins."""
WEIGHED = 2
"""Which of them the conditions of the weights follow."""


def lost_bins(seen: Bool[np.ndarray, "trials time"], sample_every: int) -> Bool[np.ndarray, "trials time"]:
    """Bins of a modality in which its next sample is overdue.

    Parameters
    ----------
    seen
        Bins with a sample.
    sample_every
        Bins from one sample to the next.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets.losses import lost_bins
    >>> lost_bins(np.asarray([[True, False, True, False, False]]), sample_every=2).tolist()
    [[False, False, False, False, True]]
    """
    time = np.arange(seen.shape[1])
    never = -sample_every  # before its first sample, a modality is lost
    newest = np.maximum.accumulate(np.where(seen, time, never), axis=1)
    return time - newest >= sample_every


def loss_memory(
    seen: Sequence[Bool[np.ndarray, "trials time"]], sample_every: Sequence[int], before: float = 1.0
) -> Float[np.ndarray, "trials time memories"]:
    """Memory of what was lost: the time constants of each modality, then those of all modalities at once.

    Parameters
    ----------
    seen
        Bins with a sample, per modality.
    sample_every
        Bins from one sample to the next, per modality.
    before
        What the memory holds before the first bin.
    """
    lost = [lost_bins(mask, every) for mask, every in zip(seen, sample_every, strict=True)]
    sources = [*lost, np.logical_and.reduce(lost)] if len(lost) > 1 else lost
    decays = [float(np.exp(-1 / t)) for t in TIMES]
    held = np.full((len(seen[0]), 1), before)
    faded = [
        scipy.signal.lfilter([1 - g], [1, -g], source.astype(np.float64), axis=1, zi=g * held)[0]
        for source in sources
        for g in decays
    ]
    return np.stack(faded, axis=-1)


def conditions(memory: Float[np.ndarray, "*bins memories"], modalities: int) -> Float[np.ndarray, "*bins conditions"]:
    """Share of each bin in "everything observed" and in "this modality lost", one per modality; they add up to 1."""
    own = memory[..., WEIGHED : len(TIMES) * modalities : len(TIMES)]
    worst = own.max(axis=-1, keepdims=True)
    shares = worst * own / np.maximum(own.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    return np.concatenate([1 - worst, shares], axis=-1)
