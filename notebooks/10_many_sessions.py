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
# # Many sessions
#
# **Question.** Which of several methods decodes better over all sessions, and is the difference more than chance? Five
# sessions of a simulated animal that reaches stand in for a folder of yours. The same command does it on this machine,
# on SLURM and on Kubernetes.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from neurodyn.plotting import plot_scores
from neurodyn.simulation import ReachingSettings, simulate_reaching, write_nwb
from neurodyn.sweep import compare_methods, open_results

SMOKE = os.environ.get("NEURODYN_SMOKE") == "1"  # a small run, for the tests
SESSIONS, TRIALS = (3, 12) if SMOKE else (5, 60)
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Sessions
#
# One NWB file for each day. The units are the same; the directions that they prefer turn a little from day to day.

# %%
for session in range(SESSIONS):
    day = ReachingSettings(trials=TRIALS, session=session, channels=4)
    write_nwb(simulate_reaching(day, seed=0), folder / f"day{session}.nwb")
print(f"{SESSIONS} sessions of {TRIALS} reaches")

# %% [markdown]
# ## What is to be done
#
# Files by a pattern, methods, and the options of `neurodyn decode`. The report compares the first method with the
# others. Linear methods are enough to see how it goes; put `multiscale` first for the real thing.

# %%
(folder / "sweep.yaml").write_text("""
sessions: [day*.nwb]
methods: [wiener, ridge]
options: {target: [velocity], width: 50ms, folds: 3, gap: 1s, lead_in: 2s}
settings:
  both: {}
  spikes alone: {modalities: [spikes]}
""")


def sweep(*words: str) -> str:
    """What `neurodyn sweep` prints; in a terminal one would type it."""
    command = [Path(sys.executable).parent / "neurodyn", "sweep", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


print(sweep("sweep.yaml", "--out", "results", "--workers", "1"))

# %% [markdown]
# Tasks that are done are known by a hash of all that they depend on. The same command again does nothing; with another
# session, seed or method it does what is new. `--scheduler tcp://host:8786` sends the tasks to a Dask cluster: files to
# copy for SLURM and Kubernetes are in `neurodyn/sweep/CLUSTERS.md`.

# %%
print(sweep("sweep.yaml", "--out", "results", "--workers", "1"))
print((folder / "results" / "report.md").read_text())

# %% [markdown]
# ## The numbers
#
# One data set with an axis each for sessions, settings, methods (`decoder`), seeds and folds.

# %%
results = open_results(folder / "results")
score = results["score"].sel(estimate="filtered", metric="r2").mean("dim")
print(score.mean(("session", "seed", "fold")).to_series())
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True, layout="constrained")
for ax, setting in zip(axes, results["setting"].to_numpy(), strict=True):
    methods = results["decoder"].to_numpy()
    plot_scores({m: score.sel(setting=setting, decoder=m).to_numpy().ravel() for m in methods}, ax=ax)
    ax.set_title(setting)

# %% [markdown]
# ## Answer
#
# Differences are paired over sessions and folds, their intervals come from a bootstrap over sessions and what is within
# them, and p values are corrected for the number of methods. With few sessions even a large difference is not proven:
# that is what the interval says.

# %%
for found in compare_methods(results):
    for other, difference in found.others.items():
        print(f"{found.setting}: {found.method} beside {other}: {difference.cell()}, {difference.verdict()}")
