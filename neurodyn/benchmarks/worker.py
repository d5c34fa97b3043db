"""Benchmarks that need a process of their own: the time to a first step, the memory of a long recording or a fit.

``python -m neurodyn.benchmarks.worker NAME SIZES`` with sizes as JSON; what was measured goes to standard output.
"""

import json
import resource
import sys
import time
from typing import Any

from neurodyn.compilation import start_quickly


def first_step(sizes: dict[str, int]) -> dict[str, float]:
    """Make one step of training."""
    import jax

    from neurodyn.benchmarks.training import Sizes, stepper

    jax.block_until_ready(stepper(Sizes(**sizes), mask_per_trial=False)())
    return {}


def long_recording(sizes: dict[str, int]) -> dict[str, float]:
    """Estimate the states of one long trial with an untrained decoder, filtered and, if asked, smoothed."""
    from neurodyn.benchmarks.filtering import untrained
    from neurodyn.multiscale.inference import estimate, estimate_both

    network, batch = untrained(sizes)
    run = estimate_both if sizes["smooth"] else estimate
    before = _peak_bytes()
    run(network, batch.with_runs([0], [2 * min(4096, batch.n_bins // 2)], [0]))  # compiles
    start = time.perf_counter()
    run(network, batch)
    seconds = time.perf_counter() - start
    data = sum(a.nbytes for a in (*batch.observations.values(), *batch.observed.values()))
    return {"seconds": seconds, "peak": _peak_bytes(), "before": before, "data": data}


def scale(sizes: dict[str, Any]) -> dict[str, float]:
    """Fit one method to a recording of these sizes."""
    from neurodyn.benchmarks.scale import Sizes, fit

    return {**fit(sizes["method"], Sizes(sizes["units"], sizes["bins"])), "peak": _peak_bytes()}


def _peak_bytes() -> float:
    try:
        with open("/proc/self/status") as lines:  # what getrusage says may be the peak of the process that started this
            return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


WORKERS: dict[str, Any] = {"first-step": first_step, "long-recording": long_recording, "scale": scale}

if __name__ == "__main__":
    start_quickly()
    print(json.dumps(WORKERS[sys.argv[1]](json.loads(sys.argv[2]))), flush=True)
