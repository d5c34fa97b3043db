"""Every way for data to come and go, by what its addresses begin with: ``lsl://name``, ``zmq://127.0.0.1:5555``.

To add one, see ADDING_A_STREAM.md.
"""

from neurodyn.errors import InputError
from neurodyn.realtime.streams import file, lsl, redis, zmq
from neurodyn.realtime.streams.address import Address, Scheme
from neurodyn.realtime.streams.protocol import Sink, Source

SCHEMES: dict[str, Scheme] = {
    "file": file.SCHEME,
    "lsl": lsl.SCHEME,
    "zmq": zmq.SCHEME,
    "redis": redis.SCHEME,
}
"""By their names, in the order in which errors and help name them."""


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises
    ------
    InputError
        If it is not one; the message shows what one looks like.

    Examples
    --------
    >>> address = parse_address("zmq://:5555?rates")
    >>> address.scheme.name, address.host, address.port, dict(address.options)
    ('zmq', '127.0.0.1', 5555, {'rates': ''})
    """
    begin, separator, _ = text.partition("://")
    if begin not in SCHEMES or not separator:
        examples = ", ".join(scheme.example for scheme in SCHEMES.values())
        raise InputError(f"expected an address like {examples}, got '{text}'")
    return SCHEMES[begin].parse(text)


def open_source(address: Address) -> Source:
    """Connect to where data come from.

    Raises
    ------
    InputError
        If that is not possible: no such file, no server.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.realtime.streams import open_source, parse_address
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     source = open_source(parse_address(f"file://{path}?speed=inf"))
    ...     sorted({chunk.name for chunk in source.read(timeout=0.1)})
    ...     source.close()
    ['field', 'spikes']
    """
    return address.scheme.source(address)


def open_sink(address: Address) -> Sink:
    """Connect to where data go, or bind it.

    Raises
    ------
    InputError
        If that is not possible: the port is taken, no server, a folder that is not there.

    Examples
    --------
    >>> import tempfile
    >>> from neurodyn.realtime.streams import open_sink, parse_address
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = open_sink(parse_address(f"file://{folder}/estimates.jsonl"))  # what a live decoder writes to
    ...     type(sink).__name__
    ...     sink.close()
    'JsonLinesSink'
    """
    return address.scheme.sink(address)


def live_schemes() -> list[Scheme]:
    """Those whose data come when they are recorded, and that a replay can go to.

    Examples
    --------
    >>> [scheme.name for scheme in live_schemes()]
    ['lsl', 'zmq', 'redis']
    """
    return [scheme for scheme in SCHEMES.values() if scheme.live]
