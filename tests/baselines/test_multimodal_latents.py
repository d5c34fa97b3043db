"""The two baselines with generative models through their interface, on a Lorenz attractor whose state is known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.baselines import LinearDynamicalSystem, MultimodalVae, PiecewiseLinearRnn
from neurodyn.binning.likelihoods import LIKELIHOODS, Gaussian, Poisson
from neurodyn.errors import InputError
from neurodyn.recurrent import InputScaling, RecurrentConfig
from neurodyn.simulation import LorenzSettings, simulate_lorenz
from neurodyn.training import History, Outcome, engine
from neurodyn.variational import inference, training

UNFITTED = {
    "mvae": MultimodalVae(6, hidden=12, steps=200, lags=10),
    "plrnn": PiecewiseLinearRnn(4, hidden=12, steps=200),
}

COMPILED = [engine.run_epoch, training._draw, training._score, inference._stretch]


@pytest.fixture(scope="module")
def parts():
    batch = simulate_lorenz(LorenzSettings(n_trials=36, seconds=0.5, missing=0.1, field_noise=0.8), seed=2)
    return batch.with_trials(range(30)), batch.with_trials(range(30, 36))


@pytest.fixture(scope="module", params=UNFITTED)
def fitted(request, parts):
    return UNFITTED[request.param].fit(parts[0])


def test_the_state_of_the_attractor_is_read_out(fitted, parts):
    """Of chance, which is an R2 of 0, nothing is near."""
    score = fitted.score(parts[1])
    assert (score.r2 > 0.4).all()
    assert score.dims == ("x", "y", "z")
    assert 0.85 < score.intervals.coverage[-1].mean() <= 1.0


@pytest.mark.parametrize("gone", ["spikes", "field"])
def test_one_modality_gone_it_still_decodes_and_is_less_sure(fitted, parts, gone):
    test = parts[1]
    left = test.with_modalities([name for name in test.names if name != gone])
    alone = fitted.score(left).mean("r2")
    assert 0.1 < alone < fitted.score(test).mean("r2")
    both, one = (fitted.predict(each)["deviation"].to_numpy()[:, 10:].mean() for each in (test, left))
    assert one > both


def test_what_comes_later_changes_nothing(fitted, parts):
    test = parts[1]
    first = int(test.starts[0])
    values = {name: array.copy() for name, array in test.observations.items()}
    for name in values:
        values[name][first + 30 :][test.observed[name][first + 30 :]] += 1.0
    changed = replace(test, observations=values)
    before, after = (fitted.predict(each) for each in (test, changed))
    for name in ("target", "deviation"):
        np.testing.assert_array_equal(before[name].to_numpy()[0, :30], after[name].to_numpy()[0, :30])
    assert np.abs(before["target"] - after["target"]).to_numpy()[0, 30:].max() > 0.1


def test_trials_are_decoded_as_if_alone_whatever_their_length(fitted, parts):
    test = parts[1]
    whole = fitted.predict(test)["target"].to_numpy()
    short = test.with_runs(test.starts[:2], test.lengths[:2] - np.array([0, 20]), test.lead[:2])
    found = fitted.predict(short)["target"].to_numpy()
    np.testing.assert_allclose(found[0], whole[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1, :30], whole[1, :30], rtol=1e-9, atol=1e-9)
    assert np.isnan(found[1, 30:]).all()


def few_steps(name):
    """One round, of the programs that the longer fit has compiled."""
    return replace(UNFITTED[name], steps=100)


def latents(fitted, batch):
    return fitted._states(fitted.fitted_, batch).mean


@pytest.mark.parametrize("name", UNFITTED)
def test_a_seed_gives_the_same_numbers_and_a_target_does_not_change_the_latents(name, parts):
    """And after the first fit, and the first batch of a shape, nothing is compiled any more."""
    train, test = parts
    first = few_steps(name).fit(train)
    expected = latents(first, test)
    shuffled = replace(train, target=np.ascontiguousarray(train.target[::-1]))
    moved = replace(test, observations={n: v + test.observed[n] for n, v in test.observations.items()})
    compiled = [each._cache_size() for each in COMPILED]
    assert all(compiled)
    other = few_steps(name).fit(shuffled)
    same, changed = latents(other, test), latents(other, moved)
    another = replace(few_steps(name), seed=1).fit(train)
    assert [each._cache_size() for each in COMPILED] == compiled
    np.testing.assert_array_equal(same, expected)
    assert np.abs(changed - expected).max() > 1e-3
    assert np.abs(latents(another, test) - expected).max() > 1e-3
    assert np.abs(other.predict(test)["target"] - first.predict(test)["target"]).max() > 1e-3


@pytest.mark.parametrize("name", UNFITTED)
def test_bins_of_context_are_not_fitted(name, parts):
    """Their values are seen and not decoded: with nothing visible to an encoder, no loss knows them."""
    train = parts[0]
    context = train.with_runs(train.starts, train.lengths, np.full(30, 5))
    scaling = InputScaling.fit(context)
    sequences = training.observed_sequences(context, scaling)
    inside = training.after_lead(sequences)
    offset = np.arange(50)
    expected = np.isin(offset, np.arange(5, 50))
    for trial in (0, 29):
        np.testing.assert_array_equal(inside[train.trial(trial)], expected)
    timeline = training.on_device(sequences._replace(scored=inside))
    task = training.ElboTask(few_steps(name)._model(scaling), RecurrentConfig(members=1), 50)
    drawn = jnp.stack([jnp.asarray(train.starts[:2]), jnp.full(2, 50), jnp.full(2, training.WHOLE)])
    window, _ = task.sample(timeline, drawn, jax.random.key(0))
    assert not np.any([mask[:5].any() for mask in window.observed])
    assert np.all([mask[5:].any() for mask in window.observed])
    np.testing.assert_array_equal(window.scored, np.repeat(expected[:, None], 2, axis=1))


@pytest.mark.parametrize("name", UNFITTED)
def test_what_it_cannot_do_is_refused(name, parts):
    train, blank = parts[0], UNFITTED[name]
    with pytest.raises(InputError, match="not fitted"):
        blank.predict(train)
    with pytest.raises(InputError, match="no target"):
        blank.fit(replace(train, target=train.target[:, :0], target_names=()))
    spikes = train.with_modalities(["spikes"])
    with pytest.raises(InputError, match="longer than one bin"):
        blank.fit(spikes.with_runs(train.starts, np.ones(30, int), np.zeros(30, int)))
    for setting in ("latent", "hidden", "steps"):
        with pytest.raises(InputError, match=f"{setting}: expected a whole number of 1 or more, got 0"):
            replace(blank, **{setting: 0})
    with pytest.raises(InputError, match="lags"):
        MultimodalVae(lags=0)


@pytest.mark.parametrize("method", [MultimodalVae(), PiecewiseLinearRnn(), LinearDynamicalSystem()])
@pytest.mark.parametrize(("name", "kind", "instead"), [("spikes", Poisson, "poisson"), ("field", Gaussian, "gaussian")])
def test_a_likelihood_that_was_plugged_in_is_not_taken_for_another(method, name, kind, instead, parts, monkeypatch):
    """Counts of whatever likelihood would be fitted as Poisson counts, and nobody would see it."""
    monkeypatch.setitem(LIKELIHOODS, "another", type("Another", (kind,), {})())
    rows = tuple(replace(m, likelihood="another") if m.name == name else m for m in parts[0].modalities)
    with pytest.raises(InputError, match=f"'{name}' is another: leave it out, give it the likelihood '{instead}'"):
        method.fit(replace(parts[0], modalities=rows))


def test_a_smoothed_estimate_is_refused(fitted, parts):
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(parts[1], smoothed=True)
    assert "12 units" in repr(fitted)
    assert "nats" in repr(fitted)


def test_the_divergence_is_warmed_up_in_a_third_of_a_short_training(parts, monkeypatch):
    """Of 30 steps, 10: the weights that steps are given grow to the whole by tenths, and stay there."""
    given = []

    def remember(run, **_):
        given.append(run)
        return Outcome({}, run.start, History(), "finished")

    monkeypatch.setattr(training, "fit", remember)
    scaling = InputScaling.fit(parts[0])
    sequences = training.observed_sequences(parts[0], scaling)
    course = RecurrentConfig(members=1, steps=30, validate_every=15)
    for name, expected in {"mvae": np.minimum(np.arange(1, 31) / 10, 1), "plrnn": np.ones(30)}.items():
        training.fit_model(UNFITTED[name]._model(scaling), sequences, sequences, course)
        weights = np.concatenate([given[-1].draw(epoch)[0][:, 2] for epoch in range(2)])
        np.testing.assert_allclose(weights / training.WHOLE, np.repeat(expected[:, None], 32, axis=1), atol=1e-12)


def test_a_bar_shows_the_fit(parts, capsys):
    replace(few_steps("plrnn"), progress=True).fit(parts[0])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "fit plrnn spikes+field" in printed.err
