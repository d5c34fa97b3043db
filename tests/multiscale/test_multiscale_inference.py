"""Long recordings in pieces: the same estimates as in one piece, in memory that does not grow with their length."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from neurodyn.history.filters import ExponentialFilters
from neurodyn.history.streams import Features
from neurodyn.multiscale import inference
from neurodyn.multiscale.fitting import build_model, split_model

SIZE = 4


@pytest.fixture(scope="module")
def network(decoder):
    return decoder.fitted_.network


def one_long_trial(batch, bins=200):
    """Trials end to end as one, the field sampled as everywhere."""
    return batch.with_runs([0], [bins], [0])


def ragged(batch):
    return batch.with_runs(batch.starts[:3], [20, 35, 50], [0, 6, 0])


def projection(network, seed=0, ways=1):
    """Weights of a read-out of two; of the traces of the past, or of past and future."""
    model, rng = network.model(), np.random.default_rng(seed)
    traces = len(model.trace_bins) * sum(len(e.center[...]) for e in model.encoders)
    assert traces
    states = sum(d.latent for d in model.dynamics)
    return inference.Projection(rng.normal(size=(states, 2)), rng.normal(size=(ways * traces, 2)))


def close(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected)


@pytest.mark.parametrize("cut", [one_long_trial, ragged])
def test_pieces_give_the_estimates_of_the_whole(network, lorenz_batch, cut, monkeypatch):
    monkeypatch.setattr(inference, "SHORTEST", 16)
    batch = cut(lorenz_batch[0])
    filtered, smoothed = projection(network), projection(network, 1, ways=2)
    whole = inference.estimate_both(network, batch, filtered, smoothed)
    assert len(inference._Pieces(network, batch, inference.LARGEST)) == 1
    assert len(inference._Pieces(network, batch, 1)) == -(-int(batch.lengths.max()) // 16)
    pieces = inference.estimate_both(network, batch, filtered, smoothed, largest=1)
    close(pieces, whole)
    # A smoothed prediction asks for that alone: traces of the past are carried from piece to piece all the same.
    close(inference.estimate_both(network, batch, None, smoothed, largest=1)[1], whole[1])
    close(inference.estimate(network, batch, filtered, largest=1), whole[0])
    close(inference.estimate(network, batch, filtered), whole[0])


@pytest.mark.parametrize("cut", [one_long_trial, ragged])
def test_traces_are_read_as_the_features_that_their_weights_are_fitted_on(decoder, network, lorenz_batch, cut):
    batch, projections = cut(lorenz_batch[0]), (projection(network), projection(network, 1, ways=2))
    history = ExponentialFilters(tuple(n * batch.width for n in network.model().trace_bins), newest=False)
    for found, one, future in zip(
        inference.estimate_both(network, batch, *projections), projections, (False, True), strict=True
    ):
        for piece, features in Features(batch, history, decoder.fitted_.scaling, future=future):
            valid = np.arange(piece.first, piece.last) < batch.lengths[piece.trials, None]
            expected = (features @ one.traces)[valid]
            traced = found.traced[piece.trials, piece.first : piece.last][valid]
            np.testing.assert_allclose(traced, expected, atol=1e-5 * np.abs(expected).max())


def test_the_two_summaries_of_the_covariances_agree(network, lorenz_batch):
    """The mean of the read-out's variance over scored bins is the read-out's variance of the mean."""
    batch = ragged(lorenz_batch[0])
    scored = batch.scored()
    filtered, smoothed = inference.estimate_both(network, batch, projection(network), projection(network, ways=2))
    for found in (filtered, smoothed):
        spread = np.broadcast_to(found.spread, (*scored.shape, 2))[scored].mean(axis=0)
        np.testing.assert_allclose(
            inference.readout_variance(found.usual, projection(network).states), spread, rtol=1e-9
        )
    assert np.all(smoothed.spread.mean(axis=(0, 1)) < filtered.spread.mean(axis=(0, 1)))


def test_where_no_variance_is_asked_for_the_rest_is_the_same(network, lorenz_batch):
    batch = ragged(lorenz_batch[0])
    projections = projection(network), projection(network, 1, ways=2)
    blind = [one._replace(states=None) for one in projections]
    without, with_variance = (inference.estimate_both(network, batch, *given) for given in (blind, projections))
    pairs = list(zip(without, with_variance, strict=True))
    pairs.append((inference.estimate(network, batch, blind[0]), inference.estimate(network, batch, projections[0])))
    for found, expected in pairs:
        assert found.spread is None
        assert found.usual == ()
        for mean, other in zip(found.means, expected.means, strict=True):
            np.testing.assert_allclose(mean, other, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.traced, expected.traced, rtol=1e-9, atol=1e-12)


def test_covariances_of_a_long_recording_are_never_all_there(network, lorenz_batch):
    """Filtering four times as many bins takes no more memory at once than the compiled program of one piece does."""
    batch, largest = one_long_trial(lorenz_batch[0], 1024), 512 * SIZE**2
    pieces = list(inference._Pieces(network, batch, largest))
    assert [p.scored.shape[1] for p in pieces] == [512, 512]
    state = inference._start(*network[1:], pieces[0].trials, network.graph)
    compiled = inference._filter.lower(*network[1:], state, pieces[0], None, network.graph).compile()
    returned = compiled.memory_analysis().output_size_in_bytes
    numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(inference.estimate(network, batch)))
    assert returned < 8 * (numbers + 2000)  # means and traces; not 512 covariances of three states


def test_forced_recursions_estimate_the_same(decoder, lorenz_batch):
    """Sequential and parallel in time."""
    batch, estimates = ragged(lorenz_batch[0]), []
    for choice in (False, True):
        config = replace(decoder.fitted_.config, training=replace(decoder.training, parallel=choice))
        graph, _, _ = split_model(build_model(config, decoder.fitted_.scaling))
        estimates.append(inference.estimate_both(decoder.fitted_.network._replace(graph=graph), batch))
    close(*estimates)
