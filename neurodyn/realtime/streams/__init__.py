"""Where live data come from and where estimates go: files, Lab Streaming Layer, ZeroMQ, Redis."""

from neurodyn.realtime.streams.address import Address, Scheme
from neurodyn.realtime.streams.hello import Hello, StreamInfo
from neurodyn.realtime.streams.pace import MergedSource
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind, EndOfStream, Sink, Source
from neurodyn.realtime.streams.table import SCHEMES, open_sink, open_source, parse_address

__all__ = [
    "SCHEMES",
    "Address",
    "Chunk",
    "ChunkKind",
    "EndOfStream",
    "Hello",
    "MergedSource",
    "Scheme",
    "Sink",
    "Source",
    "StreamInfo",
    "open_sink",
    "open_source",
    "parse_address",
]
