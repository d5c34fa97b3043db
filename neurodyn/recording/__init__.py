"""A recording in seconds, and the readers and writers that take it from and to files."""

from neurodyn.recording.arrays import (
    intervals_from_pandas,
    intervals_to_pandas,
    recording_from_arrays,
    signal_from_xarray,
    signal_to_xarray,
)
from neurodyn.recording.checks import ImplausibleWarning, doubts
from neurodyn.recording.compare import differences
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.files import read_recording, read_variables, write_recording
from neurodyn.recording.hdf5 import read_hdf5
from neurodyn.recording.hdf5_write import write_hdf5
from neurodyn.recording.inspect import ItemKind, ItemSummary, describe
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.layout import (
    CountsLayout,
    IntervalsLayout,
    Layout,
    SignalLayout,
    SpikesLayout,
)
from neurodyn.recording.layout_file import layout_text, read_layout
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Repeated, Unusable
from neurodyn.recording.matlab import read_matlab, write_matlab
from neurodyn.recording.nwb import read_nwb
from neurodyn.recording.nwb_export import write_results
from neurodyn.recording.nwb_write import write_nwb
from neurodyn.recording.pynapple import recording_from_pynapple
from neurodyn.recording.recorded import (
    invalid_times,
    recorded_span,
    silent_ends,
    spike_supports,
    with_support,
    without_invalid_times,
)
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

MatlabLayout, MatlabSignal = Layout, SignalLayout
"""Names that layouts had while they were for MATLAB files only."""

__all__ = [
    "BinnedCounts",
    "CountsLayout",
    "ImplausibleWarning",
    "Intervals",
    "IntervalsLayout",
    "ItemKind",
    "ItemSummary",
    "Layout",
    "LazyArray",
    "MatlabLayout",
    "MatlabSignal",
    "Recording",
    "Repeated",
    "Signal",
    "SignalLayout",
    "SpikeTrains",
    "SpikesLayout",
    "TimeSupport",
    "Unusable",
    "describe",
    "differences",
    "doubts",
    "intervals_from_pandas",
    "intervals_to_pandas",
    "invalid_times",
    "layout_text",
    "read_hdf5",
    "read_layout",
    "read_matlab",
    "read_nwb",
    "read_recording",
    "read_variables",
    "recorded_span",
    "recording_from_arrays",
    "recording_from_pynapple",
    "signal_from_xarray",
    "signal_to_xarray",
    "silent_ends",
    "spike_supports",
    "with_support",
    "without_invalid_times",
    "write_hdf5",
    "write_matlab",
    "write_nwb",
    "write_recording",
    "write_results",
]
