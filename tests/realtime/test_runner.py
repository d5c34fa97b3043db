"""The NumPy decoder says what a plain step of the model says, from a file, without JAX, and without neurodyn."""

import shutil
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest
import scipy.linalg
from oracles.frozen_decoder import random_bins, random_frozen, untrained
from oracles.model_step import step as model_step

import neurodyn.evaluation.intervals
import neurodyn.realtime.runner
from neurodyn.binning import MultimodalBatch
from neurodyn.binning.likelihoods import LIKELIHOODS
from neurodyn.errors import InputError
from neurodyn.history import ExponentialFilters
from neurodyn.multiscale import modality_encoder, traces
from neurodyn.multiscale.export import export, freeze
from neurodyn.multiscale.fitted import variance_sources
from neurodyn.realtime import Frozen, RealtimeDecoder, Runner
from neurodyn.recurrent import inputs, network
from neurodyn.targets import conditions, losses

SHAPES = {
    "as published": {"latent": 4, "modality_state": 4, "embedding": 4, "fusion": (6,), "skip": False},
    "unequal sizes": {"latent": 5, "modality_state": 3, "embedding": 2, "fusion": (6, 7), "traces": (2.0, 30.0)},
    "no recurrent network": {"latent": 3, "modality_state": 3, "embedding": 3, "traces": (4.0,), "recurrent": False},
    "linear": {"latent": 3, "modality_state": 4, "embedding": 5, "fusion": (), "encoder": (), "decoder": ()},
}


def as_batch(fitted, given):
    """The bins as one trial of a batch."""
    rows = {
        m.name: [np.full(m.n_channels, np.nan) if b[m.name] is None else b[m.name] for b in given]
        for m in fitted.modalities
    }
    return MultimodalBatch.from_arrays(
        {name: np.asarray(values)[None] for name, values in rows.items()},
        width=fitted.width,
        likelihoods={m.name: m.likelihood for m in fitted.modalities},
        channels={m.name: m.channels for m in fitted.modalities},
        sample_every={m.name: m.sample_every for m in fitted.modalities},
        target=np.arange(2.0 * len(given)).reshape(1, -1, 2)[:, :, :1].repeat(len(fitted.target_names), 2),
        target_names=fitted.target_names,
    )


def model_steps(fitted, given):
    """Latent, its covariance, target, its variance and the states' share of it.

    States, traces and covariances come from the plain step of `oracles.model_step`; the recurrent network's prediction
    from the whole sequence at once; experts are added up here by the definition.
    """
    model = fitted.network.model()
    parameters, readout = model.step_parameters(), fitted.filtered
    evidence = fitted.evidence(as_batch(fitted, given), smooth=False)
    shares = conditions(evidence.memory, len(fitted.modalities))[0]
    _, recurrent_variance, memory = variance_sources(evidence, readout.usual_variance)
    position = iter(range(len(given)))
    state, step = model.initial_state(parameters), jax.jit(partial(model_step, model, parameters))
    for bin_ in given:
        values, observed = {}, {}
        for row in fitted.modalities:
            full = np.full(row.n_channels, np.nan) if bin_[row.name] is None else bin_[row.name]
            observed[row.name] = np.isfinite(full)
            values[row.name] = np.where(observed[row.name], full, 0).astype(jax.numpy.result_type(float))
        state, output = step(state, values, observed)
        latent = output.states[0]
        t = next(position)
        parts = [np.concatenate([s.mean for s in output.states]), np.asarray(output.traces)]
        decoded = [part @ e.weights + e.intercept for part, e in zip(parts, readout.experts, strict=False)]
        decoded += [] if evidence.recurrent is None else [evidence.recurrent.mean[0, t]]
        weights = np.tensordot(shares[t], readout.stack, 1)
        target = readout.centre + sum(w * (d - readout.centre) for w, d in zip(weights, decoded, strict=True))
        # In double precision: the usual variance, which is near it, is taken away from it.
        spread = block_variance([np.asarray(s.covariance, float) for s in output.states], readout.experts[0].weights)
        losses, slopes = np.concatenate([memory[0, t], np.sqrt(memory[0, t])]), readout.variance_model.slopes
        log_variance = readout.variance_model.constant + losses @ slopes[1:]
        variance = np.exp(
            log_variance + (0 if recurrent_variance is None else slopes[0] * np.log(recurrent_variance[0, t]))
        )
        yield np.asarray(latent.mean), np.asarray(latent.covariance), target, variance, spread


def block_variance(covariances, weights):
    """``diag(W' P W)`` for a block-diagonal P."""
    blocks = scipy.linalg.block_diag(*covariances)
    return np.diag(weights[: len(blocks)].T @ blocks @ weights[: len(blocks)])


def near(got, expected, scale=1.0):
    """Equal to 1e-5 of the largest number."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(scale, float(np.abs(expected).max(initial=0))))


def check_against_model(fitted, runner, bins=80):
    given = random_bins(runner.frozen, bins)
    for bin_, expected in zip(given, model_steps(fitted, given), strict=True):
        latent, covariance, target, variance, spread = expected
        estimate = runner.step(bin_)
        near(estimate.latent, latent)
        near(estimate.covariance, covariance)
        near(estimate.target, target)
        near(((estimate.upper - estimate.lower) / (2 * 1.959963984540054)) ** 2, variance, spread.max())
    means = fitted.network.model().means(jax.numpy.asarray(estimate.latent))
    for row, mean in zip(fitted.modalities, means, strict=True):
        value = fitted.scaling.invert_observation(row.name, np.asarray(mean))
        near(estimate.rates[row.name], value / fitted.width if row.counts else value)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_runner_equals_a_plain_step_of_the_model(shape, lorenz_batch, float32):
    fitted = untrained(lorenz_batch[0], **SHAPES[shape])
    check_against_model(fitted, Runner(freeze(fitted)))


def test_an_exported_decoder_of_one_modality_equals_the_model(lorenz_batch, tmp_path, float32):
    fitted = untrained(lorenz_batch[0].with_modalities(["field"]), **SHAPES["unequal sizes"])
    export(fitted, tmp_path / "decoder.npz")
    frozen = Frozen.load(tmp_path / "decoder.npz")
    assert frozen.parameters.dtype == np.float32
    check_against_model(fitted, Runner(frozen))
    assert RealtimeDecoder.load(tmp_path / "decoder.npz").channels == {"field": 3}
    with pytest.raises(InputError, match="cannot write"):
        export(fitted, tmp_path / "nowhere" / "decoder.npz")


def test_numbers_that_the_file_has_once_more_are_those_of_the_package():
    """It may import nothing, so it repeats them; a change in one place only is caught here by name."""
    runner = neurodyn.realtime.runner
    assert runner.PRIOR == traces.PRIOR == ExponentialFilters().strength
    assert runner.MAX_INFLATION == modality_encoder.MAX_INFLATION
    assert (runner.TIMES, runner.WEIGHED) == (losses.TIMES, losses.WEIGHED)
    assert set(runner.UNSAID.values()) == {runner.PRIOR, runner.MAX_INFLATION}
    assert runner.LIMIT == inputs.LIMIT
    assert runner.LOG_VARIANCE == network.LOG_VARIANCE
    assert all(LIKELIHOODS[name].counts == counts for name, counts in runner.COUNTS.items())


def as_bins(batch, count=20):
    """The first bins of a trial, with every other channel missing."""
    found = batch.stacked().observations
    return [
        {name: np.where(np.arange(v.shape[2]) % 2, v[0, t], np.nan) for name, v in found.items()} for t in range(count)
    ]


def decoded(settings, parameters, bins):
    """The last estimate of a decoder with these settings."""
    runner = Runner(Frozen(settings, parameters))
    return [runner.step(one) for one in bins][-1]


def test_a_file_says_the_weight_of_the_traces_and_the_inflation_and_an_older_one_decodes_as_before(lorenz_batch):
    frozen = freeze(untrained(lorenz_batch[0], **SHAPES["unequal sizes"]))
    assert {name: frozen.settings[name] for name in neurodyn.realtime.runner.UNSAID} == neurodyn.realtime.runner.UNSAID
    older = {name: value for name, value in frozen.settings.items() if name not in neurodyn.realtime.runner.UNSAID}
    np.testing.assert_array_equal(Frozen(older, frozen.parameters).fingerprint, frozen.fingerprint)
    bins = as_bins(lorenz_batch[0])
    now, before = (decoded(settings, frozen.parameters, bins) for settings in (frozen.settings, older))
    np.testing.assert_array_equal(now.target, before.target)
    for other in ({"trace_prior": 0.5}, {"max_inflation": 1.0}):
        changed = decoded({**frozen.settings, **other}, frozen.parameters, bins)
        assert np.abs(changed.target - now.target).max() > 0
        assert (Frozen({**frozen.settings, **other}, frozen.parameters).fingerprint != frozen.fingerprint).any()


ALONE = """
import sys
for package in ("jax", "scipy", "neurodyn", "jaxtyping", "h5py"):
    sys.modules[package] = None  # as if it were not installed
import numpy as np
from runner import Frozen, Runner

runner = Runner(Frozen.load("decoder.npz"))
with np.load("bins.npz") as bins:
    steps = [runner.step({"spikes": s, "field": f}) for s, f in zip(bins["spikes"], bins["field"])]
np.savez("out.npz", target=[s.target for s in steps], upper=[s.upper for s in steps], rates=steps[-1].rates["spikes"])
"""


def test_one_file_and_numpy_are_enough(tmp_path):
    """The runner's file, copied to a folder of its own, with an exported model."""
    frozen = random_frozen()
    given = random_bins(frozen, 50)
    frozen.save(tmp_path / "decoder.npz")
    shutil.copy(neurodyn.realtime.runner.__file__, tmp_path / "runner.py")
    rows = {n: [np.full(c, np.nan) if b[n] is None else b[n] for b in given] for n, c in (("spikes", 6), ("field", 5))}
    np.savez(tmp_path / "bins.npz", **rows)
    subprocess.run([sys.executable, "-W", "error", "-c", ALONE], cwd=tmp_path, check=True, timeout=60)
    runner = Runner(frozen)
    steps = [runner.step(bin_) for bin_ in given]
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["target"], [s.target for s in steps])
        np.testing.assert_array_equal(out["upper"], [s.upper for s in steps])
        np.testing.assert_array_equal(out["rates"], steps[-1].rates["spikes"])


def test_everything_lies_in_two_buffers():
    """Parameters in one, what is carried from bin to bin in the other."""
    runner = Runner(random_frozen())
    assert all(np.shares_memory(array, runner.frozen.parameters) for array in runner.frozen.arrays.values())
    for part in runner.filters:
        assert np.shares_memory(part.mean, runner.state)
    for bin_ in random_bins(runner.frozen, 20):
        runner.step(bin_)
    other = Runner(runner.frozen)
    for bin_ in random_bins(runner.frozen, 20, seed=5):
        other.step(bin_)
    other.restore(runner.snapshot())
    np.testing.assert_array_equal(other.state, runner.state)


def test_a_model_without_a_target_has_none():
    estimate = Runner(random_frozen(dims=0)).step({"spikes": np.ones(6)})
    assert estimate.target.shape == estimate.lower.shape == estimate.upper.shape == (0,)


def test_an_estimate_does_not_change_when_the_decoder_goes_on():
    runner = Runner(random_frozen())
    given = random_bins(runner.frozen, 30)
    estimates = [runner.step(bin_) for bin_ in given]
    again = Runner(runner.frozen)
    for late, bin_ in zip(estimates, given, strict=True):
        early = again.step(bin_)
        dict(early.rates)
        for part in ("latent", "covariance", "target", "lower", "upper"):
            np.testing.assert_array_equal(getattr(late, part), getattr(early, part))
        np.testing.assert_array_equal(late.rates["field"], early.rates["field"])
    assert list(late.rates) == ["spikes", "field"]
    assert len(late.rates) == 2


def test_what_is_worked_out_between_two_bins_changes_no_estimate(lorenz_batch, float32):
    """Gains and what the recurrent network feeds back are there before the bin: after anything that moves the state."""
    frozen = freeze(untrained(lorenz_batch[0], **SHAPES["unequal sizes"]))
    given = random_bins(frozen, 60)
    plain, busy, rng = Runner(frozen), Runner(frozen), np.random.default_rng(0)
    expected = [plain.step(bin_) for bin_ in given]
    busy.step(given[7])
    busy.prepare()
    busy.reset()
    for bin_, one in zip(given, expected, strict=True):
        for action in rng.choice(["prepare", "ahead", "restore", "nothing"], rng.integers(0, 4)):
            if action == "prepare":
                busy.prepare()
            elif action == "ahead":
                busy.ahead(3)
            elif action == "restore":
                kept = busy.snapshot()
                busy.step(given[3])
                busy.prepare()
                busy.restore(kept)
        found = busy.step(bin_)
        near(found.target, one.target)
        near(found.upper, one.upper)


def test_values_beyond_all_measure_are_missing():
    """They fit into a float, but not their square: no gain could bring the state back."""
    frozen = random_frozen()
    one, other = Runner(frozen), Runner(frozen)
    wild = {"spikes": np.array([1e30, 0, 0, 0, 0, 0]), "field": np.full(5, 1e300)}
    a, b = one.step(wild), other.step({})
    np.testing.assert_array_equal(a.target, b.target)
    assert a.seen == ()
    assert np.isfinite(one.state).all()


@pytest.mark.parametrize(
    "given", [{"spikes": ["a"] * 6}, {"spikes": [[1], [1, 2]]}, {"spikes": object()}, {"spike": None}]
)
def test_what_is_no_number_is_refused(given):
    runner = Runner(random_frozen())
    before = runner.state.copy()
    with pytest.raises(ValueError, match=r"needs|unknown modality"):
        runner.step(given)
    np.testing.assert_array_equal(runner.state, before)


def test_a_file_that_is_no_decoder_is_refused(tmp_path):
    good, other, objects, cut = (tmp_path / name for name in ("good.npz", "other.npz", "objects.npz", "cut.npz"))
    random_frozen().save(good)
    np.savez(other, a=np.zeros(3))
    np.savez(objects, settings=np.array([{"format": "x"}], object), parameters=np.zeros(3))
    cut.write_bytes(good.read_bytes()[:2000])
    for path, message in (
        (other, "holds no exported decoder"), (objects, "not an npz file of plain arrays"),
        (cut, "not an npz file of plain arrays"), (tmp_path / "none.npz", "no such file"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            RealtimeDecoder.load(path)
    arrays = neurodyn.realtime.runner.load_arrays(good)
    neurodyn.realtime.runner.save_arrays(other, {**arrays, "parameters": arrays["parameters"][:-1]})
    with pytest.raises(InputError, match="it is damaged"):
        RealtimeDecoder.load(other)


def test_the_runner_and_the_evaluation_use_the_same_half_width_of_an_interval():
    """The runner is one file without the package, so that the number stands in both."""
    assert neurodyn.realtime.runner.NORMAL_95 == neurodyn.evaluation.intervals.NORMAL_95
