"""The table of emissions: a new kind is a class in a file of its own, and an import and a line here.

ADDING_AN_EMISSION.md says what a class must have.
"""

from typing import Any

from neurodyn.errors import InputError, unknown_name
from neurodyn.markov.emissions.autoregressive import Autoregressive
from neurodyn.markov.emissions.base import Emission
from neurodyn.markov.emissions.categorical import Categorical
from neurodyn.markov.emissions.choices import Choices
from neurodyn.markov.emissions.diagonal import DiagonalGaussian
from neurodyn.markov.emissions.gaussian import Gaussian
from neurodyn.markov.emissions.poisson import Poisson

EMISSIONS: dict[str, type[Emission]] = {
    "categorical": Categorical,
    "choices": Choices,
    "gaussian": Gaussian,
    "diagonal_gaussian": DiagonalGaussian,
    "poisson": Poisson,
    "autoregressive": Autoregressive,
}
"""By the name that a saved model gives."""


def make_emission(given: str | Emission, **settings: Any) -> Emission:
    """Return the emission that a name of the table stands for, with these settings; an emission stays what it is.

    Parameters
    ----------
    given
        A key of `EMISSIONS`, or an emission.
    settings
        Those of its class, where a name is given.

    Raises
    ------
    InputError
        If there is none of that name, or it has no such settings or needs others.

    Examples
    --------
    >>> make_emission("autoregressive", lags=2).lags
    2
    """
    if isinstance(given, Emission):
        return given
    if given not in EMISSIONS:
        raise unknown_name("emission", given, EMISSIONS)
    try:
        return EMISSIONS[given](**settings)
    except TypeError as error:
        raise InputError(f"emission '{given}' cannot be made of the settings {settings}: {error}") from error


def name_of(emission: Emission) -> str:
    """Return the key of the table under which the class of an emission stands.

    Raises
    ------
    InputError
        If it stands under none: a model that has it could not be loaded.
    """
    for name, kind in EMISSIONS.items():
        if type(emission) is kind:
            return name
    raise InputError(f"{type(emission).__name__} is not in the table of emissions: see ADDING_AN_EMISSION.md")
