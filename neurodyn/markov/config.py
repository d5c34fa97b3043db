"""Settings of the fits, and the prior of the hidden path."""

from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import xlogy

from neurodyn.errors import InputError


@dataclass(frozen=True)
class EmConfig:
    """When a start is over, how many there are, and the prior of the hidden path.

    With the values that are set, the prior is flat and the fit is the most likely model; with others it is the most
    probable one (maximum a posteriori).

    Parameters
    ----------
    restarts
        Random starts; the one that ends with the highest likelihood (with a prior: posterior) is kept.
    iterations
        The most steps of a start.
    tolerance
        A start has converged when a step adds less than this to the log-likelihood per step seen (nats).
    initial, transitions
        Concentration of the Dirichlet prior of the initial probabilities and of each row of the transitions: 1 is flat,
        more pulls towards equal probabilities, as if ``concentration - 1`` more of each had been counted.
    stickiness
        Added to the concentration of staying in a state (kappa of the sticky hidden Markov model): as if each state had
        been seen to stay so many times more. It keeps states from flickering.
    emissions
        Concentration of the Dirichlet prior of each row of the emissions, where a `HiddenMarkovModel` is fitted; the
        emissions of the table have a prior of their own.

    Reference
    ---------
    Fox et al. (2011), A sticky HDP-HMM with application to speaker diarization, Annals of Applied Statistics 5(2A).

    Examples
    --------
    >>> from neurodyn.markov import EmConfig
    >>> EmConfig(restarts=5, stickiness=20.0).added(2).tolist()
    [[20.0, 0.0], [0.0, 20.0]]
    """

    restarts: int = 10
    iterations: int = 500
    tolerance: float = 1e-6
    initial: float = 1.0
    transitions: float = 1.0
    stickiness: float = 0.0
    emissions: float = 1.0

    def __post_init__(self) -> None:
        for name in ("restarts", "iterations", "tolerance"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("initial", "transitions", "emissions"):
            if not getattr(self, name) >= 1:
                raise InputError(f"the concentration {name} must be at least 1, got {getattr(self, name)}")
        if not self.stickiness >= 0:
            raise InputError(f"stickiness must be 0 or more, got {self.stickiness}")

    def added(self, states: int) -> Float[np.ndarray, "states states"]:
        """What the prior adds to the counts of transitions."""
        return np.full((states, states), self.transitions - 1) + self.stickiness * np.eye(states)

    def log_prior(
        self, initial: Float[np.ndarray, " states"], transitions: Float[np.ndarray, "states states"]
    ) -> float:
        """Log of the prior of the hidden path, up to a constant."""
        path = xlogy(self.added(len(initial)), transitions).sum()
        return float(xlogy(self.initial - 1, initial).sum() + path)


@dataclass(frozen=True)
class BayesConfig:
    """Prior and sampler.

    Parameters
    ----------
    warmup, draws, chains
        Steps of the sampler that are thrown away, steps that are kept, and how many chains do so.
    initial, transitions, emissions
        Concentration of the Dirichlet prior of each row: 1 is uniform, more pulls towards equal probabilities.
    stickiness
        Added to the concentration of staying in a state, see `EmConfig`; 0 or more.
    em
        Search for the point at which all chains start.

    Examples
    --------
    >>> from neurodyn.markov import BayesConfig
    >>> BayesConfig(chains=4, stickiness=10.0).rows(2).tolist()
    [[11.0, 1.0], [1.0, 11.0]]
    """

    warmup: int = 500
    draws: int = 500
    chains: int = 2
    initial: float = 1.0
    transitions: float = 1.0
    emissions: float = 1.0
    stickiness: float = 0.0
    em: EmConfig = field(default_factory=EmConfig)

    def __post_init__(self) -> None:
        for name in ("warmup", "draws", "chains", "initial", "transitions", "emissions"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.stickiness >= 0:
            raise InputError(f"stickiness must be 0 or more, got {self.stickiness}")

    def rows(self, states: int) -> Float[Array, "states states"]:
        """Concentration of each row of the transitions."""
        return jnp.full((states, states), self.transitions) + self.stickiness * jnp.eye(states)
