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
# # Fixed points: how a network remembers
#
# **Question.** How does a network remember? We train a small recurrent network to hold three bits, and then look at
# where its state stands still, what leaves these points, and how they change with the input. Nothing here knows the
# network's inside. All that is needed is a function `step(state, input) -> state`.

# %%
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from neurodyn.benchmarks.flip_flop import FlipFlopConfig, draw_trials, train_flip_flop
from neurodyn.fixed_points import (
    FixedPoints,
    Stability,
    continue_along,
    find,
    find_more,
    linearise,
    modes,
    sample_starts,
)
from neurodyn.plotting import plot_branch, plot_eigenvalues, plot_fixed_points

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests
HIDDEN, EPOCHS = (24, 8) if SMOKE else (48, 20)
STARTS = 128 if SMOKE else 512

# %% [markdown]
# ## A network with a known task
#
# Three input lines carry pulses of +1 and -1. Each output has to hold the sign of the last pulse on its line. That
# makes eight memories.

# %%
config = FlipFlopConfig(hidden=HIDDEN, epochs=EPOCHS, seed=0)
network = train_flip_flop(config)
trials = draw_trials(jax.random.key(1), config)
states = np.asarray(network.run(trials.inputs))
outputs = np.asarray(network.output(jnp.asarray(states)))
right = np.mean(np.sign(outputs) == np.asarray(trials.targets))
print(f"{right:.1%} of the outputs have the right sign")

# %%
figure, axes = plt.subplots(config.bits, 1, figsize=(8, 4), sharex=True, layout="constrained")
for bit, ax in enumerate(axes):
    ax.plot(outputs[0, :, bit], color="#D55E00", label="output")
    ax.plot(trials.targets[0, :, bit], color="#1A1A1A", linewidth=0.8, linestyle="--", label="target")
    ax.stem(trials.inputs[0, :, bit], linefmt="C0-", markerfmt=" ", basefmt=" ", label="pulses")
    ax.set_ylabel(f"bit {bit}")
axes[0].legend(frameon=False, ncols=3)
axes[-1].set_xlabel("step")

# %% [markdown]
# ## Find
#
# The search starts from states the network went through, and halfway between two of them, with noise: memories are
# where it has been, and what divides them lies in between. All starts are solved together. Each ends as *fixed* (it
# stands still), *slow* (a minimum of the speed that is not zero), *unconverged* or *diverged*: the table says which,
# and how many starts came to each point.

# %%
silence = jnp.zeros(config.bits)
starts = sample_starts(states, STARTS, noise=0.2, seed=0, between=0.5)
found = find(network.step, starts, silence)
print(found.table())

# %% [markdown]
# Has it missed any? Deflation pushes every start away from what is known.

# %%
more = find_more(network.step, found, starts, silence)
print(f"{len(found.fixed)} fixed points; deflation found {(~more.outlier).sum()} more near the starts")

# %% [markdown]
# ## Linearise
#
# Near a fixed point the network is linear. Eigenvalues inside the unit circle decay, those outside grow. With eight
# attractors, a point between two of them is a saddle with one unstable direction: it divides their basins.

# %%
linear = linearise(network.step, found.fixed.states, silence, dt=1.0)
print(linear.table())
attractors = [kind is Stability.ATTRACTOR for kind in linear.stability]
codes = np.sign(np.asarray(network.output(jnp.asarray(found.fixed.vectors[attractors])))).astype(int)
print(f"{len(set(map(tuple, codes)))} of 8 codes are held by {len(codes)} attractors")

# %%
figure = plt.figure(figsize=(11, 5), layout="constrained")
ax = figure.add_subplot(1, 2, 1, projection="3d")
plot_fixed_points(found.fixed, linear, trajectories=states[:10], length=0.7, ax=ax)
plot_eigenvalues(linear, ax=figure.add_subplot(1, 2, 2))

# %% [markdown]
# ## Follow
#
# A pulse on one line has to push the state out of a memory. We hold the input at a value, raise it slowly, and follow
# the attractor that says the opposite: it meets a saddle and both vanish in a fold. Beyond the fold the memory is gone,
# and the state has to move. This is how the network is written to.

# %%
negative = int(np.flatnonzero(codes[:, 0] < 0)[0])
memory = found.fixed.vectors[np.flatnonzero(attractors)[negative]]


def line_0(value: jax.Array) -> jax.Array:
    """A steady input on the first line."""
    return value * jnp.eye(config.bits)[0]


branch = continue_along(network.step, jnp.asarray(memory), line_0, 0.0, 1.0)
print(branch.table())

# %%
read_out = np.asarray(network.output(jnp.asarray(branch.vectors)))[:, 0]
events = [
    (event.kind.value, event.value, float(network.output(jnp.asarray(event.vector))[0])) for event in branch.events
]
ax = plot_branch(
    branch.values,
    read_out,
    branch.stable,
    events=events,
    value_name="steady input, line 0",
    coordinate_name="output, line 0",
)

# %% [markdown]
# ## Modes of a linear model
#
# A fitted decoder's shared dynamics are linear, so their eigenvalues are its modes: how fast each decays, how fast it
# turns. Fits on several folds have different axes but the same modes, which gives intervals. Here two known modes are
# seen through five noisy fits.

# %%
random, width = np.random.default_rng(0), 0.01
folds = []
for _ in range(5):
    decay, hertz = 0.30 * np.exp(0.1 * random.normal()), 4.0 + 0.2 * random.normal()
    turn = 2 * np.pi * hertz * width
    block = np.exp(-width / decay) * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.block([[block, np.zeros((2, 1))], [np.zeros((1, 2)), np.full((1, 1), np.exp(-width / 0.05))]])
    mixing = random.normal(size=(3, 3))
    folds.append(mixing @ matrix @ np.linalg.inv(mixing))
print(modes(folds, width).table())

# %% [markdown]
# ## Keep
#
# Points are saved to one file, and come back as they were.

# %%
path = Path(tempfile.mkdtemp()) / "points.h5"
found.save(path)
assert FixedPoints.load(path).table() == found.table()
found.to_xarray()

# %% [markdown]
# ## Answer
#
# Each memory is a stable fixed point, and between two memories lies a saddle that divides what runs into the one
# from what runs into the other. A pulse writes because, at its height, the memory that contradicts it has vanished
# in a fold.

# %%
saddles = sum(kind is Stability.SADDLE for kind in linear.stability)
print(f"{sum(attractors)} attractors hold {len(set(map(tuple, codes)))} codes; {saddles} saddles divide them")
print(f"the branch has {', '.join(kind for kind, _, _ in events) or 'no event'} up to an input of 1")
