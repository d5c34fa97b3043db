"""A page to look at while a session runs: one file, served on this machine only, live over a WebSocket.

The page and the socket answer requests that were made to this machine by its own name, and the socket only those whose
origin is the page: another site that is open in the same browser gets nothing, also if its name is made to point here.
"""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from neurodyn.errors import InputError, import_extra
from neurodyn.plain import strict_json
from neurodyn.realtime.monitor import LATENCY_EDGES, Monitor, Status
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.protocol import Chunk

HOST = "127.0.0.1"
HISTORY = 3000
"""Estimates that a page gets when it is opened."""
MOST_CLIENTS = 32
"""Pages that are served at once; further ones are refused with a message."""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class WebPage:
    """A sink that shows what it gets on a page.

    Parameters
    ----------
    monitor
        Of the session.
    target_names
        Of the target's dimensions.
    units
        Of the target's dimensions, "" where one is not known; () if none is.
    title
        Of the page: the name of the model.
    port
        To listen on; 0 for any that is free.
    period
        Seconds between updates of a page.

    Raises
    ------
    InputError
        If the port is taken.
    """

    never_blocks = True

    def __init__(
        self,
        monitor: Monitor,
        target_names: Sequence[str],
        *,
        units: Sequence[str] = (),
        title: str = "",
        port: int = 0,
        period: float = 0.05,
    ) -> None:
        self._websockets: Any = import_extra("websockets.asyncio.server", "web")
        self._closed = import_extra("websockets.exceptions", "web").ConnectionClosed
        self._monitor, self._period = monitor, period
        self._points: deque[list[Any]] = deque(maxlen=HISTORY)
        self._added = 0
        self._lock = threading.Lock()
        self._beat = _Beat([], 0, {})
        self._hello = {
            "type": "hello",
            "title": title,
            "targets": list(target_names),
            "units": list(units) or [""] * len(target_names),
            "modalities": list(monitor.names),
            "edges": [round(float(edge), 3) for edge in LATENCY_EDGES],
        }
        self._page = files("neurodyn.realtime").joinpath("page.html").read_bytes()
        self._socket = _listen(port)
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.port}/"

    def greet(self, hello: Hello) -> None:
        """Send pages that are opened from now on a hello, which no page shows."""
        self._hello = {**self._hello, "hello": hello.to_dict()}

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Show an estimate."""
        if isinstance(item, Chunk):
            return
        bounds = (array.tolist() for array in (item.target, item.lower, item.upper))
        point = [item.time, *bounds, list(item.stale), list(item.unusual)]
        with self._lock:
            self._points.append(point)
            self._added += 1

    def close(self) -> None:
        """Stop serving."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        origins = [f"http://{host}" for host in self._hosts()]
        async with self._websockets.serve(
            self._feed,
            sock=self._socket,
            origins=[*origins, None],
            process_request=self._answer,
            compression=None,
            open_timeout=1.0,
            close_timeout=1.0,
        ) as server:
            while not self._stop.is_set():
                if server.connections:
                    self._tell_all()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._period)

    def _tell_all(self) -> None:
        """Look at the session once, and wake all who wait for what there is to see."""
        with self._lock:
            points, reached = list(self._points), self._added
        before, self._beat = self._beat, _Beat(points, reached, _tick(self._monitor.status()))
        before.over.set()

    def _hosts(self) -> tuple[str, ...]:
        return f"{HOST}:{self.port}", f"localhost:{self.port}"

    def _answer(self, connection: Any, request: Any) -> Any:
        """Answer a plain request; None lets a WebSocket be opened."""
        if request.headers.get_all("Host") not in [[host] for host in self._hosts()]:
            return connection.respond(HTTPStatus.FORBIDDEN, f"This page is at {self.address} only.\n")
        if request.path == "/live":
            if len(connection.server.connections) < MOST_CLIENTS:
                return None
            text = f"{MOST_CLIENTS} pages are open already, which are the most: close one, then load this one again.\n"
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, text)
        if request.path != "/":
            return connection.respond(HTTPStatus.NOT_FOUND, "There is only one page: /\n")
        response = connection.respond(HTTPStatus.OK, "")
        for name in ("Content-Type", "Content-Length"):
            del response.headers[name]
        response.headers.update(_HEADERS | {"Content-Length": str(len(self._page))})
        response.body = self._page
        return response

    async def _feed(self, client: Any) -> None:
        with contextlib.suppress(self._closed):
            await client.send(strict_json(self._hello))
            position = 0
            while True:
                # Who is slow misses beats, and gets with a later one what it has not had.
                await self._beat.over.wait()
                beat = self._beat
                await client.send(beat.since(position))
                position = beat.reached


class _Beat:
    """What is sent to all clients in one period: the status once, and to each the points that it has not had.

    Parameters
    ----------
    points
        The latest, oldest first.
    reached
        How many there have been, the last of these included: the position of a client that has had all.
    status
        What is the same for all.

    Attributes
    ----------
    over
        Set when there is the next.
    """

    def __init__(self, points: list[list[Any]], reached: int, status: dict[str, Any]) -> None:
        self._points, self.reached = points, reached
        self._status = strict_json(status)[1:]
        self._encoded: dict[int, str] = {}  # by number of points: nearly all clients have had the same
        self.over = asyncio.Event()

    def since(self, position: int) -> str:
        """Message for a client at a position."""
        fresh = min(self.reached - position, len(self._points))
        if fresh not in self._encoded:
            points = strict_json(self._points[len(self._points) - fresh :])
            self._encoded[fresh] = f'{{"points": {points}, {self._status}'
        return self._encoded[fresh]


def _tick(status: Status) -> dict[str, Any]:
    return {
        "type": "tick",
        "bins": status.bins,
        "missed": status.missed,
        "dropped": status.dropped,
        "seen": status.seen,
        "silent": status.silent,
        "budget": [
            {"part": name, **{share: getattr(found, share) for share in ("p50", "p99", "p999", "worst")}}
            for name, found in status.budget.items()
        ],
        "histogram": status.histogram.tolist(),
        "faults": status.faults,
        "events": [
            {"time": event.time, "kind": str(event.kind), "modality": event.modality, "detail": event.detail}
            for event in status.events
        ],
    }  # fmt: skip


def _listen(port: int) -> socket.socket:
    if not 0 <= port < 2**16:
        raise InputError(f"the page cannot be served on port {port}: ports are numbers up to 65535")
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise InputError(f"the page cannot be served on port {port}: {error.strerror}; choose another") from error
