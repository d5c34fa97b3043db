"""Training that shows progress, can be stopped, resumes exactly and keeps the best parameters."""

from neurodyn.training.average import running_average
from neurodyn.training.checkpoint import in_this_precision, load_arrays, load_settings, save_checkpoint
from neurodyn.training.devices import Placement
from neurodyn.training.loop import History, LoopConfig, Outcome, train
from neurodyn.training.progress import Bar, Progress, Silent
from neurodyn.training.schedule import triangular
from neurodyn.training.together import hold, train_together

__all__ = [
    "Bar",
    "History",
    "LoopConfig",
    "Outcome",
    "Placement",
    "Progress",
    "Silent",
    "hold",
    "in_this_precision",
    "load_arrays",
    "load_settings",
    "running_average",
    "save_checkpoint",
    "train",
    "train_together",
    "triangular",
]
