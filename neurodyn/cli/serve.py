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

from neurodyn.binning.modality import Modality
from neurodyn.cli import COMMANDS
from neurodyn.cli.live_view import summary, view
from neurodyn.cli.loading import load_decoder
from neurodyn.cli.parsers import Subparsers, argument
from neurodyn.cli.replay import tell
from neurodyn.cli.serve_options import ServeOptions, add_options, chosen
from neurodyn.display import either
from neurodyn.errors import InputError
from neurodyn.realtime import AdaptiveIntervals, DriftPolicy, EventLog, RealtimeDecoder, Recalibration
from neurodyn.realtime.clock import DataClock, LiveClock, ReplayClock
from neurodyn.realtime.events import EventKind
from neurodyn.realtime.garbage import only_when_swept
from neurodyn.realtime.inputs import agreed_rates, binner_inputs, labels_of, learn_rates, sampled
from neurodyn.realtime.labels import check_streams
from neurodyn.realtime.logs import Announcer, RotatedFile
from neurodyn.realtime.markers import CONTROL, Markers
from neurodyn.realtime.memory_lock import lock_memory
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.runner import Frozen, Runner
from neurodyn.realtime.service import Service, ServiceOptions, SessionParts, make_service
from neurodyn.realtime.session_file import SessionFile
from neurodyn.realtime.speed import check_speed
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.state_keeper import check_model
from neurodyn.realtime.streams import (
    SCHEMES,
    Address,
    MergedSource,
    Source,
    open_sink,
    open_source,
    parse_address,
)
from neurodyn.realtime.streams.pace import announced
from neurodyn.realtime.truth_stream import TruthStream
from neurodyn.realtime.web import WebPage
from neurodyn.realtime.writers import SinkWriter, SnapshotFile

WEB_PORT = 8765
LEARN_SECONDS = 10.0
"""How long the first samples are waited for, from which the rate of a stream is estimated."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    text = COMMANDS["serve"]
    parser = subparsers.add_parser("serve", help=text, description=text)
    address = argument(parse_address)
    examples = [scheme.example for scheme in sorted(SCHEMES.values(), key=lambda scheme: not scheme.live)]
    parser.add_argument("model", metavar="MODEL", type=Path, help="what model.save() or model.export() wrote")
    parser.add_argument(
        "--from", dest="sources", metavar="ADDRESS", action="append", required=True, type=address,
        help=f"{either(examples)}; repeatable",
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
    parser.add_argument(
        "--record", metavar="FILE", type=Path,
        help="record what comes, every bin and its estimate in this HDF5 file (FILE-2 and so on if it is there)",
    )  # fmt: skip
    parser.add_argument(
        "--control", metavar="NAME", default=CONTROL,
        help=f"stream of markers that are commands: reset, pause, resume, swap NAME, revert ({CONTROL})",
    )  # fmt: skip
    parser.add_argument(
        "--reset-on", metavar="TEXT", action="append", default=[],
        help="begin anew at every marker of this text, like the one at the start of a trial; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--model", dest="models", metavar="NAME=FILE", action="append", default=[], type=argument(_model),
        help="another model of the same sizes, which the command  swap NAME  changes to; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--observe", metavar="NAME",
        help="stream of the true target, a channel per dimension, like a cursor that is recorded too",
    )  # fmt: skip
    parser.add_argument(
        "--recalibrate", action="store_true", help="let gain and shift of each dimension follow the truth of --observe"
    )
    parser.add_argument(
        "--adapt-intervals", action="store_true", help="let the widths of intervals follow the truth of --observe"
    )
    parser.add_argument(
        "--adapt-channels", action="store_true",
        help="put fields that drift back to mean and spread, units to the rate, of the training data, within bounds",
    )  # fmt: skip
    parser.add_argument("--lock-memory", action="store_true", help="keep the session from being swapped out (Linux)")
    parser.add_argument("--spin", action="store_true", help="hardly ever sleep: lower latency, and a core fully busy")
    parser.add_argument(
        "--rate", metavar="NAME=HZ", action="append", default=[], type=argument(_rate),
        help="samples per second of a stream; repeatable (estimated from the first data)",
    )  # fmt: skip
    parser.add_argument(
        "--log", metavar="FILE", type=Path, help="also write every event to this file, a line of JSON each"
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Decode until the source ends, Ctrl-C or SIGTERM."""
    options = chosen(arguments)
    if arguments.lock_memory:
        lock_memory()
    if arguments.observe is None and (arguments.recalibrate or arguments.adapt_intervals):
        raise InputError("--recalibrate and --adapt-intervals follow the truth: say with --observe which stream it is")
    decoder, modalities = load_decoder(
        arguments.model, output=options.output,
        intervals=AdaptiveIntervals() if arguments.adapt_intervals else None,
        recalibration=Recalibration() if arguments.recalibrate else None,
    )  # fmt: skip
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
    policy = StampPolicy.within(options.patience, max_jump=options.max_jump, align=options.align)
    models = _models(arguments, decoder)
    with contextlib.ExitStack() as opened:
        # Refused before anything is written, moved or waited for.
        snapshots = None
        if arguments.snapshot is not None:
            snapshots = SnapshotFile(arguments.snapshot, monitor.log)
            opened.callback(snapshots.close)
            check_model(snapshots, decoder, models.values())
        source = connect()
        opened.callback(source.close)
        sinks = []
        for address in arguments.sinks:
            sink = open_sink(address)
            sinks.append(SinkWriter(sink, address.scheme.name, monitor.log))
            opened.callback(sinks[-1].close)
            if (kept := getattr(sink, "kept", None)) is not None:
                tell(console, [f"{address.name} is begun anew; the file that was there is kept as {kept}"])
            elif getattr(sink, "continued", False):
                tell(console, [f"{address.name} is continued; with ?new a new file is begun"])
        if arguments.web is not None:
            page = WebPage(
                monitor, decoder.target_names, units=decoder.target_units, title=arguments.model.stem,
                port=arguments.web,
            )  # fmt: skip
            sinks.append(SinkWriter(page, "page", monitor.log))
            opened.callback(sinks[-1].close)
            console.print(f"neurodyn serve: {page.address}", markup=False, highlight=False)
        given = dict(arguments.rate)
        unknown = [name for name in sampled(modalities) if name not in given]
        if unknown:
            console.print(f"neurodyn serve: waiting for {', '.join(unknown)}", markup=False, highlight=False)
        learned, first = learn_rates(
            source, unknown, timeout=LEARN_SECONDS,
            say=lambda text: monitor.log.record(0.0, EventKind.BAD_INPUT, "", text),
        )  # fmt: skip
        rates, told = agreed_rates(modalities, learned, given)
        for text in told:
            monitor.log.record(0.0, EventKind.RATE, "", text)
        if console.is_terminal:  # without one the log is read out
            tell(console, told)
        check_streams(
            [(row.name, labels_of(row)) for row in modalities],
            [(chunk.name, chunk.labels) for chunk in (*announced(source), *first)],
        )
        if not _files_only(arguments.sources):
            check_speed(binner_inputs(modalities, decoder.width, rates))
        markers = Markers(
            decoder, monitor.log.record, control=arguments.control, reset_on=arguments.reset_on, models=models
        )
        recorder = None
        if arguments.record is not None:
            recorder = _recorder(arguments.record, decoder, monitor, console)
            opened.callback(recorder.close)
        service = make_service(
            decoder, modalities, _once_more(source, connect), sinks, clock_of(arguments.sources, policy), monitor,
            rates=rates,
            patience=options.patience,
            late=options.late,
            max_jump=options.max_jump,
            parts=SessionParts(
                recorder=recorder,
                markers=markers,
                truth=None if arguments.observe is None else TruthStream(arguments.observe, decoder.target_names),
                drift=DriftPolicy(adapt=arguments.adapt_channels),
                snapshots=snapshots,
            ),
            options=_options(arguments, options, decoder),
        )  # fmt: skip
        opened.pop_all()  # the service closes them now
    return service, first


def _models(arguments: argparse.Namespace, decoder: RealtimeDecoder) -> dict[str, Runner]:
    """The session's model and those that a command may change to, by name; ready, so that no bin waits for them."""
    models = {arguments.model.stem: decoder.runner}
    for name, path in arguments.models:
        if name in models:
            raise InputError(f"two models are called '{name}': the first is called as its file, name others apart")
        models[name] = decoder.ready(_frozen(path))
    return models


def _recorder(path: Path, decoder: RealtimeDecoder, monitor: Monitor, console: Console) -> SessionRecorder:
    """What records the session, into a file of its own."""
    file = SessionFile(path, decoder)
    if file.path != path:
        tell(console, [f"{path} is there already: the session is recorded in {file.path}"])
    return SessionRecorder(file, monitor.log)


def _options(arguments: argparse.Namespace, options: ServeOptions, decoder: RealtimeDecoder) -> ServiceOptions:
    """A live estimate is late one bin after its data should have been there; of a file none is."""
    tolerance = math.inf if _files_only(arguments.sources) else options.patience + decoder.width
    poll = 0.0 if arguments.spin else ServiceOptions.poll
    # Data of a file do not come at a time of their own, and nothing is gained by being ready for them.
    rehearse = 0.0 if _files_only(arguments.sources) else options.rehearse
    return ServiceOptions(poll=poll, rehearse=rehearse, tolerance=tolerance, snapshot_every=options.snapshot_every)


def _files_only(addresses: Sequence[Address]) -> bool:
    return not any(address.scheme.live for address in addresses)


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


def _model(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not (name.strip() and sign and path):
        raise InputError(f"expected NAME=FILE, like tuesday=decoder.npz, got '{text}'")
    return name.strip(), Path(path)


def _frozen(path: Path) -> Frozen:
    return load_decoder(path)[0].runner.frozen


def _rate(text: str) -> tuple[str, float]:
    name, sign, number = text.partition("=")
    try:
        rate = float(number)
    except ValueError:
        rate = math.nan
    if not (name and sign and 0 < rate < math.inf):
        raise InputError(f"expected NAME=HZ, like field=1000, got '{text}'")
    return name, rate
