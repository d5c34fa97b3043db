"""What the settings of a saved model may say, asked before anything is built of them: the file may be anybody's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from neurodyn.binning.modality import Modality
from neurodyn.errors import InputError
from neurodyn.multiscale.config import DecoderConfig, ModelConfig
from neurodyn.training.store import Settings

NUMBER_BYTES = 4
"""Bytes of a number in a file of arrays at least: models are saved in single or double precision, uncompressed."""
LAYER_BYTES = 256
"""Bytes that the arrays of a layer take in such a file at least, whatever their size."""
LARGEST_SAMPLE_EVERY = 2**31
"""Bins from one sample of a modality to the next, which no recording reaches."""
STORED_NAMES = {"sample_every": "clock", "modality_state": "own"}
"""Names that differ in files, which keep those of the first version."""
_NAMES = {stored: name for name, stored in STORED_NAMES.items()}


def to_stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names that files have for them."""
    return {STORED_NAMES.get(name, name): value for name, value in settings.items()}


def from_stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file by the names that they have here."""
    return {_NAMES.get(name, name): value for name, value in settings.items()}


def stored_config(config: DecoderConfig) -> dict[str, Any]:
    """A configuration as files have it, those of models and of half-trained ones."""
    return {**asdict(config), "model": to_stored(asdict(config.model))}


def check_settings(settings: Settings, config: DecoderConfig, modalities: Sequence[Modality], size: int) -> None:
    """Refuse settings that describe no model, or one that the file of its arrays cannot hold.

    Parameters
    ----------
    settings
        In the present version.
    config, modalities
        Made of them.
    size
        Of the file of arrays, bytes.

    Raises
    ------
    InputError, ValueError, TypeError, KeyError
        If numbers are of another type or beyond their bounds, names are no texts, or parts say different things.
    """
    model, width = config.model, settings["width_seconds"]
    if not (_number(width) and 0 < width < math.inf):
        raise ValueError(f"its bins are {str(width)[:20]} s wide")
    of_table = [(row.name, row.n_channels, row.likelihood) for row in modalities]
    if of_table != [(row.name, row.channels, row.likelihood) for row in model.modalities]:
        raise ValueError("its configuration has other modalities than its table")
    for row in modalities:
        if not (isinstance(row.name, str) and isinstance(row.unit, str) and (row.rate is None or _number(row.rate))):
            raise ValueError(f"name, unit or rate of '{str(row.name)[:20]}' are of another type")
        if not (_whole(row.sample_every) and row.sample_every <= LARGEST_SAMPLE_EVERY):
            raise ValueError(f"'{row.name}' has a sample in every {str(row.sample_every)[:20]} bins")
    names, units = settings["target_names"], settings["target_units"]
    if not (_texts(names) and _texts(units) and len(names) == model.target and len(units) in (0, len(names))):
        raise ValueError("names or units of its target are not those of its dimensions")
    if not isinstance(settings["status"], str) or not isinstance(settings["provenance"], dict):
        raise ValueError("its status or its provenance is none")
    _check_sizes(config)
    numbers, layers = _numbers(config), _layers(model)
    if numbers * NUMBER_BYTES > size or layers * LAYER_BYTES > size:
        raise InputError(
            f"its settings describe a model of {numbers:.3g} numbers, its file of arrays has {size:,} bytes: they do "
            "not belong together"
        )


def _check_sizes(config: DecoderConfig) -> None:
    """Sizes are whole numbers of 1 or more; a target may be none."""
    model = config.model
    widths = [n for row in model.modalities for n in (row.channels, *row.encoder, *row.decoder)]
    sizes = [model.latent, model.modality_state, model.embedding, *model.fusion, *widths]
    if not all(_whole(n) and n >= 1 for n in sizes) or not (_whole(model.target) and model.target >= 0):
        raise ValueError("its sizes are no whole numbers")
    if not all(map(_number, (*model.memory, *model.traces))):
        raise ValueError("its time constants are no numbers")


def _layers(model: ModelConfig) -> int:
    """Layers of all networks, which have arrays of their own."""
    return len(model.fusion) + sum(len(row.encoder) + len(row.decoder) for row in model.modalities)


def _numbers(config: DecoderConfig) -> int:
    """Numbers that the model has at least: those of its matrices."""
    model, recurrent, many = config.model, config.recurrent, len(config.model.modalities) > 1
    total = model.latent * (model.latent + model.embedding + model.target)
    total += model.target * (model.target + model.n_traces)
    for row in model.modalities:
        total += _products(row.channels, *row.encoder, model.embedding)
        total += _products(model.embedding, *row.decoder, row.channels)
        total += model.modality_state * (model.modality_state + model.embedding) if many else 0
    if many:
        total += _products(len(model.modalities) * model.embedding, *model.fusion, model.embedding)
    if recurrent is not None and model.target:
        inputs = sum(row.channels for row in model.modalities)
        one = 3 * recurrent.hidden * recurrent.hidden + recurrent.embedded(inputs) * (inputs + 3 * recurrent.hidden)
        total += recurrent.members * one
    return total


def _products(*widths: int) -> int:
    return sum(a * b for a, b in pairwise(widths))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
