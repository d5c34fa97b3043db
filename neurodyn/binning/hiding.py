"""Which bins of a modality are hidden, to see what a decoder makes of losses."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from neurodyn.errors import InputError, unknown_name
from neurodyn.given import argument_named, integer, number, width

if TYPE_CHECKING:
    from neurodyn.binning.batch import MultimodalBatch
    from neurodyn.binning.modality import Modality


def chosen_bins(
    batch: "MultimodalBatch", name: str, *, share: float | None, bins: Any, bursts: float | str | None, seed: int
) -> Bool[np.ndarray, " bins"]:
    """One flag per bin of the timeline: those that are named, or a share of them; see `MultimodalBatch.hide`."""
    if bins is None:
        return random_bins(batch, name, share=1.0 if share is None else share, bursts=bursts, seed=seed)
    if share is not None or bursts is not None:
        raise InputError("hide either a share of the bins or the bins that are named, not both")
    return given_bins(batch, bins)


def random_bins(
    batch: "MultimodalBatch", name: str, *, share: float, bursts: float | str | None, seed: int
) -> Bool[np.ndarray, " bins"]:
    """A share of the bins of the trials in which a modality has a sample, one by one or in stretches.

    Parameters
    ----------
    share
        Of those bins, from 0 to 1; to the nearest bin, or to the nearest stretch.
    bursts
        Seconds of a stretch: time is cut into stretches, and some of them are chosen; None for single bins.
    seed
        Of the choice.

    Returns
    -------
    One flag per bin of the timeline.

    Raises
    ------
    InputError
        If the share is none, or a stretch would be shorter than a bin.
    """
    share = number(share, f"share: expected a share, got {share!r}")
    if not 0 <= share <= 1:
        raise InputError(f"share is the part that is hidden, from 0 to 1, got {share:g}")
    rng, chosen = np.random.default_rng(argument_named("seed", integer, seed)), np.zeros(len(batch.time), np.bool_)
    sampled = batch.observed[name].any(axis=1) & batch.in_trials(context=True)
    bins = np.flatnonzero(sampled)
    if bursts is None:
        chosen[rng.permutation(bins)[: round(share * len(bins))]] = True
        return chosen
    size = round(argument_named("bursts", width, bursts) / batch.width)
    if size < 1:
        raise InputError(f"bursts of {bursts} are shorter than a bin of {batch.width:g} s")
    stretch = (np.arange(len(batch.time)) + rng.integers(size)) // size
    numbers = np.unique(stretch[bins])
    lost = rng.permutation(numbers)[: round(share * len(numbers))]
    return np.isin(stretch, lost) & sampled


def given_bins(batch: "MultimodalBatch", bins: Any) -> Bool[np.ndarray, " bins"]:
    """Bins of the timeline that were named by a slice, by numbers, or by a flag each.

    Raises
    ------
    InputError
        If there are no such bins.
    """
    chosen = np.zeros(len(batch.time), np.bool_)
    places = bins if isinstance(bins, slice) else np.asarray(bins)
    if not isinstance(places, slice) and places.size == 0:
        return chosen  # an empty list is an array of no whole numbers
    try:
        chosen[places] = True
    except IndexError as error:
        raise InputError(f"bins of a timeline of {len(batch.time)} bins: {error}") from None
    return chosen


def given_channels(row: "Modality", channels: str | Sequence[str] | None) -> Bool[np.ndarray, " channels"]:
    """Channels of a modality by label; all if None.

    Raises
    ------
    InputError
        If a label is not there.
    """
    if channels is None:
        return np.ones(row.n_channels, np.bool_)
    wanted = (channels,) if isinstance(channels, str) or not isinstance(channels, Iterable) else tuple(channels)
    for channel in wanted:
        if not isinstance(channel, str):
            raise InputError(
                f"channels of modality '{row.name}' go by their labels, such as {row.channels[0]!r}, got {channel!r}"
            )
        if channel not in row.channels:
            raise unknown_name(f"channel of modality '{row.name}'", channel, row.channels)
    return np.isin(row.channels, wanted)
