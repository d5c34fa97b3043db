"""The grid of networks: which ones, a run with a worker that is lost, and one that is run again."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

ROOT = Path(__file__).parents[1]

LOSE_A_WORKER = """
import os, signal, sys, threading, time
from pathlib import Path

from experiments.command import configuration
from experiments.hmm_rnn_grid.run import FOLDER, main, networks_of, train_all
from neurodyn.sweep import Cluster

if __name__ == "__main__":
    out = Path(sys.argv[1])
    config = configuration(FOLDER, smoke=True)
    with Cluster(workers=2).client() as client:
        networks = networks_of(config["networks"], {})
        victim = next(iter(client.run(os.getpid).values()))

        def kill_when_busy():
            while not list(out.rglob("checkpoint.h5")):
                time.sleep(0.05)
            os.kill(victim, signal.SIGKILL)

        threading.Thread(target=kill_when_busy, daemon=True).start()
        train_all(client, networks, out, {key: config[key] for key in ("scale", "trials")})
        print("lost", victim not in client.run(os.getpid).values())
    main(["--smoke", "--out", str(out)])
"""


def in_process(program: list[str]) -> str:
    done = subprocess.run([sys.executable, *program], cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_grid_is_the_papers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments.command import configuration
    from experiments.hmm_rnn_grid.run import FOLDER, networks_of

    config = configuration(FOLDER, smoke=False)
    every = networks_of(config["networks"], {})
    assert len({network.name for network in every}) == len(every) == 144 + 6
    subset = networks_of(config["networks"], config["subset"])
    assert len(subset) == 18
    assert {(n.hidden, n.inputs) for n in subset} == {(150, 100)}
    models = {f"{n.family}{n.states}" for n in subset}
    assert models == {"chain2", "chain3", "chain4", "chain5", "fully_connected3", "cycle4"}
    assert subset[0].states == 2  # the longest first, so that no worker is left with it at the end


@pytest.mark.slow
def test_a_lost_worker_loses_nothing_and_a_second_run_trains_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + LOSE_A_WORKER)
    out = tmp_path / "out"
    out.mkdir()
    assert "lost True" in in_process([str(script), str(out)])
    folders = [out / f"chain3/hidden12_inputs4/seed{seed}" for seed in (0, 1)]
    stamps = [(folder / "summary.json").stat().st_mtime_ns for folder in folders]
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    assert [s["epochs"] for s in summaries] == [2, 2]
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert "chain3" in (out / "table.md").read_text()
    for name in ("divergence.png", "statistics.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    data = xr.load_dataset(out / "networks.nc", engine="scipy")
    assert data.sinkhorn_test.values.tolist() == [s["sinkhorn_test"] for s in summaries]
    assert data.sinkhorn_authors.values.tolist() == [4.1, 4.1]
    in_process(["-m", "experiments.hmm_rnn_grid.run", "--smoke", "--out", str(out)])
    assert [(folder / "summary.json").stat().st_mtime_ns for folder in folders] == stamps
