"""What an address says, and what a way for data to come and go is: a row of the table in ``table.py``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.streams.protocol import Sink, Source

LOOPBACK = "127.0.0.1"
_LOCAL = {LOOPBACK, "localhost", "::1"}


@dataclass(frozen=True)
class Scheme:
    """One way for data to come and go.

    Parameters
    ----------
    name
        What addresses begin with.
    example
        An address, as help and errors show it.
    source, sink
        What opens it for reading and for writing.
    options
        Names of what may stand behind the question mark.
    server
        Whether an address has a host and a port.
    named
        Whether it has a name: of a stream or a file, or a prefix.
    port
        The usual port of a server; 0: it has to be given.
    live
        Whether data come when they are recorded. What is not live, such as a file, has a clock of its own, which goes
        as fast as it is read, and takes estimates only.
    exposed
        Whether an address leaves this machine; None: if its server is not this machine.

    Examples
    --------
    >>> from neurodyn.realtime.streams import SCHEMES
    >>> SCHEMES["zmq"].server, SCHEMES["file"].live, SCHEMES["lsl"].example
    (True, False, 'lsl://name')
    """

    name: str
    example: str
    source: Callable[["Address"], Source] = field(repr=False)
    sink: Callable[["Address"], Sink] = field(repr=False)
    options: frozenset[str] = frozenset()
    server: bool = False
    named: bool = True
    port: int = 0
    live: bool = True
    exposed: Callable[["Address"], bool] | None = field(default=None, repr=False)

    def parse(self, text: str) -> "Address":
        """Take an address of this scheme apart.

        Raises
        ------
        InputError
            If it is not one; the message shows what one looks like.
        """
        parts = self._split(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        for option in options:
            if option not in self.options:
                raise unknown_name(f"option of {self.name}://", option, self.options)
        if self.server:
            return self._at_server(parts, text, options)
        name = unquote(parts.netloc + parts.path)
        if not name.strip("/"):
            raise self._unlike(text)
        return Address(self, name, options=options)

    def _split(self, text: str) -> SplitResult:
        try:
            return urlsplit(text)
        except ValueError as error:
            raise self._unlike(text) from error

    def _at_server(self, parts: SplitResult, text: str, options: dict[str, str]) -> "Address":
        try:
            port = parts.port or self.port
        except ValueError:
            port = 0
        name = parts.path.strip("/")
        if not port or "@" in parts.netloc or bool(name) != self.named:
            raise self._unlike(text)
        return Address(self, name, parts.hostname or LOOPBACK, port, options)

    def _unlike(self, text: str) -> InputError:
        return InputError(f"expected an address like {self.example}, got '{text}'")


@dataclass(frozen=True)
class Address:
    """Where to read from or write to.

    Parameters
    ----------
    scheme
        Which way.
    name
        Of the LSL stream, prefix of the Redis keys, or path of the file; empty for ZeroMQ.
    host, port
        Of a server.
    options
        What stands behind the question mark.

    Examples
    --------
    >>> from neurodyn.realtime.streams import parse_address
    >>> address = parse_address("zmq://127.0.0.1:5555")
    >>> address.scheme.name, address.port, address.warning()
    ('zmq', 5555, '')
    """

    scheme: Scheme
    name: str = ""
    host: str = LOOPBACK
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    def warning(self) -> str:
        """What to know of an address that leaves this machine; empty for one that does not."""
        if self.scheme.server:
            place, reach = f"{self.host}:{self.port}", "leaves this machine"
        else:
            place, reach = self.name, "is announced to the whole local network"
        return f"{self.scheme.name}://{place} {reach}, and nothing on it is encrypted" if self._exposed() else ""

    def _exposed(self) -> bool:
        if self.scheme.exposed is not None:
            return self.scheme.exposed(self)
        return self.scheme.server and self.host not in _LOCAL
