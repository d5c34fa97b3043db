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
# # Does my field potential add anything to the spikes?
#
# **Question.** Two modalities decode better than one: by how much, is it more than chance, and for which part of the
# behaviour? The session is simulated, so the answer is known: place cells fire by position and hardly by speed, and the
# field's theta rhythm grows with speed and knows nothing of position.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import neurodyn as nd
from neurodyn.plotting import method_colour
from neurodyn.simulation import ForagingSettings

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests

recording = nd.simulate_foraging(ForagingSettings(seconds=600.0 if SMOKE else 1200.0), seed=0)
batch = nd.to_bins(recording, width="100ms", modalities="all", target=["position", "log_speed"])
print(batch)

# %% [markdown]
# ## The same folds for all
#
# Each method sees other modalities and the same folds. The folds are blocks of time with a gap around them, since
# neighbouring bins are nearly copies of each other. Ridge regression is fast, and a first answer; put
# `nd.MultiscaleDecoder()` in its place for the final one.

# %%
folds = nd.time_folds(batch, 5, gap=2.0)
methods = [
    nd.Method("spikes+field", nd.CausalRidge(), ("spikes", "field")),
    nd.Method("spikes", nd.CausalRidge(), ("spikes",)),
    nd.Method("field", nd.CausalRidge(), ("field",)),
]
result = nd.cross_validate(methods, folds)
for method in methods:
    r2 = np.mean([score.r2 for score in result.scores(method.name)], axis=0)
    print(
        f"{method.name:13s} " + "  ".join(f"{name} {value:5.2f}" for name, value in zip(result.dims, r2, strict=True))
    )

# %% [markdown]
# ## Paired over folds
#
# Folds differ in how hard they are, for all methods alike. So what counts is the difference within each fold, with an
# interval over folds. Folds share training data, which the test takes into account.

# %%
added = result.difference("spikes+field", "spikes")
for name, mean, low, high, p in zip(added.dims, added.difference, added.low, added.high, added.p_value, strict=True):
    print(f"{name:10s} the field adds {mean:+.3f} R² ({low:+.3f} to {high:+.3f}, p = {p:.3f})")

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
places = np.arange(len(added.dims))
for fold in added.per_fold:
    ax.plot(places, fold, "o", color="0.6", markersize=4)
spread = np.stack([added.difference - added.low, added.high - added.difference])
ax.errorbar(places, added.difference, spread, fmt="s", capsize=4, color=method_colour("spikes+field"))
ax.axhline(0, color="black", linewidth=0.8)
ax.set_xticks(places, list(added.dims))
ax.set_ylabel("R² added by the field")
ax.set_title("grey: a fold; square: mean and 95 % interval")

# %% [markdown]
# ## What a field that knows nothing adds
#
# A control: the field of another session, which has the same spectrum and no relation to this animal. What is added now
# is what more inputs do to a fit.

# %%
other = nd.simulate_foraging(ForagingSettings(seconds=600.0 if SMOKE else 1200.0), seed=1)
strange = nd.to_bins(other, width="100ms", modalities="all", target="position")
observations = {"spikes": batch.stacked().observations["spikes"], "field": strange.stacked().observations["field"]}
bins = min(values.shape[1] for values in observations.values())
stacked = batch.stacked()
control = nd.MultimodalBatch.from_arrays(
    {name: values[:, :bins] for name, values in observations.items()},
    width=batch.width,
    likelihoods={"spikes": "poisson", "field": "gaussian"},
    target=np.where(stacked.target_observed[..., None], stacked.target, np.nan)[:, :bins],
)
nothing = nd.cross_validate(methods[:2], nd.time_folds(control, 5, gap=2.0)).difference("spikes+field", "spikes")
print("a field of another session adds " + ", ".join(f"{value:+.3f}" for value in nothing.difference[1:]))

# %% [markdown]
# ## Answer
#
# The field adds to speed, in every fold and with an interval that keeps clear of zero. To position it adds nothing:
# more inputs even cost a little. A field of another session adds to neither. On a recording of your own
# `neurodyn decode FILE --target position,log_speed` prints the differences and puts them on its page.

# %%
speed = list(added.dims).index("log_speed")
assert added.low[speed] > 0
print(f"The field adds {added.difference[speed]:.2f} R² to speed.")
