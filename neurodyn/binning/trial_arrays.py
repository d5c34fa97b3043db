"""Arrays of trials laid end to end on one timeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from neurodyn.binning.likelihoods import LIKELIHOODS
from neurodyn.binning.modality import Modality
from neurodyn.errors import InputError
from neurodyn.given import argument_named, names
from neurodyn.given import width as bin_width


def on_timeline(
    observations: Mapping[str, Any],
    *,
    width: float | str,
    likelihoods: Mapping[str, str],
    target: Any,
    target_names: str | Sequence[str] | None,
    channels: Mapping[str, Sequence[str]],
    sample_every: Mapping[str, int],
    lengths: Any,
) -> dict[str, Any]:
    """What makes a batch of arrays of trials, by name: see `MultimodalBatch.from_arrays`."""
    _check_by_modality(observations, likelihoods)
    seconds = argument_named("width", bin_width, width)
    arrays = {name: _three_axes(f"modality '{name}'", array) for name, array in observations.items()}
    if not arrays:
        raise InputError("a batch needs at least one modality, got none")
    n_trials, n_time = next(iter(arrays.values())).shape[:2]
    values = np.zeros((n_trials, n_time, 0)) if target is None else _three_axes("target", target)
    for name, array in {**arrays, "target": values}.items():
        if array.shape[:2] != (n_trials, n_time):
            raise InputError(
                f"'{name}' has (trial, time) = {array.shape[:2]}, the first modality "
                f"{(n_trials, n_time)}: all need the same trials and bins; pad with NaN"
            )
    kept = _real_bins(lengths, n_trials, n_time)
    modalities = tuple(_describe(name, arrays[name].shape[2], likelihoods, channels, sample_every) for name in arrays)
    flat, masks = zip(*(_split_missing(arrays[name][kept]) for name in arrays), strict=True)
    flat_target, target_mask = _split_missing(values[kept])
    whole = np.asarray(target_mask.all(axis=1))
    spans = kept.sum(axis=1)
    return {
        "observations": dict(zip(arrays, flat, strict=True)),
        "observed": dict(zip(arrays, masks, strict=True)),
        "target": np.where(whole[:, None], flat_target, np.float32(0)),
        "target_observed": whole,
        "time": seconds * (1.0 + np.arange(int(spans.sum()))),
        "width": seconds,
        "starts": np.cumsum(spans) - spans,
        "lengths": spans,
        "lead": np.zeros(n_trials, np.int64),
        "modalities": modalities,
        "target_names": _names(target_names, values.shape[2]),
    }


def _check_by_modality(observations: Any, likelihoods: Any) -> None:
    """Refuse an array, or a likelihood, without the name of its modality."""
    for what, given, example in (
        ("observations", observations, "counts"),
        ("likelihoods", likelihoods, '"poisson"'),
    ):
        if not isinstance(given, Mapping):
            kind = type(given).__name__
            raise InputError(f'{what} are given by modality, such as {{"spikes": {example}}}, got a {kind}')


def _names(given: Any, dims: int) -> tuple[str, ...]:
    """Names of the target's dimensions; numbered where none are given."""
    return argument_named("target_names", names, given) if given else tuple(f"target{i}" for i in range(dims))


def _three_axes(what: str, array: Any) -> np.ndarray:
    """Array as (trial, time, channel)."""
    array = np.asarray(array)
    if array.dtype.kind not in "biufO":
        raise InputError(f"{what} must hold numbers, got an array of {array.dtype}")
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} must hold numbers, NaN where one is missing: {error}") from error
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"{what} must be (trial, time, channel) and not empty, got shape {array.shape}")
    if np.isinf(array).any():
        raise InputError(f"{what} holds infinite values: use NaN where a sample is missing")
    return array


def _real_bins(lengths: Any, n_trials: int, n_time: int) -> Bool[np.ndarray, "trials time"]:
    """True in the bins that are not padding."""
    if lengths is None:
        return np.ones((n_trials, n_time), np.bool_)
    lengths = np.asarray(lengths)
    if lengths.shape != (n_trials,) or ((lengths < 1) | (lengths > n_time)).any():
        raise InputError(f"lengths must be {n_trials} numbers in 1 .. {n_time}, got {lengths.tolist()}")
    return np.arange(n_time) < lengths[:, None]


def _describe(
    name: str,
    n_channels: int,
    likelihoods: Mapping[str, str],
    channels: Mapping[str, Sequence[str]],
    sample_every: Mapping[str, int],
) -> Modality:
    """Row of the table for one array."""
    if name not in likelihoods:
        raise InputError(f"likelihoods has no entry for modality '{name}': give one of {', '.join(LIKELIHOODS)}")
    labels = tuple(channels.get(name, [f"{name}{i}" for i in range(n_channels)]))
    return Modality(name, likelihoods[name], labels, sample_every.get(name, 1))


def _split_missing(
    values: np.ndarray,
) -> tuple[Float32[np.ndarray, "bins channels"], Bool[np.ndarray, "bins channels"]]:
    """Values with 0 for NaN, and where they are observed."""
    observed = ~np.isnan(values)
    return np.where(observed, values, 0).astype(np.float32), observed
