"""Which state of one model is which state of another: the numbering of hidden states means nothing."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from neurodyn.errors import InputError
from neurodyn.markov.model import HiddenMarkovModel


def align_states(hmm: HiddenMarkovModel, reference: HiddenMarkovModel) -> HiddenMarkovModel:
    """Return the model with its states in the order in which they resemble the reference's; see ``state_order``."""
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
    the same symbols are thus told apart by where they lead.

    Raises
    ------
    InputError
        If the models differ in their numbers of states or symbols.

    Reference
    ---------
    Kuhn (1955), The Hungarian method for the assignment problem, Naval Research Logistics 2.
    """
    if hmm.emissions.shape != reference.emissions.shape:
        raise InputError(
            "models can be aligned if they have equally many states and symbols; got "
            f"{hmm.emissions.shape} and, in the reference, {reference.emissions.shape}"
        )
    distance = ((_outlook(reference)[:, None] - _outlook(hmm)[None]) ** 2).sum(axis=-1)
    return np.asarray(linear_sum_assignment(distance)[1])


def _outlook(hmm: HiddenMarkovModel) -> Float[np.ndarray, "states features"]:
    """Probability of each symbol 0 .. states steps after each state."""
    later = [hmm.emissions]
    for _ in range(hmm.states):
        later.append(hmm.transitions @ later[-1])
    return np.concatenate(later, axis=1)
