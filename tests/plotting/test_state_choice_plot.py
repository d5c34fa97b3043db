"""The curve over the number of states shows the scores it is given."""

import numpy as np
from matplotlib.figure import Figure

from neurodyn.markov import StateChoice
from neurodyn.plotting import plot_state_choice

SCORES = np.array([[-2.0, -2.2, -1.8], [-1.5, -1.6, -1.1], [-1.49, -1.61, -1.095], [-np.inf, -1.5, -1.2]])


def test_folds_mean_error_and_choice():
    choice = StateChoice(np.array([1, 2, 3, 4]), SCORES)
    ax = plot_state_choice(choice, ax=Figure().add_subplot())
    folds, ring = ax.lines[:3], ax.lines[-1]
    for fold, line in enumerate(folds):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[[1, 2, 3], SCORES[:3, fold]])
    bars = np.array(ax.containers[0].lines[2][0].get_segments())
    mean, error = SCORES[:3].mean(axis=1), SCORES[:3].std(axis=1, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(bars[:, :, 1], np.c_[mean - error, mean + error])
    np.testing.assert_allclose(ring.get_xydata(), [[2, mean[1]]])
    assert ax.get_legend().get_texts()[0].get_text() == "chosen: 2"
    assert "nats" in ax.get_ylabel()
