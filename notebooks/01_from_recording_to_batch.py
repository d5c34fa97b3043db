# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a recording to a batch
#
# **Question.** How does a recording become what a decoder takes, without a filter that looks ahead, a gap filled
# with zeros or a test set that touches the training set? A recording is in seconds: spike times, a sampled field
# potential, a tracked position. A decoder wants arrays: one row per bin. Most of what goes wrong in decoding goes
# wrong in this step.
#
# It reads the rat recording `r1838` if the environment variable `NEURODYN_DATA` names the folder that holds it, and a
# simulated session otherwise: an animal in a box, sixteen place cells, and a theta rhythm that grows with its speed.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import neurodyn as nd
from neurodyn.binning import DEFAULT_BANDS
from neurodyn.plotting import TRUTH, plot_counts, plot_field
from neurodyn.simulation import ForagingSettings, simulate_foraging, write_nwb

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests


def nwb_file() -> Path:
    """The rat's recording where there is one, a simulated session where there is none."""
    folder = os.environ.get("NEURODYN_DATA")
    if folder:
        return Path(folder) / "r1838_hpc_mec_openfield.nwb"
    session = simulate_foraging(ForagingSettings(seconds=60.0 if SMOKE else 300.0), seed=0)
    return write_nwb(session, Path(tempfile.mkdtemp()) / "foraging.nwb")


# %% [markdown]
# ## What is in the file
#
# `neurodyn inspect FILE` prints this table on the command line. Nothing has been filtered, filled or dropped yet.

# %%
recording = nd.read_nwb(nwb_file())
for item in nd.recording.describe(recording):
    print(f"{item.name:10s} {item.kind.value:10s} {item.start:8.2f} to {item.stop:8.2f} s   {item.notes}")

# %% [markdown]
# Ten seconds of it: a raster of the spikes, the field potential, and the position. Gaps in the position are where the
# tracker lost the animal. They are NaN in the recording, and stay missing all the way through.

# %%
START, STOP = 20.0, 30.0
piece = recording.between(START, STOP)
spikes, field, position = piece.spike_trains(), piece.field(), piece.behaviour_signal("position")

figure, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(9, 6), sharex=True, layout="constrained", height_ratios=(2, 1.5, 1.2)
)
top.eventplot(list(spikes.times), colors=TRUTH, linelengths=0.8, linewidths=0.8)
top.set_ylabel("unit")
spacing = 6 * np.nanstd(field.values)
for channel in range(field.n_channels):
    middle.plot(field.times, field.values[:, channel] - channel * spacing, color="#009E73", linewidth=0.6)
middle.set_ylabel("field")
middle.set_yticks([-channel * spacing for channel in range(field.n_channels)], list(field.channels))
for axis, colour in zip(range(2), ("#D55E00", "#0072B2"), strict=True):
    bottom.plot(position.times, position.values[:, axis], color=colour, label=position.channels[axis])
bottom.set_ylabel("position (m)")
bottom.set_xlabel("time (s)")
bottom.legend(frameon=False, ncols=2)
top.set_title(f"{recording.name}: what was recorded")

# %% [markdown]
# ## Onto one clock
#
# `to_bins` counts spikes, computes the field's features, and puts the target at the **end** of each bin: that is when
# a live decoder knows the bin. The band powers come from causal filters, so no sample after the end of a bin can
# change its features.

# %%
batch = nd.to_bins(
    recording,
    width=0.050,  # seconds
    modalities=[nd.Spikes(), nd.Field()],
    target=["position", "log_speed"],
)
print(
    f"{batch.n_trials} trial, {batch.n_bins} bins of {1e3 * batch.width:g} ms, target: {', '.join(batch.target_names)}"
)
for modality in batch.modalities:
    print(f"{modality.name:8s} {modality.likelihood:9s} {modality.n_channels} channels")

# %% [markdown]
# The same ten seconds again, as the decoder will see them.

# %%
shown = (batch.time > START) & (batch.time <= STOP)
seen = batch.observed["field"]
powers = batch.observations["field"]
count = np.maximum(seen.sum(axis=0), 1)
centre = powers.sum(axis=0) / count
scale = np.sqrt((np.where(seen, powers - centre, 0) ** 2).sum(axis=0) / count)
standard = np.where(seen, (powers - centre) / scale, 0).astype(np.float32)

figure, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(9, 7), sharex=True, layout="constrained", height_ratios=(1.5, 2, 1)
)
plot_counts(batch.time[shown], batch.observations["spikes"][shown], batch.observed["spikes"][shown], ax=top)
plot_field(batch.time[shown], standard[shown][:, : len(DEFAULT_BANDS)], seen[shown][:, : len(DEFAULT_BANDS)], ax=middle)
middle.set_yticks([-row for row in range(len(DEFAULT_BANDS))], [f"{low:g}-{high:g} Hz" for low, high in DEFAULT_BANDS])
middle.set_ylabel("log power")
known = np.where(batch.target_observed[:, None], batch.target, np.nan)[shown]
for axis, name in enumerate(batch.target_names):
    bottom.plot(batch.time[shown], known[:, axis], label=name)
bottom.set_xlabel("time (s)")
bottom.legend(frameon=False, ncols=len(batch.target_names))
top.set_title("what a decoder sees")

# %% [markdown]
# ## Missing is a mask
#
# A modality may be sampled more slowly than the bins, a filter needs time to settle, a tracker loses the animal. All of
# this is one thing here: `observed` is False. The values there are 0 and nobody reads them.
#
# Below, the field is sampled every 250 ms instead of every bin, and we throw away a third of the spike bins to see
# what that looks like.

# %%
slow = nd.to_bins(
    recording, width=0.050, modalities=[nd.Spikes(), nd.Field(width=0.250)], target="position", interval=(START, STOP)
)
lost = np.random.default_rng(0).random(slow.n_bins) < 1 / 3
masks = {
    "spikes, a third lost": slow.observed["spikes"].any(axis=1) & ~lost,
    "field, every 250 ms": slow.observed["field"].any(axis=1),
    "target": slow.target_observed,
}
figure, ax = plt.subplots(figsize=(9, 1.6), layout="constrained")
ax.imshow(np.stack(list(masks.values())), aspect="auto", cmap="Greys", vmin=0, vmax=1.3, interpolation="nearest")
ax.set_yticks(range(len(masks)), list(masks))
ax.set_xlabel("bin")
ax.set_title("observed (dark) and missing")

# %% [markdown]
# ## Folds that do not leak
#
# Neighbouring bins of a continuous recording are nearly copies of each other. So the test part is one block of time,
# and the bins close to it are left out of training. Before each test block the decoder sees some context, which is
# not scored. Folds do not copy the data: they are other starts and lengths on the same timeline.

# %%
folds = nd.time_folds(batch, 5, gap=2.0, lead_in=2.0 if SMOKE else 10.0)
figure, ax = plt.subplots(figsize=(9, 2.2), layout="constrained")
for row, fold in enumerate(folds):
    for begin, length in zip(fold.train.starts, fold.train.lengths, strict=True):
        ax.barh(row, length * batch.width, left=batch.time[begin] - batch.width, color="#9CB9D6", height=0.7)
    begin, lead, length = int(fold.test.starts[0]), int(fold.test.lead[0]), int(fold.test.lengths[0])
    left = batch.time[begin] - batch.width
    ax.barh(row, lead * batch.width, left=left, color="#F2C9A8", height=0.35)
    ax.barh(row, (length - lead) * batch.width, left=left + lead * batch.width, color="#D55E00", height=0.7)
ax.invert_yaxis()
ax.set_yticks(range(len(folds)), [f"fold {row + 1}" for row in range(len(folds))])
ax.set_xlabel("time (s)")
ax.set_title("training (blue), context (pale) and test (orange)")

# %% [markdown]
# The two promises, checked: training and test share no bin, and every bin is tested exactly once.

# %%
tested = np.zeros(len(batch.time), int)
for fold in folds:
    training, test = fold.train.in_trials(), fold.test.in_trials()
    assert not (training & test).any()
    tested += test
assert (tested[batch.in_trials()] == 1).all()
print(f"{len(folds)} folds, {tested.sum()} bins tested once each")

# %% [markdown]
# ## Answer
#
# One call, `to_bins`: counts and band powers up to the end of each bin and never beyond it, a mask where nothing was
# recorded, and folds with a gap on either side of what is tested. What is missing stays missing: it is neither zero nor
# the last value.

# %%
for name in batch.names:
    print(f"{name}: {batch.observed[name].mean():.1%} of the values were observed; the others are masked")

# %% [markdown]
# The next notebook fits a decoder on such a batch and runs it live.
