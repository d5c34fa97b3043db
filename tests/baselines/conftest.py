"""What the tests of several baselines are fitted to."""

import numpy as np
import pytest

from neurodyn.binning import MultimodalBatch


@pytest.fixture(scope="module")
def interaction():
    """The sign of one channel says which way the other one, two bins before, moves the target."""
    random = np.random.default_rng(0)
    field = random.normal(size=(2, 1500, 3))
    target = 0.1 * random.normal(size=(2, 1500, 1))
    target[:, 2:, 0] += np.sign(field[:, 2:, 0]) * field[:, :-2, 1]
    return MultimodalBatch.from_arrays({"field": field}, width=0.05, likelihoods={"field": "gaussian"}, target=target)
