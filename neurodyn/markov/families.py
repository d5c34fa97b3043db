"""The families of hidden Markov models of the paper: a linear chain, a fully connected graph, a cycle.

Every model starts in each of its states with equal probability.

Reference: Torre, Viscione, Pompe, Grewe & Mante (2025), Mechanistic Interpretability of RNNs emulating Hidden Markov
Models, NeurIPS (arXiv 2510.25674).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.markov.model import HiddenMarkovModel

CHAIN_STEPS = {2: 100, 3: 30, 4: 30, 5: 40}
"""Length of a trial in steps of the paper's chains, by their number of states."""


def linear_chain(states: int, *, crossing: float = 0.05, trial_steps: int | None = None) -> HiddenMarkovModel:
    r"""States in a row that emit the first symbol at one end and the last of three at the other.

    .. math::
        q = \mathrm{crossing}^{1/(M-1)}, \qquad A_{i,i \pm 1} = q, \qquad
        B_i = [0.99 (1 - b_i),\; 0.01,\; 0.99\, b_i], \quad b_i = i / (M - 1);

    what a row leaves over stays: ``1 - q`` at the ends and ``1 - 2 q`` between them.

    Parameters
    ----------
    states
        M, at least 2.
    crossing
        Probability to go from one end to the other in ``M - 1`` steps without a rest.
    trial_steps
        Length of a trial in steps; the paper's (100, 30, 30, 40 for 2 to 5 states) if None.

    Raises
    ------
    InputError
        If a state between the ends would have to stay with a negative probability (from 6 states at 0.05), or no
        ``trial_steps`` is given for a length of chain that the paper does not have.

    Examples
    --------
    >>> from neurodyn.markov import linear_chain
    >>> chain = linear_chain(3)
    >>> chain.states, chain.symbols, chain.emissions.round(3).tolist()
    (3, 3, [[0.99, 0.01, 0.0], [0.495, 0.01, 0.495], [0.0, 0.01, 0.99]])
    """
    _at_least(states, 2, "a chain")
    if not 0 < crossing < 1:
        raise InputError(f"crossing is a probability between 0 and 1, got {crossing}")
    move = crossing ** (1 / (states - 1))
    if states > 2 and move > 0.5:
        raise InputError(
            f"a chain of {states} states at crossing {crossing:g} moves to each neighbour with probability {move:.4f}, "
            f"so that a state between the ends would stay with {1 - 2 * move:.4f}: use fewer states, or a crossing of "
            f"at most {0.5 ** (states - 1):.4g}"
        )
    if trial_steps is None and states not in CHAIN_STEPS:
        raise InputError(f"the paper has chains of 2 to 5 states: give trial_steps for a chain of {states}")
    along = np.arange(states) / (states - 1)
    emissions = np.stack([0.99 * (1 - along), np.full(states, 0.01), 0.99 * along], axis=1)
    neighbours = np.eye(states, k=1) + np.eye(states, k=-1)
    steps = CHAIN_STEPS[states] if trial_steps is None else trial_steps
    return _uniform_start(f"chain{states}", _staying(move * neighbours), emissions, steps)


def fully_connected(
    states: int = 3, *, stay: float = 0.95, symbol_probability: float = 0.98, trial_steps: int = 30
) -> HiddenMarkovModel:
    """Every state goes to every other one with equal probability; each state has a symbol of its own.

    Parameters
    ----------
    states
        Number of states, and of symbols.
    stay
        Probability to stay in a state.
    symbol_probability
        Probability that a state emits its own symbol; the others share the rest.
    trial_steps
        Length of a trial in steps.

    Raises
    ------
    InputError
        If there are fewer than 2 states, or ``stay`` or ``symbol_probability`` is not between 0 and 1.

    Examples
    --------
    >>> from neurodyn.markov import fully_connected
    >>> fully_connected(3, stay=0.9).transitions.round(2).tolist()
    [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
    """
    _at_least(states, 2, "a fully connected model")
    for name, value in (("stay", stay), ("symbol_probability", symbol_probability)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is a probability between 0 and 1, got {value}")
    others = (1 - np.eye(states)) / (states - 1)
    emissions = symbol_probability * np.eye(states) + (1 - symbol_probability) * others
    return _uniform_start(f"fully_connected{states}", _staying((1 - stay) * others), emissions, trial_steps)


def cycle(
    states: int = 4, *, stay: float = 0.95, symbol_probability: float = 0.9, trial_steps: int = 40
) -> HiddenMarkovModel:
    """States in a ring whose symbols go up from the first to the last and down again.

    A state on the way up, after the first, sometimes emits the symbol below its own; one on the way down, and the
    first, the one above. With the four states of the paper the ring is A (a B now and then), B (A), C (B), B (C).

    Parameters
    ----------
    states
        Number of states, even and at least 4; there are ``states / 2 + 1`` symbols.
    stay
        Probability to stay in a state; the two neighbours share the rest.
    symbol_probability
        Probability that a state emits its own symbol.
    trial_steps
        Length of a trial in steps.

    Raises
    ------
    InputError
        If the number of states is odd or below 4, or ``stay`` or ``symbol_probability`` is not between 0 and 1.

    Examples
    --------
    >>> from neurodyn.markov import cycle
    >>> ring = cycle()
    >>> ring.states, ring.symbols, ring.emissions.argmax(axis=1).tolist()
    (4, 3, [0, 1, 2, 1])
    """
    if states < 4 or states % 2:
        raise InputError(
            f"a cycle goes up and down its symbols: it needs an even number of states from 4, got {states}"
        )
    for name, value in (("stay", stay), ("symbol_probability", symbol_probability)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is a probability between 0 and 1, got {value}")
    ring = np.eye(states)
    neighbours = np.roll(ring, 1, axis=1) + np.roll(ring, -1, axis=1)
    return _uniform_start(
        f"cycle{states}", _staying((1 - stay) / 2 * neighbours), _up_and_down(states, symbol_probability), trial_steps
    )


FAMILIES: dict[str, Callable[[int], HiddenMarkovModel]] = {
    "chain": linear_chain,
    "fully_connected": fully_connected,
    "cycle": cycle,
}
"""A model of each family from its number of states, by the name it has on the command line."""


def _up_and_down(states: int, symbol_probability: float) -> Float[np.ndarray, "states symbols"]:
    top = states // 2
    place = np.arange(states)
    symbol = np.minimum(place, states - place)
    beside = np.where((place > 0) & (place <= top), symbol - 1, symbol + 1)
    unit = np.eye(top + 1)
    return symbol_probability * unit[symbol] + (1 - symbol_probability) * unit[beside]


def _staying(moves: Float[np.ndarray, "states states"]) -> Float[np.ndarray, "states states"]:
    """Put what each row leaves over on the diagonal."""
    return moves + np.diag(1 - moves.sum(axis=1))


def _uniform_start(name: str, transitions: np.ndarray, emissions: np.ndarray, trial_steps: int) -> HiddenMarkovModel:
    states = len(transitions)
    return HiddenMarkovModel(np.full(states, 1 / states), transitions, emissions, name, trial_steps)


def _at_least(states: int, least: int, what: str) -> None:
    if states < least:
        raise InputError(f"{what} needs at least {least} states, got {states}")
