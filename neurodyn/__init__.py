"""Multiscale neural dynamics on JAX: decode behaviour live; train networks to emulate HMMs and find out how they do it.

Names are imported on first use: ``import neurodyn as nd`` costs milliseconds, JAX loads when a model is made.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; in a running program __getattr__ imports each on first use
    from neurodyn import (
        baselines,
        binning,
        emulation,
        errors,
        evaluation,
        fixed_points,
        history,
        kernels,
        markov,
        mechanism,
        multiscale,
        plotting,
        realtime,
        recording,
        recurrent,
        report,
        simulation,
        sweep,
        targets,
        training,
    )
    from neurodyn.baselines import CausalGru, CausalRidge
    from neurodyn.binning import (
        Field,
        Fold,
        Modality,
        MultimodalBatch,
        Spikes,
        TimeGrid,
        holdout,
        time_folds,
        to_bins,
        trial_folds,
    )
    from neurodyn.emulation import HmmEmulator
    from neurodyn.errors import InputError
    from neurodyn.evaluation import CrossValidation, Method, cross_validate
    from neurodyn.loading import load
    from neurodyn.markov import HiddenMarkovModel
    from neurodyn.multiscale import MultiscaleDecoder, TrainingConfig
    from neurodyn.realtime import RealtimeDecoder
    from neurodyn.recording import Recording, read_nwb, read_recording
    from neurodyn.simulation import simulate_foraging, simulate_lorenz

__version__ = "0.1.0"

__all__ = [
    "CausalGru",
    "CausalRidge",
    "CrossValidation",
    "Field",
    "Fold",
    "HiddenMarkovModel",
    "HmmEmulator",
    "InputError",
    "Method",
    "Modality",
    "MultimodalBatch",
    "MultiscaleDecoder",
    "RealtimeDecoder",
    "Recording",
    "Spikes",
    "TimeGrid",
    "TrainingConfig",
    "baselines",
    "binning",
    "cross_validate",
    "emulation",
    "errors",
    "evaluation",
    "fixed_points",
    "history",
    "holdout",
    "kernels",
    "load",
    "markov",
    "mechanism",
    "multiscale",
    "plotting",
    "read_nwb",
    "read_recording",
    "realtime",
    "recording",
    "recurrent",
    "report",
    "simulate_foraging",
    "simulate_lorenz",
    "simulation",
    "sweep",
    "targets",
    "time_folds",
    "to_bins",
    "training",
    "trial_folds",
]

_HOME = {
    "CausalGru": "baselines",
    "CausalRidge": "baselines",
    "CrossValidation": "evaluation",
    "Field": "binning",
    "Fold": "binning",
    "HiddenMarkovModel": "markov",
    "HmmEmulator": "emulation",
    "InputError": "errors",
    "Method": "evaluation",
    "Modality": "binning",
    "MultimodalBatch": "binning",
    "MultiscaleDecoder": "multiscale",
    "RealtimeDecoder": "realtime",
    "Recording": "recording",
    "Spikes": "binning",
    "TimeGrid": "binning",
    "TrainingConfig": "multiscale",
    "cross_validate": "evaluation",
    "holdout": "binning",
    "load": "loading",
    "read_nwb": "recording",
    "read_recording": "recording",
    "simulate_foraging": "simulation",
    "simulate_lorenz": "simulation",
    "time_folds": "binning",
    "to_bins": "binning",
    "trial_folds": "binning",
}
"""Module below ``neurodyn`` that a name comes from; every other name of ``__all__`` is itself such a module."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"neurodyn.{_HOME[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"neurodyn.{name}")
    raise AttributeError(f"module 'neurodyn' has no attribute '{name}'{_hint(name)}", name=name)


def _hint(name: str) -> str:
    """Name that was probably meant; tools look for names with an underscore all the time."""
    if name.startswith("_"):
        return ""
    import difflib

    near = difflib.get_close_matches(name, __all__, n=1)
    return f": did you mean '{near[0]}'?" if near else ""


def __dir__() -> list[str]:
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
