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
# # How a network emulates a hidden Markov model
#
# A network of rectified units is driven by nothing but noise, and its output looks like that of a hidden Markov
# model: it rests in one state, leaves it at a random time, and rests in the next.
#
# **Question.** Where do the discrete states come from, and who decides when to leave? This notebook trains such a
# network and puts the paper's answer (Torre and others, 2025) to experiments that could fail.
#
# `neurodyn explain DIR` runs all nine claims and writes a page. Here we take the central ones apart.

# %%
import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from neurodyn import mechanism
from neurodyn.emulation import HmmEmulator, training_at
from neurodyn.markov import linear_chain
from neurodyn.mechanism import Evidence, ExplainConfig, RecordConfig, kick_neurons, quick_config, record, residency
from neurodyn.plotting import mechanism as plots

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests
config = quick_config() if SMOKE else ExplainConfig()

# %% [markdown]
# ## A network
#
# Two hidden states, each with a symbol of its own. The network sees white noise and learns that its symbols should be
# distributed as the model's.

# %%
hmm = linear_chain(2, trial_steps=40)
sizes = {"hidden": 24, "inputs": 8} if SMOKE else {"hidden": 100, "inputs": 100}
emulator = HmmEmulator(**sizes, training=training_at("smoke" if SMOKE else "laptop", hmm), progress=False).fit(hmm)
network = mechanism.network_of(emulator)
print(f"{network.hidden} units, {network.inputs} inputs, trained to emulate {hmm.name}")

# %% [markdown]
# One recording under noise serves everything below: states, the noise that led into them, and the logits.

# %%
activity = record(network, RecordConfig(trials=64, steps=100, burn_in=20) if SMOKE else None, seed=0)
plane = mechanism.leading_plane(activity.states)
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
top.plot(activity.probabilities[0])
top.set_ylabel("emission probability")
bottom.plot(plane.coordinates(activity.states[0]))
bottom.set_ylabel("leading plane")
bottom.set_xlabel("step")
top.set_title(f"one trial; the leading plane holds {plane.share:.0%} of the variance")

# %% [markdown]
# ## Slow regions and fast transitions
#
# From many recorded states we let the network run with fresh noise, and ask how long the likeliest symbol stays the
# same.

# %%
course = [mechanism.Epoch(0, mechanism.untrained_of(emulator)), mechanism.Epoch(1, network)]
evidence = Evidence(
    network, activity, hmm, tuple(course), residency_config=config.residency, kick_config=config.kick, seed=0
)
# Bands are measured by how long the model's own symbols last; where there is nothing to test, the claim does not apply.
found = residency.examine(evidence, seed=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plots.plot_residency(found.data, ax=left)
plots.plot_rotation(mechanism.rotation.examine(evidence, config.rotation, seed=0).data, ax=right)
right.set_title("current of probability")
print("claim 4:", found.headline, found.not_applicable_because)
for note in found.notes:
    print(note)

# %% [markdown]
# ## Who starts a transition
#
# Every unit is silenced in turn, from the same starts under the same noise. A kick neuron is a unit without which the
# transition comes less often than chance over all units allows; units that only the readout needs do not count. The
# group grows from the best of them until it cuts the hazard enough.

# %%
for kick in evidence.kicks:
    print(f"{kick.name}: hazard {kick.hazard:.3f} per step, {len(kick.passed)} units pass, group {kick.group.tolist()}")

# %% [markdown]
# The group is judged on fresh starts and noise, against random sets of units that are as active, and against what the
# rule finds in several untrained networks. Every transition has a verdict of its own.

# %%
verdict = kick_neurons.examine(evidence, seed=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plots.plot_kick_neurons(verdict.data, ax=left)
plots.plot_ablation(verdict.data, ax=right)
right.set_title("kick neurons silenced (grey: random sets)")
print("claim 6:", verdict.headline)
for criterion in verdict.every_criterion:
    print({True: "holds", False: "fails", None: "open "}[criterion.holds], criterion.text, "->", criterion.estimate)

# %% [markdown]
# ## Cause, with a dial
#
# The kick neurons' activity, and the noise that reaches the units that drive them, times a factor from 0 to 2.

# %%
dial = mechanism.intervention.examine(evidence, config.intervention, seed=0)
plots.plot_interventions(dial.data)
print("claim 7:", dial.headline)

# %% [markdown]
# ## What the level of the noise does
#
# A bias-free network of rectified units is positively homogeneous: with twice the noise, its activity is twice as
# large, and the likeliest symbol is the same at every step. We check it on the same noise.

# %%
levels = (0.5, 2.0)
small, large = (record(network, RecordConfig(8, 60, burn_in=0, level=level), seed=0) for level in levels)
print(f"likeliest symbols that agree: {np.mean(small.likeliest == large.likeliest):.1%}")

# %% [markdown]
# So the level of the noise cannot bring the states about. It sets how sharply the symbols are drawn, and the match to
# the model peaks where the network was trained. What there is to see is the course of the training: when the effect of
# the noise, the rate of changes and the eigenvalues turn.

# %%
epochs = (course[0], *mechanism.epochs_of(emulator)[:: 1 if SMOKE else 4])
resonance = mechanism.resonance.examine(replace(evidence, epochs=epochs), config.resonance, seed=0)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
plots.plot_resonance(resonance.data, ax=left)
plots.plot_epochs(resonance.data, ax=middle)
plots.plot_eigenvalues(resonance.data, ax=right)
print("claim 8:", resonance.headline, resonance.not_applicable_because)
for note in resonance.notes:
    print(note)

# %% [markdown]
# ## Answer
#
# In a verdict each, of this one network. What holds in one network need not hold in the next: networks with other
# weights emulate the same model in other ways.

# %%
for finding in (found, verdict, dial, resonance):
    print(f"{finding.number}. {finding.claim} {finding.headline}")

# %% [markdown]
# `mechanism.explain(emulator)` does all of this and the rest of the claims in one call; `experiments/rnn_mechanism`
# does it for six models and several seeds.
