"""What the doctor says of machines that are well and of some that are not."""

import json
import os

import pytest

from neurodyn.cli import doctor
from neurodyn.cli.main import main


def test_this_machine(capsys):
    assert main(["doctor", "--json"]) == 0
    lines = {line["name"]: line for line in json.loads(capsys.readouterr().out)}
    assert {"neurodyn", "Python", "jax", "numpy", "extra nwb", "devices", "threads", "memory"} <= set(lines)
    assert not any(line["fault"] for line in lines.values())
    assert "cpu" in lines["devices"]["found"].lower()
    assert f"{len(os.sched_getaffinity(0))} cores" in lines["threads"]["found"]
    assert main(["doctor"]) == 0
    assert "nothing to be mended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "fault", "words"),
    [
        ("0.9.2", False, ""),
        ("0.11.2", False, ""),
        ("0.10.2", True, "it can deadlock on CPUs; pip install 'jax!=0.10.*,>=0.9.2'"),
        ("0.8.0", True, "pip install 'jax!=0.10.*,>=0.9.2'"),
        (None, True, "pip install 'jax!=0.10.*,>=0.9.2'"),
    ],
)
def test_the_bound_of_jax(found, fault, words):
    line = doctor.package("jax", found, "!=0.10.*,>=0.9.2")
    assert (line.fault, line.advice) == (fault, words)


def test_extras_that_are_missing_are_no_fault(monkeypatch, capsys):
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name in ("pynwb", "jinja2") else installed(name))
    optional = {"pynwb>=3.1": "nwb", "jinja2>=3.1": "report", "neurodyn[nwb]": "all"}
    asked = ["numpy>=2", *(f'{package}; extra == "{extra}"' for package, extra in optional.items())]
    lines = {line.name: line for line in doctor.packages(asked)}
    assert set(lines) == {"numpy", "extra nwb", "extra report"}
    assert lines["extra nwb"].found == "missing: pynwb"
    assert lines["extra nwb"].advice.endswith("pip install '.[nwb]'")
    assert not any(line.fault for line in lines.values())
    monkeypatch.setattr(doctor, "_requirements", lambda: ["nothing-of-that-name>=1"])
    assert main(["doctor"]) == 1
    assert "to be mended: nothing-of-that-name" in capsys.readouterr().out


@pytest.mark.parametrize(("free", "told"), [(1e9, True), (2.5e9, False), (None, False)])
def test_memory(free, told):
    assert bool(doctor.memory(8e9, free).advice) == told


def test_a_cache_that_is_not_there_yet(tmp_path):
    line = doctor.compiled(tmp_path / "a" / "b")
    assert line.found.startswith("0 in ")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "one").write_bytes(b"x" * 3_000_000)
    assert doctor.compiled(tmp_path / "c").found == f"1 in {tmp_path / 'c'}, 3 MB"


def test_the_cache_is_the_one_that_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("NEURODYN_CACHE", str(tmp_path))
    assert str(tmp_path) in doctor.examine()[-1].found
    monkeypatch.setenv("NEURODYN_CACHE", "off")
    assert doctor.examine()[-1].found == "not kept: NEURODYN_CACHE is off"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax"))
    assert str(tmp_path / "jax") in doctor.examine()[-1].found
