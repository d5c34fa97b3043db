"""How long symbols last in the model that a network was trained on: what its slow regions are measured by."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism.activity import Activity


@dataclass(frozen=True)
class Dwell:
    """How long the likeliest symbol lasts.

    Parameters
    ----------
    steps
        Mean steps to its change, from a random moment; a wait longer than the horizon counts as the horizon.
    rate
        Changes per step of a state whose symbol is its own.
    flips
        Changes of the likeliest symbol per step, over all time: what a network's symbols are held against.
    jump
        What `jump_share` is for a network that jumps from state to state as the model does.
    settles
        Share of the changes after which the new symbol lasts for a few steps in such a network, see
        `settling_changes`.
    whose
        "model" or "recording".
    """

    steps: float
    rate: float
    flips: float
    jump: float
    settles: float
    whose: str

    def undecided(self, steps: int) -> float:
        """Share of runs that are not where most of them are, so many steps after a moment at which they were one.

        That of two symbols that take turns with this rate.
        """
        return 0.5 * (1 - (1 - 2 * min(self.rate, 0.5)) ** steps)


def dwell_of_model(model: HiddenMarkovModel, horizon: int) -> Dwell | None:
    """How long the likeliest symbols of a model's own states last.

    A state in which two symbols are the likeliest together counts as a change: a network may be at either of them
    there. None if all states are of that kind.

    Parameters
    ----------
    model
        Hidden Markov model with categorical emissions.
    horizon
        Steps at which a wait is cut.

    Examples
    --------
    >>> from neurodyn.markov import linear_chain
    >>> dwell_of_model(linear_chain(2), 1000)
    Dwell(steps=20.0, rate=0.05, flips=0.05, jump=1.0, settles=0.91, whose='model')
    """
    emissions, transitions = model.emissions, model.transitions
    symbol = emissions.argmax(axis=1)
    clear = np.isclose(emissions, emissions.max(axis=1, keepdims=True)).sum(axis=1) == 1
    if not clear.any():
        return None
    share = stationary(model)
    waits = np.zeros(len(symbol))
    leaving = np.zeros(len(symbol))
    for state in np.flatnonzero(clear):
        same = np.flatnonzero(clear & (symbol == symbol[state]))
        within = transitions[np.ix_(same, same)]
        left = (same == state).astype(float)
        leaving[state] = 1 - within[same == state].sum()
        for _ in range(horizon):  # E[min(T, horizon)] is the sum of P(T > t) over t below the horizon
            waits[state] += left.sum()
            left = left @ within
    # Of symbols that are the likeliest together the first counts: somewhere a network that is there has to be.
    flips = float(share @ (transitions * (symbol[:, None] != symbol)).sum(axis=1))
    share = share[clear] / share[clear].sum()
    steps, rate = (round(float(share @ values[clear]), 9) for values in (waits, leaving))
    example = jumping(model, seed=0)
    lasting, changes = settling_changes(example)
    return Dwell(steps, rate, round(flips, 9), jump_share(example), round(lasting / max(changes, 1), 2), "model")


def dwell_of_recording(activity: Activity, horizon: int) -> Dwell | None:
    """The same of a recording, from how often the likeliest symbol changes; None if it never does."""
    symbols = activity.likeliest
    rate = float((symbols[:, 1:] != symbols[:, :-1]).mean()) if symbols.shape[1] > 1 else 0.0
    return Dwell((1 - (1 - rate) ** horizon) / rate, rate, rate, 1.0, 1.0, "recording") if rate else None


def jumping(model: HiddenMarkovModel, *, trials: int = 100, steps: int = 100, seed: int) -> Activity:
    """States of a model as activity, one unit each: what a network does that emulates it by jumping as it does.

    Parameters
    ----------
    model
        Hidden Markov model with categorical emissions.
    trials, steps
        Size.
    seed
        Seed of the states.
    """
    rng, chances = np.random.default_rng(seed), np.cumsum(model.transitions, axis=1)
    last = len(chances) - 1
    state = rng.choice(last + 1, size=trials, p=stationary(model))
    course = np.zeros((trials, steps), int)
    for t in range(steps):
        course[:, t] = state
        state = np.minimum((rng.random((trials, 1)) > chances[state]).sum(axis=1), last)
    return Activity(np.eye(last + 1)[course], np.zeros((trials, steps, 1)), np.log(model.emissions + 1e-12)[course])


def stationary(model: HiddenMarkovModel) -> Float[np.ndarray, " states"]:
    """Share of time that a model spends in each of its states."""
    values, vectors = np.linalg.eig(model.transitions.T)
    share = np.abs(np.real(vectors[:, np.argmin(np.abs(values - 1))]))
    return share / share.sum()


def settling_changes(activity: Activity, settled: int = 3) -> tuple[int, int]:
    """Changes of the likeliest symbol after which the new one lasts for some steps, and all changes.

    Parameters
    ----------
    activity
        Recording; its last steps do not count.
    settled
        How many steps.
    """
    symbols, changes = activity.likeliest, activity.changes()
    changes = changes[changes[:, 1] + settled <= symbols.shape[1]]
    ahead = symbols[changes[:, :1], changes[:, 1:2] + np.arange(settled)]
    return int((ahead == changes[:, 3:]).all(axis=1).sum()), len(changes)


def jump_share(activity: Activity, settled: int = 3) -> float:
    """Part of the way from one symbol's states to another's that is gone in the step in which the symbol changes.

    1 where the symbol changes from one step to the next and no state lies on the way; NaN without changes between
    symbols that last for a few steps. The way is that from mean to mean of the settled states.

    Parameters
    ----------
    activity
        Recording.
    settled
        Steps for which a symbol has to have been the likeliest for a state to count as settled.
    """
    where = activity.settled(settled)
    means = {int(s): activity.states[where == s].mean(axis=0) for s in np.unique(where) if s >= 0}
    parts = []
    for trial, time, old, new in activity.changes():
        if old in means and new in means and (size := float(np.square(way := means[new] - means[old]).sum())) > 0:
            parts.append(float((activity.states[trial, time] - activity.states[trial, time - 1]) @ way) / size)
    return float(np.median(parts)) if parts else float("nan")
