"""Options of ``neurodyn decode``: one table of them, and how a YAML file and the command line are put together."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurodyn.baselines import BASELINES
from neurodyn.binning.features import FEATURES
from neurodyn.binning.targets import TargetOptions
from neurodyn.cli import parsers
from neurodyn.cli.option_table import Option, add_to, option, options_of, parsed
from neurodyn.display import either
from neurodyn.given import read_yaml

SECONDS_TO_CHOOSE = 600.0
"""Budget of --choose without a time, as in neurodyn.multiscale.choosing."""


@dataclass(frozen=True)
class DecodeOptions:
    """What ``neurodyn decode`` does: the one table of its options, on the command line, in YAML files and in the help.

    The names are those of the options, with underscores. Times are in seconds. ``modalities``, ``bands``,
    ``feature``, ``field_width``, ``interval``, ``latent``, ``epochs``, ``choose``, ``jobs`` and ``where`` are None
    where nothing was asked for; empty bands stand for the field's signal itself.
    """

    target: tuple[str, ...] = option(
        (), parsers.names, "NAMES",
        "what to decode: position, velocity, speed, log_speed, head_direction, the name of a series; for classes "
        "that of a table of intervals or of its column, like trials.choice; for counts that of a group of events, like "
        "licks", words="needed",
    )  # fmt: skip
    modalities: tuple[str, ...] | None = option(
        None, parsers.names, "NAMES", "spikes, field, or names of units tables and field potentials",
        words="all there is",
    )  # fmt: skip
    width: float = option(0.05, parsers.width, "TIME", "width of a bin, like 0.05 or 50ms")
    bands: tuple[tuple[float, float], ...] | None = option(
        None, parsers.bands, "BANDS", "of the field's log power in Hz, like 1-4,4-8, or raw for the signal itself",
        words="six, as its rate allows",
    )  # fmt: skip
    feature: str | None = option(
        None, parsers.feature, "NAME", f"what is made of a field: {either(FEATURES)}", words="band_power, as bands say"
    )
    field_width: float | None = option(
        None, parsers.width, "TIME", "width of a sample of the field, a multiple of the bin", words="one bin"
    )
    interval: str | tuple[float, float] | None = option(
        None, parsers.interval, "NAME|START-STOP",
        "part of the recording: a name from its tables of intervals, or seconds", words="all",
    )  # fmt: skip
    folds: int = option(5, parsers.count, "N", "time-ordered folds of the cross-validation")
    gap: float = option(2.0, parsers.seconds, "TIME", "left out between training and test parts", words="2")
    lead_in: float = option(
        10.0, parsers.seconds, "TIME", "of context that the decoder sees before a test part", words="10"
    )
    methods: tuple[str, ...] = option(
        ("multiscale", "gru", "ridge"), parsers.names, "NAMES",
        "what is compared: multiscale, multiscale-unsupervised (trained without the target, which is read out of its"
        f" states), and the baselines {', '.join(BASELINES)}", words="multiscale,gru,ridge",
    )  # fmt: skip
    latent: int | None = option(None, parsers.count, "N", "dimensions of the latent state", words="the model's default")
    epochs: int | None = option(
        None, parsers.count, "N", "most passes over the training data", words="the model's default"
    )
    choose: float | None = option(
        None, parsers.width, "TIME", "choose sizes inside each training part, in so long",
        words="not done; ten minutes if no time is given", bare=SECONDS_TO_CHOOSE,
    )  # fmt: skip
    seed: int = option(0, parsers.seed, "N", "of everything random")
    jobs: int | None = option(None, parsers.count, "N", "fits at a time", words="one per core")
    smoothing: float = option(
        TargetOptions.smoothing,
        parsers.seconds,
        "TIME",
        "standard deviation of the Gaussian that smooths the target, 0 for none",
    )
    where: str | None = option(
        None,
        parsers.text,
        "CONDITION",
        "rows of the interval's table, like \"is_good and response == 'hit'\"",
        words="all",
    )
    layout: str | None = option(None, parsers.text)
    skip: tuple[str, ...] = option((), parsers.names)
    repeated: str | None = option(None, parsers.repeated)
    support: str | None = option(None, parsers.text)


OPTIONS: dict[str, Option] = options_of(DecodeOptions)
"""Every option by its name."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`DecodeOptions` to a command, but for those of reading a file."""
    add_to(parser, OPTIONS)


def read_config(path: Path) -> dict[str, Any]:
    """Options from a YAML file, parsed; a key without a value counts as not given.

    A layout that lies beside the configuration is found there, from wherever the command is run.

    Raises
    ------
    InputError
        If the file cannot be read, is not a mapping, has an unknown key (with the nearest names) or a bad value.
    """
    return parse_options(read_yaml(path, "configuration"), path)


def parse_options(loaded: Any, path: Path) -> dict[str, Any]:
    """Options that were read from a file, parsed; see :func:`read_config`.

    Parameters
    ----------
    loaded
        What the file, or a part of it, holds; None for nothing.
    path
        The file.

    Raises
    ------
    InputError
        If it is not a mapping, has an unknown key (with the nearest names) or a bad value.
    """
    options = parsed(loaded, path, OPTIONS)
    if options.get("layout") is not None and (beside := path.parent / options["layout"]).exists():
        options["layout"] = str(beside)
    return options


def merge(config: Mapping[str, Any], given: Mapping[str, Any]) -> DecodeOptions:
    """Defaults, then the configuration file, then what the command line says."""
    chosen: dict[str, Any] = {}
    for source in (config, given):
        chosen |= {
            name: tuple(value) if isinstance(value, list) else value  # options given several times come as a list
            for name, value in source.items()
            if name in OPTIONS and value is not None
        }
    return replace(DecodeOptions(), **chosen)
