"""``neurodyn serve MODEL --from ADDRESS --to ADDRESS``: a fitted decoder, live."""

import argparse
import contextlib
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live

from neurodyn.binning.batch import Modality
from neurodyn.cli import COMMANDS
from neurodyn.cli.live_view import summary, view
from neurodyn.cli.parsers import Subparsers, argument
from neurodyn.cli.replay import tell
from neurodyn.cli.serve_options import ServeOptions, add_options, chosen
from neurodyn.errors import InputError
from neurodyn.realtime import EventLog, RealtimeDecoder
from neurodyn.realtime.clock import DataClock, LiveClock, ReplayClock
from neurodyn.realtime.events import Kind as EventKind
from neurodyn.realtime.garbage import only_when_swept
from neurodyn.realtime.inputs import agreed_rates, labels_of, learn_rates, modalities_of, sampled
from neurodyn.realtime.labels import check_streams
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.logs import Announcer, RotatedFile
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.service import Service, ServiceOptions, make_service
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams import Address, MergedSource, Source, open_sink, open_source, parse_address
from neurodyn.realtime.streams.address import Scheme
from neurodyn.realtime.streams.pace import announced
from neurodyn.realtime.web import WebPage
from neurodyn.realtime.writers import SinkWriter, SnapshotFile

WEB_PORT = 8765
LEARN_SECONDS = 10.0
"""How long the first samples are waited for, from which the rate of a stream is told."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    text = COMMANDS["serve"]
    parser = subparsers.add_parser("serve", help=text, description=text)
    address = argument(parse_address)
    parser.add_argument("model", metavar="MODEL", type=Path, help="what model.save() or model.export() wrote")
    parser.add_argument(
        "--from", dest="sources", metavar="ADDRESS", action="append", required=True, type=address,
        help="lsl://name, zmq://127.0.0.1:5555, redis://127.0.0.1:6379/prefix or file://session.nwb; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="sinks", metavar="ADDRESS", action="append", default=[], type=address,
        help="where estimates go, as above, or file://decoded.jsonl; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--web", metavar="PORT", nargs="?", type=int, const=WEB_PORT,
        help=f"also show a page on http://127.0.0.1:PORT ({WEB_PORT})",
    )  # fmt: skip
    parser.add_argument("--snapshot", metavar="FILE", type=Path, help="go on from this file, and keep the state in it")
    parser.add_argument("--spin", action="store_true", help="hardly ever sleep: lower latency, and a core fully busy")
    parser.add_argument(
        "--rate", metavar="NAME=HZ", action="append", default=[], type=argument(_rate),
        help="samples per second of a stream; repeatable (told from the first data)",
    )  # fmt: skip
    parser.add_argument(
        "--log", metavar="FILE", type=Path, help="also write every event to this file, a line of JSON each"
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Decode until the source ends, Ctrl-C or SIGTERM."""
    options = chosen(arguments)
    output = OutputLimits(slew=options.slew, hold=options.hold) if options.slew or options.hold else None
    decoder, modalities = load_decoder(arguments.model, output)
    console = Console(stderr=True)
    tell(console, [address.warning() for address in (*arguments.sources, *arguments.sinks)])
    with contextlib.ExitStack() as stack:
        log = EventLog(
            file=None if arguments.log is None else stack.enter_context(contextlib.closing(RotatedFile(arguments.log)))
        )
        monitor = Monitor([row.name for row in modalities], log)
        service, first = _session(arguments, options, decoder, modalities, monitor, console)
        stop = stack.enter_context(_stopped_by_signals())
        with _shown(monitor, decoder.target_names, arguments.model.name, console), only_when_swept():
            service.run(stop, first=first)
    print(f"neurodyn serve: {summary(monitor.status())}", file=sys.stderr)
    return 0


def load_decoder(path: Path, output: OutputLimits | None = None) -> tuple[RealtimeDecoder, tuple[Modality, ...]]:
    """Live decoder and its table of modalities, from a saved or an exported model.

    Parameters
    ----------
    path
        What ``model.save()`` or ``model.export()`` wrote.
    output
        Limits of the target; None for none.

    Raises
    ------
    InputError
        If the file is neither.
    """
    if not path.exists():
        raise InputError(f"there is no model '{path}': give what model.save() or model.export() wrote")
    if path.suffix == ".npz":
        decoder = RealtimeDecoder.load(path, output=output)
        return decoder, modalities_of(decoder)
    from neurodyn.multiscale import MultiscaleDecoder

    fitted = MultiscaleDecoder.load(path).fitted_
    assert fitted is not None
    return RealtimeDecoder(fitted, output=output), fitted.modalities


def source_of(addresses: Sequence[Address]) -> Callable[[], Source]:
    """What opens all sources as one."""

    def connect() -> Source:
        sources = [open_source(address) for address in addresses]
        return sources[0] if len(sources) == 1 else MergedSource(sources)

    return connect


def clock_of(addresses: Sequence[Address], policy: StampPolicy | None = None) -> DataClock:
    """Files alone have a clock of their own, which goes as fast as they are read."""
    return ReplayClock() if _files_only(addresses) else LiveClock(policy=policy)


def _session(
    arguments: argparse.Namespace,
    options: ServeOptions,
    decoder: RealtimeDecoder,
    modalities: Sequence[Modality],
    monitor: Monitor,
    console: Console,
) -> tuple[Service, list]:
    """Connect everything; a wrong address ends the command before anything is decoded."""
    connect = source_of(arguments.sources)
    policy = StampPolicy(max_jump=options.max_jump, align=options.align)
    with contextlib.ExitStack() as opened:
        source = connect()
        opened.callback(source.close)
        sinks = []
        for address in arguments.sinks:
            sink = open_sink(address)
            sinks.append(SinkWriter(sink, address.scheme.value, monitor.log))
            opened.callback(sinks[-1].close)
            if getattr(sink, "continued", False):
                tell(console, [f"{address.name} is continued; with ?new a new file is begun"])
        if arguments.web is not None:
            page = WebPage(monitor, decoder.target_names, title=arguments.model.stem, port=arguments.web)
            sinks.append(SinkWriter(page, "page", monitor.log))
            opened.callback(sinks[-1].close)
            console.print(f"neurodyn serve: {page.address}", markup=False, highlight=False)
        given = dict(arguments.rate)
        unknown = [name for name in sampled(modalities) if name not in given]
        if unknown:
            console.print(f"neurodyn serve: waiting for {', '.join(unknown)}", markup=False, highlight=False)
        learned, first = learn_rates(source, unknown, timeout=LEARN_SECONDS)
        rates, told = agreed_rates(modalities, learned, given)
        for text in told:
            monitor.log.record(0.0, EventKind.RATE, "", text)
        if console.is_terminal:  # without one the log is read out
            tell(console, told)
        check_streams(
            [(row.name, labels_of(row)) for row in modalities],
            [(chunk.name, chunk.labels) for chunk in (*announced(source), *first)],
        )
        service = make_service(
            decoder, modalities, _once_more(source, connect), sinks, clock_of(arguments.sources, policy), monitor,
            rates=rates,
            patience=options.patience,
            late=options.late,
            max_jump=options.max_jump,
            snapshots=None if arguments.snapshot is None else SnapshotFile(arguments.snapshot, monitor.log),
            options=_options(arguments, options, decoder),
        )  # fmt: skip
        opened.pop_all()  # the service closes them now
    return service, first


def _options(arguments: argparse.Namespace, options: ServeOptions, decoder: RealtimeDecoder) -> ServiceOptions:
    """A live estimate is late one bin after its data should have been there; of a file none is."""
    tolerance = math.inf if _files_only(arguments.sources) else options.patience + decoder.width
    poll = 0.0 if arguments.spin else ServiceOptions.poll
    # Data of a file do not come at a time of their own, and nothing is gained by being ready for them.
    rehearse = 0.0 if _files_only(arguments.sources) else options.rehearse
    return ServiceOptions(poll=poll, rehearse=rehearse, tolerance=tolerance, snapshot_every=options.snapshot_every)


def _files_only(addresses: Sequence[Address]) -> bool:
    return all(address.scheme is Scheme.FILE for address in addresses)


def _once_more(opened: Source, connect: Callable[[], Source]) -> Callable[[], Source]:
    """The source that is open already, and new ones after that."""
    waiting = [opened]
    return lambda: waiting.pop() if waiting else connect()


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the session ends with its last snapshot."""
    stop = threading.Event()
    old = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _shown(monitor: Monitor, names: Sequence[str], title: str, console: Console) -> Iterator[None]:
    """The live view; without a terminal to show it on, the first event of each kind."""
    if not console.is_terminal:
        with Announcer(monitor.log, sys.stderr):
            yield
        return

    def render() -> RenderableType:
        return view(monitor.status(), names, title=title)

    with Live(get_renderable=render, console=console, refresh_per_second=4, transient=True):
        yield


def _rate(text: str) -> tuple[str, float]:
    name, sign, number = text.partition("=")
    try:
        rate = float(number)
    except ValueError:
        rate = math.nan
    if not (name and sign and 0 < rate < math.inf):
        raise InputError(f"expected NAME=HZ, like field=1000, got '{text}'")
    return name, rate
