"""Samples that are taken away from a recording after training: bins at random, or bursts; the same for every method."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from neurodyn.binning import MultimodalBatch

KINDS: tuple[str, ...] = ("at random", "in bursts")
DRAWS = 20
"""Draws of bursts, of which the one is kept whose share of lost bins is nearest to what was asked for."""


def lose(
    batch: MultimodalBatch, names: Sequence[str], *, kind: str, share: float, longest: float, seed: Sequence[int]
) -> MultimodalBatch:
    """A batch that lacks a share of the bins of some modalities, each modality its own bins.

    Parameters
    ----------
    batch
        What is decoded.
    names
        Modalities that lose bins.
    kind
        'at random', bin by bin, or 'in bursts'.
    share
        Of the bins, from 0 to less than 1; 0 leaves the batch as it is.
    longest
        Longest burst in seconds.
    seed
        Whole numbers that the choice depends on, and nothing else: every method is given the same losses.
    """
    if share == 0:
        return batch
    for name in names:
        # A modality loses the same bins whether or not another one loses bins as well.
        source = np.random.SeedSequence([*seed, KINDS.index(kind), batch.names.index(name)])
        if kind == "at random":
            batch = batch.hide(name, share=share, seed=int(source.generate_state(1)[0]))
        else:
            flags = bursts(batch, share=share, longest=longest, generator=np.random.default_rng(source))
            batch = batch.hide(name, bins=flags)
    return batch


def bursts(
    batch: MultimodalBatch, *, share: float, longest: float, generator: np.random.Generator
) -> Bool[np.ndarray, " bins"]:
    """Flags of the bins of the timeline that are lost in bursts, none longer than ``longest`` seconds.

    Lengths of bursts are uniform from one bin to the longest, stretches between them are geometric: long and short ones
    alternate as they would where a radio link fails, and two bursts never touch.
    """
    most, inside = round(longest / batch.width), batch.in_trials(context=True)
    between = max(1.0, (1 + most) / 2 * (1 - share) / share)
    count = int(np.ceil(4 * len(inside) / ((1 + most) / 2 + between))) + 20
    found = []
    for _ in range(DRAWS):
        lost, kept = generator.integers(1, most + 1, count), generator.geometric(1 / between, count)
        pattern = np.repeat(np.tile([False, True], count), np.stack([kept, lost], axis=1).ravel())
        found.append(pattern[generator.integers(most) :][: len(inside)])
    return min(found, key=lambda flags: abs(flags[inside].mean() - share))
