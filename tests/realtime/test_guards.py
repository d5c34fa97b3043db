"""What goes into a decoder and what comes out stays within bounds, and copies of it are decoders of their own."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from oracles.small_decoder import SMALL_NETWORK

from neurodyn.baselines import CausalGru
from neurodyn.binning import Modality
from neurodyn.binning.limits import learn_limits
from neurodyn.errors import InputError
from neurodyn.realtime import Frozen, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.inputs import agreed_rates, learn_rates
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.runner import Rates
from neurodyn.realtime.streams import Chunk


@pytest.fixture
def live(decoder):
    return decoder.realtime()


def observations(live, seed):
    rng = np.random.default_rng(seed)
    return {"spikes": rng.poisson(0.3, live.channels["spikes"]).astype(float),
            "field": rng.normal(size=live.channels["field"])}  # fmt: skip


def run(live, bins, start=0):
    return [live.step(observations(live, start + k), 0.01 * (start + k)) for k in range(bins)]


class TestLimits:
    def test_they_are_learned_per_channel(self):
        rows = [Modality("spikes", "poisson", ("a", "b")), Modality("field", "gaussian", ("c", "d"))]
        mean, scale = {"spikes": np.array([0.1, 30.0]), "field": np.array([-1.0, 5.0])}, {}
        scale |= {"spikes": np.array([0.3, 5.0]), "field": np.array([2.0, 0.1])}
        limits = learn_limits(rows, mean, scale, 0.01)
        assert limits["spikes"] == [[0, 0], [10.0, 130.0]]  # no neuron fires at more than 1 kHz
        np.testing.assert_allclose(limits["field"], [[-41, 3], [39, 7]])

    @pytest.mark.parametrize("value", [200.0, 1e6, 1e30])
    def test_a_count_far_beyond_is_as_if_it_were_missing(self, decoder, value):
        one, other = decoder.realtime(), decoder.realtime()
        run(one, 50)
        run(other, 50)
        given = observations(one, 60)
        given["spikes"][1] = value
        got = one.step(given, 1.0)
        given["spikes"][1] = np.nan
        expected = other.step(given, 1.0)
        np.testing.assert_array_equal(got.target, expected.target)
        np.testing.assert_array_equal(got.latent, expected.latent)
        assert (got.unusual, expected.unusual) == (("spikes",), ())
        assert one.step(observations(one, 61), 1.01).unusual == ()

    def test_a_field_far_beyond_is_missing_and_one_within_is_not(self, live):
        run(live, 10)
        given = observations(live, 11)
        given["field"][:] = live.limits["field"][1] + 1.0
        got = live.step(given, 0.2)
        assert (got.seen, got.unusual) == (("spikes",), ("field",))
        given["field"][:] = live.limits["field"][1] - 0.01
        assert live.step(given, 0.21).unusual == ()

    @pytest.mark.parametrize("kind", ["multiscale", "gru"])
    def test_what_is_beyond_them_is_missing_offline_too(self, decoder, lorenz_batch, kind):
        """Muscles and artefacts have tails: online equals offline with them."""
        batch = lorenz_batch[1]
        fitted = decoder if kind == "multiscale" else CausalGru(SMALL_NETWORK, progress=False).fit(lorenz_batch[0])
        random = np.random.default_rng(3)
        values = {name: array.copy() for name, array in batch.observations.items()}
        for array in values.values():
            array[random.random(array.shape) < 0.02] = 1e4
        values = {name: np.where(batch.observed[name], array, np.float32(0)) for name, array in values.items()}
        batch = replace(batch, observations=values)
        offline, live = fitted.predict(batch)["target"].to_numpy(), fitted.realtime()
        scale = fitted.fitted_.scaling.target_scale.max()
        flagged = 0
        for trial in range(3):
            live.reset()
            bins = range(batch.starts[trial], batch.starts[trial] + batch.lengths[trial])
            rows = [{n: np.where(batch.observed[n][b], values[n][b], np.nan) for n in batch.names} for b in bins]
            found = [live.step(row, 0.0) for row in rows]
            flagged += sum(bool(one.unusual) for one in found)
            np.testing.assert_allclose(
                [e.target for e in found], offline[trial, : len(found)], atol=1e-5 * scale, rtol=0
            )
        assert flagged > 10

    def test_they_can_be_changed_and_taken_away(self, live):
        given = observations(live, 0)
        given["spikes"][0] = 200.0
        live.limits = {}
        assert live.step(given, 0.0).unusual == ()
        live.limits = {"spikes": np.array([np.zeros(live.channels["spikes"]), np.full(live.channels["spikes"], 1.0)])}
        given["spikes"][0] = 2.0
        assert live.step(given, 0.01).unusual == ("spikes",)
        with pytest.raises(InputError, match=r"limits are \(2, channels\)"):
            live.limits = {"spikes": np.zeros(3)}

    @pytest.mark.parametrize("set_when", ["before", "while the other model waits", "never"])
    def test_those_that_were_set_outlast_a_swap(self, decoder, set_when):
        """Those of training are the new model's, those of somebody's own are kept, also if they are none."""
        live, frozen = decoder.realtime(), decoder.realtime().runner.frozen
        settings = json.loads(json.dumps(frozen.settings))
        settings["limits"]["spikes"][1] = [0.5] * live.channels["spikes"]
        other = Frozen(settings, frozen.parameters)
        own = {"spikes": np.array([np.zeros(live.channels["spikes"]), np.full(live.channels["spikes"], 3.0)])}
        if set_when == "before":
            live.limits = own
        live.swap(other)
        if set_when == "while the other model waits":
            live.limits = own
        given = observations(live, 0)
        given["spikes"][0] = 2.0  # beyond what the other model was trained on
        assert live.step(given, 0.0).unusual == (("spikes",) if set_when == "never" else ())
        given["spikes"][0] = 4.0
        assert live.step(given, 0.01).unusual == ("spikes",)
        live.limits = {}
        live.swap(other)
        assert live.step(given, 0.02).unusual == ()

    def test_those_on_one_side_of_the_centre_hold(self, decoder):
        """A channel that is beyond its limits is missing, however near it is to its mean."""
        one, other = decoder.realtime(), decoder.realtime()
        center = np.array(one.runner.modalities[1].center, np.float64)
        limits = np.full((2, len(center)), np.inf) * [[-1.0], [1.0]]
        limits[0, 0] = center[0] + 1.0
        one.limits = other.limits = {"field": limits}
        given = observations(one, 0)
        given["field"] = center.copy()
        got = one.step(given, 0.0)
        given["field"][0] = np.nan
        np.testing.assert_array_equal(got.latent, other.step(given, 0.0).latent)
        assert got.unusual == ("field",)
        given["field"][0] = center[0] + 2.0
        assert one.step(given, 0.01).unusual == ()

    def test_many_channels_that_are_each_within_are_measurements(self, live):
        center, scale = (np.asarray(getattr(live.runner.modalities[1], name)) for name in ("center", "shrink"))
        live.limits = {"field": np.stack([center - 3.0 / scale, center + 3.0 / scale])}
        got = live.step({"field": center + 2.9 / scale}, 0.0)
        assert (got.seen, got.unusual) == (("field",), ())

    def test_a_rehearsal_far_from_zero_is_of_measurements(self, decoder):
        """The work done ahead is that of the bin that comes, also where zero would be no measurement."""
        frozen = decoder.realtime().runner.frozen
        moved = Frozen(json.loads(json.dumps(frozen.settings)), frozen.parameters.copy())
        moved.arrays["1/center"][:] = 1e4
        moved.settings["limits"]["field"] = [
            [9e3] * len(moved.arrays["1/center"]),
            [1.1e4] * len(moved.arrays["1/center"]),
        ]
        live = RealtimeDecoder(moved)
        seen = []
        step = live.runner.step
        live.runner.step = lambda given, *args: seen.append(step(given, *args)) or seen[-1]
        live.prepare()
        live.warmup()
        assert {"field"} <= {name for got in seen for name in got.seen}
        assert not any(got.unusual for got in seen)

    def test_counts_below_0_are_refused_and_change_nothing(self, decoder):
        one, other = decoder.realtime(), decoder.realtime()
        given = observations(one, 0)
        given["spikes"][:2] = -1.0, np.nan
        with pytest.raises(InputError, match="counts, which cannot be below 0, got -1"):
            one.step(given, 0.0)
        np.testing.assert_array_equal(run(one, 3)[-1].target, run(other, 3)[-1].target)

    def test_they_are_in_the_file_and_those_of_before_have_none(self, decoder, tmp_path):
        decoder.export(tmp_path / "decoder.npz")
        now = RealtimeDecoder.load(tmp_path / "decoder.npz")
        assert now.limits.keys() == {"spikes", "field"}
        frozen = now.runner.frozen
        before = RealtimeDecoder(Frozen({k: v for k, v in frozen.settings.items() if k != "limits"}, frozen.parameters))
        assert before.limits == {}
        before.restore(now.snapshot())  # the same decoder, as far as its state goes
        given = observations(now, 0)
        given["spikes"][0] = 200.0
        assert before.step(given, 0.0).unusual == ()


def test_modalities_that_are_overdue_are_told(live):
    sample_every = {row["name"]: row["clock"] for row in live.runner.frozen.settings["modalities"]}
    run(live, 20)
    for k in range(6):
        got = live.step({"field": np.zeros(live.channels["field"])}, 1.0 + 0.01 * k)
        assert ("spikes" in got.stale) == (k + 1 >= sample_every["spikes"])
    for _ in range(2 * max(sample_every.values())):
        got = live.step({}, 2.0)
    assert got.stale == ("spikes", "field")


@pytest.mark.parametrize("make", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_what_is_overdue_goes_with_a_copy_and_is_not_moved_by_work_ahead(live, make):
    sample_every = {row["name"]: row["clock"] for row in live.runner.frozen.settings["modalities"]}
    run(live, 20)
    field = {"field": np.zeros(live.channels["field"])}
    for k in range(sample_every["spikes"] - 1):
        live.step(field, 1.0 + 0.01 * k)
        live.prepare()
    other = make(live)
    kept = live.snapshot()
    assert "spikes" in live.step(field, 2.0).stale
    assert "spikes" in other.step(field, 2.0).stale
    live.reset()
    run(live, 1)
    assert "spikes" not in live.step({"spikes": np.zeros(live.channels["spikes"])}, 0.1).stale
    live.restore(kept)
    assert "spikes" in live.step(field, 2.0).stale


class TestAModalityThatIsBack:
    """Bins of 10 ms; spikes are due in each."""

    SPARED, MOST = 20, 100

    def flags(self, live, lost):
        """Whether spikes are told to be stale, bin by bin."""
        given = [observations(live, k) for k in range(len(lost))]
        for k, gone in enumerate(lost):
            if gone:
                given[k].pop("spikes")
        return ["spikes" in live.step(one, 0.01 * k).stale for k, one in enumerate(given)]

    @pytest.fixture
    def spikes_due_in_each(self, live):
        settings = live.runner.frozen.settings
        assert {row["name"]: row["clock"] for row in settings["modalities"]}["spikes"] == 1
        assert settings["width_seconds"] == 0.01
        run(live, 20)
        return live

    @pytest.mark.parametrize("gone", [1, 20, 21, 50, 119, 120, 121, 400])
    def test_it_stays_stale_for_as_long_as_it_was_gone_up_to_a_second(self, spikes_due_in_each, gone):
        got = self.flags(spikes_due_in_each, [True] * gone + [False] * 150)
        after = min(max(gone - self.SPARED, 0), self.MOST)
        # The first bin that is heard is the first of those paid back.
        assert got == [True] * gone + [True] * max(after - 1, 0) + [False] * (150 - max(after - 1, 0))

    def test_bins_lost_here_and_there_are_told_by_themselves(self, spikes_due_in_each):
        lost = (np.random.default_rng(0).random(1000) < 0.2).tolist()
        assert self.flags(spikes_due_in_each, lost) == lost

    def test_where_more_is_lost_than_heard_it_stays_stale(self, spikes_due_in_each):
        lost = [True] * 120 + [k % 3 != 0 for k in range(300)]
        assert all(self.flags(spikes_due_in_each, lost))

    @pytest.mark.parametrize("make", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
    def test_a_copy_and_a_snapshot_know_it_and_work_ahead_does_not_move_it(self, spikes_due_in_each, make):
        live = spikes_due_in_each
        self.flags(live, [True] * 60)
        other, kept = make(live), live.snapshot()
        expected = [True] * 39 + [False] * 21
        live.prepare()
        assert self.flags(live, [False] * 60) == expected
        assert self.flags(other, [False] * 60) == expected
        live.restore(kept)
        assert self.flags(live, [False] * 60) == expected
        live.restore({name: array for name, array in kept.items() if name != "owed"})  # of an earlier version
        assert self.flags(live, [False] * 60) == [False] * 60
        live.restore(kept)
        live.reset()
        assert self.flags(live, [False] * 60) == [False] * 60

    def test_what_is_held_is_let_go_of_when_it_is_back(self, decoder):
        held = RealtimeDecoder(decoder.realtime().runner.frozen, output=OutputLimits(hold=True))
        run(held, 30)
        gone = [held.step({}, 1.0 + 0.01 * k) for k in range(200)]
        back = [held.step({"spikes": observations(held, k)["spikes"]}, 3.0 + 0.01 * k) for k in range(20)]
        assert len({tuple(e.target) for e in gone[-100:]}) == 1
        assert all(len(e.stale) == 2 for e in back)
        assert len({tuple(e.target) for e in back}) == 20


class TestOutput:
    def test_a_snapshot_heals_what_was_handed_out(self, decoder):
        """The slew holds from what was handed out with the state, and not from what was decoded since."""
        frozen = decoder.realtime().runner.frozen
        live = RealtimeDecoder(frozen, output=OutputLimits(slew=1e-3))
        run(live, 20)
        kept = live.snapshot()
        live.step({"field": np.full(live.channels["field"], 1e3)}, 0.2)
        live.restore(kept)
        undisturbed = RealtimeDecoder(frozen, output=OutputLimits(slew=1e-3))
        run(undisturbed, 20)
        given = observations(live, 30)
        np.testing.assert_array_equal(live.step(given, 0.2).target, undisturbed.step(given, 0.2).target)

    def test_bounds_and_slew(self, decoder):
        frozen = decoder.realtime().runner.frozen
        dims = len(decoder.fitted_.target_names)
        free = RealtimeDecoder(frozen)
        plain = np.array([e.target for e in run(free, 60)])
        low, high = np.quantile(plain, 0.25, axis=0), np.quantile(plain, 0.75, axis=0)
        bound = RealtimeDecoder(frozen, output=OutputLimits(low=tuple(low), high=tuple(high)))
        np.testing.assert_allclose([e.target for e in run(bound, 60)], np.clip(plain, low, high), rtol=1e-6)
        slew = 0.5 * np.abs(np.diff(plain, axis=0)).max() / 0.01
        slowed = run(RealtimeDecoder(frozen, output=OutputLimits(slew=slew)), 60)
        steps = np.abs(np.diff([e.target for e in slowed], axis=0))
        assert steps.max() <= 0.01 * slew * (1 + 1e-5)
        assert np.allclose([e.upper - e.target for e in slowed], [e.target - e.lower for e in slowed])
        with pytest.raises(InputError, match=f"the target's {dims} dimensions"):
            RealtimeDecoder(frozen, output=OutputLimits(low=(0.0,) * (dims + 1)))

    def test_one_bound_is_for_all_dimensions_and_a_swap_keeps_it(self, decoder):
        frozen = decoder.realtime().runner.frozen
        plain = np.array([e.target for e in run(RealtimeDecoder(frozen), 60)])
        low, high = float(np.quantile(plain, 0.3)), float(np.quantile(plain, 0.7))
        bound = RealtimeDecoder(frozen, output=OutputLimits(low=(low,), high=(high,)))
        got = [e.target for e in run(bound, 30)]
        bound.swap(frozen)
        got += [e.target for e in run(bound, 30, 30)]
        np.testing.assert_allclose(got, np.clip(plain, low, high), rtol=1e-6)
        assert ((plain < low) | (plain > high)).any(axis=0).all()  # it had something to do in each dimension

    def test_hold(self, decoder):
        held = RealtimeDecoder(decoder.realtime().runner.frozen, output=OutputLimits(hold=True))
        last = run(held, 30)[-1]
        got = [held.step({}, 1.0 + 0.01 * k) for k in range(20)]
        overdue = [e for e in got if len(e.stale) == 2]
        assert overdue
        assert {tuple(e.target) for e in overdue} == {tuple(got[-1].target)}
        assert held.step(observations(held, 1), 2.0).target.tolist() != last.target.tolist()

    def test_limits_that_cannot_be_are_refused(self):
        with pytest.raises(InputError, match="low <= high"):
            OutputLimits(low=(1.0,), high=(0.0,))
        with pytest.raises(InputError, match="low <= high"):
            OutputLimits(low=(1.0,), high=(2.0, 0.0))
        with pytest.raises(InputError, match="low <= high"):
            OutputLimits(low=(np.nan,))
        assert OutputLimits(low=(-np.inf, 0.0), high=(2.0,)).low == (-np.inf, 0.0)
        with pytest.raises(InputError, match="slew"):
            OutputLimits(slew=0.0)


class TestCopies:
    @pytest.mark.parametrize("make", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
    def test_a_copy_goes_on_from_where_it_was_taken_alone(self, live, make):
        run(live, 40)
        live.observe(np.zeros(len(live.target_names)))
        other = make(live)
        expected = [e.target for e in run(live, 20, 40)]
        run(live, 30, 100)  # what the first does then moves the copy not
        got = run(other, 20, 40)
        np.testing.assert_allclose([e.target for e in got], expected, atol=1e-10)
        assert len({tuple(e.target) for e in got}) > 10
        assert len(other.observed()[0]) == 1
        assert other.stats().steps == 60

    def test_an_estimate_is_small(self):
        """Of 64 latents and twice 192 channels, in single precision as decoders are exported: below a kilobyte."""
        worked_out, single = [], np.float32

        def decode(latent):
            worked_out.append(latent)
            return {"spikes": np.ones(192, single), "field": np.ones(192, single)}

        latent, target = np.arange(64, dtype=single), np.array([1.0, 2.0], single)
        covariance = np.cov(np.random.default_rng(0).normal(size=(64, 100)))
        estimate = LiveEstimate(
            12.5, latent, covariance, Rates(decode, latent), target, target - 1, target + 1, ("spikes", "field"), 40.0,
            1.0, 2.0, ("spikes",), ("field",),
        )  # fmt: skip
        data = pickle.dumps(estimate)
        assert len(data) < 1000
        assert not worked_out  # nobody has asked for the rates
        assert dict(pickle.loads(data).rates) == {}
        np.testing.assert_allclose(np.diagonal(pickle.loads(data).covariance), np.diagonal(covariance), rtol=1e-7)

    def test_an_estimate_that_was_pickled_has_the_same_numbers_but_those_that_it_leaves_out(self, live):
        estimate = run(live, 5)[-1]
        assert dict(pickle.loads(pickle.dumps(estimate)).rates) == {}
        rates = dict(estimate.rates)
        other = pickle.loads(pickle.dumps(estimate))
        for name in ("latent", "target", "lower", "upper"):
            np.testing.assert_array_equal(getattr(other, name), getattr(estimate, name))
        assert other.rates.keys() == rates.keys()
        for name, values in rates.items():
            np.testing.assert_array_equal(other.rates[name], values)
        size = len(estimate.latent)
        np.testing.assert_array_equal(np.isnan(other.covariance), ~np.eye(size, dtype=bool))
        assert (other.time, other[7:]) == (estimate.time, estimate[7:])
        again = pickle.loads(pickle.dumps(other))
        np.testing.assert_array_equal(again.covariance, other.covariance)
        assert again.rates.keys() == rates.keys()

    def test_a_copy_of_an_estimate_in_the_process_is_whole(self, live):
        estimate = run(live, 5)[-1]
        assert copy.copy(estimate) is estimate
        other = copy.deepcopy(estimate)
        for name in ("latent", "covariance", "target", "lower", "upper"):
            np.testing.assert_array_equal(getattr(other, name), getattr(estimate, name))
            assert not np.shares_memory(getattr(other, name), getattr(estimate, name))
        np.testing.assert_array_equal(other.rates["spikes"], estimate.rates["spikes"])
        assert (other.time, other[7:]) == (estimate.time, estimate[7:])

    def test_an_estimate_as_a_dictionary_is_json(self, live):
        estimate = run(live, 5)[-1]
        got = json.loads(json.dumps(estimate.to_dict(), allow_nan=False))
        assert got["target"] == estimate.target.tolist()
        assert (got["seen"], got["stale"], got["unusual"]) == (["spikes", "field"], [], [])


class TestRates:
    ROWS = (Modality("field", "gaussian", ("a",), rate=1000.0), Modality("spikes", "poisson", ("b",)))

    def test_one_that_differs_is_refused_or_told(self):
        with pytest.raises(InputError, match=r"comes at 500 Hz, the model was trained at 1000 Hz.*--rate field=HZ"):
            agreed_rates(self.ROWS, {"field": 500.0}, {})
        rates, told = agreed_rates(self.ROWS, {}, {"field": 500.0})
        assert (rates, len(told)) == ({"field": 500.0}, 1)

    def test_one_that_was_measured_nearly_the_same_is_the_same(self):
        assert agreed_rates(self.ROWS, {"field": 1000.2}, {}) == ({"field": 1000.0}, [])
        rates, told = agreed_rates(self.ROWS, {"field": 1010.0}, {})
        assert (rates, len(told)) == ({"field": 1010.0}, 1)

    def test_it_is_what_the_stream_says_or_learned_from_seconds(self):
        class Source:
            rate, k = None, 0

            def read(self, timeout):
                self.k += 1
                times = (np.arange(5) + 5 * self.k) / 250.0
                times += np.random.default_rng(self.k).normal(0, 0.2 / 250.0, 5)
                return [Chunk("field", times, np.zeros((5, 1)), rate=self.rate)]

            def close(self):
                pass

        source = Source()
        rates, _ = learn_rates(source, ["field"], timeout=30.0)
        assert rates["field"] == pytest.approx(250.0, rel=1e-3)
        assert source.k >= 100  # two seconds of samples, and not twenty samples
        source.rate, source.k = 251.0, 0
        assert learn_rates(source, ["field"], timeout=30.0)[0] == {"field": 251.0}
        assert source.k == 1
