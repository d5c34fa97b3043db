"""Hidden Markov models: families, sampling, exact inference, fits, numbers of states, any emission.  See README.md."""

import importlib
from typing import TYPE_CHECKING, Any

from neurodyn.markov.alignment import align_states, match_states, overlap, state_order
from neurodyn.markov.config import BayesConfig, EmConfig
from neurodyn.markov.em import EmFit, EmRun, fit_em, fit_hmm, run_em
from neurodyn.markov.emissions import (
    EMISSIONS,
    Autoregressive,
    Categorical,
    Choices,
    DiagonalGaussian,
    Emission,
    Gaussian,
    Poisson,
    make_emission,
)
from neurodyn.markov.families import FAMILIES, cycle, fully_connected, linear_chain
from neurodyn.markov.general import GeneralHmm, as_general, as_symbols
from neurodyn.markov.inference import filter_states, log_likelihood, smooth_states, viterbi
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import Sequences, Trials, sample
from neurodyn.markov.selection import StateChoice, aic, bic, choose_states, parameter_count, score
from neurodyn.markov.symbols import MISSING, check_symbols, pad_sequences

if TYPE_CHECKING:
    from neurodyn.markov.bayes import Posterior, fit_bayesian
    from neurodyn.markov.posterior import GeneralPosterior, fit_posterior

# NumPyro takes seconds to import and the fits by sampling alone need it.
_LAZY = {
    "GeneralPosterior": "posterior",
    "Posterior": "bayes",
    "fit_bayesian": "bayes",
    "fit_posterior": "posterior",
}

__all__ = [
    "EMISSIONS",
    "FAMILIES",
    "MISSING",
    "Autoregressive",
    "BayesConfig",
    "Categorical",
    "Choices",
    "DiagonalGaussian",
    "EmConfig",
    "EmFit",
    "EmRun",
    "Emission",
    "Gaussian",
    "GeneralHmm",
    "GeneralPosterior",
    "HiddenMarkovModel",
    "Poisson",
    "Posterior",
    "Sequences",
    "StateChoice",
    "Trials",
    "aic",
    "align_states",
    "as_general",
    "as_symbols",
    "bic",
    "check_symbols",
    "choose_states",
    "cycle",
    "filter_states",
    "fit_bayesian",
    "fit_em",
    "fit_hmm",
    "fit_posterior",
    "fully_connected",
    "linear_chain",
    "log_likelihood",
    "make_emission",
    "match_states",
    "overlap",
    "pad_sequences",
    "parameter_count",
    "run_em",
    "sample",
    "score",
    "smooth_states",
    "state_order",
    "viterbi",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"neurodyn.markov.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'neurodyn.markov' has no attribute '{name}'")
