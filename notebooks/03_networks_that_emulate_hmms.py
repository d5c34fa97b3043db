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
# # A network that emulates a hidden Markov model
#
# A hidden Markov model jumps between a few discrete states. A recurrent network has no states, only a continuous
# activity that is pushed by noise. Trained to produce the same sequences, it has to build something like states and
# jumps out of its dynamics; later analyses ask how. First comes another one.
#
# **Question.** Does it emulate the model at all, and how would we know?
#
# Torre, Viscione, Pompe, Grewe & Mante (2025), *Mechanistic Interpretability of RNNs emulating Hidden Markov Models*,
# NeurIPS (arXiv 2510.25674).

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neurodyn import markov
from neurodyn.display import symbol_name
from neurodyn.emulation import HmmEmulator, MatchConfig, match, training_at
from neurodyn.plotting.emulation import plot_sequences, symbol_colour
from neurodyn.report.emulation import draw_match, write_match_report

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests

# %% [markdown]
# ## The model
#
# A chain of three states. The ends emit A and C, the middle either; B is rare everywhere. From one end the model gets
# to the other only through the middle, so that runs of A and C last longer than chance would have them.

# %%
hmm = markov.linear_chain(3)
with np.printoptions(precision=3, suppress=True):
    print("transitions", hmm.transitions, "emissions", hmm.emissions, sep="\n")

drawn = markov.sample(hmm, 30, hmm.trial_steps, seed=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plot_sequences(drawn.symbols, symbol_count=hmm.symbols, ax=left)
left.set_title("symbols (blue A, yellow B, orange C)")
right.imshow(drawn.states, aspect="auto", cmap="Greys", interpolation="nearest")
right.set(title="the hidden states behind them", xlabel="step")

# %% [markdown]
# ## What the symbols say about the states
#
# Inference is exact: `filter_states` uses the past, `smooth_states` the whole trial, `viterbi` finds the most probable
# path. A symbol of -1 was not seen; below, ten steps in the middle are hidden, and only the chain's own dynamics tell
# what may have happened there.

# %%
hidden = drawn.symbols[:1].copy()
hidden[0, 10:20] = -1
figure, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
for ax, symbols, title in zip(axes, (drawn.symbols[:1], hidden), ("all seen", "ten steps hidden"), strict=True):
    smoothed = markov.smooth_states(hmm, symbols)[0]
    for state in range(hmm.states):
        ax.plot(smoothed[:, state], color=plt.get_cmap("viridis")(state / 2), label=f"state {state}")
    seen = symbols[0] >= 0
    ax.scatter(np.flatnonzero(seen), np.full(seen.sum(), 1.1), c=[symbol_colour(s) for s in symbols[0][seen]], s=16)
    ax.set(title=title, ylabel="probability")
axes[0].legend(frameon=False, ncols=3, fontsize=8, loc="lower right")
axes[1].set_xlabel("step")

# %% [markdown]
# Can a model be found again from its sequences alone? Expectation maximisation climbs from random starts, and many get
# stuck: two states share what one should explain. That several starts reach the same highest likelihood, no lower than
# the true model's, is the sign that it is the right one. The model here is another family, fully connected; in the
# chain, whose middle state shares all its symbols with the ends, this takes far longer.

# %%
connected = markov.fully_connected()
many = markov.sample(connected, 300 if SMOKE else 2000, connected.trial_steps, seed=1).symbols
fit = markov.fit_em(many, 3, symbol_count=3, seed=0, config=markov.EmConfig(restarts=2 if SMOKE else 8))
ends = [run.log_likelihood[-1] / many.size for run in fit.runs]
true = markov.log_likelihood(connected, many).sum() / many.size
print(f"log-likelihood per symbol: {np.round(ends, 4)} from each start, {true:.4f} under the true model")
with np.printoptions(precision=3, suppress=True):
    print(markov.align_states(fit.hmm, connected).transitions)

# %% [markdown]
# ## The network
#
# `h[t] = relu(W h[t-1] + U x[t])` with fresh noise `x[t]` at every step, and symbols drawn from `softmax(W_o h[t])`. It
# is trained to make batches of sequences that lie close to batches of the model's, by their Sinkhorn divergence.

# %%
scale = "smoke" if SMOKE else "laptop"  # minutes on two cores; "paper" has the published settings, and takes hours
net = HmmEmulator(hidden=30 if SMOKE else 150, inputs=10 if SMOKE else 100, training=training_at(scale, hmm)).fit(hmm)
generated = net.generate(30, hmm.trial_steps, seed=0)

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
plot_sequences(drawn.symbols, symbol_count=hmm.symbols, ax=left)
left.set_title("the model")
plot_sequences(generated.symbols, symbol_count=hmm.symbols, ax=middle)
middle.set_title("the network")
logits = np.asarray(generated.logits[0], np.float64)
probability = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
for symbol in range(hmm.symbols):
    right.plot(probability[:, symbol], color=symbol_colour(symbol), label=symbol_name(symbol))
right.set(title="one trial: probability of each symbol", xlabel="step")
right.legend(frameon=False, fontsize=8)

# %% [markdown]
# ## Does it emulate?
#
# Sequences that look alike may differ in how long runs last or how often symbols change. `match` compares everything
# that has an exact value under the model with that, and what has none (matched distance, likelihood, a classifier) with
# sequences of the model. In each of these a second set of the model's own takes the network's place: the **floor**,
# what the model shows against itself.

# %%
trials = 500 if SMOKE else 30_000
quick = MatchConfig(resamples=50, matched_trials=200, tested_trials=200) if SMOKE else MatchConfig()
result = match(net, hmm, trials=trials, seed=0, config=quick)
print(f"the network: {result.verdict.value}")
for reason in result.reasons:
    print("  ", reason)
for row in result.statistics:
    print(f"{row.label:58s} {row.value:8.4f}   model itself {row.floor:8.4f}   limit {row.upper_limit:.4g}")

# %%
draw_match(result, plt.figure(figsize=(15, 10), layout="constrained"))

# %% [markdown]
# ## Would it notice?
#
# A verdict is worth what it refuses. The model as its own emulator has to pass; a chain that crosses from end to end
# a little more often has to fail, though its sequences look the same to the eye.


# %%
class Imitation:
    """Anything that generates sequences can be matched."""

    def __init__(self, model: markov.HiddenMarkovModel) -> None:
        self.model = model

    def generate(self, trials: int, steps: int, *, seed: int) -> markov.Sequences:
        return markov.sample(self.model, trials, steps, seed=seed)


controls = {"the model itself": hmm, "crosses more often": markov.linear_chain(3, crossing=0.1)}
verdicts = {
    name: match(Imitation(model), hmm, trials=4000 if SMOKE else 30_000, seed=1, config=quick)
    for name, model in controls.items()
}
for name, each in verdicts.items():
    print(f"{name:20s} {each.verdict.value:18s} changes per trial x {each['volatility_ratio'].value:.3f}")
assert verdicts["the model itself"].verdict.value != "fails"
assert verdicts["crosses more often"].verdict.value == "fails"

# %% [markdown]
# ## Keep it
#
# The same as a page, a picture and numbers; `neurodyn emulate` writes these.

# %%
folder = Path(tempfile.mkdtemp())
page = write_match_report(result, folder, title="Chain of three states", history=net.history)
print(sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# ## Answer
#
# The network's sequences are held against what the model itself shows, statistic by statistic, and the limits are such
# that the model passes and a chain that crosses a little more often fails.

# %%
error = result["transition_error_max"]
print(f"the network {result.verdict.value}: transitions within {error.value:.3f} (model itself {error.floor:.3f})")
