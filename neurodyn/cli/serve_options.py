"""Options of ``neurodyn serve`` that say how patient a session is and what it believes; also from a YAML file."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodyn.cli.option_table import Option, add_to, option, options_of, parsed
from neurodyn.cli.parsers import seconds, switch, width
from neurodyn.errors import InputError
from neurodyn.given import read_yaml
from neurodyn.realtime.bins import LatePolicy
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.service import REHEARSE, ServiceOptions
from neurodyn.realtime.stamps import StampPolicy


def late_policy(value: Any) -> LatePolicy:
    """Policy for late data, by its name."""
    if value in list(LatePolicy):
        return LatePolicy(value)
    raise InputError(f"expected one of {', '.join(LatePolicy)}, got {value!r}")


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

    late: LatePolicy = option(  # noqa: RUF009  (makes a field)
        LatePolicy.CARRY, late_policy, "{carry,drop}",
        "what to do with data whose bin has been handed out: carry (the spikes of one bin go to the next) or drop",
        words="",
    )  # fmt: skip
    patience: float = option(0.01, seconds, "TIME", "how long a bin waits for data that are on their way", words="10ms")
    max_jump: float = option(
        StampPolicy.max_jump, width, "TIME",
        "how far from the present a stream may be before it is taken for one whose clock jumped", words="30s",
    )  # fmt: skip
    align: bool = option(
        False, switch, words="",
        help="move a stream whose clock is constantly ahead or behind onto the others, and follow its drift",
    )  # fmt: skip
    low: tuple[float, ...] | None = option(
        None, bounds, "NUMBERS",
        "lower bound of the target: a number for all its dimensions or one each, like --low=-0.5,0", words="none",
    )  # fmt: skip
    high: tuple[float, ...] | None = option(
        None, bounds, "NUMBERS", "upper bound of the target, in the same way", words="none"
    )
    slew: float | None = option(None, positive, "NUMBER", "largest change of the target per second", words="any")
    hold: bool = option(False, switch, words="", help="keep the target where it was while nothing is seen")
    snapshot_every: float = option(
        ServiceOptions.snapshot_every, width, "TIME", "how often the state is kept", words="5s"
    )
    rehearse: float = option(
        REHEARSE, seconds, "TIME",
        "how long before the end of a bin to go through a step in rehearsal, 0 for never", words="0.5ms",
    )  # fmt: skip

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


OPTIONS: dict[str, Option] = options_of(ServeOptions)
"""Every option by its name."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, and ``--config`` for a file of them."""
    add_to(parser, OPTIONS)
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML file of these options; the command line wins")


def chosen(arguments: argparse.Namespace) -> ServeOptions:
    """Defaults, then the configuration file, then what the command line says.

    Raises
    ------
    InputError
        If the file cannot be read, or has an unknown option or a bad value.
    """
    config = {} if arguments.config is None else read_config(arguments.config)
    given = {name: getattr(arguments, name) for name in OPTIONS}
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
    return parsed(read_yaml(path, "configuration"), path, OPTIONS)
