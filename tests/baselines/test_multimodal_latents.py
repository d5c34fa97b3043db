"""The two yardsticks with generative models through their interface, on a Lorenz attractor whose state is known."""

import logging
from dataclasses import replace

import jax
import numpy as np
import pytest

from neurodyn.baselines import MultimodalVae, PiecewiseLinearRnn
from neurodyn.errors import InputError
from neurodyn.simulation import LorenzSettings, simulate_lorenz

UNFITTED = {
    "mvae": MultimodalVae(6, hidden=12, steps=500, lags=10),
    "plrnn": PiecewiseLinearRnn(4, hidden=12, steps=200),
}


@pytest.fixture(scope="module")
def parts():
    batch = simulate_lorenz(LorenzSettings(n_trials=42, seconds=0.5, missing=0.1, field_noise=0.8), seed=2)
    return batch.with_trials(range(30)), batch.with_trials(range(30, 42))


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
    """Before the first validation and after it."""
    return replace(UNFITTED[name], steps=20)


def latents(fitted, batch):
    return fitted._states(fitted.fitted_, batch).mean


@pytest.mark.parametrize("name", UNFITTED)
def test_a_seed_gives_the_same_numbers_and_a_target_does_not_change_the_latents(name, parts, caplog):
    """And after the first fit, and the first batch of a shape, nothing is compiled any more."""
    train, test = parts
    first = few_steps(name).fit(train)
    expected = latents(first, test)
    shuffled = replace(train, target=np.ascontiguousarray(train.target[::-1]))
    moved = replace(test, observations={n: v + test.observed[n] for n, v in test.observations.items()})
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        again, other = few_steps(name).fit(train), few_steps(name).fit(shuffled)
        same, changed = latents(again, test), latents(again, moved)
        another = replace(few_steps(name), seed=1).fit(train)
    assert [record.message for record in caplog.records if "Compiling" in record.message] == []
    np.testing.assert_array_equal(same, expected)
    np.testing.assert_array_equal(latents(other, test), expected)
    assert np.abs(changed - expected).max() > 1e-3
    assert np.abs(latents(another, test) - expected).max() > 1e-3
    assert np.abs(other.predict(test)["target"] - first.predict(test)["target"]).max() > 1e-3


@pytest.mark.parametrize("name", UNFITTED)
def test_context_is_seen_and_not_fitted(name, parts):
    """Values in the bins of context that no encoder would see differ: the loss of a fit does not know them."""
    train = parts[0].with_trials(range(12))
    context = train.with_runs(train.starts, train.lengths, np.full(12, 5))
    found = few_steps(name).fit(context)
    assert np.isfinite(found.predict(context)["target"].to_numpy()).all()
    assert len(found.fitted_.history.validation) == 1


@pytest.mark.parametrize("name", UNFITTED)
def test_what_it_cannot_do_is_refused(name, parts):
    train, blank = parts[0], UNFITTED[name]
    with pytest.raises(InputError, match="not fitted"):
        blank.predict(train)
    with pytest.raises(InputError, match="no target"):
        blank.fit(replace(train, target=train.target[:, :0], target_names=()))
    with pytest.raises(InputError, match="at least two bins|longer than one bin"):
        blank.fit(train.with_runs(train.starts, np.ones(30, int), np.zeros(30, int)))
    for setting in ("latent", "hidden", "steps"):
        with pytest.raises(InputError, match=f"{setting}: expected a whole number of 1 or more, got 0"):
            replace(blank, **{setting: 0})
    with pytest.raises(InputError, match="lags"):
        MultimodalVae(lags=0)


def test_a_smoothed_estimate_is_refused(fitted, parts):
    with pytest.raises(InputError, match="no smoothed estimate"):
        fitted.predict(parts[1], smoothed=True)
    assert "12 units" in repr(fitted)
    assert "nats" in repr(fitted)


def test_a_bar_shows_the_fit(parts, capsys):
    replace(few_steps("plrnn"), progress=True).fit(parts[0])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "fit plrnn spikes+field" in printed.err
