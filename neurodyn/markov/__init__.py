"""Hidden Markov models with categorical emissions: families, sampling, exact inference, fits.  See README.md."""

import importlib
from typing import TYPE_CHECKING, Any

from neurodyn.markov.alignment import align_states, state_order
from neurodyn.markov.em import EmConfig, EmFit, fit_em, run_em
from neurodyn.markov.families import FAMILIES, cycle, fully_connected, linear_chain
from neurodyn.markov.inference import filter_states, log_likelihood, smooth_states, viterbi
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import MISSING, Sequences, check_symbols, pad_symbols, sample

if TYPE_CHECKING:
    from neurodyn.markov.bayes import BayesConfig, Posterior, fit_bayesian

# NumPyro takes seconds to import and the fit by sampling alone needs it.
_LAZY = ("BayesConfig", "Posterior", "fit_bayesian")

__all__ = [
    "FAMILIES",
    "MISSING",
    "BayesConfig",
    "EmConfig",
    "EmFit",
    "HiddenMarkovModel",
    "Posterior",
    "Sequences",
    "align_states",
    "check_symbols",
    "cycle",
    "filter_states",
    "fit_bayesian",
    "fit_em",
    "fully_connected",
    "linear_chain",
    "log_likelihood",
    "pad_symbols",
    "run_em",
    "sample",
    "smooth_states",
    "state_order",
    "viterbi",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module("neurodyn.markov.bayes"), name)
    raise AttributeError(f"module 'neurodyn.markov' has no attribute '{name}'")
