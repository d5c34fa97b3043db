"""The recordings in bins, and what is taken away from them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurodyn.binning import MultimodalBatch
from neurodyn.cli.decode import build_study
from neurodyn.cli.options import merge, read_config
from neurodyn.cli.reading import read_given

OPTIONS = Path(__file__).parents[1] / "recordings"
FILES = {
    "r1838": "r1838_hpc_mec_openfield.nwb",
    "r050": "r050_ca1_tmaze.nwb",
    "m1_emg_wrist": "m1_emg_wrist.mat",
}
GONE = 60.0
"""Seconds for which a modality is gone, and for which it then is there again."""
LOST = 0.4
"""Share of bins lost at random."""


def load(name: str, folder: Path) -> MultimodalBatch:
    """One recording in bins."""
    options = merge(read_config(OPTIONS / f"{name}.yaml"), {})
    return build_study(read_given(folder / FILES[name], options), options).batch


def losses(batch: MultimodalBatch, seed: int) -> dict[str, MultimodalBatch]:
    """The test part as it is, with bins lost at random, and without each modality in every other minute."""
    generator = np.random.default_rng(seed)
    at_random = {name: generator.random(len(batch.time)) < LOST for name in batch.names}
    found = {"complete": batch, f"{LOST:.0%} lost": without(batch, at_random)}
    for name in batch.names:
        found[f"{name} gone"] = without(batch, {name: _every_other_minute(batch)})
    return found


def _every_other_minute(batch: MultimodalBatch) -> np.ndarray:
    length, gone = round(GONE / batch.width), np.zeros(len(batch.time), bool)
    for start, bins in zip(batch.starts, batch.lengths, strict=True):
        for first in range(int(start), int(start + bins), 2 * length):
            gone[first : min(first + length, start + bins)] = True
    return gone


def without(batch: MultimodalBatch, lost: Mapping[str, np.ndarray]) -> MultimodalBatch:
    """A batch some bins of whose modalities are missing: one flag for each bin of the timeline, by modality."""
    for name, bins in lost.items():
        batch = batch.hide(name, bins=bins)
    return batch
