"""Test data with gaps cut into them, and the phase of its gap that every bin is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int

from experiments.decoders.data import LOST, without
from neurodyn.binning import MultimodalBatch

PHASES = (
    ("before", -20, 0), ("0 to 5", 0, 5), ("5 to 10", 5, 10), ("10 to 20", 10, 20), ("20 to 30", 20, 30),
    ("30 to the end", 30, None), ("0 to 5 after", 0, 5), ("5 to 20 after", 5, 20),
)  # fmt: skip
"""Bins from the gap's start, and, of the last two, from its end."""
CHANNELS = (0.25, 0.5)
"""Shares of each modality's channels that are lost throughout."""
DRAWS = 8
"""Copies without so many channels, each without others: some matter more than others."""


@dataclass(frozen=True)
class Case:
    """Test data from which something was taken away.

    Parameters
    ----------
    name
        What was taken away.
    batch
        What is left.
    phases
        Names of the phases.
    phase
        (bins,), number of the phase that each bin of the timeline is in; -1: none.
    """

    name: str
    batch: MultimodalBatch
    phases: tuple[str, ...]
    phase: Int[np.ndarray, " bins"]


def cases(batch: MultimodalBatch, *, length: int, every: int, shifts: int, seed: int) -> Iterator[Case]:
    """The test data as they are, with bins and channels lost, and with gaps in every subset of the modalities.

    Parameters
    ----------
    batch
        Test data.
    length, every
        Bins of a gap, and from the start of one to that of the next.
    shifts
        Copies with gaps at other places, evenly between two gaps.
    seed
        Of the bins and channels lost at random.
    """
    anywhere = np.where(batch.in_trials(), 0, -1)
    yield Case("nothing lost", batch, ("throughout",), anywhere)
    generator = np.random.default_rng(seed)
    at_random = {name: generator.random(len(batch.time)) < LOST for name in batch.names}
    yield Case(f"{LOST:.0%} at random", without(batch, at_random), ("throughout",), anywhere)
    for share in CHANNELS:
        for _ in range(DRAWS):
            yield Case(
                f"{share:.0%} of the channels", _without_channels(batch, share, generator), ("throughout",), anywhere
            )
    for count in range(1, len(batch.names) + 1):
        for names in combinations(batch.names, count):
            for shift in range(shifts):
                gap, phase = gaps(batch, length, every, round(shift * every / shifts))
                copy = without(batch, dict.fromkeys(names, gap))
                yield Case(" and ".join(names) + " lost", copy, tuple(name for name, *_ in PHASES), phase)


def _without_channels(batch: MultimodalBatch, share: float, generator: np.random.Generator) -> MultimodalBatch:
    """The batch without a share of each modality's channels, drawn at random; one of them always stays."""
    for row in batch.modalities:
        gone = generator.permutation(row.channels)[: min(round(share * row.n_channels), row.n_channels - 1)]
        batch = batch.hide(row.name, channels=gone.tolist()) if len(gone) else batch
    return batch


def gaps(
    batch: MultimodalBatch, length: int, every: int, shift: int
) -> tuple[Bool[np.ndarray, " bins"], Int[np.ndarray, " bins"]]:
    """Gaps at regular places of each trial, with room before and after them, and the phase of each bin."""
    gap, phase = np.zeros(len(batch.time), bool), np.full(len(batch.time), -1)
    for first, bins, lead in zip(batch.starts, batch.lengths, batch.lead, strict=True):
        for start in range(int(lead) + 40 + shift, int(bins) - length, every):
            gap[first + start : first + start + length] = True
            for number, (name, a, b) in enumerate(PHASES):
                origin = start + length if name.endswith("after") else start
                end = origin + length if b is None else origin + b
                stop = int(bins) if name.endswith("after") else start + length
                phase[first + origin + a : first + min(end, stop)] = number
    return gap, phase
