"""Weights of experts and the variance of their mixture, where the right answer is known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from neurodyn.errors import InputError
from neurodyn.targets import conditions, fit_stack, independent_bins, loss_memory, lost_bins, memory_size
from neurodyn.targets.losses import TIMES
from neurodyn.targets.stacking import COMMON_DEVIATION, OWN_DEVIATION, ROUNDS


def experts(seed=0, bins=4000):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(bins, 2))
    good, poor = truth + 0.3 * rng.normal(size=truth.shape), truth + 2.0 * rng.normal(size=truth.shape)
    return truth, np.stack([good, poor], axis=1)


def minimised(inputs, target, prior, independent, deviation):
    """Weights that minimise the penalised squared error, the noise being what they leave, by a general optimiser."""
    best = prior
    for _ in range(ROUNDS):
        penalty = np.sum((target - inputs @ best) ** 2) / independent / deviation**2

        def cost(w, penalty=penalty):
            return np.sum((target - inputs @ w) ** 2) + penalty * np.sum((w - prior) ** 2)

        best = minimize(cost, prior, bounds=[(0, None)] * len(prior), tol=1e-12).x
    return best


def test_weights_minimise_the_penalised_error_first_in_common_then_of_each_dimension():
    truth, predictions = experts(bins=300)
    truth, predictions = truth * [1.0, 50.0], predictions * [1.0, 50.0]  # units do not matter
    shares = np.random.default_rng(1).dirichlet([1, 1], 300)
    independent = np.asarray([40.0, 300.0])
    found = fit_stack(predictions, truth, shares, independent)
    inputs = [(shares[:, :, None] * predictions[:, None, :, d]).reshape(300, -1) for d in range(2)]
    size = np.sqrt(np.mean(truth**2, axis=0))
    both = np.concatenate([x / s for x, s in zip(inputs, size, strict=True)])
    common = minimised(both, (truth / size).T.ravel(), np.full(4, 0.5), independent.sum(), COMMON_DEVIATION)
    for d in range(2):
        expected = minimised(inputs[d] / size[d], truth[:, d] / size[d], common, independent[d], OWN_DEVIATION)
        np.testing.assert_allclose(found[..., d].ravel(), expected, atol=1e-4)
    alone = fit_stack(predictions[..., :1], truth[:, :1], shares, independent[:1])
    expected = minimised(inputs[0], truth[:, 0], np.full(4, 0.5), independent[0], COMMON_DEVIATION)
    np.testing.assert_allclose(alone.ravel(), expected, atol=1e-4)


def test_scatter_that_will_be_gone_does_not_count_against_an_expert():
    rng, bins = np.random.default_rng(4), 20000
    truth = rng.normal(size=(bins, 2))
    steady, average = truth + 0.6 * rng.normal(size=truth.shape), truth + 0.4 * rng.normal(size=truth.shape)
    few = average + 0.8 * rng.normal(size=truth.shape)  # what the average of few members adds to that of all
    shares, many = rng.dirichlet([1, 1], bins), np.full(2, 1.0 * bins)
    scatter = np.zeros((bins, 2, 2))
    scatter[:, 1] = 0.64
    later = fit_stack(np.stack([steady, average], axis=1), truth, shares, many)
    np.testing.assert_allclose(
        fit_stack(np.stack([steady, few], axis=1), truth, shares, many, scatter), later, atol=0.05
    )
    naive = fit_stack(np.stack([steady, few], axis=1), truth, shares, many)
    assert (later[:, 1] - naive[:, 1] > 0.3).all()


def test_much_evidence_picks_the_better_expert_and_little_keeps_the_average():
    truth, predictions = experts()
    sure = fit_stack(predictions, truth, np.ones((4000, 1)), np.full(2, 4000.0))[0]
    assert (sure[0] > 0.9).all()
    assert (sure[1] < 0.1).all()
    noisy = truth + 5 * np.random.default_rng(7).normal(size=truth.shape)
    unsure = fit_stack(predictions, noisy, np.ones((4000, 1)), np.full(2, 1.0))[0]
    np.testing.assert_allclose(unsure, 0.5, atol=0.1)


def test_what_an_expert_loses_in_a_gap_lowers_its_weight_there():
    truth, predictions = experts()
    lost = np.arange(4000) % 100 < 30
    predictions[lost, 0] = np.random.default_rng(2).normal(size=(lost.sum(), 2)) * 3
    shares = np.stack([~lost, lost], axis=1).astype(float)
    weights = fit_stack(predictions, truth, shares, np.full(2, 4000.0))
    assert (weights[0, 0] > 0.85).all()  # 0.92 without the pull to equal weights
    assert (weights[1, 0] < 0.1).all()


def test_no_bins_are_refused():
    truth, predictions = experts(bins=10)
    with pytest.raises(InputError, match="conditions"):
        fit_stack(predictions[:0], truth[:0], np.ones((0, 1)), np.ones(2))


def test_independent_bins_of_an_autoregressive_error():
    rng, decay = np.random.default_rng(3), 0.9
    noise = rng.normal(size=(40, 5000, 1))
    error = np.zeros_like(noise)
    for t in range(1, 5000):
        error[:, t] = decay * error[:, t - 1] + noise[:, t]
    counted = np.ones((40, 5000), bool)
    # n (1 - a) / (1 + a) of a first-order process
    expected = 40 * 5000 * (1 - decay) / (1 + decay)
    assert abs(independent_bins(error, counted)[0] / expected - 1) < 0.1
    assert independent_bins(np.ones((1, 100, 1)), np.ones((1, 100), bool))[0] < 2


@pytest.mark.parametrize("before", [0.0, 1.0])
def test_losses_by_a_loop(before):
    rng = np.random.default_rng(5)
    observed = [  # quarters of four channels, none of them in some bins
        rng.choice([0.25, 0.5, 1.0], (2, 80)) * (rng.random((2, 80)) < share) for share in (0.7, 0.2)
    ]
    sample_every = [1, 4]
    memory = loss_memory(observed, sample_every, before)
    without = loss_memory(observed, sample_every, before, channels=False)
    assert memory.shape == (2, 80, 3 * len(TIMES) + 2) == (2, 80, memory_size(2))
    assert without.shape == (2, 80, 3 * len(TIMES)) == (2, 80, memory_size(2, channels=False))
    for trial in range(2):
        since, lacking = [1e9, 1e9], [0.0, 0.0]
        held, whole = np.full((3, len(TIMES)), before), np.full((3, len(TIMES)), before)
        for t in range(80):
            since = [0 if s[trial, t] else n + 1 for s, n in zip(observed, since, strict=True)]
            lost = [n >= c for n, c in zip(since, sample_every, strict=True)]
            assert lost == [bool(lost_bins(s > 0, c)[trial, t]) for s, c in zip(observed, sample_every, strict=True)]
            lacking = [1 - s[trial, t] if s[trial, t] else x for s, x in zip(observed, lacking, strict=True)]
            channels = [0.0 if gone else x for gone, x in zip(lost, lacking, strict=True)]
            decay = np.exp(-1 / np.asarray(TIMES))
            parts = [1.0 if gone else x for gone, x in zip(lost, channels, strict=True)]
            held = decay * held + (1 - decay) * np.asarray([*parts, min(parts)])[:, None]
            np.testing.assert_allclose(memory[trial, t], [*held.ravel(), *channels], atol=1e-12)
            whole = decay * whole + (1 - decay) * np.asarray([*lost, all(lost)], float)[:, None]
            np.testing.assert_allclose(without[trial, t], whole.ravel(), atol=1e-12)


def test_conditions_add_up_to_one_and_name_the_lost_modality():
    seen = [np.ones((1, 400)), np.ones((1, 400))]
    seen[1][0, 100:] = 0
    shares = conditions(loss_memory(seen, [1, 1], before=0.0), 2)[0]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[50], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(shares[-1], [0, 0, 1], atol=1e-6)
    # Half of its channels gone: half of it is lost, unless lost channels do not count.
    seen[1][0, 100:] = 0.5
    for channels, expected in ((True, [0.5, 0, 0.5]), (False, [1, 0, 0])):
        shares = conditions(loss_memory(seen, [1, 1], before=0.0, channels=channels), 2)[0]
        np.testing.assert_allclose(shares[50], [1, 0, 0], atol=1e-12)
        np.testing.assert_allclose(shares[-1], expected, atol=1e-6)
