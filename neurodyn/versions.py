"""Versions that a result depends on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("neurodyn", "jax", "flax", "optax", "numpyro", "numpy", "scipy", "xarray", "h5py")


def versions() -> dict[str, str]:
    """Version of Python and of each package a result depends on, without importing any of them."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # not installed, or run from a source tree that was not
        return "unknown"
