"""What the hidden states of a model emit: one file per kind, one row each in ``table.py``.  See the room's README."""

from neurodyn.markov.emissions.autoregressive import Autoregressive
from neurodyn.markov.emissions.base import Emission, Prepared
from neurodyn.markov.emissions.categorical import Categorical
from neurodyn.markov.emissions.choices import Choices
from neurodyn.markov.emissions.diagonal import DiagonalGaussian
from neurodyn.markov.emissions.gaussian import Gaussian
from neurodyn.markov.emissions.poisson import Poisson
from neurodyn.markov.emissions.table import EMISSIONS, make_emission

__all__ = [
    "EMISSIONS",
    "Autoregressive",
    "Categorical",
    "Choices",
    "DiagonalGaussian",
    "Emission",
    "Gaussian",
    "Poisson",
    "Prepared",
    "make_emission",
]
