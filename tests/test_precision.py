"""What was saved in one precision is loaded and used in the other, each in a process of its own as users have it."""

import os
import subprocess
import sys

import pytest

SETTINGS = """
import sys
import jax
jax.config.update("jax_enable_x64", sys.argv[1] == "64")
import jax.numpy as jnp
import numpy as np
from neurodyn import MultiscaleDecoder
from neurodyn.emulation import HmmEmulator, Objective
from neurodyn.emulation import TrainingConfig as Course
from neurodyn.errors import InputError
from neurodyn.markov import linear_chain
from neurodyn.multiscale import TrainingConfig
from neurodyn.simulation import LorenzSettings, simulate_lorenz

folder, dtype = sys.argv[2], np.dtype("float" + sys.argv[1])
batch = simulate_lorenz(LorenzSettings(n_trials=8, seconds=0.3, spike_channels=4, field_channels=3), seed=1)
course = Course(
    sequences=120, batch=16, epochs=2, validation=16, validate_every=1, average=0.9, snapshot_every=1,
    objective=Objective.ENERGY,
)
training = TrainingConfig(epochs=1, batch=4, validate_every=1)
decoder = MultiscaleDecoder(latent=3, encoder=(4,), decoder=(4,), fusion=(4,), training=training, progress=False)
emulator = HmmEmulator(hidden=8, inputs=4, training=course, progress=False)
"""
MAKE = (
    SETTINGS
    + """
decoder = decoder.fit(batch, checkpoint=folder + "/decoder.checkpoint")
decoder.save(folder + "/decoder")
decoder.export(folder + "/decoder.npz")
filtered, smoothed = (decoder.predict(batch, smoothed=smoothed)["target"] for smoothed in (False, True))
np.savez(folder + "/expected.npz", filtered=filtered, smoothed=smoothed)
emulator = emulator.fit(linear_chain(3, trial_steps=6), directory=folder + "/network")
state, noise = np.linspace(0, 1, 8), np.linspace(-1, 1, 4)
after = emulator.step(jnp.asarray(state, dtype), jnp.asarray(noise, dtype))
np.savez(folder + "/network.npz", after=after)
"""
)
USE = (
    SETTINGS
    + """
loaded = MultiscaleDecoder.load(folder + "/decoder")
assert {leaf.dtype for leaf in jax.tree.leaves(loaded.fitted_.network.parameters)} == {dtype}
expected = np.load(folder + "/expected.npz")
for name in ("filtered", "smoothed"):
    found = loaded.predict(batch, smoothed=name == "smoothed")["target"].to_numpy()
    np.testing.assert_allclose(found, expected[name], rtol=1e-3, atol=1e-3)
assert np.isfinite(loaded.score(batch)["r2"]).all()
loaded.transform(batch, ahead=2)
live = loaded.realtime()
step = {"spikes": np.ones(4), "field": np.ones(3)}
assert live.step(step, 0.01).latent.dtype == dtype
from neurodyn.realtime import RealtimeDecoder
exported = RealtimeDecoder.load(folder + "/decoder.npz")  # NumPy alone: in the precision it was exported in
one, other = (live.step(step, 0.01).target for live in (exported, loaded.realtime()))
np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
loaded.save(folder + "/again")
MultiscaleDecoder.load(folder + "/again")

network = HmmEmulator.load(folder + "/network")
assert {leaf.dtype for leaf in network.parameters.values()} == {dtype}
after = network.step(jnp.asarray(np.linspace(0, 1, 8), dtype), jnp.asarray(np.linspace(-1, 1, 4), dtype))
np.testing.assert_allclose(after, np.load(folder + "/network.npz")["after"], rtol=1e-5, atol=1e-6)
assert network.generate(3, 5, seed=0).states.dtype == dtype
assert np.isfinite(network.divergence(seed=1))
from neurodyn.mechanism import RecordConfig, record
from neurodyn.mechanism.network import epochs_of, network_of
for one in (network_of(network), *(epoch.network for epoch in epochs_of(network))):
    assert record(one, RecordConfig(trials=4, steps=6, burn_in=2), seed=0).states.dtype == dtype

for resume in (
    lambda: decoder.fit(batch, checkpoint=folder + "/decoder.checkpoint"),
    lambda: emulator.fit(linear_chain(3, trial_steps=6), directory=folder + "/network"),
):
    try:
        resume()
    except InputError as error:
        assert "was written by a run in float" in str(error) and "\\n" not in str(error), error
    else:
        raise AssertionError("a run of another precision was gone on with")
print("done")
"""
)


def python(program, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("made", "used"), [(32, 64), (64, 32)])
def test_models_go_from_one_precision_to_the_other(tmp_path, made, used):
    python(MAKE, made, tmp_path)
    assert python(USE, used, tmp_path).endswith("done\n")
