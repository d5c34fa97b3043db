"""Channels that drift: told once, put back within bounds; against weighted averages written out, and in sessions."""

import numpy as np
import pytest
from oracles.frozen_decoder import random_frozen
from oracles.session import FIELD_RATE, Session, recording

from neurodyn.errors import InputError
from neurodyn.realtime import DriftPolicy, EventKind, EventLog, Frozen, RealtimeDecoder
from neurodyn.realtime.bins import Bin
from neurodyn.realtime.drift import ChannelDrift
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.service import ServiceOptions
from neurodyn.realtime.session_check import check_session
from neurodyn.realtime.session_file import SessionFile
from neurodyn.realtime.writers import SnapshotFile
from neurodyn.recording import Recording, Signal, SpikeTrains

RATE, MEAN, SPREAD = 0.5, 3.0, 2.0  # spikes per bin of the units; of the field's channels


def frozen(*, raw=False):
    """Four units and three channels of a field whose training data are known; bins of 10 ms."""
    made = random_frozen(channels=(4, 3))
    arrays = dict(made.arrays)
    arrays |= {"0/center": np.full(4, 0.0 if raw else RATE), "1/center": np.full(3, MEAN)}
    arrays |= {"0/inverse_scale": np.full(4, RATE**-0.5), "1/inverse_scale": np.full(3, 1 / SPREAD)}
    settings = {key: value for key, value in made.settings.items() if key != "layout"}
    return Frozen.pack(settings, arrays, np.dtype(np.float32))


def follow(policy, *, decoder=None):
    """What follows the channels, and the list of what it tells."""
    told = []
    decoder = decoder or RealtimeDecoder(frozen())
    return ChannelDrift(decoder, lambda kind, name, text: told.append((kind, name, text)), policy), told


def usual(rng, bins):
    """Bins as in the training data."""
    return rng.poisson(RATE, (bins, 4)).astype(float), rng.normal(MEAN, SPREAD, (bins, 3))


def learn(drift, counts, field):
    for spikes, values in zip(counts, field, strict=True):
        drift.learn({"spikes": spikes, "field": values})


def test_nothing_is_told_of_channels_as_they_were():
    drift, told = follow(DriftPolicy(memory=5.0))
    learn(drift, *usual(np.random.default_rng(0), 6000))
    assert told == []


def test_a_channel_that_moves_is_told_once_and_once_more_when_it_is_back():
    rng = np.random.default_rng(1)
    drift, told = follow(DriftPolicy(memory=5.0))
    for moved in (False, True, False):
        counts, field = usual(rng, 4000)
        if moved:
            counts[:, 2] = rng.poisson(3 * RATE, 4000)
            field[:, 1] += 1.5 * SPREAD
        learn(drift, counts, field)
    assert [(kind, name) for kind, name, _ in told].count((EventKind.DRIFT, "spikes")) == 2
    texts = [text for _, name, text in told if name == "field"]
    assert texts[0].startswith("1 has drifted: mean up to +1")
    assert texts[1].startswith("1 is as in the training data again: mean up to +0.")
    assert len(texts) == 2
    texts = [text for _, name, text in told if name == "spikes"]
    assert texts[0].startswith("2 has drifted: 2")
    assert texts[1].startswith("2 is as in the training data again: 1.")


def test_a_unit_that_falls_silent_and_a_field_that_loses_its_spread_are_told():
    counts, field = usual(np.random.default_rng(2), 3000)
    counts[:, 0] = 0
    field[:, 2] = MEAN
    drift, told = follow(DriftPolicy(memory=5.0))
    learn(drift, counts, field)
    assert {(name, text.split(" has drifted")[0]) for _, name, text in told} == {("spikes", "0"), ("field", "2")}
    assert all(np.isfinite(drift.adapted({"spikes": counts[0], "field": field[0]})["field"]))


def test_one_artefact_is_no_drift():
    counts, field = usual(np.random.default_rng(3), 3000)
    field[2000:2010] = 1e9
    drift, told = follow(DriftPolicy(memory=5.0))
    learn(drift, counts, field)
    assert told == []


def test_what_is_put_back_is_the_weighted_mean_and_spread_of_what_came():
    """Each sample weighs exp(-age / memory); half a memory is what the belief in the training data is worth."""
    rng = np.random.default_rng(4)
    counts, field = usual(rng, 699)
    counts[:, 1] = rng.poisson(1.7 * RATE, 699)
    field = 1.4 * field + 0.5 * SPREAD
    field[rng.random(699) < 0.3] = np.nan
    policy = DriftPolicy(memory=3.0, adapt=True)
    drift, _ = follow(policy)
    learn(drift, counts, field)
    fresh = {"spikes": np.array([0.0, 2.0, 1.0, 3.0]), "field": np.array([MEAN, np.nan, 7.0])}
    adapted = drift.adapted(fresh)

    memory = 3.0 / 0.01
    weight = np.exp(-np.arange(699)[::-1] / memory)
    rate = (weight @ counts) / weight.sum()
    trust = weight.sum() / (weight.sum() + memory / 2)
    np.testing.assert_allclose(adapted["spikes"], fresh["spikes"] * (RATE / rate) ** trust, rtol=1e-9)

    kept = field[np.isfinite(field[:, 0])]
    weight = np.exp(-np.arange(len(kept))[::-1] / memory)
    scores = np.clip((kept - MEAN) / SPREAD, -5, 5)
    mean = (weight @ scores) / weight.sum()
    spread = np.sqrt((weight @ (scores - mean) ** 2) / weight.sum())
    trust = weight.sum() / (weight.sum() + memory / 2)
    back = MEAN + (fresh["field"] - MEAN - SPREAD * trust * mean) * spread**-trust
    np.testing.assert_allclose(adapted["field"], back, rtol=1e-6)


def test_it_is_put_back_no_further_than_its_bounds():
    rng = np.random.default_rng(5)
    counts, field = usual(rng, 3000)
    drift, _ = follow(DriftPolicy(memory=2.0, adapt=True, most_shift=0.5, most_factor=1.5))
    learn(drift, 40 * counts, MEAN + 100 * (field - MEAN) + 50 * SPREAD)
    adapted = drift.adapted({"spikes": np.ones(4), "field": np.full(3, MEAN)})
    np.testing.assert_allclose(adapted["spikes"], 1 / 1.5)
    np.testing.assert_allclose(adapted["field"], MEAN - 0.5 * SPREAD / 1.5, rtol=1e-6)


def test_unless_asked_the_decoder_gets_what_came():
    drift, _ = follow(DriftPolicy(memory=2.0))
    counts, field = usual(np.random.default_rng(6), 1000)
    learn(drift, 5 * counts, field + 5 * SPREAD)
    given = {"spikes": counts[0], "field": None}
    assert drift.adapted(given) is given


def test_of_raw_counts_no_rate_is_known():
    drift, told = follow(DriftPolicy(memory=2.0, adapt=True), decoder=RealtimeDecoder(frozen(raw=True)))
    counts, field = usual(np.random.default_rng(7), 2000)
    learn(drift, 9 * counts, field)
    np.testing.assert_array_equal(drift.adapted({"spikes": counts[0]})["spikes"], counts[0])
    assert told == []


def test_bins_without_a_modality_and_of_a_wrong_shape_teach_nothing():
    drift, told = follow(DriftPolicy(memory=2.0, adapt=True))
    for values in (None, np.ones(7), np.full(4, np.nan)):
        drift.learn({"spikes": values, "elsewhere": np.ones(2)})
    np.testing.assert_array_equal(drift.adapted({"spikes": np.arange(4)})["spikes"], np.arange(4.0))
    assert drift.adapted({"spikes": None})["spikes"] is None
    assert told == []


def test_another_model_is_another_reference():
    decoder = RealtimeDecoder(frozen())
    drift, told = follow(DriftPolicy(memory=2.0), decoder=decoder)
    counts, field = usual(np.random.default_rng(8), 1000)
    learn(drift, counts, field)
    other = frozen()
    other.arrays["1/center"][:] = MEAN + 3 * SPREAD
    decoder.swap(other)
    decoder.step({}, 0.0)
    learn(drift, counts, field)
    assert [(name, text.split(":")[0]) for _, name, text in told] == [("field", "0, 1, 2 have drifted")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"memory": 0.0}, "memory of a drift must be positive, got 0.0"),
        ({"shift": np.inf}, "shift of a drift must be a number"),
        ({"factor": 0.5}, "factors of a drift must be 1 or more, got 0.5"),
        ({"most_factor": np.nan}, "most_factor of a drift must be a number, got nan"),
    ],
)
def test_policies_that_cannot_be_are_refused(words, said):
    with pytest.raises(InputError, match=said):
        DriftPolicy(**words)


class TestWhatWasLearnedOutlivesTheProcess:
    """A session is given its bins, stopped after any number of them, and another begun with the file it left."""

    POLICY = DriftPolicy(memory=4.0, adapt=True)
    BINS = 700

    @pytest.fixture(scope="class")
    @staticmethod
    def bins():
        rng = np.random.default_rng(9)
        counts, field = usual(rng, TestWhatWasLearnedOutlivesTheProcess.BINS)
        counts[:, 1] *= 3
        field = 2.5 * field + 2 * SPREAD
        field[rng.random(len(field)) < 0.1, 2] = np.nan
        return [Bin(k, 1.0 + 0.01 * (k + 1), {"spikes": counts[k], "field": field[k]}, ()) for k in range(len(counts))]

    @staticmethod
    def play(bins, path=None, policy=POLICY, *, made=None, log=None):
        """What the decoder was given, what it decoded, and the log."""
        live, log = RealtimeDecoder(made or frozen()), log or EventLog()
        given, step = [], live.step
        live.step = lambda observations, t: given.append(observations) or step(observations, t)
        session = Session(
            live, modalities_of(live), recording(1.0), drift=policy, log=log,
            snapshots=None if path is None else SnapshotFile(path, log), options=ServiceOptions(snapshot_every=0.5),
        )  # fmt: skip
        session.service.take_bins(bins)
        session.service.close()
        return given, session.collected.estimates, log

    @pytest.mark.parametrize("stops", [(1,), (250,), (403, 404), (100, 333, 650)])
    def test_it_goes_on_as_if_it_had_never_stopped(self, bins, tmp_path, stops):
        whole, decoded, _ = self.play(bins)
        given, estimates = [], []
        for start, stop in zip((0, *stops), (*stops, self.BINS), strict=True):
            some, found, _ = self.play(bins[start:stop], tmp_path / "state.npz")
            given += some
            estimates += found
        assert not np.array_equal(whole[-1]["field"], bins[-1].observations["field"])
        for one, two in zip(given, whole, strict=True):
            np.testing.assert_array_equal(one["spikes"], two["spikes"])
            np.testing.assert_array_equal(one["field"], two["field"])
        np.testing.assert_array_equal([e.target for e in estimates], [e.target for e in decoded])

    def test_what_was_told_is_not_told_again(self, bins, tmp_path):
        _, _, first = self.play(bins[:500], tmp_path / "state.npz")
        _, _, second = self.play(bins[500:], tmp_path / "state.npz")
        assert [e for e in first if e.kind is EventKind.DRIFT]
        assert not [e for e in second if e.kind is EventKind.DRIFT]

    def test_a_snapshot_of_before_it_was_kept_still_loads(self, bins, tmp_path):
        path = tmp_path / "state.npz"
        self.play(bins[:300], path)
        with np.load(path) as file:
            kept = {name: file[name] for name in file.files}
        assert any(name.startswith("drift") for name in kept)
        np.savez(path, **{name: array for name, array in kept.items() if not name.startswith("drift")})
        given, estimates, log = self.play(bins[300:302], path)
        np.testing.assert_array_equal(given[0]["spikes"], bins[300].observations["spikes"])
        assert [e.kind for e in log] == [EventKind.RESTORED]
        assert len(estimates) == 2

    def test_one_that_is_damaged_or_of_another_memory_is_told_and_begun_anew(self, bins, tmp_path):
        path = tmp_path / "state.npz"
        self.play(bins[:300], path)
        given, _, log = self.play(bins[300:301], path, DriftPolicy(memory=2.0, adapt=True))
        np.testing.assert_array_equal(given[0]["spikes"], bins[300].observations["spikes"])
        assert "a memory of 4 s" in next(iter(log)).detail
        self.play(bins[:300], tmp_path / "other.npz")
        with np.load(tmp_path / "other.npz") as file:
            kept = {name: file[name] for name in file.files}
        for name, bad in (("sums", np.full((3, 3), np.nan)), ("sums", np.ones((3, 9))), ("block", np.ones((9999, 3)))):
            np.savez(path, **{**kept, f"drift_1/{name}": bad})
            given, _, log = self.play(bins[300:301], path)
            np.testing.assert_array_equal(given[0]["spikes"], bins[300].observations["spikes"])
            assert [e.kind for e in log] == [EventKind.BAD_INPUT, EventKind.RESTORED]

    def test_after_a_long_pause_channels_are_as_in_the_training_data_until_learned_anew(self, bins, tmp_path):
        path, options = tmp_path / "state.npz", DriftPolicy(memory=100.0, adapt=True)
        for pause, same in ((90.0, False), (110.0, True)):
            path.unlink(missing_ok=True)
            self.play(bins, path, options)
            later = Bin(0, bins[-1].time + pause, bins[0].observations, ())
            given, *_ = self.play([later], path, options)
            assert np.array_equal(given[-1]["spikes"], bins[0].observations["spikes"]) == same


def louder(played: Recording, factor: float) -> Recording:
    """The recording with a field of another gain and origin, and every unit firing its spikes twice."""
    field = played.fields["lfp"]
    spikes = played.spikes["spikes"]
    twice = tuple(np.sort(np.concatenate([times, times + 1e-4])) for times in spikes.times)
    signal = Signal("lfp", factor * field.values + 2.0, rate=FIELD_RATE, channels=field.channels)
    return Recording("louder", {"spikes": SpikeTrains("spikes", twice, spikes.units)}, {"lfp": signal})


def test_a_session_tells_it_and_putting_back_brings_the_target_closer(decoder, tmp_path):
    live = RealtimeDecoder(decoder.fitted_)
    rows, played = modalities_of(live), recording(30.0)
    # What the decoder knows of its training data has to be that of this recording, for anything to have drifted from.
    usual = Session(live, rows, played).run()

    def error(policy, path=None):
        log = EventLog()
        recorder = None if path is None else SessionRecorder(SessionFile(path, live), log, period=0.01)
        session = Session(live, rows, louder(played, 2.5), drift=policy, log=log, recorder=recorder)
        estimates = session.run()
        late = slice(len(usual) // 2, None)
        pairs = zip(usual[late], estimates[late], strict=True)
        return np.sqrt(np.mean([np.square(a.target - b.target) for a, b in pairs])), session

    without, session = error(DriftPolicy(memory=5.0))
    assert session.events(EventKind.DRIFT, "field")
    path = tmp_path / "session.h5"
    put_back, _ = error(DriftPolicy(memory=5.0, adapt=True), path)
    assert put_back < without
    check = check_session(path, live)
    assert check.same
    assert check.equal == check.bins
