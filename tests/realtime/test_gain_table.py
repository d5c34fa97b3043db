"""A filter that looks its gains up says what one says that works them out, bin for bin, and forgets in time."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
from oracles.frozen_decoder import random_dynamics
from oracles.textbook_kalman import kalman_filter

from neurodyn.realtime.runner import CachedCovariance, Filter, GainTable

SINGLE = np.dtype(np.float32)
READOUT = np.array([[1.0, 0.0, 2.0, 0.0, -1.0]])


def make_filter(arrays, dtype=SINGLE, **options):
    typed = {name: array.astype(dtype) for name, array in arrays.items()}
    table = GainTable(typed, READOUT[:, : len(arrays["transition"])], dtype, **options)
    return Filter(typed, table, np.zeros(len(arrays["transition"]), dtype))


def run(part, embeddings, mask, prepare=()):
    """Means after every bin; gains are worked out ahead where told to."""
    means = np.empty((len(mask), len(part.mean)))
    for t, (embedding, seen) in enumerate(zip(embeddings, mask.tolist(), strict=True)):
        part.embedding[:] = embedding
        part.step(seen)
        means[t] = part.mean
        if t in prepare:
            part.prepare()
    return means


def random_mask(bins, rng, missing=0.1, longest=4000):
    """Bins missing at random, samples in every fifth bin for a while, gaps of thousands of bins."""
    mask = rng.random(bins) > missing
    for start in rng.integers(0, bins, bins // 10_000):
        mask[start : start + rng.integers(1000, longest)] = False
    for start in rng.integers(0, bins, bins // 20_000):
        stretch = np.arange(start, min(start + 3000, bins))
        mask[stretch] = stretch % 5 == 0
    return mask


@pytest.mark.slow
def test_table_and_exact_path_agree_over_100_000_random_bins():
    arrays, rng = random_dynamics(2, 2), np.random.default_rng(1)
    check_agreement(arrays, random_mask(100_000, rng), rng)


def test_table_and_exact_path_agree_when_memory_is_short():
    """Then the same covariances come back at random, and most bins are looked up."""
    arrays, rng = random_dynamics(3, 3, memory=(0.5, 3.0)), np.random.default_rng(1)
    table = check_agreement(arrays, random_mask(10_000, rng), rng)
    assert table.hits > 5000


def check_agreement(arrays, mask, rng):
    embeddings = rng.normal(size=(len(mask), len(arrays["emission"]))).astype(np.float32)
    table, exact = make_filter(arrays), make_filter(arrays, capacity=0)
    looked_up, worked_out = run(table, embeddings, mask), run(exact, embeddings, mask)
    assert exact.table.hits == 0
    assert table.table.hits > len(mask) / 10
    np.testing.assert_allclose(looked_up, worked_out, rtol=0, atol=1e-5 * worked_out.std())
    np.testing.assert_allclose(table.covariance, exact.covariance, rtol=0, atol=1e-6)
    return table.table


def test_a_filter_equals_the_textbook_in_double_precision():
    arrays, rng = random_dynamics(), np.random.default_rng(2)
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    arrays["initial_covariance"] = 3 * np.eye(5)
    mask, embeddings = rng.random(400) > 0.3, rng.normal(size=(400, 4))
    order = "transition", "process_noise", "emission", "observation_noise", "initial_mean", "initial_covariance"
    expected = kalman_filter([arrays[name] for name in order], embeddings, np.repeat(mask[:, None], 4, axis=1))
    part = make_filter(arrays, np.dtype(np.float64))
    means = run(part, embeddings, mask, prepare=range(0, 400, 3))
    np.testing.assert_allclose(means, expected["mean"], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(part.covariance, expected["covariance"][-1], rtol=1e-10, atol=1e-10)
    spread = 1.959963984540054**2 * np.diag(READOUT @ expected["covariance"][-1] @ READOUT.T)
    np.testing.assert_allclose(part.interval_variance(), spread, rtol=1e-9)


@pytest.mark.parametrize("every", [1, 5])
def test_regular_sampling_becomes_a_ring(every):
    part = make_filter(random_dynamics())
    mask = np.arange(4000) % every == every - 1
    run(part, np.zeros((4000, 4), np.float32), mask)
    known, misses = len(part.table), part.table.misses
    run(part, np.zeros((1000, 4), np.float32), mask[:1000])
    assert (len(part.table), part.table.misses) == (known, misses)
    ring, node = [], part.cached  # of bin 999, which was seen
    for k in range(999, 999 + every):
        ring.append(node)
        node = part.table.after(node, bool(mask[k]))
    assert node is part.cached
    assert len({id(one) for one in ring}) == every


def test_a_full_table_forgets_what_is_not_used():
    """And goes on to say the same, and keeps no more entries alive than it may."""
    arrays, rng = random_dynamics(), np.random.default_rng(3)
    small, exact = make_filter(arrays, capacity=16), make_filter(arrays, capacity=0)
    mask, embeddings = rng.random(3000) > 0.3, rng.normal(size=(3000, 4)).astype(np.float32)
    gc.collect()
    before = sum(isinstance(thing, CachedCovariance) for thing in gc.get_objects())
    np.testing.assert_allclose(run(small, embeddings, mask), run(exact, embeddings, mask), atol=1e-5)
    gc.collect()
    after = sum(isinstance(thing, CachedCovariance) for thing in gc.get_objects())
    assert len(small.table) == 16
    assert after - before <= 16 + 3


def test_what_is_in_use_survives_a_flood_of_novelties():
    """Two filters on one table: one has settled, the other never sees the same pattern twice."""
    settled = make_filter(random_dynamics(), capacity=64)
    run(settled, np.zeros((2000, 4), np.float32), np.ones(2000, bool))
    table, node = settled.table, settled.cached
    other = Filter(random_dynamics(), table, np.zeros(5, np.float32))
    for seen in np.random.default_rng(4).random(500) > 0.3:
        settled.step(True)
        other.step(bool(seen))
        assert settled.cached is node
    assert table.misses > 500


def test_nobody_can_write_to_a_shared_covariance():
    part = make_filter(random_dynamics())
    run(part, np.zeros((10, 4), np.float32), np.ones(10, bool))
    with pytest.raises(ValueError, match="read-only"):
        part.covariance[0, 0] = 1.0


def test_looking_ahead_is_prediction_alone():
    arrays = random_dynamics()
    part = make_filter(arrays)
    run(part, np.ones((20, 4), np.float32), np.ones(20, bool))
    here = SimpleNamespace(mean=part.mean.copy(), covariance=part.covariance)
    mean, covariance = part.ahead(7)
    run(part, np.zeros((7, 4), np.float32), np.zeros(7, bool))
    np.testing.assert_allclose(mean, part.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(covariance, part.covariance, rtol=1e-6)
    assert np.abs(mean - here.mean).max() > 0.01
