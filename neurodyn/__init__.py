"""Multiscale neural dynamics on JAX: decode behaviour live; train networks to emulate HMMs and find out how they do it.

Names are imported on first use: ``import neurodyn as nd`` costs milliseconds, JAX loads when a model is made.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Field": "neurodyn.binning",
    "Modality": "neurodyn.binning",
    "MultimodalBatch": "neurodyn.binning",
    "Spikes": "neurodyn.binning",
    "TimeGrid": "neurodyn.binning",
    "time_folds": "neurodyn.binning",
    "to_bins": "neurodyn.binning",
    "trial_folds": "neurodyn.binning",
    "CausalRidge": "neurodyn.baselines",
    "HiddenMarkovModel": "neurodyn.markov",
    "HmmEmulator": "neurodyn.emulation",
    "InputError": "neurodyn.errors",
    "MultiscaleDecoder": "neurodyn.multiscale",
    "Recording": "neurodyn.recording",
    "read_nwb": "neurodyn.recording",
    "read_recording": "neurodyn.recording",
    "simulate_lorenz": "neurodyn.simulation",
}
_PACKAGES = (
    "baselines", "binning", "emulation", "errors", "evaluation", "fixed_points", "kernels", "markov", "mechanism",
    "multiscale", "plotting", "realtime", "recording", "report", "simulation", "targets", "training",
)  # fmt: skip

__all__ = [*_HOME, *_PACKAGES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"neurodyn.{name}")
    raise AttributeError(f"module 'neurodyn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
