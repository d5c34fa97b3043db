"""Small hidden Markov models and sequences that are not special in any way."""

import numpy as np

from neurodyn.markov import HiddenMarkovModel, Sequences, sample


def random_hmm(seed: int, states: int = 3, symbols: int = 4) -> HiddenMarkovModel:
    rng = np.random.default_rng(seed)
    return HiddenMarkovModel(
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states), states),
        rng.dirichlet(np.ones(symbols), states),
        name="random",
        trial_steps=6,
    )


def arrays(hmm: HiddenMarkovModel):
    return hmm.initial, hmm.transitions, hmm.emissions


def some_symbols(seed: int, trials: int = 4, steps: int = 5, symbols: int = 4, missing: float = 0.25) -> np.ndarray:
    """Any symbols at all, some of them missing; the first trial has none missing and the last nothing else."""
    rng = np.random.default_rng(100 + seed)
    drawn = rng.integers(symbols, size=(trials, steps))
    lost = rng.random((trials, steps)) < missing
    lost[0], lost[-1] = False, True
    return np.where(lost, -1, drawn).astype(np.int32)


class Emulates:
    """An emulator that is a hidden Markov model: a perfect one of itself, and a wrong one of any other."""

    def __init__(self, hmm: HiddenMarkovModel) -> None:
        self.hmm = hmm

    def generate(self, trials: int, steps: int, *, seed: int) -> Sequences:
        return sample(self.hmm, trials, steps, seed=seed)


class Repeats:
    """An emulator whose every trial is the same given sequence of symbols, repeated as often as needed."""

    def __init__(self, symbols) -> None:
        self.symbols = np.asarray(symbols)

    def generate(self, trials: int, steps: int, *, seed: int) -> Sequences:
        trial = np.resize(self.symbols, steps).astype(np.int32)
        symbols = np.tile(trial, (trials, 1))
        return Sequences(symbols, symbols)
