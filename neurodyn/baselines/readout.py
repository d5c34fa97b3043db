"""The target read out of the states of a model that did not see it, by ridge regression chosen inside the training."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurodyn.baselines.base import Decoded
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.history.streams import scored_blocks
from neurodyn.targets.linear import LinearTarget, fit_ridge

BLOCKS = 10
"""Contiguous blocks of time that the penalty and the error of the read-out come from."""
LEAST_SHARE = 0.25
"""Least share of the held-out error's variance that is left where the state is known better than usual."""


class States(NamedTuple):
    """Mean and covariance of the state in every bin of trials side by side."""

    mean: Float[np.ndarray, "trial time n"]
    covariance: Float[np.ndarray, "trial time n n"]


class StateReadOut(NamedTuple):
    """From the state to the target; ``usual`` is the variance that the state's covariance means for it, on average."""

    target: LinearTarget
    usual: Float[np.ndarray, " dims"]

    def decode(self, states: States) -> Decoded:
        """Target in every bin, and its standard deviation: wider where the state is known less well than usual."""
        return self.target.predict(states.mean), np.sqrt(self.variance(states.covariance))

    def variance(self, covariances: Float[np.ndarray, "*bins n n"]) -> Float[np.ndarray, "*bins dims"]:
        """The held-out error's, and by how much more or less than usual the state is known."""
        error = np.diag(self.target.residual_covariance)
        known = _variance(self.target.weights, covariances) - self.usual
        return np.maximum(error + known, LEAST_SHARE * error)


def fit_read_out(states: States, batch: MultimodalBatch) -> StateReadOut:
    """Ridge regression from the states of whole trials, as they will be decoded, to the target of the scored bins."""
    stacked = batch.stacked(observations=False)
    scored = stacked.scored()
    blocks = scored_blocks(batch, min(BLOCKS, int(scored.sum())))
    target = fit_ridge(states.mean[scored], stacked.target[scored], blocks[scored])
    return StateReadOut(target, _variance(target.weights, states.covariance[scored]).mean(axis=0))


def _variance(
    weights: Float[np.ndarray, "n dims"], covariances: Float[np.ndarray, "*bins n n"]
) -> Float[np.ndarray, "*bins dims"]:
    """Of the target, as far as the state is uncertain."""
    return ((covariances @ weights) * weights).sum(axis=-2)
