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
# # Files of your own
#
# **Question.** Which call reads my file, and how do I know that it was read right? One session is written here as
# NWB, as a MATLAB file with names of its own, and kept as plain arrays. All three have to become the same recording
# and the same bins.

# %%
import tempfile
from pathlib import Path

import numpy as np
import scipy.io

import neurodyn as nd
from neurodyn.recording import (
    differences,
    doubts,
    read_layout,
    read_recording,
    recording_from_arrays,
    write_recording,
)
from neurodyn.simulation import ForagingSettings

folder = Path(tempfile.mkdtemp())
session = nd.simulate_foraging(ForagingSettings(seconds=60.0), seed=0)
(trains,), (field,) = session.spikes.values(), session.fields.values()
position = session.behaviour["position"]
print(session)

# %% [markdown]
# ## NWB, and every format that names what it holds
#
# `read_recording` looks into the file and not at its name. NWB 2, CellExplorer, phy, XDF and files of neurodyn's
# own need no more than the path.

# %%
written = write_recording(session, folder / "session.nwb")
from_nwb = read_recording(written)
print(f"from NWB: {differences(session, from_nwb) or 'nothing differs'}")
assert not differences(session, from_nwb)

# %% [markdown]
# ## A MATLAB file with names of your own
#
# A cell array of spike times in milliseconds, a matrix of the field with its rate, a table of positions with its
# times. The file does not say which is which, so you do, in a few lines of YAML. `neurodyn inspect FILE` proposes
# them.

# %%
cells = np.empty((len(trains.times), 1), object)
for unit, times in enumerate(trains.times):
    cells[unit, 0] = 1e3 * times
variables = {
    "st": cells,
    "lfp": {"data": np.asarray(field.values), "fs": field.rate},
    "track": {"t": position.times, "xy": np.asarray(position.values)},
}
scipy.io.savemat(folder / "session.mat", variables)
(folder / "layout.yaml").write_text("""
spikes: {variable: st, time_unit: ms}
fields:
- {variable: lfp.data, rate: lfp.fs, name: lfp}
behaviour:
- {variable: track.xy, time: track.t, name: position, unit: m}
""")
from_matlab = read_recording(folder / "session.mat", layout=read_layout(folder / "layout.yaml"))
print(from_matlab)

# %% [markdown]
# ## Arrays
#
# What is in memory already needs clocks: a rate, or a time for each sample. NaN is missing. Where units were not
# recorded all the time, say so (`support`): otherwise their silence is taken for silence.

# %%
from_arrays = recording_from_arrays(
    "session",
    spikes=list(trains.times),
    fields={"lfp": np.asarray(field.values)},
    behaviour={"position": np.asarray(position.values)},
    rates={"lfp": field.rate},
    timestamps={"position": position.times},
    units={"position": "m"},
)
print(f"from arrays: {len(from_arrays.spikes['spikes'].units)} units, {from_arrays.fields['lfp'].rate:g} Hz")

# %% [markdown]
# ## Was it read right?
#
# What is implausible is told: milliseconds for seconds, axes that are swapped, spikes beyond what was recorded. The
# same session with its times left in milliseconds:

# %%
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    wrong = recording_from_arrays(
        "session",
        spikes=[1e3 * times for times in trains.times],
        behaviour={"position": np.asarray(position.values)},
        timestamps={"position": position.times},
    )
for doubt in doubts(wrong):
    print("doubt:", doubt)
assert doubts(wrong)
assert caught
assert not doubts(from_arrays)

# %% [markdown]
# ## Answer
#
# `read_recording(path)` for files that name what they hold, with `layout=` for files that do not, and
# `recording_from_arrays` for what is in memory. Three ways, the same bins:

# %%
batches = {}
for name, each in (("NWB", from_nwb), ("MATLAB", from_matlab), ("arrays", from_arrays)):
    batches[name] = nd.to_bins(each, width=0.05, modalities="all", target=["position"])
    print(f"{name:7s} {batches[name].observations['spikes'].sum():.0f} spikes in {len(batches[name].time)} bins")
for other in ("MATLAB", "arrays"):
    one, two = batches["NWB"], batches[other]
    assert set(one.observations) == set(two.observations)
    for name, values in one.observations.items():
        assert np.allclose(values, two.observations[name], atol=1e-4, equal_nan=True), name
    assert np.allclose(one.target, two.target, atol=1e-6, equal_nan=True)
print("the bins are the same")
