"""Where live data come from and where estimates go: files, Lab Streaming Layer, ZeroMQ, Redis."""

from neurodyn.realtime.streams.address import Address, Scheme, open_sink, open_source, parse_address
from neurodyn.realtime.streams.pace import MergedSource
from neurodyn.realtime.streams.protocol import Chunk, EndOfStream, Kind, Sink, Source

__all__ = [
    "Address",
    "Chunk",
    "EndOfStream",
    "Kind",
    "MergedSource",
    "Scheme",
    "Sink",
    "Source",
    "open_sink",
    "open_source",
    "parse_address",
]
