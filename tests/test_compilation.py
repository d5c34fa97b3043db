"""Compiled programs are kept where the user says, and the next process finds them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurodyn import compilation

PROGRAM = """
from neurodyn.compilation import keep_compiled
print(keep_compiled())
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.linalg.inv(x @ x))(jnp.eye(7)).block_until_ready()
"""


def run(folder: Path | str) -> str:
    # What JAX and this process's own imports of it have set is not what a user has.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TF_CPP_"))}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**kept, compilation.SWITCH: str(folder)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr  # XLA's false alarms included
    return result.stdout.strip()


def test_a_second_process_compiles_nothing_again(tmp_path):
    assert run(tmp_path) == str(tmp_path)
    written = {path.name for path in tmp_path.iterdir() if "atime" not in path.name}
    assert written
    run(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if "atime" not in path.name} == written


def test_a_process_of_its_own_keeps_programs_and_collects_rarely(tmp_path):
    program = "import gc, os; from neurodyn.compilation import start_quickly; start_quickly(); "
    program += "print(os.environ['JAX_COMPILATION_CACHE_DIR'], gc.get_threshold())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**kept, compilation.SWITCH: str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.stdout.strip() == f"{tmp_path} {compilation.ALLOCATIONS}", result.stderr


def test_off_keeps_nothing(monkeypatch):
    monkeypatch.setenv(compilation.SWITCH, "off")
    for name in list(os.environ):
        if name.startswith("JAX_"):
            monkeypatch.delenv(name)
    assert compilation.keep_compiled() is None
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_users_cache_folder(system, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in compilation.user_cache().parents
    assert compilation.user_cache().parts[-2:] == ("neurodyn", "compiled")
