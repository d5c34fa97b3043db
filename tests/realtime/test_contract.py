"""Decoders under the interface of the FALCON benchmark, and under its own evaluator where that is installed."""

import numpy as np
import pytest
from oracles.frozen_decoder import random_bins, random_frozen

from neurodyn.errors import InputError
from neurodyn.realtime import BenchmarkDecoder, RealtimeDecoder


@pytest.fixture
def frozen():
    return random_frozen()


def side_by_side(bin_):
    return np.concatenate(
        [np.full(n, np.nan) if bin_[m] is None else bin_[m] for m, n in (("spikes", 6), ("field", 5))]
    )


def test_rows_of_a_batch_are_decoders_of_their_own(frozen):
    batch, alone = BenchmarkDecoder(frozen, batch_size=2), [RealtimeDecoder(frozen) for _ in range(2)]
    streams = [random_bins(frozen, 60, seed=seed) for seed in (1, 2)]
    batch.reset(dataset_tags=["monday", "tuesday"])
    assert batch.tags == ("monday", "tuesday")
    for k, pair in enumerate(zip(*streams, strict=True)):
        rows = np.stack([side_by_side(one) for one in pair])
        expected = np.stack([live.step(b, 0.0).target for live, b in zip(alone, pair, strict=True)])
        if k % 4 == 3:
            batch.observe(rows)
        else:
            np.testing.assert_allclose(batch.predict(rows), expected, rtol=1e-5, atol=1e-6)
        if k == 30:
            batch.on_done(np.array([False, True]))
            alone[1].reset()


def test_the_last_batch_may_be_smaller_and_a_batch_be_made_larger(frozen):
    batch, alone = BenchmarkDecoder(frozen, batch_size=3), RealtimeDecoder(frozen)
    batch.reset(dataset_tags=["wednesday"])
    for bin_ in random_bins(frozen, 20):
        got = batch.predict(side_by_side(bin_)[None])
        np.testing.assert_allclose(got, alone.step(bin_, 0.0).target[None], rtol=1e-5, atol=1e-6)
    batch.on_done(np.asarray([1]))
    batch.set_batch_size(5)
    assert batch.batch_size == 5
    assert batch.predict(np.zeros((5, 11))).shape[0] == 5


def test_sessions_have_models_of_their_own():
    models = {"ses-1": random_frozen(seed=1), "ses-2": random_frozen(seed=2)}
    batch = BenchmarkDecoder(models, batch_size=2)
    alone = [RealtimeDecoder(models[name]) for name in ("ses-2", "ses-1")]
    batch.reset(dataset_tags=["sub_ses-2_held_in.nwb", "ses-1"])
    for bin_ in random_bins(models["ses-1"], 20):
        expected = np.stack([live.step(bin_, 0.0).target for live in alone])
        np.testing.assert_allclose(batch.predict(np.stack([side_by_side(bin_)] * 2)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="'ses-3' is of no session, of those there are a model for: ses-1, ses-2"):
        batch.reset(dataset_tags=["ses-3"])
    with pytest.raises(InputError, match="is of the sessions ses-1, ses-2"):
        batch.reset(dataset_tags=["ses-1_ses-2"])


def test_what_does_not_fit_is_refused(frozen):
    batch = BenchmarkDecoder(frozen, batch_size=2)
    for shape in ((3, 11), (1, 10), (11,), (0, 11)):
        with pytest.raises(InputError, match=r"\(2, 11\), got"):
            batch.predict(np.zeros(shape))
    with pytest.raises(InputError, match="one entry per recording"):
        batch.on_done(np.array([True] * 3))
    with pytest.raises(InputError, match="at least one"):
        BenchmarkDecoder(frozen, batch_size=0)
    with pytest.raises(InputError, match="3 tags, and the batch has 2"):
        batch.reset(dataset_tags=["a", "b", "c"])
    with pytest.raises(InputError, match="no model"):
        BenchmarkDecoder({})


def write_falcon_m2(path, seed, seconds):
    """A session as the challenge's reach task has it: 96 units, velocity of two fingers, trials, what counts."""
    from datetime import UTC, datetime

    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    rng = np.random.default_rng(seed)
    times = 0.02 * np.arange(round(seconds / 0.02))
    velocity = np.stack([np.sin(2 * np.pi * 0.3 * times + phase) for phase in (0, 1 + seed)], axis=1)
    gains = np.random.default_rng(0).normal(0, 20, (2, 96))
    file = NWBFile("falcon", str(path.stem), datetime(2020, 1, 1, tzinfo=UTC))
    rates = np.clip(20 + velocity @ gains, 0, None)
    for unit in range(96):
        bins = np.repeat(times, rng.poisson(0.02 * rates[:, unit]))
        file.add_unit(spike_times=np.sort(bins + rng.uniform(0, 0.02, len(bins))))
    moves = BehavioralTimeSeries(name="finger_vel")
    for axis, name in enumerate(("index", "mrs")):
        moves.add_timeseries(TimeSeries(name=name, data=velocity[:, axis], timestamps=times, unit="m/s"))
    file.add_acquisition(moves)
    counts = np.ones(len(times), np.bool_)
    counts[:100] = False
    file.add_acquisition(TimeSeries(name="eval_mask", data=counts, timestamps=times, unit="bool"))
    for start in np.arange(0, seconds - 2, 2.0):
        file.add_trial(start_time=float(start), stop_time=float(start + 1.9))
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def test_under_the_evaluator_of_the_falcon_challenge(tmp_path):
    """Three sessions in batches of two: what the evaluator is given is what a live decoder of each session gives."""
    evaluator = pytest.importorskip("falcon_challenge.evaluator", reason="pip install falcon-challenge")
    from falcon_challenge.dataloaders import load_nwb

    import neurodyn as nd

    files = []
    for number, seconds in enumerate((20.0, 16.0, 12.0)):
        files.append(tmp_path / f"sub-MonkeyN-held-in-minival_ses-2020-10-{19 + number}-Run1_behavior+ecephys.nwb")
        write_falcon_m2(files[-1], number, seconds)
    training = tmp_path / "training.nwb"
    write_falcon_m2(training, 7, 60.0)
    counts, velocity, _, _ = load_nwb(training, evaluator.FalconTask.m2)
    batch = nd.MultimodalBatch.from_arrays(
        {"spikes": counts[None].astype(np.float32)}, width=0.02, target=velocity[None].astype(np.float32),
        likelihoods={"spikes": "poisson"},
    )  # fmt: skip
    model = nd.MultiscaleDecoder(latent=4, recurrent=None, training=nd.multiscale.TrainingConfig(epochs=2)).fit(batch)
    decoder = BenchmarkDecoder(model.realtime(), batch_size=2)
    judge = evaluator.FalconEvaluator(split="m2", dataloader_workers=0)
    predictions, *_ = judge.predict_files(decoder, files)
    assert len(predictions) == 3
    for file in files:
        counts, velocity, _, _ = load_nwb(file, evaluator.FalconTask.m2)
        live = model.realtime()
        expected = np.stack([live.step({"spikes": row}, 0.0).target for row in counts])
        found = predictions[judge.cfg.hash_dataset(file)][: len(counts)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert np.corrcoef(found[100:, 0], velocity[100:, 0])[0, 1] > 0.9
