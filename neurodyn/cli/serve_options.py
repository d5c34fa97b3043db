"""Options of ``neurodyn serve`` that say how patient a session is and what it believes; also from a YAML file."""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from neurodyn.cli.parsers import argument, seconds, width
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import read_yaml
from neurodyn.realtime.binner import LatePolicy
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.service import REHEARSE, ServiceOptions
from neurodyn.realtime.stamps import StampPolicy


@dataclass(frozen=True)
class ServeOptions:
    """How a session treats what comes late, what is stamped wrongly, and what it hands out.

    Attributes
    ----------
    late
        What becomes of data whose bin has been handed out.
    patience
        Seconds that a bin waits for data that are on their way.
    max_jump
        Seconds from the present beyond which a stream's clock has another origin and is moved.
    align
        Whether a stream whose clock is constantly ahead or behind is moved onto the others.
    low, high
        Bounds of each dimension of the target, or one for all of them; None for none.
    slew
        Largest change of the target per second; None for any.
    hold
        Whether the target stays where it was while nothing is seen.
    snapshot_every
        Seconds between snapshots.
    rehearse
        Seconds before the end of a bin at which a step is rehearsed; 0 for never.
    """

    late: LatePolicy = LatePolicy.CARRY
    patience: float = 0.01
    max_jump: float = StampPolicy.max_jump
    align: bool = False
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    slew: float | None = None
    hold: bool = False
    snapshot_every: float = ServiceOptions.snapshot_every
    rehearse: float = REHEARSE

    @property
    def output(self) -> OutputLimits | None:
        """Limits of what is handed out as the target, None if there are none.

        Raises
        ------
        InputError
            If a lower bound lies above the upper one.
        """
        if self.low is None and self.high is None and self.slew is None and not self.hold:
            return None
        return OutputLimits(self.low, self.high, self.slew, self.hold)


def late_policy(value: Any) -> LatePolicy:
    """Policy for late data, by its name."""
    if value in list(LatePolicy):
        return LatePolicy(value)
    raise InputError(f"expected one of {', '.join(LatePolicy)}, got {value!r}")


def switch(value: Any) -> bool:
    """``true`` or ``false``, as YAML has them."""
    if isinstance(value, bool):
        return value
    raise InputError(f"expected true or false, got {value!r}")


def positive(value: Any) -> float:
    """Number of more than 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if 0 < number < float("inf"):
        return number
    raise InputError(f"expected a number of more than 0, got {value!r}")


def bounds(value: Any) -> tuple[float, ...]:
    """One number, or several from ``"0,1.5"`` or a list; ``inf`` and ``-inf`` are no bound of that dimension."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    try:
        found = tuple(math.nan if isinstance(part, bool) else float(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    if not found or any(math.isnan(number) for number in found):
        raise InputError(f"expected a number, or one for each dimension like 0,1.5, got {value!r}")
    return found


PARSERS: dict[str, Callable[[Any], Any]] = {
    "late": late_policy,
    "patience": seconds,
    "max_jump": width,
    "align": switch,
    "low": bounds,
    "high": bounds,
    "slew": positive,
    "hold": switch,
    "snapshot_every": width,
    "rehearse": seconds,
}
HELP = {
    "late": "what becomes of data whose bin has been handed out: carry (the spikes of one bin go to the next) or drop",
    "patience": "how long a bin waits for data that are on their way (10ms)",
    "max_jump": "how far from the present a stream may be before it is taken for one whose clock jumped (30s)",
    "align": "move a stream whose clock is constantly ahead or behind onto the others, and follow its drift",
    "low": "lower bound of the target: a number for all its dimensions or one each, like --low=-0.5,0 (none)",
    "high": "upper bound of the target, in the same way (none)",
    "slew": "largest change of the target per second (any)",
    "hold": "keep the target where it was while nothing is seen",
    "snapshot_every": "how often the state is kept (5s)",
    "rehearse": "how long before the end of a bin to go through a step in rehearsal, 0 for never (0.5ms)",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, and ``--config`` for a file of them."""
    for name, parse in PARSERS.items():
        option = f"--{name.replace('_', '-')}"
        if parse is switch:
            parser.add_argument(option, action="store_true", default=None, help=HELP[name])
        else:
            metavar = {late_policy: "{carry,drop}", positive: "NUMBER", bounds: "NUMBERS"}.get(parse, "TIME")
            parser.add_argument(option, metavar=metavar, type=argument(parse), help=HELP[name])
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML file of these options; the command line wins")


def chosen(arguments: argparse.Namespace) -> ServeOptions:
    """Defaults, then the configuration file, then what the command line says.

    Raises
    ------
    InputError
        If the file cannot be read, or has an unknown option or a bad value.
    """
    config = {} if arguments.config is None else read_config(arguments.config)
    given = {field.name: getattr(arguments, field.name) for field in fields(ServeOptions)}
    options = ServeOptions(**config | {name: value for name, value in given.items() if value is not None})
    if options.max_jump <= max(options.patience, StampPolicy.ahead_alone):
        raise InputError(
            f"--max-jump must be above {StampPolicy.ahead_alone:g} s and above the patience, got {options.max_jump:g} s"
        )
    return options


def read_config(path: Path) -> dict[str, Any]:
    """Options from a YAML file, parsed.

    Raises
    ------
    InputError
        If the file cannot be read, is not a mapping, or has an unknown option (with the nearest names) or a bad value.
    """
    loaded = read_yaml(path, "configuration")
    if loaded is not None and not isinstance(loaded, Mapping):
        raise InputError(f"'{path}' must hold 'option: value' lines, got a {type(loaded).__name__}")
    return {str(name).replace("-", "_"): _parsed(str(name), value, path) for name, value in (loaded or {}).items()}


def _parsed(name: str, value: Any, path: Path) -> Any:
    key = name.replace("-", "_")
    if key not in PARSERS:
        raise unknown_name("option in the configuration", name, PARSERS)
    try:
        return PARSERS[key](value)
    except InputError as error:
        raise InputError(f"'{name}' in '{path}': {error}") from error
