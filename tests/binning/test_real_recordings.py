"""The two recordings of the folder in NEURODYN_DATA, if there is one."""

import numpy as np

from neurodyn.binning import DEFAULT_BANDS, Field, Spikes, time_folds, to_bins
from neurodyn.recording import read_nwb


def test_open_field_with_two_modalities(real_data):
    recording = read_nwb(real_data / "r1838_hpc_mec_openfield.nwb")
    batch = to_bins(recording, width=0.05, modalities=[Spikes(), Field()], target=("position", "log_speed"))
    assert batch.modality("spikes").n_channels == 13
    assert batch.modality("field").n_channels == 3 * len(DEFAULT_BANDS) == 18
    assert batch.target_names == ("x", "y", "log_speed")
    assert 23_900 <= batch.n_bins <= 24_020
    # 1.5 % of the samples are lost, a part of them in gaps short enough to interpolate.
    assert 0.001 < 1 - batch.target_observed.mean() < 0.015
    assert batch.observed["field"].mean() > 0.999
    spikes = sum(train.size for train in recording.spikes["spikes"].times)
    assert abs(batch.observations["spikes"].sum() - spikes) < 30
    xy = batch.target[batch.target_observed, :2]
    assert xy.min() > -0.05
    assert xy.max() < 1.3
    folds = time_folds(batch, 5, gap=2.0, lead_in=10.0)
    assert sum(int(fold.test.in_trials().sum()) for fold in folds) == batch.n_bins


def test_theta_power_rises_with_running_speed(real_data):
    """Known physiology, so a check of the features that no array of ours can give."""
    recording = read_nwb(real_data / "r1838_hpc_mec_openfield.nwb")
    batch = to_bins(recording, width=0.05, modalities=[Field()], target="log_speed")
    theta = [i for i, name in enumerate(batch.modality("field").channels) if name.endswith(" 8-12 Hz")]
    seen = batch.target_observed & batch.observed["field"].all(axis=1)
    for channel in theta:
        r = np.corrcoef(batch.observations["field"][seen, channel], batch.target[seen, 0])[0, 1]
        assert r > 0.3


def test_maze_task_epoch(real_data):
    recording = read_nwb(real_data / "r050_ca1_tmaze.nwb")
    batch = to_bins(recording, width=0.1, target="position", interval="task")
    assert batch.modality("spikes").n_channels == 128
    assert 21_700 <= batch.n_bins <= 21_830
    assert 0.01 < 1 - batch.target_observed.mean() < 0.05
