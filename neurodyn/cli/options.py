"""Options of the commands: how they are written, and how a YAML file and the command line are put together."""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from neurodyn.binning.targets import TargetOptions
from neurodyn.cli.reading import WAYS
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import count, names, number, seconds, whole, width


@dataclass(frozen=True)
class DecodeOptions:
    """What ``neurodyn decode`` does; the names are those of the options, with underscores.

    Parameters
    ----------
    target
        Names of targets.
    modalities
        'spikes', 'field', or names of units tables and field potentials; None for what the file has.
    width
        Width of a bin in seconds.
    bands
        (low, high) in Hz per band of the field's log power, () for the signal itself, None for the usual bands.
    field_width
        Seconds per sample of the field; None for one per bin.
    interval
        Name of intervals, or (start, stop) in seconds; None for the whole recording.
    folds
        Number of time-ordered folds.
    gap, lead_in
        Seconds left out around a test part, and of context before it.
    choose
        Seconds to choose sizes in, inside each training part; None for the model's own sizes.
    latent, epochs
        Size of the latent state and most passes over the data; None for the model's own default.
    seed
        Of everything random.
    jobs
        Fits at a time; None for one per core.
    smoothing
        Standard deviation of the Gaussian that smooths the target, seconds; 0 for none.
    where
        Condition that chooses rows of the interval's table, or of the trials; None for all.
    layout, skip, repeated, support
        How the file is read: file of its layout, items to leave out, what becomes of repeated times, and intervals
        outside of which no unit was recorded.
    """

    target: tuple[str, ...] = ()
    modalities: tuple[str, ...] | None = None
    width: float = 0.05
    bands: tuple[tuple[float, float], ...] | None = None
    field_width: float | None = None
    interval: str | tuple[float, float] | None = None
    folds: int = 5
    gap: float = 2.0
    lead_in: float = 10.0
    latent: int | None = None
    epochs: int | None = None
    choose: float | None = None
    seed: int = 0
    jobs: int | None = None
    smoothing: float = TargetOptions.smoothing
    where: str | None = None
    layout: str | None = None
    skip: tuple[str, ...] = ()
    repeated: str | None = None
    support: str | None = None


def bands(value: Any) -> tuple[tuple[float, float], ...]:
    """Bands in Hz from ``"1-4,4-8"`` or a list of pairs; ``"raw"`` is no bands: the signal itself."""
    if isinstance(value, str) and value.strip().lower() == "raw":
        return ()
    message = f"expected bands in Hz like 1-4,4-8 or raw, got {value!r}"
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise InputError(message)
    pairs = [part.split("-") if isinstance(part, str) else part for part in parts]
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(message)
    return tuple((number(low, message), number(high, message)) for low, high in pairs)


def interval(value: Any) -> str | tuple[float, float]:
    """Start and stop in seconds from ``"10-600"`` or a pair of numbers, or the name it is."""
    parts = value if isinstance(value, list | tuple) else str(value).split("-")
    try:
        start, stop = (float(part) for part in parts)
    except (TypeError, ValueError):
        if isinstance(value, str) and value.strip():
            return value.strip()
        raise InputError(f"expected the name of an interval or start-stop in seconds, got {value!r}") from None
    if not 0 <= start < stop < math.inf:
        raise InputError(f"expected an interval of seconds with start < stop, got {value!r}")
    return start, stop


def text(value: Any) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    raise InputError(f"expected text, got {value!r}")


def repeated(value: Any) -> str:
    """Name of what becomes of repeated times."""
    if value in WAYS:
        return value
    raise InputError(f"expected one of {', '.join(WAYS)}, got {value!r}")


LARGEST_SEED = 2**31 - 2**24
"""Seeds are whole numbers of 32 bits, some are counted up from here, and there has to be room for that."""


def seed(value: Any) -> int:
    """Whole number from 0 to about two thousand million."""
    if 0 <= (number := whole(value)) <= LARGEST_SEED:
        return number
    raise InputError(f"expected a whole number from 0 to {LARGEST_SEED}, got {value!r}")


PARSERS: dict[str, Callable[[Any], Any]] = {
    "target": names,
    "modalities": names,
    "width": width,
    "bands": bands,
    "field_width": width,
    "interval": interval,
    "folds": count,
    "gap": seconds,
    "lead_in": seconds,
    "latent": count,
    "epochs": count,
    "choose": width,
    "seed": seed,
    "jobs": count,
    "smoothing": seconds,
    "where": text,
    "layout": text,
    "skip": names,
    "repeated": repeated,
    "support": text,
}


def argument(parse: Callable[[Any], Any]) -> Callable[[str], Any]:
    """Make a parser's complaint one that argparse prints with the name of the option."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def read_config(path: Path) -> dict[str, Any]:
    """Options from a YAML file, parsed; a key without a value counts as not given.

    A layout that lies beside the configuration is found there, from wherever the command is run.

    Raises
    ------
    InputError
        If the file cannot be read, is not a mapping, has an unknown key (with the nearest names) or a bad value.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the configuration '{path}': {' '.join(str(error).split())}") from error
    except yaml.YAMLError as error:
        raise InputError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, Mapping):
        raise InputError(f"'{path}' must hold 'option: value' lines, got a {type(loaded).__name__}")
    options = {
        str(key): _parsed(str(key), value, path) for key, value in loaded.items() if value is not None or _known(key)
    }
    if options.get("layout") is not None and (beside := path.parent / options["layout"]).exists():
        options["layout"] = str(beside)
    return options


def merge(config: Mapping[str, Any], given: Mapping[str, Any]) -> DecodeOptions:
    """Defaults, then the configuration file, then what the command line says."""
    known = {field.name for field in fields(DecodeOptions)}
    chosen: dict[str, Any] = {}
    for source in (config, given):
        chosen |= {
            name: tuple(value) if isinstance(value, list) else value  # options given several times come as a list
            for name, value in source.items()
            if name in known and value is not None
        }
    return replace(DecodeOptions(), **chosen)


def _known(key: Any) -> bool:
    if key not in PARSERS:
        raise unknown_name("option in the configuration", str(key), PARSERS)
    return True


def _parsed(key: str, value: Any, path: Path) -> Any:
    _known(key)
    if value is None:
        return None
    try:
        return PARSERS[key](value)
    except InputError as error:
        raise InputError(f"'{key}' in '{path}': {error}") from error
