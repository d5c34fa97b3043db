"""Pieces of trials hold what lies in the trial, and nothing of what comes after it on the timeline."""

import numpy as np
import pytest

from neurodyn.binning import MultimodalBatch
from neurodyn.binning.pieces import Piece, cut_out

LENGTHS = (5, 9, 3)


@pytest.fixture(scope="module")
def batch():
    values = np.arange(1, 18, dtype=np.float32)[None, :, None]
    whole = MultimodalBatch.from_arrays({"spikes": values}, width=0.01, likelihoods={"spikes": "poisson"})
    return whole.with_runs(np.cumsum([0, *LENGTHS[:-1]]), np.array(LENGTHS), np.zeros(3, int))


@pytest.mark.parametrize("trials", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 2), slice(0, 3)])
@pytest.mark.parametrize(("first", "last"), [(0, 9), (0, 3), (2, 7), (4, 12), (6, 8)])
def test_a_piece_is_zero_beyond_the_end_of_each_trial(batch, trials, first, last):
    array = batch.observations["spikes"]
    found = cut_out(batch, array, Piece(trials, first, last))
    wanted = np.zeros((len(LENGTHS[trials]), last - first, 1))
    for row, (start, length) in enumerate(zip(batch.starts[trials], batch.lengths[trials], strict=True)):
        for column, bin_ in enumerate(range(first, last)):
            wanted[row, column] = array[start + bin_] if bin_ < length else 0
    np.testing.assert_array_equal(found, wanted)


def test_a_mask_is_false_there(batch):
    found = cut_out(batch, batch.observed["spikes"], Piece(slice(2, 3), 0, 6))
    assert found[0, :, 0].tolist() == [True] * 3 + [False] * 3
