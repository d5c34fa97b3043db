"""Sizes are chosen on blocks inside the data given, within a budget, and what was compared is kept with the model."""

import math
from dataclasses import replace

import numpy as np
import pytest
from oracles.small_decoder import small_decoder

from neurodyn.binning import MultimodalBatch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.cli import options
from neurodyn.errors import InputError, NumericalError
from neurodyn.evaluation.metrics import r2
from neurodyn.multiscale import MultiscaleDecoder, choosing


def scores_by(monkeypatch, values, clock=None):
    """Replace fits by known scores; returns what was compared, (candidate, share of the epochs)."""
    compared = []

    def compare(name, decoder, share, inner, held):
        compared.append((name, share))
        if clock is not None:
            clock[0] += 10.0
        value = values[name] if not callable(values[name]) else values[name](share)
        return choosing.Compared(name, max(1, round(share * 20)), value, 10.0)

    monkeypatch.setattr(choosing, "_compare", compare)
    if clock is not None:
        monkeypatch.setattr(choosing.time, "monotonic", lambda: clock[0])
    return compared


NAMES = [f"{n} latents" for n in range(2, 13)]
CANDIDATES = {name: choosing._sizes(latent=int(name.split()[0])) for name in NAMES}


def test_the_better_ones_are_trained_for_longer(lorenz_batch, monkeypatch):
    """Twelve candidates, then four, then two; the last round decides, whatever the ones before said."""
    values = {choosing.AS_GIVEN: 0.0} | {name: n / 100 for n, name in enumerate(NAMES)}
    values["11 latents"] = lambda share: 0.5 if share == 1 else 0.095
    values.pop("4 latents")  # changes nothing: what is given has four latents
    compared = scores_by(monkeypatch, values)
    chosen, choice = choosing.choose(small_decoder(), lorenz_batch[0], candidates=CANDIDATES)
    assert chosen.latent == 11
    assert choice.candidate == "11 latents"
    by_share = {share: [n for n, s in compared if s == share] for share in (0.15, 0.4, 1.0)}
    assert len(by_share[0.15]) == 11
    assert by_share[0.15][0] == choosing.AS_GIVEN
    assert set(by_share[0.4]) == {"12 latents", "11 latents", "10 latents", "9 latents"}
    assert set(by_share[1.0]) == {"12 latents", "11 latents"}
    assert [one.candidate for one in choice.compared] == [name for name, _ in compared]


@pytest.mark.parametrize(
    ("seconds", "expected", "fits"), [(5, "as given", 1), (25, "3 latents", 3), (115, "12 latents", 12)]
)
def test_no_fit_begins_after_the_budget(lorenz_batch, monkeypatch, seconds, expected, fits):
    """In the midst of the first round the best so far is taken, of a later one the best of the round before."""
    values = {choosing.AS_GIVEN: 0.005} | {name: n / 100 for n, name in enumerate(NAMES)}
    compared = scores_by(monkeypatch, values, clock=[0.0])
    _, choice = choosing.choose(small_decoder(), lorenz_batch[0], float(seconds), CANDIDATES)
    assert (choice.candidate, len(compared)) == (expected, fits)


def test_of_equal_candidates_what_was_given_is_kept(lorenz_batch, monkeypatch):
    scores_by(monkeypatch, dict.fromkeys([choosing.AS_GIVEN, *NAMES], 0.3))
    assert choosing.choose(small_decoder(), lorenz_batch[0], candidates=CANDIDATES)[1].candidate == choosing.AS_GIVEN


def test_a_candidate_that_diverges_is_last(lorenz_batch, monkeypatch):
    def fit(self, batch):
        if self.latent == 3:
            raise NumericalError("the loss is not finite")
        return original(self, batch)

    original = MultiscaleDecoder.fit
    monkeypatch.setattr(MultiscaleDecoder, "fit", fit)
    inner, held = validation_split(lorenz_batch[0], 0.25, 0.5)
    one = choosing._compare("3 latents", replace(small_decoder(), latent=3), 1.0, inner, held)
    assert one.r2 == -math.inf
    assert choosing.Choice("x", (one,)).record()["compared"][0]["r2"] is None  # JSON knows no infinity


def test_candidates_are_scored_on_what_they_were_not_fitted_to(lorenz_batch):
    batch = lorenz_batch[0]
    inner, held = validation_split(batch, choosing.KEPT_OUT, held_out_seconds(batch, choosing.KEPT_OUT, 10.0))
    assert not (inner.in_trials() & held.in_trials()).any()
    found = choosing._compare("x", small_decoder(epochs=4), 0.5, inner, held)
    fitted = small_decoder(epochs=2).fit(inner)
    stacked = held.stacked()
    expected = r2(stacked.target[stacked.scored()], fitted.predict(held)["target"].to_numpy()[stacked.scored()]).mean()
    assert found.epochs == 2
    assert found.r2 == pytest.approx(expected)


def test_fit_chooses_when_asked_and_keeps_what_was_compared(lorenz_batch, tmp_path, monkeypatch):
    train, test = lorenz_batch
    monkeypatch.setattr(choosing, "CANDIDATES", {"2 latents": choosing._sizes(latent=2)})
    monkeypatch.setattr(choosing, "ROUNDS", ((1.0, 1),))
    decoder = small_decoder(epochs=2)
    fitted = decoder.fit(train, choose=True)
    record = fitted.fitted_.provenance["choice"]
    assert [row["candidate"] for row in record["compared"]] == ["as given", "2 latents"]
    best = max(record["compared"], key=lambda row: row["r2"])["candidate"]
    assert record["chosen"] == best
    assert fitted.latent == {"as given": 4, "2 latents": 2}[best]
    plain = replace(decoder, latent=fitted.latent).fit(train)
    np.testing.assert_array_equal(fitted.predict(test)["target"], plain.predict(test)["target"])
    fitted.save(tmp_path / "model")
    assert MultiscaleDecoder.load(tmp_path / "model").fitted_.provenance["choice"] == record
    assert "choice" not in replace(decoder, choose=60.0).fit(train, choose=False).fitted_.provenance


def test_the_command_has_the_same_budget():
    """It does not import the model to show its help."""
    assert options.SECONDS_TO_CHOOSE == choosing.SECONDS


def test_what_cannot_be_chosen_is_refused(lorenz_batch):
    train = lorenz_batch[0]
    blind = MultimodalBatch.from_arrays(
        {"field": np.random.default_rng(0).normal(size=(4, 60, 2))}, width=0.01, likelihoods={"field": "gaussian"}
    )
    with pytest.raises(InputError, match="no target to choose sizes by"):
        small_decoder().fit(blind, choose=True)
    with pytest.raises(InputError, match="more than 0 seconds, got -3"):
        small_decoder().fit(train, choose=-3.0)
    with pytest.raises(InputError, match="leave together=True out"):
        replace(small_decoder(), choose=5.0).fit_many([train], together=True)
    assert not replace(small_decoder(), choose=5.0).faster_together([train])
