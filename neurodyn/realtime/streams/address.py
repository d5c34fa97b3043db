"""Addresses as they are typed: ``lsl://name``, ``zmq://127.0.0.1:5555``, ``redis://127.0.0.1:6379/prefix``, ``file://``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.streams.protocol import Sink, Source

LOOPBACK = "127.0.0.1"
_LOCAL = {LOOPBACK, "localhost", "::1"}


class Scheme(Enum):
    """Ways for data to come and go."""

    FILE = "file"
    LSL = "lsl"
    ZMQ = "zmq"
    REDIS = "redis"


EXAMPLES = {
    Scheme.FILE: "file://session.nwb?speed=2",
    Scheme.LSL: "lsl://name",
    Scheme.ZMQ: "zmq://127.0.0.1:5555",
    Scheme.REDIS: "redis://127.0.0.1:6379/prefix",
}
_OPTIONS = {
    Scheme.FILE: {"speed", "start", "stop", "new"},
    Scheme.LSL: {"network"},
    Scheme.ZMQ: {"rates"},
    Scheme.REDIS: {"dtype"},
}


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
        For ZeroMQ and Redis.
    options
        What stands behind the question mark.
    """

    scheme: Scheme
    name: str = ""
    host: str = LOOPBACK
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    def warning(self) -> str:
        """What to know of an address that leaves this machine; empty for one that does not."""
        if self.scheme is Scheme.LSL and "network" in self.options:
            return f"lsl://{self.name} is announced to the whole local network, and nothing on it is encrypted"
        if self.scheme in (Scheme.ZMQ, Scheme.REDIS) and self.host not in _LOCAL:
            return f"{self.scheme.value}://{self.host}:{self.port} leaves this machine, and nothing on it is encrypted"
        return ""


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises
    ------
    InputError
        If it is not one; the message shows what one looks like.
    """
    schemes = {scheme.value: scheme for scheme in Scheme}
    begin, separator, _ = text.partition("://")
    if begin not in schemes or not separator:
        raise InputError(f"expected an address like {', '.join(EXAMPLES.values())}, got '{text}'")
    parts = _split(text, EXAMPLES[schemes[begin]])
    scheme = schemes[begin]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in _OPTIONS[scheme]:
            raise unknown_name(f"option of {scheme.value}://", option, _OPTIONS[scheme])
    if scheme in (Scheme.FILE, Scheme.LSL):
        name = unquote(parts.netloc + parts.path)
        name = name.rstrip("/") if scheme is Scheme.LSL else name
        return Address(scheme, _required(name, scheme, text), options=options)
    return _server(scheme, parts, text, options)


def _split(text: str, example: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise InputError(f"expected an address like {example}, got '{text}'") from error


def _server(scheme: Scheme, parts: SplitResult, text: str, options: dict[str, str]) -> Address:
    try:
        port = parts.port or (6379 if scheme is Scheme.REDIS else 0)
    except ValueError:
        port = 0
    name = parts.path.strip("/")
    if not port or "@" in parts.netloc or (scheme is Scheme.ZMQ and name):
        raise InputError(f"expected an address like {EXAMPLES[scheme]}, got '{text}'")
    name = _required(name, scheme, text) if scheme is Scheme.REDIS else ""
    return Address(scheme, name, parts.hostname or LOOPBACK, port, options)


def open_source(address: Address) -> Source:
    """Connect to where data come from.

    Raises
    ------
    InputError
        If that is not possible: no such file, no server.
    """
    if address.scheme is Scheme.FILE:
        return _replay(address)
    if address.scheme is Scheme.LSL:
        from neurodyn.realtime.streams.lsl import LslSource

        return LslSource(address.name, network="network" in address.options)
    if address.scheme is Scheme.ZMQ:
        from neurodyn.realtime.streams.zmq import ZmqSource

        return ZmqSource(f"tcp://{address.host}:{address.port}")
    from neurodyn.realtime.streams.redis import RedisSource

    return RedisSource(address.host, address.port, address.name, dtype=address.options.get("dtype", "float32"))


def open_sink(address: Address) -> Sink:
    """Connect to where data go, or bind it.

    Raises
    ------
    InputError
        If that is not possible: the port is taken, no server, a folder that is not there.
    """
    if address.scheme is Scheme.FILE:
        from neurodyn.realtime.streams.file import JsonLinesSink

        return JsonLinesSink(address.name, fresh="new" in address.options)
    if address.scheme is Scheme.LSL:
        from neurodyn.realtime.streams.lsl import LslSink

        return LslSink(address.name, network="network" in address.options)
    if address.scheme is Scheme.ZMQ:
        from neurodyn.realtime.streams.zmq import ZmqSink

        return ZmqSink(f"tcp://{address.host}:{address.port}", rates="rates" in address.options)
    from neurodyn.realtime.streams.redis import RedisSink

    return RedisSink(address.host, address.port, address.name)


def _replay(address: Address) -> Source:
    from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
    from neurodyn.recording import read_recording

    numbers = {name: _number(name, text) for name, text in address.options.items() if name != "new"}
    options = ReplayOptions(speed=numbers.get("speed", 1.0), start=numbers.get("start"), stop=numbers.get("stop"))
    return FileReplay(read_recording(Path(address.name)), options)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"expected a number for '{name}' of file://, got '{text}'") from None


def _required(name: str, scheme: Scheme, text: str) -> str:
    if not name:
        raise InputError(f"expected an address like {EXAMPLES[scheme]}, got '{text}'")
    return name
