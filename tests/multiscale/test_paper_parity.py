"""`MultiscaleDecoder.published` against the paper's equations in NumPy, from arrays with NaN to the terms of the loss.

Eleven points made the package's model another one than the paper's; a fault in any of them fails a test here or in
``test_published.py``. Double precision, so that equal means equal to 1e-6 and better; what is left is the single
precision in which a batch keeps its observations and statistics.
"""

from dataclasses import replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import paper_network as paper

from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.multiscale.config import ModalityConfig
from neurodyn.multiscale.fit_one import prepare_run
from neurodyn.multiscale.fitting import fit_parameters, optimizer_of, terms_of
from neurodyn.multiscale.inference import Network, estimate_both

TRIALS, BINS = 5, 14
KINDS = {"spikes": "poisson", "field": "gaussian", "slow": "gaussian"}
SAMPLE_EVERY = {"spikes": 1, "field": 2, "slow": 3}
CHANNELS = {"spikes": 4, "field": 3, "slow": 2}
SIZES = {1: ("spikes",), 2: ("spikes", "field"), 3: ("spikes", "field", "slow")}
SMOOTHNESS = {1: {"poisson": 100.0}, 2: {"poisson": 250.0, "gaussian": 5.0}, 3: {"poisson": 250.0, "gaussian": 5.0}}
"""Of the paper: networks of one modality, and of several (recordings)."""
PENALTY = {1: 1e-4, 2: 1e-3, 3: 1e-3}


def recording(count):
    """Arrays (trial, time, channel) with NaN: sampled at different rates, and one bin in five lost beside."""
    random, data = np.random.default_rng(0), {}
    for name in SIZES[count]:
        shape = (TRIALS, BINS, CHANNELS[name])
        values = random.poisson(1.5, shape) if KINDS[name] == "poisson" else 3 + 2 * random.normal(size=shape)
        values = values.astype(np.float32).astype(float)
        values[:, np.arange(BINS) % SAMPLE_EVERY[name] != SAMPLE_EVERY[name] - 1] = np.nan
        values[random.random((TRIALS, BINS)) < 0.2] = np.nan
        data[name] = values
    target = random.normal(size=(TRIALS, BINS, 2))
    names = {"likelihoods": {n: KINDS[n] for n in data}, "sample_every": {n: SAMPLE_EVERY[n] for n in data}}
    return data, MultimodalBatch.from_arrays(data, width=0.01, target=target, **names)


class Case:
    """A run of the published settings with weights moved away from their start, and the same as plain arrays."""

    def __init__(self, count: int, **options) -> None:
        self.count = count
        self.data, batch = recording(count)
        self.batch = batch
        decoder = MultiscaleDecoder.published(latent=6, modalities=count).set_params(**options)
        self.run = prepare_run(decoder, batch)
        random = np.random.default_rng(1)
        self.parameters = jax.tree.map(
            lambda p: p + jnp.asarray(0.05 * random.normal(size=p.shape)), self.run.start.parameters
        )
        self.network = Network(self.run.graph, self.parameters, self.run.constants)

    @property
    def arrays(self):
        return [self.data[name] for name in SIZES[self.count]]

    def oracle(self):
        """Parts, fusion and backbone of the network as the oracle takes them."""
        model = self.network.model()
        smoothness = SMOOTHNESS[self.count]
        parts = [
            paper.Part(
                counts=KINDS[name] == "poisson",
                encoder=layers(encoder.network),
                dynamics=None if encoder.dynamics is None else matrices(encoder.dynamics),
                decoder=layers(decoder.network),
                smoothness=smoothness[KINDS[name]],
                log_variance=None if decoder.log_variance is None else np.asarray(decoder.log_variance[...]),
            )
            for name, encoder, decoder in zip(SIZES[self.count], model.encoders, model.decoders, strict=True)
        ]
        return parts, None if model.fusion is None else layers(model.fusion.network), matrices(model.backbone)

    def sample(self):
        """What the first step of training sees, as the run draws it, and the oracle's share of it."""
        engine = self.run.run()
        chosen = self.run.drawn(0)[0]
        sample = engine.task.sample(engine.data, jnp.asarray(chosen), jax.random.key(3))
        trials, dropout = [self.batch.starts.tolist().index(start) for start in chosen[0]], sample.dropout
        names = SIZES[self.count]
        hidden = paper.Hidden(
            [np.asarray(dropout.hidden_bins[n]) for n in names],
            [np.asarray(dropout.hidden_channels[n]) for n in names],
            np.asarray(dropout.fused_factor) == 0,
            self.run.config.objective.dropout,
        )
        return sample, [self.data[n][trials] for n in names], hidden

    @cached_property
    def in_training(self):
        return self.found(self.sample()[0])

    def found(self, sample):
        found = jax.jit(lambda p, s: terms_of(p, s, self.run.graph, self.run.config))(self.parameters, sample)
        return {name: float(value) for name, value in found._asdict().items()}


def layers(network):
    assert network.around is None
    return [(np.asarray(one.kernel[...]), np.asarray(one.bias[...])) for one in (*network.layers, network.output)]


def matrices(dynamics):
    return paper.Dynamics(
        np.asarray(dynamics.transition[...]),
        np.asarray(dynamics.emission[...]),
        np.exp(np.asarray(dynamics.log_process_noise[...])),
        np.exp(np.asarray(dynamics.log_observation_noise[...])),
    )


@pytest.fixture(scope="module")
def cases():
    return {count: Case(count) for count in SIZES}


@pytest.mark.parametrize("count", SIZES)
def test_filtered_and_smoothed_latents_are_those_of_the_equations(cases, count):
    case = cases[count]
    wanted = paper.forward(*case.oracle(), case.arrays, case.arrays)
    filtered, smoothed = estimate_both(case.network, case.batch)
    np.testing.assert_allclose(filtered.latent, np.stack(wanted.filtered), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(smoothed.latent, np.stack(wanted.smoothed), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", SIZES)
def test_the_loss_of_a_training_step_is_that_of_the_equations(cases, count):
    case = cases[count]
    _, data, hidden = case.sample()
    check_terms(case.in_training, paper.terms(*case.oracle(), data, case.arrays, PENALTY[count], hidden))


def check_terms(found, wanted):
    assert found["target"] == 0  # the paper's model never sees it
    assert found.keys() == wanted.keys() | {"target"}
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("count", [2, 3])
def test_the_loss_with_nothing_hidden_is_that_of_the_equations(cases, count):
    case = cases[count]
    found = case.found(case.run.run().held)
    check_terms(found, paper.terms(*case.oracle(), case.arrays, case.arrays, PENALTY[count]))


@pytest.mark.parametrize("count", [2, 3])
def test_tau_is_that_of_the_equations(cases, count):
    case = cases[count]
    wanted = paper.tau(case.oracle()[0], case.arrays)
    np.testing.assert_allclose([float(case.run.scales[n]) for n in SIZES[count]], wanted, rtol=1e-6)


def test_a_learned_variance_is_in_likelihood_and_divergence():
    case = Case(2, learned_variance=True)
    _, data, hidden = case.sample()
    parts = case.oracle()[0]
    assert parts[0].log_variance is None
    assert np.ptp(parts[1].log_variance) > 0
    check_terms(case.in_training, paper.terms(*case.oracle(), data, case.arrays, 1e-3, hidden))
    assert not np.asarray(case.run.start.parameters["decoders"][1]["log_variance"][...]).any()


@pytest.mark.parametrize(
    "fault", ["visible bins", "mask of the batch", "inputs not made up for", "smoothness", "penalty", "counts z-scored"]
)
def test_a_fault_in_one_of_the_eleven_points_would_show(cases, fault):
    """Equations with one of the faults are told from the package's terms, by far more than rounding."""
    case, changes, penalty = cases[2], {}, PENALTY[2]
    _, data, hidden = case.sample()
    parts, *others = case.oracle()
    training = case.arrays
    if fault == "visible bins":
        changes["visible_only"] = True
    elif fault == "mask of the batch":
        hidden = hidden._replace(bins=[np.broadcast_to(bins[:1], bins.shape) for bins in hidden.bins])
    elif fault == "inputs not made up for":
        hidden = hidden._replace(probability=0.0)
    elif fault == "smoothness":
        parts = [part._replace(smoothness=50.0) for part in parts]
    elif fault == "penalty":
        penalty = 1e-4
    else:
        mean, deviation = paper.observed_statistics(training[0])
        kernel, bias = parts[0].encoder[0]
        first = (kernel / deviation[:, None], bias - (mean / deviation) @ kernel)
        parts = [parts[0]._replace(encoder=[first, *parts[0].encoder[1:]]), *parts[1:]]
    wanted = paper.terms(parts, *others, data, training, penalty, hidden, **changes)
    found = case.in_training
    assert max(abs(found[name] / value - 1) for name, value in wanted.items()) > 1e-3


def test_every_state_starts_as_in_the_paper():
    """A = 0.9 I, C = 0.9 N(0, 1), Q = 0.5 I, R = I, in the run that a fit begins with; Glorot-normal networks."""
    _, batch = recording(2)
    run = prepare_run(MultiscaleDecoder.published(latent=48), batch)
    model = Network(run.graph, run.start.parameters, run.constants).model()
    for dynamics in model.dynamics:
        transition, emission, process, observation = matrices(dynamics)
        np.testing.assert_allclose(transition, 0.9 * np.eye(48), rtol=1e-12)
        assert emission.std() == pytest.approx(0.9, rel=0.05)
        assert abs(emission.mean()) < 0.06
        np.testing.assert_allclose((process, observation), (np.full(48, 0.5), np.ones(48)), rtol=1e-12)
    for kernel, _ in layers(model.fusion.network):
        assert kernel.std() == pytest.approx(np.sqrt(2 / sum(kernel.shape)), rel=0.05)


def test_each_trial_hides_bins_of_its_own(cases):
    hidden = cases[2].sample()[2]
    for bins in hidden.bins:
        assert bins.shape == (TRIALS, BINS)
        assert len(np.unique(bins, axis=0)) == TRIALS
    shared = MultiscaleDecoder.published(mask_per_trial=False).objective
    assert not shared.time_dropout_per_trial


def test_the_rate_cycles_epoch_by_epoch():
    """Adam moves a weight with a constant gradient by exactly the rate: base + (max - base) 0.99^epoch x triangle."""
    _, batch = recording(2)
    run = prepare_run(MultiscaleDecoder.published(latent=3, simulation=True), batch)
    assert (run.config.training.epochs, run.config.objective.dropout) == (200, 0.4)
    adam, steps = optimizer_of(run.config, 3), []
    state, gradient = adam.init(jnp.zeros(())), jnp.asarray(0.05)  # below the bound on its norm
    with jax.numpy_dtype_promotion("standard"):  # optax mixes floats and an integer count in Adam's correction
        update = jax.jit(adam.update)
        for _ in range(3 * 25):  # epochs of three steps
            change, state = update(gradient, state)
            steps.append(-float(change))
    epoch = np.repeat(np.arange(25), 3)
    triangle = 1 - np.abs(epoch / 10 % 2 - 1)
    np.testing.assert_allclose(steps, 1e-3 + 9e-3 * 0.99**epoch * triangle, rtol=1e-5)
    large, _ = optax.clip_by_global_norm(run.config.training.clip).update(jnp.asarray([3.0, 4.0]), optax.EmptyState())
    np.testing.assert_allclose(large, [0.06, 0.08], rtol=1e-6)


def test_the_last_epoch_is_kept_and_no_trial_is_left_out():
    """One trial has a gap: settings that share a mask would leave it out for that."""
    data, _ = recording(2)
    data = {name: np.where(np.isnan(values), 1.0, values) for name, values in data.items()}
    data["spikes"][0, 5:8] = np.nan
    names = {"likelihoods": {n: KINDS[n] for n in data}}
    copies = {n: np.concatenate([v, *[v[1:]] * 3]) for n, v in data.items()}
    batch = MultimodalBatch.from_arrays(copies, width=0.01, **names)
    decoder = MultiscaleDecoder.published(latent=3, epochs=3, modalities=2)
    decoder = replace(decoder, encoder=(4,), decoder=(4,), fusion=(4,))
    run = prepare_run(decoder, batch)
    assert sorted(run.segments.starts) == sorted(batch.starts)
    assert not run.shared
    shared = prepare_run(replace(decoder, objective=MultiscaleDecoder.published(mask_per_trial=False).objective), batch)
    assert len(shared.segments.starts) == batch.n_trials - 1
    outcome = fit_parameters(run)
    assert int(outcome.state.step) == 3
    jax.tree.map(np.testing.assert_array_equal, outcome.parameters, jax.tree.map(np.asarray, outcome.state.parameters))


def test_a_model_with_a_learned_variance_is_fitted_and_read_back(tmp_path):
    _, batch = recording(2)
    decoder = MultiscaleDecoder.published(latent=3, epochs=2).set_params(learned_variance=True)
    fitted = replace(decoder, encoder=(4,), decoder=(4,), fusion=(4,), progress=False).fit(batch)
    learned = fitted.fitted_.network.model().decoders[1].log_variance[...]
    assert np.abs(np.asarray(learned)).min() > 0
    fitted.save(tmp_path / "model")
    again = MultiscaleDecoder.load(tmp_path / "model")
    assert again.learned_variance
    np.testing.assert_array_equal(again.fitted_.network.model().decoders[1].log_variance[...], learned)


def test_counts_have_no_variance_of_their_own_to_learn():
    with pytest.raises(InputError, match="counts have no variance of their own to learn, modality s is poisson"):
        ModalityConfig("s", 1, "poisson", learned_variance=True)
