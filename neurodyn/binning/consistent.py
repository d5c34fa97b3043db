"""What must hold of the parts of a batch for it to be one, and for a model to be fitted on it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.binning.modality import Modality
from neurodyn.errors import InputError

if TYPE_CHECKING:
    from neurodyn.binning.batch import MultimodalBatch


def frozen(array: Any, dtype: type) -> np.ndarray:
    """View of the array in this type that cannot be written through."""
    view = np.asarray(array, dtype).view()
    view.flags.writeable = False
    return view


def check_names(names: list[str], observations: Mapping[str, Any], observed: Mapping[str, Any]) -> None:
    """Modalities, observations and masks speak of the same names."""
    if not names:
        raise InputError("a batch needs at least one modality, got none")
    if len(set(names)) != len(names):
        raise InputError(f"modalities need different names, got {', '.join(names)}")
    for kind, table in (("observations", observations), ("observed", observed)):
        if set(table) != set(names):
            raise InputError(f"{kind} are of {sorted(table)}, the modalities are {sorted(names)}")


def check_timeline(batch: "MultimodalBatch") -> None:
    """Lengths along the timeline agree, and the target has a name per dimension."""
    if not (np.isfinite(batch.width) and batch.width > 0):
        raise InputError(f"the bin width must be positive seconds, got {batch.width}")
    if batch.time.ndim != 1 or not np.isfinite(batch.time).all():
        raise InputError("time must be one finite value in seconds per bin")
    bins = len(batch.time)
    if batch.target.shape != (bins, len(batch.target_names)):
        raise InputError(f"target must be (bins, names) = {(bins, len(batch.target_names))}, got {batch.target.shape}")
    if batch.target_units and len(batch.target_units) != batch.target.shape[1]:
        raise InputError(f"target_units must be one per target dimension, got {len(batch.target_units)}")
    if batch.target_observed.shape != (bins,):
        raise InputError(f"target_observed must be ({bins},), got {batch.target_observed.shape}")
    _check_missing_is_zero("target", batch.target, batch.target_observed[:, None])


def check_trials(batch: "MultimodalBatch") -> None:
    """Trials are not empty and stay on the timeline; their lead stays in them."""
    starts, lengths, lead = batch.starts, batch.lengths, batch.lead
    if starts.ndim != 1 or not starts.shape == lengths.shape == lead.shape:
        raise InputError(
            f"starts, lengths and lead must be one number per trial, got {starts.shape}, {lengths.shape}, {lead.shape}"
        )
    if not len(starts):
        raise InputError("a batch needs at least one trial, got none")
    outside = (starts < 0) | (lengths < 1) | (starts + lengths > len(batch.time))
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"trial {i} covers bins {starts[i]} to {starts[i] + lengths[i]} of a timeline of "
            f"{len(batch.time)}: trials need at least one bin and must stay inside"
        )
    if ((lead < 0) | (lead > lengths)).any():
        i = int(np.argmax((lead < 0) | (lead > lengths)))
        raise InputError(f"trial {i} has {lead[i]} context bins of {lengths[i]}: it needs 0 to its length")


def check_modality(batch: "MultimodalBatch", modality: Modality) -> None:
    """Shapes of one modality, missing entries 0, counts not negative."""
    name, expected = modality.name, (len(batch.time), modality.n_channels)
    for kind, array in (("observations", batch.observations[name]), ("observed", batch.observed[name])):
        if array.shape != expected:
            raise InputError(f"{kind} of '{name}' must be (bins, channels) = {expected}, got {array.shape}")
    _check_missing_is_zero(f"modality '{name}'", batch.observations[name], batch.observed[name])
    if modality.counts and (batch.observations[name] < 0).any():
        kind = modality.likelihood
        raise InputError(f"modality '{name}' has negative counts, which no {kind} likelihood allows: use gaussian")


def check_usable(batch: "MultimodalBatch") -> None:
    """Refuse data that no model could be fitted on, naming the modality, channel or target dimension.

    Raises
    ------
    InputError
        For a modality or channel without any observed sample, a target that is never observed or constant.

    Examples
    --------
    >>> import neurodyn as nd
    >>> counts = [[[0, 1], [2, float("nan")]], [[1, 1], [0, 3]]]
    >>> batch = nd.MultimodalBatch.from_arrays({"spikes": counts}, width="10ms", likelihoods={"spikes": "poisson"})
    >>> nd.binning.check_usable(batch)  # says nothing: every channel has been seen
    """
    from neurodyn.binning.batch import check_batch

    inside = check_batch(batch).in_trials()
    for modality in batch.modalities:
        seen = batch.observed[modality.name][inside].any(axis=0)
        if not seen.any():
            raise InputError(f"modality '{modality.name}' has no observed sample in the time analysed: leave it out")
        if not seen.all():
            channel = modality.channels[int(np.argmin(seen))]
            raise InputError(
                f"modality '{modality.name}', channel '{channel}' has no observed sample (all NaN): leave it out"
            )
    if not batch.n_dims:
        return
    values = batch.target[inside & batch.target_observed]
    if not len(values):
        raise InputError(f"target {', '.join(batch.target_names)} is never observed in the time analysed")
    constant = values.max(axis=0) == values.min(axis=0)
    if constant.any():
        name = batch.target_names[int(np.argmax(constant))]
        raise InputError(f"target '{name}' is constant in the time analysed: there is nothing to decode, leave it out")


def _check_missing_is_zero(what: str, values: np.ndarray, observed: np.ndarray) -> None:
    """A value that is not finite, or hidden but not 0, would leak through a mask sooner or later."""
    if not np.isfinite(values).all():
        raise InputError(
            f"{what} holds NaN or infinity: missing is stored in the mask, with value 0 "
            "(MultimodalBatch.from_arrays does it)"
        )
    if (values[~np.broadcast_to(observed, values.shape)] != 0).any():
        raise InputError(f"{what} has values where its mask says missing: set them to 0")
