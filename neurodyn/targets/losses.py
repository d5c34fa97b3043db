r"""What has been lost lately: a fading memory of missing samples, and the conditions that decoders are weighed in.

A modality is *lost* in a bin if it has had no sample in its last `sample_every` bins, and lost in part by the share of
channels that its newest sample lacks. Its memory fades over a few time constants (in bins):

.. math::
    m_t = \gamma\, m_{t-1} + (1 - \gamma)\, \mathrm{lost}_t, \qquad \gamma = \exp(-1 / \tau), \qquad m_{-1} = b

Before the first bin it is one: a decoder that begins has lost everything so far (zero in models of format 3). Beside it
stands the share of channels itself: half of the channels for good is another loss than all of them half of the time.
In models of format 5 and before single channels are not counted. All of it depends on masks alone, never on values.
:mod:`neurodyn.realtime.runner` has the same recursion, bin by bin.
"""

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

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
    # Before its first sample, a modality is lost.
    return np.arange(seen.shape[1]) - _newest(seen, before=-sample_every) >= sample_every


def lost_channels(observed: Float[np.ndarray, "trials time"], sample_every: int) -> Float[np.ndarray, "trials time"]:
    """Share of a modality's channels that its newest sample lacks; zero while the next sample is overdue.

    Parameters
    ----------
    observed
        Share of the channels that have a value in each bin.
    sample_every
        Bins from one sample to the next.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets.losses import lost_channels
    >>> lost_channels(np.asarray([[1.0, 0.0, 0.75, 0.0, 0.0]]), sample_every=2).tolist()
    [[0.0, 0.0, 0.25, 0.25, 0.0]]
    """
    seen = observed > 0
    lacking = 1.0 - np.take_along_axis(observed, _newest(seen, before=0), axis=1)
    return np.where(lost_bins(seen, sample_every), 0.0, lacking)


def _newest(seen: Bool[np.ndarray, "trials time"], before: int) -> Int[np.ndarray, "trials time"]:
    """The bin of the newest sample, ``before`` ahead of the first one."""
    return np.maximum.accumulate(np.where(seen, np.arange(seen.shape[1]), before), axis=1)


def memory_size(modalities: int, *, channels: bool = True) -> int:
    """How many numbers the memory has in a bin, with or without the shares of lost channels.

    Examples
    --------
    >>> from neurodyn.targets.losses import memory_size
    >>> memory_size(2), memory_size(2, channels=False), memory_size(1)
    (14, 12, 5)
    """
    return len(TIMES) * (modalities + (modalities > 1)) + modalities * channels


def loss_memory(
    observed: Sequence[Float[np.ndarray, "trials time"]],
    sample_every: Sequence[int],
    before: float = 1.0,
    *,
    channels: bool = True,
) -> Float[np.ndarray, "trials time memories"]:
    """Memory of what was lost: the time constants of each modality, of all at once, and each one's lost channels.

    What is lost of all at once is what is lost of the one that is lost least. It is left out where there is only one.

    Parameters
    ----------
    observed
        Share of the channels that have a value in each bin, per modality.
    sample_every
        Bins from one sample to the next, per modality.
    before
        What the memory holds before the first bin.
    channels
        Whether lost channels count.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import loss_memory
    >>> seen = np.ones((1, 5))
    >>> seen[0, 3:] = 0.0  # nothing in the last two bins
    >>> loss_memory([seen], sample_every=[1], before=0.0)[0, :, 0].round(2).tolist()  # with a time constant of two bins
    [0.0, 0.0, 0.0, 0.39, 0.63]
    """
    pairs = list(zip(observed, sample_every, strict=True))
    lost = [lost_bins(shares > 0, every).astype(np.float64) for shares, every in pairs]
    parts = [lost_channels(shares, every) for shares, every in pairs] if channels else []
    lost = [whole + part for whole, part in zip(lost, parts, strict=True)] if channels else lost
    sources = [*lost, np.minimum.reduce(lost)] if len(lost) > 1 else lost
    decays = [float(np.exp(-1 / t)) for t in TIMES]
    held = np.full((len(observed[0]), 1), before)
    faded = [
        scipy.signal.lfilter([1 - g], [1, -g], source, axis=1, zi=g * held)[0] for source in sources for g in decays
    ]
    return np.stack([*faded, *parts], axis=-1)


def conditions(memory: Float[np.ndarray, "*bins memories"], modalities: int) -> Float[np.ndarray, "*bins conditions"]:
    """Share of each bin in "everything observed" and in "this modality lost", one per modality; they add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import conditions, loss_memory
    >>> spikes, field = np.ones((1, 200)), np.zeros((1, 200))  # the field is never seen
    >>> memory = loss_memory([spikes, field], sample_every=[1, 1], before=0.0)
    >>> conditions(memory, modalities=2)[0, -1].round(2).tolist()  # all observed, spikes lost, field lost
    [0.0, 0.0, 1.0]
    """
    lost = memory[..., WEIGHED : len(TIMES) * modalities : len(TIMES)]
    worst = lost.max(axis=-1, keepdims=True)
    shares = worst * lost / np.maximum(lost.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    return np.concatenate([1 - worst, shares], axis=-1)
