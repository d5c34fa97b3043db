"""A recording in seconds, and the readers that make one from a file."""

from neurodyn.recording.inspect import ItemSummary, Kind, describe
from neurodyn.recording.nwb import read_nwb
from neurodyn.recording.recording import Intervals, Recording, Signal, SpikeTrains

__all__ = ["Intervals", "ItemSummary", "Kind", "Recording", "Signal", "SpikeTrains", "describe", "read_nwb"]
