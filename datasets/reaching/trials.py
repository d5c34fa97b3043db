"""Trials of reaching as the authors of MRINE publish them, as a batch: files of PyTorch with three arrays.

``s`` holds counts (trial x bin x unit, bins of 10 ms), ``y`` the field (trial x bin x channel, or x channel x band for
powers), ``kinem`` what is decoded (trial x bin x dimension). PyTorch reads the file and is needed for nothing else.
"""

from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.binning import MultimodalBatch
from neurodyn.emulation.torch_file import content_of
from neurodyn.errors import InputError

WIDTH = 0.010
"""Seconds of a bin."""


def read_trials(
    path: Path, *, units: int | None = None, channels: int | None = None, sample_every: int = 1
) -> MultimodalBatch:
    """Spikes, field and kinematics of a session, cut into trials.

    Parameters
    ----------
    path
        Such as ``session_1.pt``.
    units, channels
        The first so many; None for all. A channel has all of its bands.
    sample_every
        Bins from one sample of the field to the next; of the samples in between nothing is seen. As a sample is known
        at the end of its bin, the last bin of each group keeps its own.

    Returns
    -------
    MultimodalBatch
        With the modalities ``spikes`` and ``field`` and the target ``kinem_0, kinem_1, ...``.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed (extra ``torch``).
    InputError
        If the file holds something else.

    Examples
    --------
    ::

        batch = read_trials(Path("session_1.pt"), units=20, channels=20, sample_every=5)
        fold = nd.binning.trial_folds(batch, 5, seed=0)[0]
    """
    return batch_of(
        content_of(path, "a dictionary of tensors"), path, units=units, channels=channels, sample_every=sample_every
    )


def batch_of(
    content: Any, path: Path, *, units: int | None = None, channels: int | None = None, sample_every: int = 1
) -> MultimodalBatch:
    """The batch of what such a file holds; arguments and errors as of `read_trials`."""
    if not isinstance(content, dict) or not {"s", "y", "kinem"} <= set(content):
        held = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"'{path}' must hold 's', 'y' and 'kinem', got {held}")
    spikes = _array(content["s"], "s", path)[..., :units]
    field = _array(content["y"], "y", path)[:, :, :channels]
    target = _array(content["kinem"], "kinem", path)
    names = [f"lfp_{channel}" for channel in range(field.shape[2])]
    if field.ndim == 4:
        names = [f"{name}_band{band}" for name in names for band in range(field.shape[3])]
        field = field.reshape(*field.shape[:2], -1)
    field = field.astype(np.float32)
    due = (np.arange(field.shape[1]) + 1) % sample_every == 0
    field[:, ~due] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": spikes.astype(np.float32), "field": field},
        width=WIDTH,
        likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=target.astype(np.float32),
        target_names=[f"kinem_{dim}" for dim in range(target.shape[2])],
        channels={"field": names},
        sample_every={"field": sample_every},
    )


def _array(value: Any, name: str, path: Path) -> np.ndarray:
    found = np.asarray(value)
    most = 4 if name == "y" else 3
    if not (found.ndim == 3 or found.ndim == most) or not np.issubdtype(found.dtype, np.number):
        raise InputError(f"'{name}' in '{path}' must be numbers as trial x bin x channel, got shape {found.shape}")
    return found
