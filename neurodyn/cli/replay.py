"""``neurodyn replay FILE --to ADDRESS``: a recording as if it were being recorded now."""

import argparse
import json
import math
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers, argument, width
from neurodyn.cli.reading import add_reading_options, file_help, read_given
from neurodyn.display import either
from neurodyn.errors import InputError, NeurodynError
from neurodyn.plain import strict_json
from neurodyn.realtime.streams import EndOfStream, Sink, open_sink, parse_address
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.table import live_schemes


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    text = COMMANDS["replay"]
    parser = subparsers.add_parser("replay", help=text, description=text)
    parser.add_argument("file", metavar="FILE", type=Path, help=file_help())
    add_reading_options(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--to", metavar="ADDRESS", type=argument(parse_address),
        help=either(scheme.example for scheme in live_schemes()),
    )  # fmt: skip
    what.add_argument(
        "--check", metavar="MODEL", type=Path,
        help="decode the bins of a session that  serve --record  wrote again, and tell whether they are the same",
    )  # fmt: skip
    speed = argument(_speed)
    parser.add_argument("--speed", metavar="S", type=speed, default=1.0, help="recorded seconds per second (1)")
    parser.add_argument("--chunk", metavar="TIME", type=argument(width), default=0.005, help="length of a chunk (5ms)")
    parser.add_argument("--start", metavar="SECONDS", type=float, help="of the recording (its first sample)")
    parser.add_argument("--stop", metavar="SECONDS", type=float, help="of the recording (its last sample)")
    parser.add_argument(
        "--stream", metavar="ITEM=NAME", action="append", default=[], type=argument(_pair),
        help="play this item only, under this name; intervals as markers; repeatable (all units and fields; 'spikes' "
        "and 'field' if there is one of each)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="print what was played as JSON at the end, instead of a bar"
    )
    parser.set_defaults(run=run)


@dataclass
class Sent:
    """What a replay has sent.

    Parameters
    ----------
    replay
        What is played.
    counts
        Spikes or samples by name of the stream.
    """

    replay: FileReplay
    counts: dict[str, int] = field(default_factory=dict)

    def to_json(self, finished: bool) -> dict[str, Any]:
        """Return what was played: the part of the recording, and each stream with what was sent of it."""
        streams = [
            {
                "name": chunk.name,
                "kind": chunk.kind.value,
                "channels": list(chunk.labels or ()),
                "sent": self.counts.get(chunk.name, 0),
            }
            for chunk in self.replay.first_chunks()
        ]
        replay = self.replay
        played = replay.seconds if finished else replay.played
        return {
            "start": replay.start, "seconds": replay.seconds, "played": played, "finished": finished, "streams": streams
        }  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Play to the end of the recording, or until Ctrl-C; or decode a session again."""
    if arguments.check is not None:
        return _check(arguments)
    if not arguments.to.scheme.live:
        live = either(f"{scheme.name}://" for scheme in live_schemes())
        raise InputError(f"a replay goes to {live}, not to a {arguments.to.scheme.name}")
    options = ReplayOptions(
        speed=arguments.speed,
        chunk=arguments.chunk,
        start=arguments.start,
        stop=arguments.stop,
        names=dict(arguments.stream) or None,
    )
    replay = FileReplay(read_given(arguments.file, arguments), options, live=True)
    console, sent, finished = Console(stderr=True), Sent(replay), False
    sink = open_sink(arguments.to)
    try:
        tell(console, [arguments.to.warning()])
        signal.signal(signal.SIGTERM, _interrupt)
        play(sent, sink, Console(quiet=True) if arguments.json else console)
        finished = True
    except NeurodynError:
        raise
    except Exception as error:  # a server that has gone away: each library says so in its own way
        raise NeurodynError(f"the stream broke off after {replay.played:.1f} s of the recording: {error}") from error
    finally:
        sink.close()
        if arguments.json:  # also of what was played until it was stopped, or the stream broke off
            speed = arguments.speed if math.isfinite(arguments.speed) else None  # JSON has no infinity
            settings = {"file": str(arguments.file), "speed": speed, "chunk": arguments.chunk}
            print(json.dumps({**settings, **sent.to_json(finished)}, indent=2, allow_nan=False))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    """Say whether a model gives what it gave live; 1 if it does not."""
    from neurodyn.cli.loading import load_decoder
    from neurodyn.realtime.session_check import check_session

    found = check_session(arguments.file, load_decoder(arguments.check)[0])
    if arguments.json:
        numbers = {**asdict(found), "same": found.same}
        print(strict_json(numbers, indent=2))
    else:
        print(found)
    return 0 if found.same else 1


def play(sent: Sent, sink: Sink, console: Console) -> None:
    """Send every chunk when it is due, with a bar that shows where in the recording this is."""
    replay = sent.replay
    if (greet := getattr(sink, "greet", None)) is not None:
        greet(replay.hello())
    if (announce := getattr(sink, "announce", None)) is not None:
        for chunk in replay.first_chunks():
            announce(chunk)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.1f} of {task.total:.1f} s")
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("replay", total=replay.seconds)
        while True:
            try:
                chunks = replay.read(0.1)
            except EndOfStream:
                progress.update(task, completed=replay.seconds)
                return
            for chunk in chunks:
                sink.write(chunk)
                sent.counts[chunk.name] = sent.counts.get(chunk.name, 0) + len(chunk.times)
            progress.update(task, completed=replay.played)


def tell(console: Console, warnings: Sequence[str]) -> None:
    """Print what there is to say, a line each."""
    for warning in warnings:
        if warning:
            console.print(f"neurodyn: warning: {warning}", markup=False, highlight=False, soft_wrap=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _pair(text: str) -> tuple[str, str]:
    item, sign, name = text.partition("=")
    if not (item and sign and name):
        raise InputError(f"expected ITEM=NAME, like lfp=field, got '{text}'")
    return item, name


def _speed(text: str) -> float:
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        raise InputError(f"expected a speed like 1, 0.5 or 10, got '{text}'") from None
    if not speed > 0:
        raise InputError(f"expected a speed of more than 0, got '{text}'")
    return speed
