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
# # From a batch to a live decoder
#
# **Question.** Does a decoder of spikes and field together beat either alone, and does it go on, live, while its inputs
# come and go? We fit a small one, hold it against what one would use otherwise, and run it bin by bin while one input
# disappears and comes back. The data are simulated, so the truth is known: a chaotic path (the Lorenz
# attractor) drives ten neurons and ten field channels. The field is sampled more slowly: once in five bins.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import neurodyn as nd
from neurodyn.evaluation.crossvalidation import learning_curve
from neurodyn.multiscale import TrainingConfig
from neurodyn.plotting import (
    method_colour,
    plot_counts,
    plot_decoded,
    plot_field,
    plot_latency,
    plot_learning,
    plot_scores,
    plot_trajectory,
)
from neurodyn.recurrent import RecurrentConfig
from neurodyn.simulation import LorenzSettings

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests
EPOCHS = 3 if SMOKE else 40
STEPS = 20 if SMOKE else 300  # of the recurrent network
TRIALS = 20 if SMOKE else 100
SECONDS = 2.0  # per trial

# %%
batch = nd.simulate_lorenz(LorenzSettings(n_trials=TRIALS, seconds=SECONDS, missing=0.0), seed=0)
train, test = batch.train, batch.test
print(f"{train.n_trials} trials to learn from, {test.n_trials} to test on, {batch.n_bins // batch.n_trials} bins each")

# %% [markdown]
# One trial, as the decoder sees it. A dot in the field is a sample; between them the field is missing.

# %%
trial = test.trial(0)
seconds = test.time[trial] - test.time[trial][0]
figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained")
plot_counts(seconds, test.observations["spikes"][trial], test.observed["spikes"][trial], ax=top)
plot_field(seconds, test.observations["field"][trial], test.observed["field"][trial], ax=middle)
bottom.plot(seconds, test.target[trial], label=test.target_names)
bottom.legend(frameon=False, ncols=3)
bottom.set_xlabel("time (s)")
bottom.set_ylabel("target")

# %% [markdown]
# ## Fit
#
# The model has an encoder per modality, a filter that fills each modality's missing bins from its own past, a network
# that fuses them, and one linear state that all of it is about. The curve is the score on trials that no gradient
# saw; the dot is the state that was kept.


# %%
def decoder(seed: int = 0) -> nd.MultiscaleDecoder:
    """A small model, in the demo's proportions."""
    return nd.MultiscaleDecoder(
        latent=16,
        encoder=(32,),
        decoder=(32,),
        fusion=(32,),
        memory=(0.02, 1.0),  # seconds: the path turns in less than one
        recurrent=RecurrentConfig(hidden=32, steps=STEPS, validate_every=min(STEPS, 100)),
        training=TrainingConfig(epochs=EPOCHS, validate_every=2, seed=seed),
        progress=False,
    )


both = decoder().fit(train)
curve = learning_curve(both)
assert curve is not None
ax = plot_learning([curve], colour=method_colour("multimodal"))

# %% [markdown]
# ## Compare
#
# The same model on each modality alone, and a causal ridge regression on both: what a careful person would use before
# reaching for a network. All see only the past.

# %%
from neurodyn.baselines import CausalRidge, ExponentialFilters

alone = {name: decoder().fit(train.with_modalities([name])) for name in batch.names}
ridge = CausalRidge(ExponentialFilters((0.02, 0.05, 0.1, 0.2, 0.5))).fit(train)
correlations = {
    "multimodal": both.score(test)["correlation"].to_numpy(),
    **{name: model.score(test.with_modalities([name]))["correlation"].to_numpy() for name, model in alone.items()},
    "ridge": np.asarray(ridge.score(test).correlation),
}
for name, values in correlations.items():
    print(f"{name:11s} {values.mean():.3f}   " + "  ".join(f"{v:.3f}" for v in values))
ax = plot_scores(correlations, baseline="ridge", label="correlation of x, y, z (dots), held out")

# %% [markdown]
# A decoded trial with the interval that should hold the truth 95 times in 100, and how often it really does.

# %%
decoded = both.predict(test)
plot_decoded(decoded, test, trial=0)
stacked = test.stacked()
estimate, deviation = decoded["target"].to_numpy(), decoded["deviation"].to_numpy()
inside = np.abs(stacked.target - estimate)[stacked.scored()] < 1.96 * deviation[stacked.scored()]
print(f"decoded live: {inside.mean():.0%} of the truth lies in the 95 % interval")

# %% [markdown]
# The attractor itself, true and as read from sixteen numbers per bin.

# %%
figure = plt.figure(figsize=(9, 4), layout="constrained")
smoothed = both.predict(test, smoothed=True)["target"].to_numpy()
for place, (title, path) in enumerate((("true", stacked.target), ("decoded", smoothed)), start=1):
    ax = figure.add_subplot(1, 2, place, projection="3d")
    flat = path.reshape(-1, 3).astype(float)
    owner = np.repeat(np.arange(path.shape[0]), path.shape[1])
    plot_trajectory(flat, flat[:, 2], trial=owner, axis_names=("x", "y", "z"), ax=ax)
    ax.set_title(title)

# %% [markdown]
# ## Live
#
# `realtime()` gives a decoder that takes one bin at a time. `None` means: this modality did not arrive. Here the
# spikes stop for most of a second, then the field stops as well, then both come back. Nothing is filled in and
# nothing is reset: the decoder carries on with what it knows of the dynamics, and recovers.

# %%
SPIKES_LOST, FIELD_LOST = (0.6, 1.3), (0.9, 1.3)  # seconds into the trial


def arrives(name: str, bin_: int, t: float) -> np.ndarray | None:
    """What a data acquisition system would hand over, or None."""
    lost = {"spikes": SPIKES_LOST, "field": FIELD_LOST}[name]
    if lost[0] <= t < lost[1] or not test.observed[name][bin_].any():
        return None
    return test.observations[name][bin_]


def streamed(model: nd.MultiscaleDecoder, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target with the bounds of its interval (time x dim), decoded bin by bin."""
    live, estimates = model.realtime(), []
    for bin_ in range(trial.start, trial.stop):
        t = float(test.time[bin_] - test.time[trial.start])
        estimates.append(live.step({name: arrives(name, bin_, t) for name in names}, t))
    return tuple(np.stack([getattr(e, part) for e in estimates]) for part in ("target", "lower", "upper"))


with_both = streamed(both, batch.names)
with_spikes = streamed(alone["spikes"], ("spikes",))

# %%
figure, axes = plt.subplots(2, 1, figsize=(9, 5.5), sharex=True, sharey=True, layout="constrained")
for ax, (target, lower, upper), name in zip(axes, (with_both, with_spikes), ("multimodal", "spikes"), strict=True):
    colour = method_colour(name)
    ax.fill_between(seconds, lower[:, 0], upper[:, 0], color=colour, alpha=0.2, linewidth=0, label="95 %")
    ax.plot(seconds, test.target[trial][:, 0], color="#1A1A1A", label="true")
    ax.plot(seconds, target[:, 0], color=colour, label=f"live, {name}")
    ax.axvspan(*SPIKES_LOST, color="#0072B2", alpha=0.10, linewidth=0)
    ax.set_ylabel("x")
axes[0].axvspan(*FIELD_LOST, color="#009E73", alpha=0.15, linewidth=0)
for ax in axes:
    ax.legend(frameon=False, ncols=3, loc="upper right")
axes[0].set_title("spikes lost (blue), then the field too (green), then both back")
axes[1].set_xlabel("time (s)")

# %% [markdown]
# Below, the interval of the decoder that has spikes alone grows while there are none, and shrinks when they return.
# The multimodal decoder above carries on with the field while it has one, and its interval grows less. How much an
# interval grows is not assumed: it is fitted on held-out trials in which samples were hidden on purpose.

# %%
_, lower, upper = with_spikes
width = (upper - lower).mean(axis=1)
inside_gap = (seconds >= SPIKES_LOST[1] - 0.2) & (seconds < SPIKES_LOST[1])
blind, seeing = (
    width[inside_gap].mean(),
    width[~((seconds >= SPIKES_LOST[0]) & (seconds < SPIKES_LOST[1] + 0.3))].mean(),
)
print(f"spikes alone, mean width of the interval: {seeing:.2f} with them, {blind:.2f} at the end of the gap")
assert blind > seeing

# %% [markdown]
# ## Live is offline
#
# The step is the function that the offline filter scans over, so both give the same numbers. This is what it takes
# per bin on this machine.

# %%
from neurodyn.evaluation import check_online

check = check_online(both, test)
print(f"{check.n_bins} bins; largest difference of a latent: {check.latent_difference:.1e}")
assert check.latent_difference < 1e-4
ax = plot_latency(check.microseconds, bin_seconds=batch.width)

# %% [markdown]
# ## Keep it
#
# One folder holds the parameters, the scaling, the names and units, and the versions it was made with.

# %%
import tempfile
from pathlib import Path

path = Path(tempfile.mkdtemp()) / "decoder"
both.save(path)
again = nd.MultiscaleDecoder.load(path)
np.testing.assert_allclose(again.predict(test)["target"], decoded["target"], rtol=0, atol=1e-5)
size = sum(file.stat().st_size for file in path.iterdir())
print(f"{', '.join(sorted(file.name for file in path.iterdir()))}: {size / 1e3:.0f} kB")

# %% [markdown]
# ## Answer
#
# Both modalities together decode better than either alone and than ridge regression. When the spikes stop, the
# decoder goes on with the field; when that stops as well it predicts, and its interval widens. It is back soon
# after the data are.

# %%
best_alone = max(correlations[name].mean() for name in batch.names)
print(f"together {correlations['multimodal'].mean():.3f}, the better one alone {best_alone:.3f}")
