"""What a training step is made of: windows of the timeline, and which of their samples are hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from neurodyn.errors import InputError
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import Sequences
from neurodyn.recurrent.network import keep

MOST_HIDDEN = 0.9
"""Largest probability with which training hides a channel for a window."""


@dataclass(frozen=True)
class Windows:
    """Every place a window may start at."""

    starts: Int[np.ndarray, " runs"]
    choices: Int[np.ndarray, " runs"]
    lengths: Int[np.ndarray, " runs"]
    bins: int

    @classmethod
    def of(cls, sequences: Sequences, bins: int) -> "Windows":
        """Windows of so many bins, or as long as the longest run; shorter runs are windows with an end."""
        bins = min(bins, int(sequences.lengths.max(initial=0)))
        if bins < 2:
            raise InputError("no trial is longer than one bin: a recurrent network needs sequences")
        usable = sequences.lengths > 1
        starts, lengths = sequences.starts[usable], sequences.lengths[usable]
        return cls(starts, np.maximum(lengths - bins, 0) + 1, lengths, bins)

    @classmethod
    def of_each(cls, sequences: Sequence[Sequences], bins: int) -> list["Windows"]:
        """Windows of several sets of runs, all of the same number of bins."""
        return [cls.of(some, min(cls.of(other, bins).bins for other in sequences)) for some in sequences]

    def draw(
        self, config: RecurrentConfig, number: int, member: int | None = None
    ) -> Int[np.ndarray, "2 step member batch"]:
        """First bins and lengths of the windows of each step, from (seed, number) alone, of all members or of one.

        A run is drawn in proportion to its bins.
        """
        of_one = [] if member is None else [member]
        generator = np.random.default_rng([config.seed, number, *of_one])
        shape = (config.validate_every, config.members if member is None else 1, config.batch)
        edges = np.cumsum(self.lengths)
        run = np.searchsorted(edges, generator.integers(0, edges[-1], shape), side="right")
        offset = generator.integers(0, self.choices[run])
        return np.stack([self.starts[run] + offset, np.minimum(self.lengths[run], self.bins)])


def drawn_windows(
    windows: Sequence[Windows], config: RecurrentConfig, number: int
) -> Int[np.ndarray, "2 step member batch"]:
    """Windows of each step of all members: from one set of runs, or of each member from its own."""
    if len(windows) == 1:
        return windows[0].draw(config, number)
    return np.concatenate([own.draw(config, number, member) for member, own in enumerate(windows)], axis=2)


def hidden_bins(
    key: Key[Array, ""], shape: tuple[int, int], modalities: int, config: RecurrentConfig
) -> Bool[Array, "time trial modality"]:
    """Bins in which training hides each modality: in some windows bins at random, in some one burst.

    Parameters
    ----------
    shape, modalities
        Bins and windows, and modalities of each.
    """
    bins, trials = shape
    keys = jax.random.split(key, 4)
    chosen = jax.random.uniform(keys[0], (trials, modalities)) < config.hidden_windows
    burst = jax.random.bernoulli(keys[1], 0.5, (trials, modalities))
    ends = jax.random.uniform(keys[2], (2, trials, modalities), minval=-0.2, maxval=1.2) * bins
    time = jnp.arange(bins, dtype=ends.dtype)[:, None, None]
    in_burst = (time >= jnp.min(ends, 0)) & (time < jnp.max(ends, 0))
    at_random = ~keep(keys[3], config.hidden_probability, (bins, trials, modalities))
    return chosen & jnp.where(burst, in_burst, at_random)


def hidden_channels(
    key: Key[Array, ""], windows: int, channels: Sequence[int], config: RecurrentConfig
) -> list[Bool[Array, "window _"]]:
    """Channels that training hides in a window from its first bin to its last: none of any modality in most.

    Parameters
    ----------
    windows, channels
        How many there are, and channels of each modality.
    """
    if not config.windows_without_channels:
        return []
    found = []
    for number, size in enumerate(channels):
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        chosen = jax.random.uniform(keys[0], (windows, 1)) < config.windows_without_channels
        share = jax.random.uniform(keys[1], (windows, 1), maxval=MOST_HIDDEN)
        found.append(chosen & (jax.random.uniform(keys[2], (windows, size)) < share))
    return found
