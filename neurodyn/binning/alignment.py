"""A batch brought into the order of a model: modalities, channels and target matched by label."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from neurodyn.binning.labels import places_of
from neurodyn.binning.modality import Modality
from neurodyn.errors import InputError

if TYPE_CHECKING:
    from neurodyn.binning.batch import MultimodalBatch


def aligned(
    batch: "MultimodalBatch", modalities: Sequence[Modality], target_names: tuple[str, ...]
) -> "MultimodalBatch":
    """Batch as `MultimodalBatch.aligned_to` returns it."""
    batch = _with_absent(batch, modalities)
    if tuple(row.name for row in modalities) != batch.names:
        batch = batch.with_modalities([row.name for row in modalities])
    for row in modalities:
        batch = _with_channels(batch, row)
    return _with_target(batch, target_names) if target_names else batch


def _with_absent(batch: "MultimodalBatch", modalities: Sequence[Modality]) -> "MultimodalBatch":
    """Batch that has all modalities of another table; without a sample in those that it lacked."""
    absent = [row for row in modalities if row.name not in batch.names]
    if not absent:
        return batch
    known = {row.name for row in modalities}
    unknown = [name for name in batch.names if name not in known]
    if unknown or len(absent) == len(modalities):
        raise InputError(
            f"the batch has {', '.join(batch.names)}, the model was fitted on {', '.join(sorted(known))}: name the "
            f"modalities so, or leave '{(unknown or batch.names)[0]}' out with batch.with_modalities(names), which "
            "makes it missing"
        )
    bins = len(batch.time)
    return replace(
        batch,
        observations={**batch.observations, **{r.name: np.zeros((bins, r.n_channels), np.float32) for r in absent}},
        observed={**batch.observed, **{r.name: np.zeros((bins, r.n_channels), np.bool_) for r in absent}},
        modalities=(*batch.modalities, *absent),
    )


def _with_channels(batch: "MultimodalBatch", row: Modality) -> "MultimodalBatch":
    """Batch with the channels of one modality as another table has them."""
    found = batch.modality(row.name)
    if found.channels == row.channels:
        return batch
    places = places_of(row.channels, found.channels, what=f"modality '{row.name}'", other="the batch")
    return replace(
        batch,
        observations={**batch.observations, row.name: batch.observations[row.name][:, places]},
        observed={**batch.observed, row.name: batch.observed[row.name][:, places]},
        modalities=tuple(
            replace(one, channels=row.channels) if one.name == row.name else one for one in batch.modalities
        ),
    )


def _with_target(batch: "MultimodalBatch", names: tuple[str, ...]) -> "MultimodalBatch":
    """Batch with these dimensions of the target, in this order."""
    if names == batch.target_names:
        return batch
    places = places_of(names, batch.target_names, what="the target", other="the batch", kind="dimensions")
    units = tuple(batch.target_units[place] for place in places) if batch.target_units else ()
    return replace(batch, target=batch.target[:, places], target_names=names, target_units=units)
