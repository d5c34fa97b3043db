"""ZeroMQ: whoever has data binds and publishes, whoever wants them subscribes and reconnects by itself."""

import math
import time
from typing import Any

from neurodyn.errors import InputError, import_extra
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.address import Scheme
from neurodyn.realtime.streams.hello import Hello, Repeated
from neurodyn.realtime.streams.protocol import Chunk, Kind
from neurodyn.realtime.streams.told_later import ToldLater
from neurodyn.realtime.streams.wire import decode_chunk, encode, encode_hello

BACKLOG = 10_000
"""Messages a slow subscriber may be behind before ZeroMQ drops new ones for it."""
LARGEST = 64 * 2**20
"""Bytes of the largest part of a message that is taken, seconds of a thousand channels; ZeroMQ drops who sends more."""
MOST_PER_READ = 256
"""Messages taken in one read, so that a flood cannot keep the reader from decoding."""


class ZmqSource:
    """Chunks from a publisher.

    Parameters
    ----------
    endpoint
        To connect to, like ``tcp://127.0.0.1:5555``. The publisher may start later, stop and come back.

    Raises
    ------
    InputError
        If ZeroMQ does not take the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        self._zmq: Any = import_extra("zmq", "zmq")
        self._bad = ToldLater()
        self._milliseconds = 0  # that the socket waits
        self._context = self._zmq.Context()
        self._socket = self._context.socket(self._zmq.SUB)
        self._socket.setsockopt(self._zmq.RCVHWM, BACKLOG)
        self._socket.setsockopt(self._zmq.MAXMSGSIZE, LARGEST)
        for kind in Kind:
            self._socket.setsockopt(self._zmq.SUBSCRIBE, f"{kind.value}/".encode())
        _attach(self._zmq, self._context, self._socket, self._socket.connect, endpoint)

    def read(self, timeout: float) -> list[Chunk]:
        """Return the chunks that have arrived, waiting for the first.

        Raises
        ------
        InputError
            For a message in the read before that is not ours; the others in it have been returned.
        """
        self._bad.tell()
        chunks: list[Chunk] = []
        # Waiting in the call that receives: a poll before it would cost as much as the message.
        # Rather too short than too long: who waits for a moment is not to miss it.
        milliseconds = max(math.floor(1e3 * timeout + 1e-6), 1)
        if milliseconds != self._milliseconds:
            self._socket.setsockopt(self._zmq.RCVTIMEO, milliseconds)
            self._milliseconds = milliseconds
        flags = 0 if timeout > 0 else self._zmq.NOBLOCK
        try:
            for _ in range(MOST_PER_READ):
                self._decode(self._socket.recv_multipart(flags), chunks)
                flags = self._zmq.NOBLOCK
        except self._zmq.Again:
            pass
        return chunks

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)

    def _decode(self, parts: list[bytes], chunks: list[Chunk]) -> None:
        try:
            chunks.append(decode_chunk(parts))
        except InputError as error:
            self._bad.keep(error)


class ZmqSink:
    """Publisher of estimates or chunks: never blocks, drops what a slow subscriber does not fetch.

    Parameters
    ----------
    endpoint
        To bind, like ``tcp://127.0.0.1:5556``.
    rates
        Send the expected rates with an estimate too; they are computed for it alone.

    Raises
    ------
    InputError
        If the port is taken or the endpoint is not one.
    """

    never_blocks = True

    def __init__(self, endpoint: str, *, rates: bool = False) -> None:
        self._zmq: Any = import_extra("zmq", "zmq")
        self._rates = rates
        self._hello = Repeated()
        self._context = self._zmq.Context()
        # XPUB is PUB that also tells of subscriptions: `wait` needs them.
        self._socket = self._context.socket(self._zmq.XPUB)
        self._socket.setsockopt(self._zmq.SNDHWM, BACKLOG)
        _attach(self._zmq, self._context, self._socket, self._socket.bind, endpoint)

    @property
    def endpoint(self) -> str:
        """Where subscribers connect; tells the port if it was bound to ``:*``."""
        return self._socket.getsockopt_string(self._zmq.LAST_ENDPOINT)

    def wait(self, timeout: float) -> bool:
        """Wait for a subscriber, at most ``timeout`` seconds; whether there is one."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(math.ceil(1e3 * left)) and self._socket.recv().startswith(b"\x01"):
                return True
        return False

    def greet(self, hello: Hello) -> None:
        """Say what the stream is of, before the next message and again every second: who subscribes later gets it."""
        self._hello.say(encode_hello(hello))

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Send to all subscribers."""
        if (hello := self._hello.due()) is not None:
            self._socket.send_multipart(hello)
        self._socket.send_multipart(encode(item, rates=self._rates))

    def close(self) -> None:
        """Send what is queued, for at most a second, and unbind."""
        self._context.destroy(linger=1000)


def _attach(zmq: Any, context: Any, socket: Any, attach: Any, endpoint: str) -> None:
    try:
        attach(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        context.term()
        raise InputError(f"ZeroMQ cannot use {endpoint}: {error}") from error


SCHEME = Scheme(
    "zmq",
    "zmq://127.0.0.1:5555",
    source=lambda address: ZmqSource(f"tcp://{address.host}:{address.port}"),
    sink=lambda address: ZmqSink(f"tcp://{address.host}:{address.port}", rates="rates" in address.options),
    options=frozenset(("rates",)),
    server=True,
    named=False,
)
