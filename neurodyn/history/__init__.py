"""What linear decoders see of the past: see README.md."""

from neurodyn.history.filters import ExponentialFilters, History, Lags, SampleLags, StreamedHistory
from neurodyn.history.streams import Features, TrainingRows, scored_blocks

__all__ = [
    "ExponentialFilters",
    "Features",
    "History",
    "Lags",
    "SampleLags",
    "StreamedHistory",
    "TrainingRows",
    "scored_blocks",
]
