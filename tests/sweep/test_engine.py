"""Tasks on real Dask processes: scores as of a cross-validation, and each once whatever is lost on the way."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from oracles.sweep_work import elsewhere, failing, numbers, slow
from sweep.conftest import CONFIG

from neurodyn.cli.decode import build_study
from neurodyn.cli.main import main
from neurodyn.cli.reading import read_given
from neurodyn.errors import InputError, NeurodynError
from neurodyn.evaluation import Method, cross_validate
from neurodyn.evaluation.workers import WORKER_ENVIRONMENT
from neurodyn.realtime.locks import lock_beside
from neurodyn.sweep import Cluster, compare_methods, open_results, read_plan, run_sweep, store, write_report
from neurodyn.sweep.work import result_of

TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def plan(sessions):
    return read_plan(sessions / "config.yaml")


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def check_stand_ins(plan, out):
    """Every task has its mark, and its numbers at its place."""
    results = open_results(out)
    assert store.done(out) >= {task.key for task in plan.tasks()}
    for task in plan.tasks():
        session, setting, method, seed, fold = plan.place(task)
        here = {"session": session, "setting": setting, "decoder": method, "seed": seed, "fold": fold}
        expected = numbers(task)
        np.testing.assert_array_equal(results["score"].isel(here), expected["score"])
        assert results["coverage"].isel(here) == expected["coverage"]


def runs(out):
    """How often each task was done."""
    return Counter(line.split()[0] for line in (out / "runs.txt").read_text().splitlines())


@pytest.mark.slow
def test_scores_are_those_of_a_cross_validation(sessions, tmp_path, capsys):
    out, config = tmp_path / "out", sessions / "linear.yaml"
    config.write_text(CONFIG.replace("[gru, ridge]", "[ridge, wiener]"))
    assert main(["sweep", str(config), "--out", str(out), "--workers", "2"]) == 0
    results, plan = open_results(out), read_plan(config)
    options = plan.settings["wide"]
    study = build_study(read_given(Path(plan.sessions[1].path), options), options)
    methods = [Method(m.name, m.decoder, m.modalities) for m in study.methods if m.name in ("ridge", "wiener")]
    for found in cross_validate(methods, study.folds).results:
        here = results.sel(session="rat1", setting="wide", decoder=found.method, seed=1, fold=found.fold)
        scores = here["score"].sel(estimate="filtered")
        np.testing.assert_allclose(scores.sel(metric="r2"), found.filtered.r2, rtol=1e-5)
        np.testing.assert_allclose(scores.sel(metric="correlation"), found.filtered.correlation, rtol=1e-5)
        assert int(here["train_bins"]) == found.train_bins
    assert np.isnan(results["score"].sel(estimate="smoothed", decoder="wiener")).all()
    assert np.isfinite(results["coverage"]).all()

    # Run again, nothing is done; the report says the same.
    stamps = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert main(["sweep", str(config), "--out", str(out), "--workers", "1"]) == 0
    assert set(stamps) == {path.name for path in (out / "tasks").iterdir()}
    assert {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()} == stamps
    report = (out / "report.md").read_text()
    assert "48 of 48 tasks are done" in report
    mean = float(results["score"].sel(estimate="filtered", metric="r2", decoder="ridge", setting="wide").mean())
    assert f"| {mean:.3f} |" in report
    gain = compare_methods(results)[1].others["wiener"]
    assert gain.cell() in report
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert str(out / "report.md") in capsys.readouterr().out


class LosesAWorker(Cluster):
    """Kills one of its workers when a few tasks are done."""

    @contextlib.contextmanager
    def client(self):
        with super().client() as client:
            victim = next(iter(client.run(os.getpid).values()))
            threading.Thread(target=kill_when, args=(self.out, victim), daemon=True).start()
            yield client
            assert victim not in client.run(os.getpid).values()


def kill_when(out, pid, marks=4):
    while len(store.done(out)) < marks:
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def test_a_lost_worker_loses_nothing(plan, out):
    cluster = LosesAWorker(workers=2)
    object.__setattr__(cluster, "out", out)
    seen = []
    assert run_sweep(plan, out, cluster, on_done=lambda done, total: seen.append((done, total)), perform=slow) == {}
    check_stand_ins(plan, out)
    assert seen[0] == (0, 36)
    assert seen[-1] == (36, 36)
    assert sum(runs(out).values()) <= 36 + 1  # at most the one that the lost worker was at


CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from oracles.sweep_work import slow
from neurodyn.sweep import Cluster, read_plan, run_sweep
if __name__ == "__main__":
    cluster = Cluster({scheduler!r}, 2, patience=60)
    print("failed", run_sweep(read_plan(Path({config!r})), Path({out!r}), cluster, perform=slow))
"""


def client_process(sessions, out, scheduler=None):
    """A client in a process of its own; with its workers, where it has no scheduler."""
    script = out.parent / "client.py"
    text = CLIENT.format(tests=TESTS, scheduler=scheduler, config=str(sessions / "config.yaml"), out=str(out))
    script.write_text(text)
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(out, marks, seconds=60.0):
    deadline = time.monotonic() + seconds
    while len(store.done(out)) < marks:
        assert time.monotonic() < deadline, f"{len(store.done(out))} of {marks} tasks after {seconds} s"
        time.sleep(0.05)


def test_a_killed_client_loses_nothing(plan, sessions, out):
    killed = client_process(sessions, out)
    wait_for(out, 5)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    done = len(store.done(out))
    assert 5 <= done < 36
    assert run_sweep(plan, out, Cluster(workers=2), perform=slow) == {}
    check_stand_ins(plan, out)
    assert sum(runs(out).values()) <= 36 + 2


@pytest.fixture
def dask():
    """Start schedulers and workers as processes; all have ended afterwards."""
    started = []

    def start(*words):
        environment = {**os.environ, "PYTHONPATH": TESTS}
        quiet = subprocess.DEVNULL
        program = [sys.executable, "-m", "dask", *words]
        started.append(subprocess.Popen(program, env=environment, stdout=quiet, stderr=quiet, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


NO_DASHBOARD = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
def test_a_restarted_scheduler_loses_nothing(plan, sessions, out, dask):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), *NO_DASHBOARD)
    worker = ("worker", address, "--nthreads", "1", "--nworkers", "2", *NO_DASHBOARD)
    first, workers = dask(*scheduler), dask(*worker)
    client = client_process(sessions, out, address)
    wait_for(out, 5)
    for process in (first, workers):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(store.done(out)) < 36
    dask(*scheduler)
    dask(*worker)
    said, _ = client.communicate(timeout=120)
    assert said == "failed {}\n"
    check_stand_ins(plan, out)
    assert sum(runs(out).values()) <= 36 + 2


def test_a_task_that_fails_is_told_and_tried_again(plan, out):
    failed = run_sweep(plan, out, Cluster(workers=2, retries=0), perform=failing)
    assert len(failed) == 12
    assert failed["rat0, narrow, ridge, seed 0, fold 2"] == "ValueError: nothing to see in fold 1"
    assert len(store.done(out)) == 24
    assert run_sweep(plan, out, Cluster(workers=2), perform=slow) == {}
    check_stand_ins(plan, out)


def test_numbers_without_a_mark_are_written_again(plan, out):
    """What a worker leaves that dies between the two."""
    task = plan.tasks()[0]
    store.create(out, plan, ["x", "y"])
    store.write(out, [plan.place(task)], task, {**numbers(task), "coverage": 0.123})
    (out / "tasks" / f"{task.key}.json").unlink()
    assert run_sweep(plan, out, Cluster(workers=1), perform=slow) == {}
    check_stand_ins(plan, out)


def test_another_plan_in_the_folder_has_its_own_numbers_and_no_others(sessions, plan, out):
    """What is the same in both is not done again, and what is not is not shown."""
    assert run_sweep(plan, out, Cluster(workers=2), perform=slow) == {}
    config = sessions / "more.yaml"
    config.write_text(CONFIG.replace("[0, 1]", "[1, 2]").replace("{width: 50ms}", "{width: 40ms}"))
    more = read_plan(config)
    store.create(out, more, ["x", "y"])
    coverage = open_results(out)["coverage"]
    wide, narrow = coverage.sel(setting="wide"), coverage.sel(setting="narrow")
    assert np.isnan(narrow).all()
    assert np.isnan(wide.sel(decoder="gru", seed=2)).all()
    assert np.isfinite(wide.sel(decoder="gru", seed=1)).all()
    assert np.isfinite(wide.sel(decoder="ridge")).all()
    before = sum(runs(out).values())
    assert run_sweep(more, out, Cluster(workers=2), perform=slow) == {}
    check_stand_ins(more, out)
    assert sum(runs(out).values()) - before == 2 * 3 * (1 + 3)  # gru's seed 2, and all of the new width
    assert run_sweep(plan, out, Cluster(workers=1), perform=elsewhere) == {}  # and back: nothing is done
    check_stand_ins(plan, out)


def test_tasks_that_are_the_same_are_done_once_and_shown_twice(sessions, out):
    config = sessions / "same.yaml"
    config.write_text(CONFIG.replace("{width: 100ms}", "{}"))
    plan = read_plan(config)
    assert run_sweep(plan, out, Cluster(workers=2), perform=slow) == {}
    check_stand_ins(plan, out)
    assert len(runs(out)) == sum(runs(out).values()) == 18


def test_workers_that_see_another_folder_are_told(plan, out):
    with pytest.raises(NeurodynError, match="was done, and there is no mark of it"):
        run_sweep(plan, out, Cluster(workers=1, patience=1.0), perform=elsewhere)


def test_one_sweep_at_a_time_works_in_a_folder(plan, out):
    held = lock_beside(out / store.RESULTS)
    with pytest.raises(InputError, match="another sweep works in"):
        run_sweep(plan, out, Cluster(workers=1), perform=slow)
    held.close()


def test_what_no_worker_offers_is_told(sessions, out):
    config = sessions / "gpu.yaml"
    config.write_text(CONFIG + "resources: {gru: {GPU: 1}}")
    plan = read_plan(config)
    with pytest.raises(InputError, match=r"gru asks for GPU 1.*--resources GPU=1"):
        run_sweep(plan, out, Cluster(workers=1), perform=slow)
    assert run_sweep(plan, out, Cluster(workers=2, resources={"GPU": 1.0}), perform=slow) == {}
    check_stand_ins(plan, out)


def test_two_clusters_on_one_machine_do_not_fight_for_a_port():
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # Whoever has taken Dask's port, it is taken.
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        with Cluster(workers=1).client() as one, Cluster(workers=1).client() as two:
            assert one.submit(sum, [1, 2]).result() == two.submit(sum, [0, 3]).result() == 3
            for client in (one, two):
                (server,) = client.cluster.scheduler.http_server._sockets.values()
                assert server.getsockname()[0] == "127.0.0.1"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the environment a process began with is not told")
def test_workers_begin_with_one_thread_each():
    """NumPy and XLA read how many threads they may have when they are imported, which is before Dask says so."""
    before = dict(os.environ)
    with Cluster(workers=1).client() as client:
        (began,) = client.run(lambda: Path("/proc/self/environ").read_bytes().split(b"\0")).values()
    assert {f"{name}={value}".encode() for name, value in WORKER_ENVIRONMENT.items() if name != "XLA_FLAGS"} <= {*began}
    assert any(one.startswith(b"XLA_FLAGS=") and WORKER_ENVIRONMENT["XLA_FLAGS"].encode() in one for one in began)
    assert dict(os.environ) == before


@pytest.mark.slow
def test_a_scheduler_without_a_worker_is_given_up(plan, out, dask):
    port = free_port()
    dask("scheduler", "--host", "127.0.0.1", "--port", str(port), *NO_DASHBOARD)
    time.sleep(3.0)
    with pytest.raises(NeurodynError, match="no worker that could do what is left"):
        run_sweep(plan, out, Cluster(f"tcp://127.0.0.1:{port}", patience=3.0), perform=slow)


def test_a_target_of_other_dimensions_is_refused(plan, out):
    store.create(out, plan, ["x", "y"])
    with pytest.raises(InputError, match="dimensions x, y, z, the sweep x, y"):
        store.write(out, [(0,) * 5], plan.tasks()[0], {**numbers(plan.tasks()[0]), "dims": ["x", "y", "z"]})


def test_a_setting_that_cannot_be_decoded_is_told_before_any_work(sessions, out):
    config = sessions / "wrong_setting.yaml"
    config.write_text(CONFIG.replace("{width: 100ms}", "{modalities: [nothing]}"))
    with pytest.raises(InputError, match="unknown modality 'nothing'"):
        run_sweep(read_plan(config), out, Cluster(workers=1))
    assert not (out / "results.zarr").exists()


def test_a_file_that_changes_meanwhile_is_told(sessions, tmp_path):
    for file in sessions.iterdir():
        shutil.copy(file, tmp_path / file.name)
    task = read_plan(tmp_path / "config.yaml").tasks()[0]
    with open(task.session.path, "ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="has changed since the sweep was begun"):
        result_of(task)


def test_a_setting_of_which_nothing_is_done_does_not_hide_the_tests_of_another(plan, out):
    store.create(out, plan, ["x", "y"])
    for task in plan.tasks():
        if task.setting == "narrow":
            store.write(out, [plan.place(task)], task, numbers(task))
    report = write_report(out).read_text()
    assert "24 of 48 tasks are done" in report
    assert "gru beside the others (narrow)" in report
    assert "No tests: no session has results of every method in the setting 'wide'" in report


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scheduler": "foo"}, "expected the address of a scheduler"),
        ({"scheduler": "http://x:1"}, "expected the address"),
        ({"scheduler": "tcp://localhost:abc"}, "expected the address"),
        ({"memory": "lots"}, "expected the memory of a worker"),
        ({"memory": "5"}, "needs 200 MB to start in"),
        ({"memory": "-5GB"}, "needs 200 MB to start in"),
    ],
)
def test_clusters_that_cannot_be(wrong, message):
    with pytest.raises(InputError, match=message):
        Cluster(**wrong)


def test_a_store_that_is_not_whole_is_no_sweep_and_is_made_anew(plan, out):
    (out / "results.zarr").mkdir()
    with pytest.raises(InputError, match="holds no sweep"):
        open_results(out)
    store.create(out, plan, ["x", "y"])
    assert np.isnan(open_results(out)["coverage"]).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{config}"], "--out DIR"),
        (["{config}", "{empty}", "--out", "{empty}"], "a folder follows the word report"),
        (["{config}", "--out", "{empty}", "--resources", "GPU"], "like GPU=1"),
        (["report"], "needs the folder of a sweep"),
        (["report", "{empty}"], "holds no sweep"),
        (["{missing}", "--out", "{empty}"], "cannot be read|no such file|does not exist"),
        (["{config}", "--out", "{empty}", "--workers", "0"], "1 or more"),
    ],
)
def test_wrong_words_are_one_line(sessions, tmp_path, words, message, capsys):
    places = {"config": sessions / "config.yaml", "empty": tmp_path, "missing": tmp_path / "no.yaml"}
    assert main(["sweep", *(word.format(**places) for word in words)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said, re.IGNORECASE), said
    assert said.count("\n") == 1


def test_a_scheduler_that_is_not_there_is_told(plan, out):
    with pytest.raises(NeurodynError, match="cannot be reached"):
        run_sweep(plan, out, Cluster(f"tcp://127.0.0.1:{free_port()}", patience=1.0), perform=slow)
