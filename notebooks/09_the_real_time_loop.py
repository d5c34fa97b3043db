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
# # The real-time loop
#
# **Question.** What does a live decoder do when the rig sends late, twice, wrong or not at all, and how does one
# know? A session is played here through the same loop as `neurodyn serve` runs, in simulated time: the decoder, the
# binner and the log are the real ones, only the clock is not.

# %%
import os
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import neurodyn as nd
from neurodyn.benchmarks.rig import SimulatedSession
from neurodyn.binning import Field, Spikes
from neurodyn.multiscale import TrainingConfig
from neurodyn.realtime.streams import Chunk
from neurodyn.recurrent import RecurrentConfig
from neurodyn.simulation import ForagingSettings

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests
SECONDS = 90.0 if SMOKE else 600.0
PLAYED = 40.0  # seconds that are played live, after those that were trained on

# %% [markdown]
# ## A decoder
#
# Fitted on the first part of a session; what follows was never seen. The target is the position.

# %%
recording = nd.simulate_foraging(ForagingSettings(seconds=SECONDS), seed=0)
modalities = [Spikes(), Field("field", "lfp", bands=None, width=0.05)]
start = SECONDS - PLAYED
batch = nd.to_bins(recording, width=0.05, modalities=modalities, target=["position"], interval=(0.0, start - 5.0))
model = nd.MultiscaleDecoder(
    latent=8,
    recurrent=RecurrentConfig(hidden=32, members=2, steps=20 if SMOKE else 300, validate_every=20),
    training=TrainingConfig(epochs=2 if SMOKE else 15),
    progress=False,
).fit(batch)
live = model.realtime()
print(model)

# %% [markdown]
# ## Faults
#
# A fault stands between the source and the binner, and does to the chunks what it likes. Each of these lasts for two
# seconds, ten seconds into the session.

# %%
FAULT = (10.0, 12.0)  # seconds from where the session begins


def inside(played: float) -> bool:
    """Whether the session is in the two seconds of the fault, by the seconds played so far."""
    return FAULT[0] <= played < FAULT[1]


def nothing_comes(chunks: list[Chunk], played: float) -> list[Chunk]:
    """A cable is out."""
    return [] if inside(played) else chunks


def everything_twice(chunks: list[Chunk], played: float) -> list[Chunk]:
    """A relay sends each message again."""
    return [chunk for chunk in chunks for _ in range(2 if inside(played) else 1)]


class Stall:
    """Nothing for two seconds, and then all that was held up at once."""

    def __init__(self) -> None:
        self.kept: list[Chunk] = []

    def __call__(self, chunks: list[Chunk], played: float) -> list[Chunk]:
        if inside(played):
            self.kept += chunks
            return []
        chunks, self.kept = self.kept + chunks, []
        return chunks


def play(fault=None) -> SimulatedSession:
    """Play the last part of the recording through the loop."""
    rates = {"field": recording.fields["lfp"].rate}
    session = SimulatedSession(
        live, model.fitted_.modalities, recording, rates=rates, fault=fault, start=start, stop=SECONDS
    )
    session.estimates = session.run()
    return session


undisturbed = play()
sessions = {"nothing comes": play(nothing_comes), "twice": play(everything_twice), "stall": play(Stall())}

# %% [markdown]
# ## What the log says
#
# What went wrong, when, and how often: no fault passes in silence.

# %%
for name, session in sessions.items():
    kinds = Counter(f"{event.kind.value} ({event.modality or 'session'})" for event in session.log)
    print(f"{name:14s}", dict(kinds))

# %% [markdown]
# ## What the estimate does
#
# In units of its own standard deviation, how far each session is from the undisturbed one. While nothing comes the
# decoder predicts, and says so: its interval widens and `stale` names what is overdue.

# %%
expected = {round(1e3 * each.time): each for each in undisturbed.estimates}
figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
largest = {}
for (name, session), colour in zip(sessions.items(), ("#D55E00", "#0072B2", "#009E73"), strict=True):
    pairs = [(each, expected[round(1e3 * each.time)]) for each in session.estimates]
    errors = [np.abs(a.target - b.target).max() / ((a.upper - a.lower).mean() / 3.92) for a, b in pairs]
    ax.plot([a.time - start for a, _ in pairs], errors, color=colour, label=name)
    largest[name] = max((e for e, (a, _) in zip(errors, pairs, strict=True) if not a.stale), default=0.0)
ax.axvspan(*FAULT, color="#E3E3E3", zorder=0)
ax.set_xlabel("time (s)")
ax.set_ylabel("difference (standard deviations)")
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

# %% [markdown]
# ## How certain it is meanwhile

# %%
figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
for session, colour, label in (
    (undisturbed, "#6B6B6B", "undisturbed"),
    (sessions["nothing comes"], "#D55E00", "nothing comes"),
):
    ax.plot(
        [each.time - start for each in session.estimates],
        [float((each.upper - each.lower).mean()) for each in session.estimates],
        color=colour,
        label=label,
    )
ax.set_xlabel("time (s)")
ax.set_ylabel("width of the 95 % interval (m)")
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

# %% [markdown]
# ## Answer
#
# What comes twice changes nothing. What does not come, or comes too late, is missing: the estimate is the model's
# prediction with the interval of one, the event is in the log, and some seconds after the data it is that of a
# session in which nothing happened. `neurodyn bench faults` puts every kind of fault to this test; `neurodyn serve`
# runs the same loop on Lab Streaming Layer, ZeroMQ, Redis or a file.

# %%
for name, value in largest.items():
    print(f"{name:14s} at most {value:.2f} standard deviations off in a bin without a flag")
assert largest["twice"] < 1e-3
for name, session in sessions.items():
    late = [each for each in session.estimates if each.time > start + FAULT[1] + 4.0]
    back = [
        np.abs(each.target - (other := expected[round(1e3 * each.time)]).target).max()
        / ((other.upper - other.lower).mean() / 3.92)
        for each in late
    ]
    print(f"{name:14s} at most {max(back):.2f} standard deviations off from four seconds after the data on")
