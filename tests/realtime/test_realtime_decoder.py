"""The decoder that takes one bin at a time equals the offline filter, whatever is missing."""

from dataclasses import replace

import jax
import jax.monitoring
import numpy as np
import pytest
from oracles.small_decoder import fit_small, small_decoder

from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder


@pytest.fixture
def fitted(decoder):
    return decoder


@pytest.fixture
def spikes_only(spikes_decoder):
    return spikes_decoder


def random_batch(decoder, *, seed=0, trials=2, bins=60):
    """Trials with whole bins and single channels missing at random; neighbouring bins now and then all lost."""
    rng = np.random.default_rng(seed)
    fitted = decoder.fitted_
    observations = {}
    for row in fitted.modalities:
        values = rng.poisson(1.0, (trials, bins, row.n_channels)).astype(float)
        if not row.counts:
            values = rng.normal(size=values.shape)
        values[rng.random(values.shape) < 0.3] = np.nan
        values[rng.random((trials, bins)) < 0.3] = np.nan
        values[:, 20:26] = np.nan
        observations[row.name] = values.astype(np.float32).astype(float)  # as a batch stores them
    batch = MultimodalBatch.from_arrays(
        observations,
        width=fitted.width,
        likelihoods={row.name: row.likelihood for row in fitted.modalities},
        channels={row.name: row.channels for row in fitted.modalities},
        sample_every={row.name: row.sample_every for row in fitted.modalities},
    )
    return batch, observations


def stream(live, observations, trial):
    """Every bin of a trial through the live decoder."""
    live.reset()
    bins = next(iter(observations.values())).shape[1]
    return [live.step({n: v[trial, t] for n, v in observations.items()}, 0.01 * (t + 1)) for t in range(bins)]


def check_online_equals_offline(decoder, tolerance):
    batch, observations = random_batch(decoder)
    latents, decoded = decoder.transform(batch), decoder.predict(batch)
    live = decoder.realtime()
    for trial in range(batch.n_trials):
        steps = stream(live, observations, trial)
        for name, offline in (("latent", latents["latent"]), ("target", decoded["target"])):
            online = np.stack([getattr(s, name) for s in steps])
            np.testing.assert_allclose(online, offline[trial], rtol=tolerance, atol=tolerance)
        for row in decoder.fitted_.modalities:
            unit = decoder.fitted_.width if row.counts else 1.0
            online = np.stack([s.rates[row.name] for s in steps]) * unit
            rough = max(tolerance, 1e-6)  # expected observations are given in single precision
            np.testing.assert_allclose(online, latents[row.name][trial], rtol=rough, atol=rough)
        half = 1.959963984540054 * decoded["deviation"][trial].to_numpy()
        lower, upper = (np.stack([getattr(s, side) for s in steps]) for side in ("lower", "upper"))
        np.testing.assert_allclose(upper - lower, 2 * half, rtol=tolerance, atol=tolerance)
    return steps


def test_online_equals_offline_in_double_precision(fitted):
    steps = check_online_equals_offline(fitted, 1e-10)
    assert steps[0].latent.dtype == np.float64


@pytest.mark.parametrize("recurrent", [False, True])
def test_no_target_is_decoded_that_was_never_seen_unless_asked(lorenz_batch, recurrent, tmp_path):
    """Live and offline, before and after a file; observations far beyond those of training."""
    train, test = lorenz_batch
    decoder = fit_small(train, recurrent=recurrent)
    lowest, highest = train.target.min(axis=0), train.target.max(axis=0)
    np.testing.assert_array_equal(decoder.fitted_.bounds, [lowest, highest])
    wild = replace(test, observations={n: 8 * v for n, v in test.observations.items()})
    free = replace(decoder, fitted_=replace(decoder.fitted_, bounds=None)).predict(wild)["target"].to_numpy()
    assert (free > highest).any()
    assert (free < lowest).any()
    expected = np.clip(free, lowest, highest)
    np.testing.assert_allclose(decoder.predict(wild)["target"], expected, rtol=1e-12)
    decoder.save(tmp_path / "model")
    loaded = MultiscaleDecoder.load(tmp_path / "model")
    assert loaded.bounded
    seen = {n: np.where(wild.observed[n], v, np.nan)[wild.trial(0)][None] for n, v in wild.observations.items()}
    live = np.stack([step.target for step in stream(loaded.realtime(), seen, 0)])
    np.testing.assert_allclose(live, expected[0, : len(live)], rtol=1e-6)
    unbounded = replace(small_decoder(epochs=1), bounded=False).fit(train)
    unbounded.save(tmp_path / "unbounded")
    assert unbounded.fitted_.bounds is None
    assert not MultiscaleDecoder.load(tmp_path / "unbounded").bounded


def test_online_equals_offline_with_one_modality(spikes_only):
    check_online_equals_offline(spikes_only, 1e-10)


def test_online_equals_offline_with_a_recurrent_read_out(lorenz_batch, tmp_path):
    """In double precision, and in single precision through a file, to what the README promises."""
    networked = fit_small(lorenz_batch[0], recurrent=True)
    check_online_equals_offline(networked, 1e-10)
    networked.save(tmp_path / "model")
    jax.config.update("jax_enable_x64", False)
    try:
        check_online_equals_offline(MultiscaleDecoder.load(tmp_path / "model"), 1e-5)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_a_snapshot_and_a_swap_carry_the_recurrent_state(lorenz_batch, fitted):
    networked, rng = fit_small(lorenz_batch[0], recurrent=True), np.random.default_rng(0)
    one, other = networked.realtime(), networked.realtime()
    bins = [{"spikes": rng.poisson(1.0, 4).astype(float), "field": rng.normal(size=3)} for _ in range(20)]
    for given in bins[:10]:
        one.step(given, 0.0)
    other.restore(one.snapshot())
    for given in bins[10:]:
        same(one.step(given, 0.0), other.step(given, 0.0))
    with pytest.raises(InputError, match="other experts"):
        one.swap(fitted.fitted_)


def test_online_equals_offline_in_single_precision(fitted, tmp_path, float32):
    """As users run it; the model goes through a file, which changes its precision."""
    fitted.save(tmp_path / "model.h5")
    steps = check_online_equals_offline(MultiscaleDecoder.load(tmp_path / "model.h5"), 1e-5)
    assert steps[0].latent.dtype == np.float32


def same(one, other):
    np.testing.assert_array_equal(one.latent, other.latent)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    np.testing.assert_array_equal(one.target, other.target)


def test_none_equals_nan_equals_left_out(fitted):
    spikes = np.array([1.0, 0.0, 2.0, 1.0])
    ways = [{"spikes": spikes, "field": None}, {"spikes": spikes, "field": np.full(3, np.nan)}, {"spikes": spikes}]
    estimates = []
    for given in ways:
        live = fitted.realtime()
        live.step({"spikes": spikes, "field": np.ones(3)}, 0.01)
        estimates.append(live.step(given, 0.02))
        assert estimates[-1].seen == ("spikes",)
    same(estimates[0], estimates[1])
    same(estimates[0], estimates[2])


def test_integers_lists_and_infinities_are_taken(fitted):
    one, other = fitted.realtime(), fitted.realtime()
    a = one.step({"spikes": [1, 0, 2, 1], "field": [0.5, np.inf, -np.inf]}, 0.01)
    b = other.step({"spikes": np.array([1.0, 0.0, 2.0, 1.0]), "field": np.array([0.5, np.nan, np.nan])}, 0.01)
    same(a, b)


def test_a_running_decoder_leaves_the_device_alone(fitted):
    """Nothing is compiled, and nothing allocated on the device, after the decoder has been made."""
    live = fitted.realtime()
    _, observations = random_batch(fitted, seed=3)
    arrays, compiled = len(jax.live_arrays()), []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: compiled.append(event))
    stream(live, observations, 0)
    for given in ({}, {"spikes": np.zeros(4, np.int64)}, {"field": [1, 2, 3]}):
        dict(live.step(given, 1.0).rates)
        live.predict_ahead(3)
        live.restore(live.snapshot())
    assert len(jax.live_arrays()) == arrays
    assert not compiled


def test_reset_starts_a_new_session(fitted):
    live = fitted.realtime()
    _, observations = random_batch(fitted, seed=4)
    first, again = stream(live, observations, 0), stream(live, observations, 0)
    for one, other in zip(first, again, strict=True):
        same(one, other)


def test_two_decoders_do_not_share_their_state(fitted):
    one, other = fitted.realtime(), fitted.realtime()
    spikes = {"spikes": np.full(4, 3.0)}
    alone = other.step(spikes, 0.01)
    other.reset()
    for _ in range(5):
        one.step({"spikes": np.zeros(4)}, 0.01)
    same(other.step(spikes, 0.01), alone)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spikes": np.zeros(5)}, r"'spikes' needs one bin of 4 channels, got shape \(5,\)"),
        (
            {"spikes": np.zeros(4), "field": np.zeros((1, 3))},
            r"'field' needs one bin of 3 channels, got shape \(1, 3\)",
        ),
        ({"spike": np.zeros(4)}, "unknown modality 'spike': did you mean 'spikes'"),
    ],
)
def test_bad_input_leaves_the_state_unchanged(fitted, given, message):
    live, untouched = fitted.realtime(), fitted.realtime()
    good = {"spikes": np.ones(4), "field": np.ones(3)}
    live.step(good, 0.01)
    untouched.step(good, 0.01)
    with pytest.raises(InputError, match=message):
        live.step(given, 0.02)
    same(live.step(good, 0.02), untouched.step(good, 0.02))


def test_an_estimate_says_what_it_is(fitted):
    estimate = fitted.realtime().step({"spikes": np.ones(4), "field": [np.nan, 1.0, np.nan]}, 12.5)
    assert estimate.time == 12.5
    assert estimate.latent.shape == (4,)
    assert estimate.covariance.shape == (4, 4)
    assert estimate.rates["spikes"].shape == (4,)
    assert np.all(estimate.rates["spikes"] > 0)
    assert estimate.rates["field"].shape == (3,)
    assert np.all(estimate.lower < estimate.target)
    assert np.all(estimate.target < estimate.upper)
    assert estimate.seen == ("spikes", "field")
    assert estimate.microseconds > 0


def spread(estimate):
    return float(np.sum(estimate.upper - estimate.lower))


def test_intervals_widen_in_a_gap_and_recover(spikes_only):
    """With one modality the backbone itself sees nothing in a gap."""
    live = spikes_only.realtime()
    for _ in range(1200):  # until the start, before which all counts as lost, is forgotten
        before = live.step({"spikes": np.ones(4)}, 0.0)
    widths = [spread(live.step({}, 0.0)) for _ in range(40)]
    # How the width depends on what was lost is fitted, and not monotone by construction.
    assert min(widths) > spread(before) + 1e-6
    for _ in range(1200):  # the root of the memory of what was lost fades within 108 bins
        after = live.step({"spikes": np.ones(4)}, 0.0)
    np.testing.assert_allclose(spread(after), spread(before), rtol=1e-3)


def check_no_number_is_slow(live):
    """What is gone has faded to zero, and not to numbers so small that a processor is slow with them."""
    state = live.runner.state
    assert not np.any((state != 0) & (np.abs(state) < np.finfo(state.dtype).tiny))


def test_channels_that_died_fade_from_the_state(spikes_only, tmp_path, float32):
    spikes_only.save(tmp_path / "model.h5")
    live = MultiscaleDecoder.load(tmp_path / "model.h5").realtime()
    for _ in range(100):
        live.step({"spikes": np.array([2.0, 0.0, 1.0, 1.0])}, 0.0)
    for _ in range(5000):
        live.step({"spikes": np.array([2.0, 0.0, np.nan, np.nan])}, 0.0)
    check_no_number_is_slow(live)


@pytest.mark.parametrize("name", ["fitted", "spikes_only"])
def test_a_gap_of_thousands_of_bins_stays_finite(name, request, tmp_path, float32):
    request.getfixturevalue(name).save(tmp_path / "model.h5")
    live = MultiscaleDecoder.load(tmp_path / "model.h5").realtime()
    good = {"spikes": np.array([2.0, 0.0, 1.0, 1.0])}
    before = [live.step(good, 0.0) for _ in range(100)][-1]
    for _ in range(5000):
        estimate = live.step({}, 0.0)
    assert all(np.all(np.isfinite(getattr(estimate, part))) for part in ("latent", "covariance", "target", "upper"))
    assert np.all(np.linalg.eigvalsh(estimate.covariance) > 0)
    check_no_number_is_slow(live)
    after = [live.step(good, 0.0) for _ in range(100)][-1]
    np.testing.assert_allclose(after.covariance, before.covariance, atol=0.05)
