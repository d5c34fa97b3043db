"""Training that shows progress, can be stopped, resumes exactly and keeps the best parameters."""

from neurodyn.training.average import running_average
from neurodyn.training.checkpoint import in_this_precision, load_arrays, load_settings, save_checkpoint
from neurodyn.training.devices import Placement
from neurodyn.training.engine import Run, Task, TrainState, fingerprint, fit, fit_together, gradient_step, initial_state
from neurodyn.training.history import History
from neurodyn.training.loop import LoopConfig, Outcome, select_trained, train, train_together
from neurodyn.training.progress import NoProgress, Progress, ProgressBar
from neurodyn.training.schedule import triangular

__all__ = [
    "History",
    "LoopConfig",
    "NoProgress",
    "Outcome",
    "Placement",
    "Progress",
    "ProgressBar",
    "Run",
    "Task",
    "TrainState",
    "fingerprint",
    "fit",
    "fit_together",
    "gradient_step",
    "in_this_precision",
    "initial_state",
    "load_arrays",
    "load_settings",
    "running_average",
    "save_checkpoint",
    "select_trained",
    "train",
    "train_together",
    "triangular",
]
