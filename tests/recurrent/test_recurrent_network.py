"""The recurrent read-out: what it sees, that pieces equal the whole, and that it learns what it should."""

from dataclasses import replace

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.delayed_product import SMALL, delayed_product, untrained

from neurodyn.errors import InputError
from neurodyn.recurrent import InputScaling, Network, RecurrentConfig, fit_members, predict, sequences_of
from neurodyn.recurrent import prediction as prediction_module
from neurodyn.recurrent.network import ages
from neurodyn.recurrent.training import on_device
from neurodyn.recurrent.windows import Windows, hidden_channels


def test_age_counts_bins_since_the_last_sample():
    seen = np.asarray([False, False, True, False, False, True])
    age, since = ages(jnp.asarray(seen), jnp.asarray(4.0))
    np.testing.assert_allclose(age, 1 - np.exp(-np.asarray([np.inf, np.inf, 0, 1, 2, 0]) / 4), atol=1e-15)
    assert float(since) == 0
    age, since = ages(jnp.asarray(seen[:2]), jnp.asarray(4.0), jnp.asarray(3.0))
    np.testing.assert_allclose(age, 1 - np.exp(-np.asarray([4.0, 5.0]) / 4), atol=1e-15)
    assert float(since) == 5


def test_inputs_are_standardised_and_zero_where_missing():
    batch = delayed_product()
    counts = np.asarray(batch.observations["spikes"], np.float64)
    scaling = InputScaling.fit(batch)
    roots = np.sqrt(counts)
    np.testing.assert_allclose(scaling.centre[0], roots.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scaling.scale[0], roots.std(0), rtol=1e-5)
    observed = np.ones((1, 3), bool)
    observed[0, 1] = False
    values = np.asarray([[1e9, np.nan, 0.0]], np.float32)
    found = scaling.apply(0, np.nan_to_num(values), observed)
    assert found[0, 0] == 8.0  # an absurd sample is held within the limit
    assert found[0, 1] == 0.0


def test_channels_are_hidden_in_some_windows_from_end_to_end():
    config = replace(SMALL, windows_without_channels=0.25)
    spikes, field = hidden_channels(jax.random.key(1), 4000, (40, 1), config)
    shares = np.asarray(spikes).mean(axis=1)
    assert abs(np.mean(shares > 0) - 0.25) < 0.03  # of 40 channels, a share that hides none is rare
    assert abs(shares[shares > 0].mean() - 0.45) < 0.03
    assert abs(np.asarray(field).mean() - 0.25 * 0.45) < 0.03
    assert abs(np.corrcoef(shares > 0, np.asarray(field)[:, 0])[0, 1]) < 0.05  # each modality by itself
    assert hidden_channels(jax.random.key(1), 8, (40, 1), replace(SMALL, windows_without_channels=0.0)) == []
    # What is hidden is as good as not recorded: the same inputs as those of a recording without it.
    batch = delayed_product(trials=2, bins=50)
    gone = [np.asarray([[True, False, False], [False, True, True]]), np.asarray([[False, True], [True, True]])]
    without = {n: o.reshape(2, 50, -1) & ~g[:, None] for (n, o), g in zip(batch.observed.items(), gone, strict=True)}
    without = {n: o.reshape(100, -1) for n, o in without.items()}
    values = {n: np.where(without[n], v, 0) for n, v in batch.observations.items()}
    scaling, index = InputScaling.fit(batch), jnp.arange(100).reshape(2, 50).T
    lost = replace(batch, observed=without, observations=values)
    whole, parts = (on_device(sequences_of(b, scaling, np.zeros(1), np.ones(1))) for b in (batch, lost))
    np.testing.assert_array_equal(whole.inputs(index, None, [jnp.asarray(g) for g in gone]), parts.inputs(index))


def test_stretches_equal_the_whole(monkeypatch):
    batch = delayed_product(trials=3, bins=150)
    observed = {n: o.copy() for n, o in batch.observed.items()}
    observed["field"][20:90] = False
    batch = replace(
        batch, observed=observed, observations={n: np.where(observed[n], v, 0) for n, v in batch.observations.items()}
    )
    network = untrained(batch)
    whole = predict(network, batch)
    for name, value in (("STRETCH", 32), ("NUMBERS", 64 * 3)):
        with monkeypatch.context() as patched:
            patched.setattr(prediction_module, name, value)
            pieces = predict(network, batch)
        np.testing.assert_allclose(pieces.mean, whole.mean, atol=1e-12)
        np.testing.assert_allclose(pieces.variance, whole.variance, atol=1e-12)


def test_a_prediction_knows_the_past_only():
    batch = delayed_product(trials=2)
    network = untrained(batch)
    before = predict(network, batch)
    changed = {n: v.copy().reshape(2, -1, v.shape[1]) for n, v in batch.observations.items()}
    for array in changed.values():
        array[:, 30:] += 1
    changed = {n: v.reshape(-1, v.shape[2]) for n, v in changed.items()}
    after = predict(network, replace(batch, observations=changed))
    np.testing.assert_array_equal(before.mean[:, :30], after.mean[:, :30])
    assert np.abs(before.mean[:, 30:] - after.mean[:, 30:]).max() > 1e-3


def test_the_variance_is_that_of_the_mixture_of_members():
    batch = delayed_product(trials=2)
    network = untrained(batch)
    one = [Network({k: w[m : m + 1] for k, w in network.weights.items()}, network.scaling) for m in range(2)]
    members = [predict(n, batch) for n in one]
    both = predict(network, batch)
    means = np.stack([m.mean for m in members])
    np.testing.assert_allclose(both.mean, means.mean(0), atol=1e-12)
    expected = np.mean([m.variance for m in members], axis=0) + means.var(0)
    np.testing.assert_allclose(both.variance, expected, atol=1e-12)


@pytest.mark.slow
def test_it_learns_what_no_linear_decoder_can(float32):
    batch = delayed_product(trials=60)
    scaling = InputScaling.fit(batch)
    sequences = sequences_of(batch, scaling, np.zeros(1, np.float32), np.ones(1, np.float32))
    inner, held = batch.with_trials(np.arange(48)), batch.with_trials(np.arange(48, 60))
    config = replace(SMALL, steps=900, dropout=0.0, hidden_windows=0.0, windows_without_channels=0.0, hidden=24)
    outcome = fit_members(sequences.runs_of(inner), sequences.runs_of(held), config)
    network = Network(outcome.parameters, scaling)
    fresh = delayed_product(seed=9)
    found = predict(network, fresh)
    truth = fresh.stacked().target
    assert 1 - np.mean((found.mean - truth)[:, 1:] ** 2) / np.var(truth[:, 1:]) > 0.6
    again = fit_members(sequences.runs_of(inner), sequences.runs_of(held), replace(config, steps=50))
    assert again.history.loss[0] == outcome.history.loss[0]  # the seed decides


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with_exactly(tmp_path):
    """As written when the parameters of the members were called weights."""

    class Stops:
        def update(self, epoch, epochs, loss, best):
            if epoch == 1:
                raise KeyboardInterrupt

        def finish(self, status):
            self.status = status

    batch = delayed_product(trials=8)
    sequences = sequences_of(batch, InputScaling.fit(batch), np.zeros(1, np.float32), np.ones(1, np.float32))
    parts = [sequences.runs_of(batch.with_trials(rows)) for rows in (np.arange(6), np.arange(6, 8))]
    config, path = replace(SMALL, hidden=4, steps=4, validate_every=2), tmp_path / "run.h5"
    stopped = fit_members(*parts, config, checkpoint=path, progress=Stops())
    assert stopped.status == "interrupted"
    with h5py.File(path, "r+") as file:
        file.move("arrays/state/parameters", "arrays/state/weights")
    resumed, whole = fit_members(*parts, config, checkpoint=path), fit_members(*parts, config)
    assert resumed.history == whole.history
    jax.tree.map(np.testing.assert_array_equal, resumed.state, whole.state)


def test_windows_reach_every_bin_and_stay_inside_runs():
    batch = delayed_product(trials=3, bins=50).with_runs([0, 60, 100], [50, 20, 50], [0, 0, 0])
    sequences = sequences_of(batch, InputScaling.fit(batch), np.zeros(1, np.float32), np.ones(1, np.float32))
    windows = Windows.of(sequences, 30)
    starts, lengths = windows.draw(replace(SMALL, window=30), 0).reshape(2, -1)
    runs = [(0, 50), (60, 80), (100, 150)]
    for start, length in zip(starts, lengths, strict=True):
        assert any(a <= start and start + length <= b for a, b in runs)
    assert set(lengths) == {20, 30}
    covered = {b for s, n in zip(starts, lengths, strict=True) for b in range(s, s + n)}
    assert covered == {b for first, past in runs for b in range(first, past)}


@pytest.mark.parametrize("field", ["hidden", "members", "steps", "dropout", "clip"])
def test_settings_that_make_no_sense_are_refused(field):
    with pytest.raises(InputError, match=field):
        RecurrentConfig(**{field: type(getattr(SMALL, field))(-1)})
