"""What the doctor says of machines on which a live decoder can work at its moment, and of some on which it cannot."""

import json
import math
import os

import pytest

from neurodyn.cli import doctor_realtime as doctor
from neurodyn.cli.main import main


def machine(root, **files):
    """A folder like the root of a machine, with files by path; ``__`` stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_this_machine(capsys):
    """Everything is looked at, nothing is a fault, whatever this machine lets be read."""
    assert main(["doctor", "--realtime", "--json"]) == 0
    lines = {line["name"]: line for line in json.loads(capsys.readouterr().out)}
    assert list(lines) == [
        "governor", "cores", "quota of time", "kernel", "scheduling", "locked memory", "swap", "clock", "timer",
        "collector", "threads of BLAS",
    ]  # fmt: skip
    assert all(line["found"] for line in lines.values())
    assert not any(line["fault"] for line in lines.values())
    assert "at 99 %" in lines["timer"]["found"]


def test_what_cannot_be_read_is_unknown_and_no_advice(tmp_path):
    for line in (doctor.governor(tmp_path), doctor.quota(tmp_path), doctor.swap(tmp_path), doctor.locked_memory(None)):
        assert (line.found, line.advice) == ("unknown", "")
    assert doctor.cores(tmp_path).found.endswith("isolated: unknown")
    assert doctor.clock(tmp_path).found.startswith("unknown, ")
    assert doctor.scheduling(None, None).found == "unknown, real-time priority up to unknown"


@pytest.mark.parametrize(("name", "words"), [("performance", ""), ("powersave", "cpupower"), ("schedutil", "cpupower")])
def test_the_governor_of_the_cores_that_are_allowed(tmp_path, monkeypatch, name, words):
    monkeypatch.setattr(doctor, "_allowed", lambda: [2, 3])
    names = {0: "powersave", 2: "performance", 3: name}
    files = {f"sys__devices__system__cpu__cpu{core}__cpufreq__scaling_governor": text for core, text in names.items()}
    line = doctor.governor(machine(tmp_path, **files))
    assert set(line.found.split(", ")) == {"performance", name}
    assert words in line.advice
    assert bool(line.advice) == bool(words)


@pytest.mark.parametrize(
    ("allowed", "isolated", "words"),
    [([3], "3", "allow two"), ([2, 3], "2-3", ""), ([0, 1, 2, 3], "", "CPUAffinity")],
)
def test_cores(tmp_path, monkeypatch, allowed, isolated, words):
    monkeypatch.setattr(doctor, "_allowed", lambda: allowed)
    line = doctor.cores(machine(tmp_path, sys__devices__system__cpu__isolated=isolated))
    assert line.found == f"{len(allowed)} allowed, isolated: {isolated or 'none'}"
    assert words in line.advice
    assert bool(line.advice) == bool(words)


@pytest.mark.parametrize(
    ("text", "found", "told"),
    [("max 100000", "none", False), ("150000 100000", "150 ms of every 100 ms", True), ("rubbish", "unknown", False)],
)
def test_a_quota_of_time(tmp_path, text, found, told):
    line = doctor.quota(machine(tmp_path, **{"sys__fs__cgroup__cpu.max": text}))
    assert (line.found, bool(line.advice)) == (found, told)


def test_the_tightest_quota_of_all_groups_around_the_process(tmp_path):
    files = {
        "proc__self__cgroup": "0::/rig.slice/session.service",
        "sys__fs__cgroup__rig.slice__session.service__cpu.max": "max 100000",
        "sys__fs__cgroup__rig.slice__cpu.max": "50000 100000",
        "sys__fs__cgroup__cpu.max": "150000 100000",
    }
    assert doctor.quota(machine(tmp_path, **files)).found == "50 ms of every 100 ms"


@pytest.mark.parametrize(
    ("priority", "policy", "words"),
    [(0.0, "usual", "LimitRTPRIO"), (50.0, "usual", "chrt --fifo"), (50.0, "fifo", "--spin")],
)
def test_scheduling(priority, policy, words):
    assert words in doctor.scheduling(priority, policy).advice


def test_limits_and_swap(tmp_path):
    assert doctor.locked_memory(math.inf).found == "unlimited"
    assert "LimitMEMLOCK" in doctor.locked_memory(8e6).advice
    head = "Filename Type Size Used Priority"
    assert doctor.swap(machine(tmp_path, proc__swaps=head)).advice == ""
    assert "swapoff" in doctor.swap(machine(tmp_path, proc__swaps=f"{head}\n/dev/sda2 partition 1 0 -2")).advice


@pytest.mark.parametrize(("name", "slow"), [("tsc", False), ("kvm-clock", False), ("hpet", True), ("acpi_pm", True)])
def test_clocks(tmp_path, monkeypatch, name, slow):
    monkeypatch.setattr(doctor, "_reading", lambda: 50e-9)
    path = "sys__devices__system__clocksource__clocksource0__current_clocksource"
    line = doctor.clock(machine(tmp_path, **{path: name}))
    assert line.found == f"{name}, 50 ns to read"
    assert bool(line.advice) == slow


@pytest.mark.parametrize(("late", "told"), [(0.0001, False), (0.002, True)])
def test_the_timer_is_measured(late, told):
    """In a time of its own, in which every sleep lasts so much longer than asked."""
    world = [0.0]

    def nap(seconds):
        world[0] += seconds + late

    line = doctor.timer(nap, lambda: world[0])
    figure = float(line.found.split("woken up ")[1].split(" ")[0])
    assert figure == pytest.approx(1e6 * late, rel=0.02)
    assert bool(line.advice) == told


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system does not tell")
def test_the_usual_policy_has_a_name():
    assert doctor._policy() in ("usual", "fifo", "rr", "batch", "idle")
