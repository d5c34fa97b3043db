"""Start soon: compiled programs are kept for the next process, and Python looks for unused objects less often."""

import gc
import os
import sys
from pathlib import Path

from neurodyn.memory import share_memory

SWITCH = "NEURODYN_CACHE"
"""Environment variable: a folder for compiled programs, or 'off'."""

LARGEST_BYTES = 2**30
"""Size at which the programs used longest ago are deleted."""

SHORTEST_SECONDS = 0.05
"""Programs that compile faster than this are not kept: JAX looks at every program kept when it keeps one more."""

ALLOCATIONS = 200_000, 30, 30
"""New objects before Python looks for unused cycles of the youngest, and rounds before it looks among older ones."""


def start_quickly() -> None:
    """What a process of neurodyn's own does first; a script or a notebook may.

    Programs are kept (:func:`keep_compiled`), and Python looks for unused cycles of objects hundreds of times less
    often: JAX makes hundreds of thousands of objects while it is imported and while it traces, and drops few of them.
    Threads share few pools of memory (:func:`neurodyn.memory.share_memory`).
    """
    share_memory()
    keep_compiled()
    gc.set_threshold(*ALLOCATIONS)


def keep_compiled(folder: Path | None = None) -> Path | None:
    """Keep programs that JAX compiles, in this process and in those it starts.

    To be called before JAX compiles anything; before it is imported, where its false alarms are to be silent too.
    JAX's own settings in the environment go first.

    Parameters
    ----------
    folder
        Where; if None what the variable NEURODYN_CACHE says, or the user's cache folder.

    Returns
    -------
    The folder, or None where nothing is kept: the variable says 'off'.
    """
    folder = folder or chosen_folder()
    if folder is None:
        return None
    # Each program that XLA reads back on a CPU comes with a false alarm of a kilobyte about the machine's features.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": LARGEST_BYTES,
        "jax_persistent_cache_min_compile_time_secs": SHORTEST_SECONDS,
    }
    for name, value in settings.items():
        if name.upper() not in os.environ:
            os.environ[name.upper()] = str(value)
            if "jax" in sys.modules:
                sys.modules["jax"].config.update(name, value)
    return Path(os.environ["JAX_COMPILATION_CACHE_DIR"])


def chosen_folder() -> Path | None:
    """Where programs are kept unless JAX is told otherwise: as NEURODYN_CACHE says, None where it says 'off'."""
    asked = os.environ.get(SWITCH, "")
    if asked.lower() == "off":
        return None
    return Path(asked) if asked else user_cache()


def user_cache() -> Path:
    """The folder for neurodyn's compiled programs on this system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "neurodyn" / "compiled"
