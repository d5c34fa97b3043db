"""Decoders that take one bin at a time, and what feeds them."""

from neurodyn.realtime.adaptive import AdaptiveIntervals
from neurodyn.realtime.binner import StreamingBinner
from neurodyn.realtime.bins import Bin, LatePolicy
from neurodyn.realtime.buffers import FieldInput, SpikeInput
from neurodyn.realtime.contract import BenchmarkDecoder
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.drift import DriftPolicy
from neurodyn.realtime.events import Event, EventKind, EventLog
from neurodyn.realtime.latency import LatencyHistogram, Stats
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.recalibration import Recalibration
from neurodyn.realtime.runner import Frozen, LiveEstimate, Runner

__all__ = [
    "AdaptiveIntervals",
    "BenchmarkDecoder",
    "Bin",
    "DriftPolicy",
    "Event",
    "EventKind",
    "EventLog",
    "FieldInput",
    "Frozen",
    "LatePolicy",
    "LatencyHistogram",
    "LiveEstimate",
    "OutputLimits",
    "RealtimeDecoder",
    "Recalibration",
    "Runner",
    "SpikeInput",
    "Stats",
    "StreamingBinner",
]
