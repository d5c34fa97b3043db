"""What a rig needs around the recursion: snapshots, another model, looking ahead, times and counts."""

import threading

import numpy as np
import pytest
from oracles.frozen_decoder import random_bins, random_frozen

from neurodyn.errors import InputError
from neurodyn.realtime import Event, EventKind, EventLog, Frozen, LatencyHistogram, RealtimeDecoder


@pytest.fixture
def frozen():
    return random_frozen()


def feed(live, bins):
    return [live.step(bin_, 0.01 * (k + 1)) for k, bin_ in enumerate(bins)]


def targets(estimates):
    return np.stack([e.target for e in estimates])


def test_preparing_ahead_changes_no_number(frozen):
    one, other = RealtimeDecoder(frozen), RealtimeDecoder(frozen)
    for k, bin_ in enumerate(random_bins(frozen, 200)):
        a, b = one.step(bin_, 0.0), other.step(bin_, 0.0)
        for part in ("target", "upper", "latent", "covariance"):
            np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
        for _ in range(k % 3):
            one.prepare()


def test_a_restored_decoder_goes_on_as_if_nothing_had_been(frozen, tmp_path):
    bins = random_bins(frozen, 300)
    live = RealtimeDecoder(frozen)
    feed(live, bins[:150])
    live.save_snapshot(tmp_path / "snapshot.npz")
    rest = feed(live, bins[150:])
    other = RealtimeDecoder(frozen)  # as another process would make it
    feed(other, bins[20:30])
    assert other.load_snapshot(tmp_path / "snapshot.npz") == pytest.approx(1.5)
    np.testing.assert_allclose(targets(feed(other, bins[150:])), targets(rest), rtol=1e-6, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot.npz"]


def test_a_snapshot_before_the_first_bin_is_a_fresh_start(frozen):
    bins = random_bins(frozen, 20)
    fresh = RealtimeDecoder(frozen)
    snapshot, expected = fresh.snapshot(), targets(feed(fresh, bins))
    assert np.isnan(fresh.restore(snapshot))
    np.testing.assert_array_equal(targets(feed(fresh, bins)), expected)


def test_a_snapshot_of_something_else_changes_nothing(frozen, tmp_path):
    live, bins = RealtimeDecoder(frozen), random_bins(frozen, 30)
    feed(live, bins)
    before = live.snapshot()
    other = RealtimeDecoder(random_frozen(latent=3)).snapshot()
    for snapshot, message in (
        (other, "another model"), ({}, "another model"),
        ({**before, "state": before["state"] * np.nan}, "not finite"),
        ({**before, "covariance_0": np.eye(3)}, "does not fit"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            live.restore(snapshot)
    (tmp_path / "cut.npz").write_bytes(b"PK")
    for name, message in (("cut.npz", "damaged"), ("none.npz", "no such file")):
        with pytest.raises(InputError, match=message):
            live.load_snapshot(tmp_path / name)
    for name, value in live.snapshot().items():
        np.testing.assert_array_equal(value, before[name])


def recalibrated(frozen, offset=5.0):
    """The same model with another read-out."""
    arrays = {name: array.copy() for name, array in frozen.arrays.items()}
    arrays["readout/weights"][:, frozen.settings["states"][0]] += offset
    settings = {name: value for name, value in frozen.settings.items() if name != "layout"}
    return Frozen.pack(settings, arrays, frozen.parameters.dtype)


def test_another_readout_takes_over_between_two_bins(frozen):
    live, alone, bins = RealtimeDecoder(frozen), RealtimeDecoder(frozen), random_bins(frozen, 100)
    expected = targets(feed(alone, bins))
    first = feed(live, bins[:50])
    thread = threading.Thread(target=live.swap, args=(recalibrated(frozen),))
    thread.start()
    thread.join()
    second = feed(live, bins[50:])
    np.testing.assert_array_equal(targets(first), expected[:50])
    np.testing.assert_allclose(targets(second), expected[50:] + 5.0, rtol=1e-5, atol=1e-5)
    assert live.stats().steps == 100


def test_a_model_of_other_sizes_does_not_take_over(frozen):
    live, bins = RealtimeDecoder(frozen), random_bins(frozen, 10)
    with pytest.raises(InputError, match="another sizes of the states"):
        live.swap(random_frozen(latent=3))
    with pytest.raises(InputError, match="another modalities"):
        live.swap(random_frozen(channels=(6, 4)))
    np.testing.assert_array_equal(targets(feed(live, bins)), targets(feed(RealtimeDecoder(frozen), bins)))


def test_looking_ahead_changes_nothing(frozen):
    live, bins = RealtimeDecoder(frozen), random_bins(frozen, 40)
    expected = targets(feed(RealtimeDecoder(frozen), bins))
    assert np.isfinite(live.predict_ahead(0).target).all()
    found = []
    for k, bin_ in enumerate(bins):
        found.append(live.step(bin_, 0.01 * (k + 1)))
        ahead = [live.predict_ahead(n) for n in (0, 1, 20)]
    np.testing.assert_array_equal(targets(found), expected)
    np.testing.assert_allclose(ahead[0].target, found[-1].target, rtol=1e-6)
    np.testing.assert_allclose(ahead[0].upper, found[-1].upper, rtol=1e-6)
    widths = [np.sum(a.upper - a.lower) for a in ahead]
    assert widths[0] < widths[1] < widths[2]
    assert ahead[2].time == pytest.approx(0.6)
    transition = frozen.arrays["backbone/transition"].astype(float)
    expected = np.linalg.matrix_power(transition, 20) @ found[-1].latent
    np.testing.assert_allclose(ahead[2].latent, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="0 or more"):
        live.predict_ahead(-1)


def test_true_targets_are_kept_beside_decoded_ones(frozen):
    live, bins = RealtimeDecoder(frozen, remembered=5), random_bins(frozen, 10)
    with pytest.raises(InputError, match="step first"):
        live.observe(np.zeros(2))
    assert live.observed()[1].shape == (0, 2)
    estimates = []
    for k, bin_ in enumerate(bins):
        estimates.append(live.step(bin_, float(k)))
        live.observe(np.full(2, float(k)) if k % 2 else None)
    times, decoded, true = live.observed()
    np.testing.assert_array_equal(times, [1, 3, 5, 7, 9])
    np.testing.assert_array_equal(decoded, targets(estimates)[1::2])
    np.testing.assert_array_equal(true[:, 1], [1, 3, 5, 7, 9])
    with pytest.raises(InputError, match="has 2 dimensions"):
        live.observe(np.zeros(3))


def test_statistics_count_what_happened(frozen):
    live = RealtimeDecoder(frozen)
    assert live.stats().steps == 0
    estimates = feed(live, [{"spikes": np.zeros(6)}, {"spikes": np.zeros(6), "field": np.zeros(5)}, {}])
    with pytest.raises(InputError):
        live.step({"spikes": np.zeros(1)}, 0.0)
    stats = live.stats()
    assert (stats.steps, stats.refused, stats.seen) == (3, 1, {"spikes": 2, "field": 1})
    assert stats.worst == max(e.microseconds for e in estimates)
    assert stats.p50 <= stats.p95 <= stats.p99 <= stats.p999 <= stats.worst
    assert stats.table_hits + stats.table_misses > 0
    for one in estimates:
        assert one.microseconds == pytest.approx(1e6 * (one.time_out - one.time_in))


def test_percentiles_of_the_histogram_are_those_of_the_data():
    times = np.random.default_rng(0).lognormal(4.0, 1.0, 5000)
    histogram = LatencyHistogram()
    assert np.isnan(histogram.percentile(50.0))
    for time in times.tolist():
        histogram.add(time)
    for share in (1.0, 50.0, 95.0, 99.0, 99.9):
        expected = np.percentile(times, share, method="inverted_cdf")
        assert histogram.percentile(share) == pytest.approx(expected, rel=0.0116)
    assert histogram.percentile(100.0) == pytest.approx(times.max(), rel=0.0116)
    histogram.add(0.0)
    histogram.add(1e12)
    assert histogram.percentile(0.0) == pytest.approx(0.1)
    assert histogram.worst == 1e12


# Events ---------------------------------------------------------------------------------------------------------


def test_a_log_keeps_the_latest_and_counts_all(tmp_path):
    path = tmp_path / "events.jsonl"
    with path.open("w") as file:
        log = EventLog(kept=3, file=file)
        for k in range(5):
            log.record(float(k), EventKind.GAP, "field", f"{k} samples")
        log.add(Event(9.0, EventKind.CLOCK_JUMP))
    assert [event.time for event in log] == [3.0, 4.0, 9.0]
    assert len(log) == 3
    assert log.counts() == {EventKind.GAP: 5, EventKind.CLOCK_JUMP: 1}
    assert log.counts("field") == {EventKind.GAP: 5}
    assert len(path.read_text().splitlines()) == 6
    fresh, position = log.since(4)
    assert [event.time for event in fresh] == [4.0, 9.0]
    assert log.since(position) == ((), 6)
    assert len(log.since(0)[0]) == 3
