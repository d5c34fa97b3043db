"""Where the time of an estimate goes, which deadlines are missed, and which features a machine cannot make in time."""

from time import thread_time

import numpy as np
import pytest

from neurodyn.binning import BandPower
from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, FieldInput, LatencyHistogram, LiveEstimate, SpikeInput
from neurodyn.realtime.estimate_dispatch import EstimateDispatch
from neurodyn.realtime.latency import PARTS, LatencyBudget
from neurodyn.realtime.monitor import LATENCY_BARS, LATENCY_EDGES, Monitor
from neurodyn.realtime.speed import check_speed, share_of_core


def estimate(time):
    return LiveEstimate(time, np.zeros(1), np.eye(1), {}, np.zeros(1), -np.ones(1), np.ones(1), ())


def test_bars_are_those_of_a_histogram_of_the_times():
    """Times in the middle of a step of 2.3 %, so that rounding decides nothing."""
    times = 0.1 * 10 ** (np.random.default_rng(0).integers(0, 850, 4000) / 100)
    histogram = LatencyHistogram()
    for time in times.tolist():
        histogram.add(time)
    inside = np.clip(times * 1.001, LATENCY_EDGES[0], LATENCY_EDGES[-1] / 1.001)
    expected, _ = np.histogram(inside, LATENCY_EDGES)
    assert histogram.bars(*LATENCY_BARS) == expected.tolist()


def test_the_parts_of_a_budget_are_percentiles_of_what_was_added():
    rng = np.random.default_rng(1)
    parts = {name: rng.lognormal(-8.0, 0.5, 500) for name in ("wait", "binning", "step", "hand_over")}
    budget = LatencyBudget()
    for row in zip(*parts.values(), strict=True):
        budget.add_bin(**dict(zip(parts, row, strict=True)))
    for age in (-1.0, 0.001, 0.002):
        budget.add_age(age)
    latency = parts["binning"] + parts["step"] + parts["hand_over"]
    expected = {**parts, "latency": latency, "in all": latency + parts["wait"]}
    found = budget.percentiles()
    assert list(found) == [*PARTS, "latency", "in all"]
    for name, seconds in expected.items():
        one = found[name.replace("_", "-")]
        assert one.count == 500
        for share, value in ((50, one.p50), (95, one.p95), (99, one.p99), (99.9, one.p999)):
            percentile = 1e6 * np.percentile(seconds, share, method="inverted_cdf")
            assert value == pytest.approx(percentile, rel=0.0117)
        assert one.worst == pytest.approx(1e6 * seconds.max())
    assert (found["age"].count, found["age"].p50) == (3, pytest.approx(1000.0, rel=0.0117))


def test_a_deadline_is_missed_by_an_estimate_that_is_handed_over_after_it():
    """10 ms after the end of a bin, the step and the sinks included; several in a row are one event."""
    monitor = Monitor([], EventLog())
    delivery = EstimateDispatch(
        [], monitor, lambda kind, name, text: monitor.log.record(0.0, kind, name, text), tolerance=0.01
    )
    for number, late in enumerate([0.009, 0.011, 0.02, 0.01, 0.3]):
        delivery.hand_over(estimate(number), lambda n=number, s=late: n + s, wait=0.001, in_hand=0.0, binned=0.0)
    status = monitor.status()
    assert (status.bins, status.missed) == (5, 3)
    assert monitor.log.counts() == {EventKind.MISSED_DEADLINE: 2}
    assert status.budget["wait"].p50 == pytest.approx(1000.0, rel=0.0117)
    assert status.latency.count == sum(status.histogram) == 5


class TestSpeed:
    """Band powers that take longer than the data are refused at the start, with the figure."""

    FIELD = FieldInput("lfp", 3, 1000.0, BandPower(bands=((4.0, 8.0), (30.0, 60.0))))

    def ticking(self, seconds):
        """A clock that goes on by so much whenever it is asked."""
        times = iter(seconds * np.arange(1000.0))
        return lambda: float(next(times))

    @pytest.mark.parametrize(("per_chunk", "share"), [(0.002, 0.2), (0.016, 1.6)])
    def test_the_share_is_that_of_a_chunk_of_10_ms(self, per_chunk, share):
        assert share_of_core(self.FIELD, clock=self.ticking(per_chunk)) == pytest.approx(share)

    def test_what_cannot_keep_up_is_refused_with_the_figure(self):
        with pytest.raises(
            InputError, match=r"take 1\.6 of a core .* 'lfp' has 3 channels at 1000 Hz and 2 values of each"
        ):
            check_speed([SpikeInput("spikes", 4), self.FIELD], clock=self.ticking(0.016))
        with pytest.raises(InputError, match="at 500 Hz or less"):
            check_speed([self.FIELD], clock=self.ticking(0.016))
        check_speed([SpikeInput("spikes", 4), self.FIELD], clock=self.ticking(0.007))

    def test_fields_add_up(self):
        other = FieldInput("ecog", 3, 1000.0, self.FIELD.feature)
        with pytest.raises(InputError, match="take 1 of a core"):
            check_speed([self.FIELD, other], clock=self.ticking(0.005))

    def test_means_of_samples_cost_nothing(self):
        check_speed([FieldInput("lfp", 3, 30_000.0)], clock=self.ticking(10.0))

    def test_all_of_the_work_is_timed_to_the_end_of_a_bin(self):
        """A clock that filters, powers and looks at stamps move on by known times, and nothing else does."""
        now, done = [0.0], []

        class Slow(BandPower):
            def filter(self, rate, channels):
                made = super().filter(rate, channels)
                push = made.push

                def slow_push(*given):
                    now[0] += 0.002
                    done.append("filter")
                    return push(*given)

                made.push = slow_push
                return made

            def of_mean(self, mean):
                now[0] += 0.003
                done.append("power")
                return super().of_mean(mean)

        field = FieldInput("lfp", 3, 1000.0, Slow(bands=((4.0, 8.0),)), width=0.05, labels=("a", "b", "c"))
        assert share_of_core(field, clock=lambda: now[0]) == pytest.approx(0.5)
        assert done == ["filter", "power"] * 21

    def test_what_is_far_too_slow_is_not_timed_for_long(self):
        asked = []
        clock = self.ticking(10.0)
        assert share_of_core(self.FIELD, clock=lambda: asked.append(1) or clock()) == pytest.approx(1000.0)
        assert len(asked) == 4  # a chunk to begin with, and one that counts

    def test_the_whole_takes_longer_than_the_filter_alone(self):
        """As this machine is: six bands of 192 channels at 1 kHz."""
        bands = ((1.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 30.0), (30.0, 60.0), (60.0, 150.0))
        field = FieldInput("lfp", 192, 1000.0, BandPower(bands=bands))
        made, values, spent = field.made.filter(1000.0, 192), np.random.default_rng(0).normal(size=(10, 192)), []
        for number in range(20):
            begin = thread_time()
            made.push(values, [(slice(0, 10), 10 * number)])
            spent.append(thread_time() - begin)
        assert share_of_core(field) > 1.05 * np.median(spent) / 0.01

    def test_a_small_field_is_fast_enough(self):
        check_speed([self.FIELD])
