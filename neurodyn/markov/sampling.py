"""Sequences drawn from a hidden Markov model, all trials at once."""

from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import Float, Int32

from neurodyn.errors import InputError
from neurodyn.markov.general import GeneralHmm
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.rows import bounds, choose, choose_within


@dataclass(frozen=True)
class Sequences:
    """Hidden states and emitted symbols.

    Parameters
    ----------
    states, symbols
        (trials, time), counted from 0.

    Examples
    --------
    >>> from neurodyn.markov import linear_chain, sample
    >>> drawn = sample(linear_chain(2), trials=3, steps=50, seed=0)
    >>> drawn.states.shape, drawn.symbols.shape, int(drawn.symbols.max())
    ((3, 50), (3, 50), 2)
    """

    states: Int32[np.ndarray, "trials time"]
    symbols: Int32[np.ndarray, "trials time"]


@dataclass(frozen=True)
class Trials:
    """Hidden states and what they emitted.

    Parameters
    ----------
    states
        (trials, time), counted from 0.
    observations
        (trials, time, channels), or (trials, time) of symbols.

    Examples
    --------
    >>> from neurodyn.markov import GeneralHmm, sample
    >>> cells = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], "poisson", {"rate": [[1.0, 2.0], [9.0, 4.0]]})
    >>> drawn = sample(cells, trials=3, steps=50, seed=0)
    >>> drawn.states.shape, drawn.observations.shape
    ((3, 50), (3, 50, 2))
    """

    states: Int32[np.ndarray, "trials time"]
    observations: Float[np.ndarray, "trials time channels"] | Int32[np.ndarray, "trials time"]


@overload
def sample(hmm: HiddenMarkovModel, trials: int, steps: int, *, seed: int) -> Sequences: ...
@overload
def sample(hmm: GeneralHmm, trials: int, steps: int, *, seed: int) -> Trials: ...
def sample(hmm: HiddenMarkovModel | GeneralHmm, trials: int, steps: int, *, seed: int) -> Sequences | Trials:
    """Draw independent trials from a model.

    Parameters
    ----------
    hmm
        The model.
    trials, steps
        How many trials, and of how many steps.
    seed
        Seed of everything random.

    Returns
    -------
    Hidden states, and what they emitted: ``symbols`` of a `HiddenMarkovModel`, ``observations`` of a `GeneralHmm`.

    Raises
    ------
    InputError
        If there is no trial or no step.

    Examples
    --------
    >>> hmm = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], "poisson", {"rate": [[1.0], [9.0]]})
    >>> sample(hmm, 3, 50, seed=0).observations.shape
    (3, 50, 1)
    """
    if trials < 1 or steps < 1:
        raise InputError(f"expected at least one trial and one step, got {trials} trials of {steps} steps")
    path_rng, emission_rng = np.random.default_rng(seed).spawn(2)
    upper = bounds(hmm.transitions)
    states = np.empty((steps, trials), np.int32)  # time first: a step's states lie side by side
    states[0] = choose(hmm.initial[None], np.zeros(trials, np.int32), path_rng)
    for t in range(1, steps):
        states[t] = choose_within(upper, states[t - 1], path_rng)
    states = np.ascontiguousarray(states.T)
    if isinstance(hmm, HiddenMarkovModel):
        return Sequences(states, choose(hmm.emissions, states, emission_rng))
    return Trials(states, hmm.emission.sample(hmm.parameters, states, emission_rng))
