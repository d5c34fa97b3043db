"""Which state of one model is which state of another: the numbering of hidden states means nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from neurodyn.errors import InputError
from neurodyn.markov.general import as_general
from neurodyn.markov.inference import Hmm, smooth_states
from neurodyn.markov.model import HiddenMarkovModel


def align_states(hmm: HiddenMarkovModel, reference: HiddenMarkovModel) -> HiddenMarkovModel:
    """Return the model with its states in the order in which they resemble the reference's; see ``state_order``.

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel, align_states
    >>> first = HiddenMarkovModel([1.0, 0.0], [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.2, 0.8]], "first", 10)
    >>> other = HiddenMarkovModel([0.0, 1.0], [[0.8, 0.2], [0.1, 0.9]], [[0.25, 0.75], [0.9, 0.1]], "other", 10)
    >>> align_states(other, first).emissions.tolist()
    [[0.9, 0.1], [0.25, 0.75]]
    """
    return reordered(hmm, state_order(hmm, reference))


def reordered(hmm: HiddenMarkovModel, order: Int[np.ndarray, " states"]) -> HiddenMarkovModel:
    """Return the model whose state i is state ``order[i]`` of the one given."""
    return HiddenMarkovModel(
        hmm.initial[order], hmm.transitions[np.ix_(order, order)], hmm.emissions[order], hmm.name, hmm.trial_steps
    )


def state_order(hmm: HiddenMarkovModel, reference: HiddenMarkovModel) -> Int[np.ndarray, " states"]:
    """For each state of the reference, the state of ``hmm`` that takes its place.

    A state is known by what it emits, now and later: the rows of ``A^k B`` for k = 0 .. states, the symbols expected k
    steps after it. The optimal assignment has the smallest sum of squared differences between these. States that emit
    the same symbols are thus distinguished by where they lead.

    The models may differ in their numbers of states: what ``hmm`` has more comes last, in its own order; if it has
    fewer, its states come in the order of those of the reference whose place they take.

    Raises
    ------
    InputError
        If the models differ in their numbers of symbols.

    Reference
    ---------
    Kuhn (1955), The Hungarian method for the assignment problem, Naval Research Logistics 2.

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel, state_order
    >>> first = HiddenMarkovModel([1.0, 0.0], [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.2, 0.8]], "first", 10)
    >>> other = HiddenMarkovModel([0.0, 1.0], [[0.8, 0.2], [0.1, 0.9]], [[0.25, 0.75], [0.9, 0.1]], "other", 10)
    >>> state_order(other, first).tolist()
    [1, 0]
    """
    if hmm.symbols != reference.symbols:
        raise InputError(
            "models can be aligned if they have equally many symbols; (states, symbols): got "
            f"{hmm.emissions.shape} and, in the reference, {reference.emissions.shape}"
        )
    steps = max(hmm.states, reference.states)
    distance = ((_outlook(reference, steps)[:, None] - _outlook(hmm, steps)[None]) ** 2).sum(axis=-1)
    matched = np.asarray(linear_sum_assignment(distance)[1])
    return np.concatenate([matched, np.setdiff1d(np.arange(hmm.states), matched)])


def overlap(hmm: Hmm, reference: Hmm, observations: ArrayLike | Sequence[Any]) -> Float[np.ndarray, "states others"]:
    """Share of the steps at which one model is in each of its states (row) and another in each of its own (column).

    Both models see the same sequences, and may differ in their numbers of states and even in their emissions, as long
    as both take these sequences. At each step the posteriors of the states given the whole sequence are multiplied;
    steps at which the first model sees nothing are left out. All shares add up to 1.

    Parameters
    ----------
    hmm, reference
        The models.
    observations
        Sequences, see `log_likelihood`.

    Raises
    ------
    InputError
        If a model does not take the sequences or cannot emit one, or nothing is seen at all.

    Examples
    --------
    >>> from neurodyn.markov import GeneralHmm, overlap
    >>> rows = [[0.9, 0.1], [0.1, 0.9]]
    >>> low_first = GeneralHmm([0.5, 0.5], rows, "poisson", {"rate": [[1.0], [20.0]]})
    >>> high_first = GeneralHmm([0.5, 0.5], rows, "poisson", {"rate": [[19.0], [1.2]]})
    >>> overlap(low_first, high_first, [[1, 0, 21, 18]]).round(2).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    seen = as_general(hmm).emission.to_arrays(observations).seen.T
    if not seen.any():
        raise InputError("there is nothing to align by: every step is missing")
    one, other = (smooth_states(model, observations)[seen].astype(np.float64) for model in (hmm, reference))
    return one.T @ other / len(one)


def match_states(hmm: Hmm, reference: Hmm, observations: ArrayLike | Sequence[Any]) -> Int[np.ndarray, " others"]:
    """For each state of a reference, the state of ``hmm`` that takes its place in these sequences, or -1 if none does.

    The assignment with the largest `overlap` in all; a state of one takes the place of at most one of the other, so
    that with different numbers of states some are left. ``GeneralHmm.reordered`` puts states in an order.

    Parameters
    ----------
    hmm, reference
        The models; their numbers of states may differ.
    observations
        Sequences, see `log_likelihood`.

    Raises
    ------
    InputError
        If a model does not take the sequences or cannot emit one, or nothing is seen at all.

    Examples
    --------
    >>> from neurodyn.markov import GeneralHmm
    >>> two = GeneralHmm([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], "poisson", {"rate": [[1.0], [9.0]]})
    >>> rows = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
    >>> three = GeneralHmm([0.4, 0.3, 0.3], rows, "poisson", {"rate": [[9.5], [40.0], [1.2]]})
    >>> match_states(two, three, [[1, 0, 2, 9, 11, 8, 1, 0, 40]])
    array([ 1, -1,  0])
    """
    states, others = linear_sum_assignment(-overlap(hmm, reference, observations))
    found = np.full(reference.states, -1)
    found[others] = states
    return found


def _outlook(hmm: HiddenMarkovModel, steps: int) -> Float[np.ndarray, "states features"]:
    """Probability of each symbol 0 .. steps steps after each state."""
    later = [hmm.emissions]
    for _ in range(steps):
        later.append(hmm.transitions @ later[-1])
    return np.concatenate(later, axis=1)
