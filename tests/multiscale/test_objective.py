"""Every term of the objective against a slow computation in plain numpy, from the observations to the loss."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from oracles.textbook_kalman import kalman_filter, rts_smoother
from scipy import stats

from neurodyn.multiscale import MultiscaleDecoder, piecewise
from neurodyn.multiscale.config import ModalityConfig, ModelConfig, ObjectiveConfig
from neurodyn.multiscale.dynamics import LinearDynamics
from neurodyn.multiscale.model import Dropout, MultiscaleModel, ObservedTrials
from neurodyn.multiscale.objective import TrainingBatch, loss_terms

TRIALS, BINS, LATENT, EMBEDDING, DIMS = 3, 9, 3, 2, 2
ROWS = (
    ModalityConfig("spikes", 3, "poisson", (4,), (5,), smoothness=250.0),
    ModalityConfig("field", 2, "gaussian", (4, 3), (), smoothness=5.0),
)
SCALES = {"spikes": 0.7, "field": 1.0}


def make_model(rows=ROWS, dims=DIMS, *, skip=True, start="modes", moved=True):
    """Model whose parameters are all moved away from where they start, zeros included."""
    rng = np.random.default_rng(0)
    config = ModelConfig(
        rows,
        LATENT,
        modality_state=LATENT,
        embedding=EMBEDDING,
        target=dims,
        fusion=(4,),
        memory=(1.5, 10.0),
        skip=skip,
        start=start,
    )
    scaling = {
        r.name: (jnp.zeros(r.channels), jnp.ones(r.channels))
        if r.raw
        else (jnp.asarray(rng.normal(size=r.channels)), jnp.asarray(rng.uniform(0.5, 2, r.channels)))
        for r in rows
    }
    model = MultiscaleModel(config, scaling, rngs=nnx.Rngs(0))
    if not moved:
        return model, config
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    elsewhere = jax.tree.map(lambda p: p + jnp.asarray(0.1 * rng.normal(size=p.shape)), parameters)
    return nnx.merge(graph, elsewhere, rest), config


def make_batch(rows=ROWS, dims=DIMS, *, ragged=True):
    """Random channels and bins missing; the field in every second bin; the last trial shorter, if ragged."""
    rng = np.random.default_rng(1)
    valid = np.ones((TRIALS, BINS), bool)
    valid[-1, 6:] = not ragged
    observed = {r.name: rng.random((TRIALS, BINS, r.channels)) < 0.7 for r in rows}
    for name in observed:
        observed[name] &= valid[..., None] & (rng.random((TRIALS, BINS, 1)) < 0.8)
    if "field" in observed:
        observed["field"][:, ::2] = False
    values = {
        r.name: rng.poisson(1.5, observed[r.name].shape).astype(float)
        if r.likelihood == "poisson"
        else rng.normal(size=observed[r.name].shape)
        for r in rows
    }
    values = {n: np.where(observed[n], v, 0.0) for n, v in values.items()}
    seen = {n: o.any(-1) for n, o in observed.items()}
    scored = valid & (rng.random((TRIALS, BINS)) < 0.8)
    batch = TrainingBatch(ObservedTrials(values, observed, seen, valid), rng.normal(size=(TRIALS, BINS, dims)), scored)
    return jax.tree.map(jnp.asarray, batch)


def make_dropout(rows=ROWS):
    rng = np.random.default_rng(2)
    return Dropout(
        {r.name: jnp.asarray(rng.random(BINS) < 0.3) for r in rows},
        {r.name: jnp.asarray(rng.random((TRIALS, BINS, r.channels)) < 0.2) for r in rows},
        jnp.asarray((rng.random((TRIALS, BINS, EMBEDDING)) < 0.8) / 0.8),
    )


def plain_mlp(network, inputs):
    hidden = inputs
    for layer in network.layers:
        hidden = np.tanh(hidden @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...]))
    output = hidden @ np.asarray(network.output.kernel[...]) + np.asarray(network.output.bias[...])
    if network.around is None:
        return output
    return output + inputs @ np.asarray(network.around.kernel[...]) + np.asarray(network.around.bias[...])


def hidden_bins(dropout, name, trial):
    """Bins of a modality that training hides in a trial."""
    bins = np.asarray(dropout.hidden_bins[name])
    return bins if bins.ndim == 1 else bins[trial]


def plain_latents(model, rows, batch, dropout):
    """Filtered means, smoothed means and smoothed variances of every trial."""
    trials = jax.tree.map(np.asarray, batch.trials)
    filtered, smoothed, variance = [], [], []
    for i in range(TRIALS):
        embeddings, seen = [], np.asarray(trials.valid[i])
        for row, encoder in zip(rows, model.encoders, strict=True):
            shown = trials.observed[row.name][i]
            bins = shown.any(-1)
            share = shown.mean(-1, keepdims=True)
            if dropout is not None:
                shown = shown & ~np.asarray(dropout.hidden_channels[row.name][i])
                bins = bins & ~np.asarray(hidden_bins(dropout, row.name, i))
                share = shown.mean(-1, keepdims=True) if dropout.gain is None else share / dropout.gain
            z = (trials.observations[row.name][i] - np.asarray(encoder.center[...])) / np.asarray(encoder.scale[...])
            inputs = np.where(shown, z, 0) / np.maximum(share, 0.5 if dropout is None or dropout.gain is None else 1e-9)
            embedding = plain_mlp(encoder.network, inputs)
            if len(rows) > 1:
                own = encoder.dynamics.parameters()
                result = kalman_filter(own, embedding, np.repeat(bins[:, None], EMBEDDING, 1))
                embedding = result["mean"] @ np.asarray(own.emission).T
            else:
                seen = bins
            embeddings.append(embedding)
        fused = plain_mlp(model.fusion.network, np.concatenate(embeddings, -1)) if len(rows) > 1 else embeddings[0]
        if dropout is not None:
            fused = fused * np.asarray(dropout.fused_factor[i])
        backbone, mask = model.backbone.parameters(), np.repeat(seen[:, None], EMBEDDING, 1)
        filtered.append(kalman_filter(backbone, fused, mask)["mean"])
        mean, covariance = rts_smoother(backbone, fused, mask)
        smoothed.append(mean)
        variance.append(np.diagonal(covariance, axis1=1, axis2=2))
    return np.stack(filtered), np.stack(smoothed), np.stack(variance)


def gaussian_divergence(mean, variance, other_mean, other_variance):
    return 0.5 * (np.log(other_variance / variance) + (variance + (mean - other_mean) ** 2) / other_variance - 1)


def plain_terms(model, rows, batch, objective, dropout):
    """The five terms of the loss, entry by entry."""
    filtered, smoothed, variance = plain_latents(model, rows, batch, dropout)
    transition = np.asarray(model.backbone.stable_transition())
    emission = np.asarray(model.backbone.emission[...])
    trials, valid = jax.tree.map(np.asarray, batch.trials), np.asarray(batch.trials.valid)
    likelihood, rough = 0.0, 0.0
    for row, encoder, decoder in zip(rows, model.encoders, model.decoders, strict=True):
        visible = trials.observed[row.name].copy()
        if dropout is not None and not objective.score_hidden:
            for i in range(TRIALS):
                visible[i, hidden_bins(dropout, row.name, i)] = False
        for k in objective.horizons:
            entries = []
            for i, t, c in np.argwhere(visible):
                if t < k:
                    continue
                state = smoothed[i, t] if k == 0 else np.linalg.matrix_power(transition, k) @ filtered[i, t - k]
                output = plain_mlp(decoder.network, emission @ state)[c]
                value = trials.observations[row.name][i, t, c]
                if row.likelihood == "poisson":
                    entries.append(stats.poisson.logpmf(value, np.exp(np.clip(output, -5, 5))))
                else:
                    z = (value - np.asarray(encoder.center[...])[c]) / np.asarray(encoder.scale[...])[c]
                    entries.append(stats.norm.logpdf(z, output))
            likelihood += SCALES[row.name] * np.mean(entries)
        steps = []
        for i in range(TRIALS):
            seen = np.flatnonzero(trials.observed[row.name][i].any(-1))
            for before, after in pairwise(seen):
                one, other = (plain_mlp(decoder.network, emission @ smoothed[i, t]) for t in (before, after))
                if row.likelihood == "poisson":
                    r, s = np.exp(np.clip(one, -5, 5)), np.exp(np.clip(other, -5, 5))
                    steps.append(r * np.log(r / s) - r + s)
                else:
                    steps.append(gaussian_divergence(one, 1.0, other, 1.0))
        rough += row.smoothness * np.mean(steps)
    half = max(1, LATENT // 2)
    latent = [
        gaussian_divergence(
            smoothed[i, t - 1, :half], variance[i, t - 1, :half], smoothed[i, t, :half], variance[i, t, :half]
        )
        for i in range(TRIALS)
        for t in range(1, BINS)
        if valid[i, t]
    ]
    networks = [e.network for e in model.encoders] + [d.network for d in model.decoders]
    networks += [model.fusion.network] if len(rows) > 1 else []
    kernels = [np.asarray(layer.kernel[...]) for n in networks for layer in (*n.layers, n.output)]
    kernels += [np.asarray(n.around.kernel[...]) for n in networks if n.around is not None]
    scored = np.asarray(batch.scored)
    error = np.zeros(0)
    if model.readout is not None:  # there is a target
        readout = filtered[scored] @ np.asarray(model.readout.kernel[...]) + np.asarray(model.readout.bias[...])
        error = (readout - np.asarray(batch.target)[scored]) ** 2
    return {
        "likelihood": -likelihood,
        "output_smoothness": rough,
        "latent_smoothness": objective.latent_smoothness * np.mean(latent),
        "weights": objective.weight_penalty * sum(np.sqrt(np.sum(k**2)) for k in kernels),
        "target": objective.target * np.mean(error) if error.size else 0.0,
    }


@partial(jax.jit, static_argnames=("graph", "config", "objective"))
def compiled_terms(graph, state, batch, scales, config, objective, dropout):
    return loss_terms(nnx.merge(graph, state), batch, scales, config, objective, dropout)


def found_terms(model, config, batch, objective, dropout):
    scales = {r.name: jnp.asarray(SCALES[r.name]) for r in config.modalities}
    graph, state = nnx.split(model)
    return compiled_terms(graph, state, batch, scales, config, objective, dropout)._asdict()


def check(model, config, batch, objective, dropout):
    found = found_terms(model, config, batch, objective, dropout)
    expected = plain_terms(model, config.modalities, batch, objective, dropout)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_every_term_with_nothing_hidden():
    model, config = make_model()
    check(model, config, make_batch(), ObjectiveConfig(), None)


@pytest.mark.parametrize("score_hidden", [True, False])
def test_every_term_in_training(score_hidden):
    model, config = make_model()
    objective = ObjectiveConfig(score_hidden=score_hidden)
    check(model, config, make_batch(), objective, make_dropout())


def test_every_term_as_published():
    """The paper's network, start, inputs and objective: raw counts, ordinary dropout, a mask per trial."""
    rows = tuple(replace(r, encoder=(4, 4, 4), decoder=(4, 4, 4), raw=r.likelihood == "poisson") for r in ROWS)
    model, config = make_model(rows, dims=0, skip=False, start="paper")
    rng = np.random.default_rng(3)
    bins = {r.name: jnp.asarray(rng.random((TRIALS, BINS)) < 0.3) for r in rows}
    dropout = make_dropout(rows)._replace(hidden_bins=bins, gain=1 / (1 - 0.2))
    objective = MultiscaleDecoder.published().objective
    assert not objective.score_hidden
    # No channel is missing by itself here, so that what training hides is all that a gain has to make up for.
    batch = make_batch(rows, dims=0)
    whole = {n: jnp.broadcast_to(o.any(-1, keepdims=True), o.shape) for n, o in batch.trials.observed.items()}
    batch = batch._replace(trials=batch.trials._replace(observed=whole))
    check(model, config, batch, objective, dropout)


def test_the_dynamics_start_as_published():
    model, _ = make_model(start="paper", moved=False)
    start = model.backbone.parameters()
    np.testing.assert_allclose(start.transition, 0.9 * np.eye(LATENT), rtol=1e-12)
    np.testing.assert_allclose(start.process_noise, 0.5, rtol=1e-12)
    np.testing.assert_allclose(start.observation_noise, 1.0)
    np.testing.assert_allclose(start.initial_covariance, np.eye(LATENT))
    many = LinearDynamics(40, 50, (2.0, 9.0), start="paper", rngs=nnx.Rngs(0)).emission[...]
    assert np.std(np.asarray(many)) == pytest.approx(0.9, rel=0.05)


def test_every_term_with_one_modality_and_without_the_smoothed_horizon():
    model, config = make_model(ROWS[1:])
    check(model, config, make_batch(ROWS[1:]), ObjectiveConfig(horizons=(2,)), make_dropout(ROWS[1:]))


def test_one_mask_for_all_trials_gives_the_same_terms():
    model, config = make_model()
    batch = make_batch(ragged=False)
    pattern = {n: jnp.broadcast_to(o[:1], o.shape) for n, o in batch.trials.observed.items()}
    values = {n: jnp.where(pattern[n], v, 0.0) for n, v in batch.trials.observations.items()}
    seen = {n: o.any(-1) for n, o in pattern.items()}
    apart = batch._replace(trials=ObservedTrials(values, pattern, seen, batch.trials.valid))
    first = {n: s[0] for n, s in seen.items()}
    shared = batch._replace(trials=ObservedTrials(values, pattern, first, batch.trials.valid[0]))
    one = found_terms(model, config, shared, ObjectiveConfig(), make_dropout())
    other = found_terms(model, config, apart, ObjectiveConfig(), make_dropout())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), one, other)


@pytest.mark.parametrize("piece", [1, 40, 10**6])  # a bin at a time, several with a rest, all of them
@pytest.mark.parametrize("horizons", [(0, 1, 2, 3, 4), (1, 3), (0, BINS + 1)])
@pytest.mark.parametrize("dropout", [None, make_dropout()], ids=["whole", "hidden"])
def test_many_channels_are_worked_on_some_bins_at_a_time_with_the_same_terms_and_derivatives(
    monkeypatch, piece, horizons, dropout
):
    (model, config), batch = make_model(), make_batch()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    objective, scales = ObjectiveConfig(horizons=horizons), jax.tree.map(jnp.asarray, SCALES)

    def both():
        def loss(parameters):
            return loss_terms(nnx.merge(graph, parameters, rest), batch, scales, config, objective, dropout).total()

        return jax.value_and_grad(loss)(parameters)

    expected = both()
    monkeypatch.setattr(piecewise, "MANY", 0)
    monkeypatch.setattr(piecewise, "PIECE", piece)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), both(), expected)


def test_horizons_longer_than_the_trials_are_left_out():
    model, config = make_model()
    batch = make_batch()
    long = found_terms(model, config, batch, ObjectiveConfig(horizons=(0, 1, 2, 3, 4, BINS, 50)), None)
    short = found_terms(model, config, batch, ObjectiveConfig(), None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), long, short)


def test_without_a_target_its_term_is_zero():
    model, config = make_model(dims=0)
    assert found_terms(model, config, make_batch(dims=0), ObjectiveConfig(), None)["target"] == 0


def test_padding_changes_no_term():
    """A batch of trials of equal length, and the same trials padded with missing bins."""
    model, config = make_model()
    batch = make_batch(ragged=False)

    def padded(array):
        return jnp.pad(array, [(0, 0), (0, 4)] + [(0, 0)] * (array.ndim - 2))

    longer = jax.tree.map(padded, batch)
    one = found_terms(model, config, batch, ObjectiveConfig(), None)
    other = found_terms(model, config, longer, ObjectiveConfig(), None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), one, other)


def test_a_transition_never_amplifies():
    model, _ = make_model()
    model.backbone.transition[...] = 3.0 * jnp.eye(LATENT)
    assert np.linalg.norm(model.backbone.stable_transition(), 2) < 1
