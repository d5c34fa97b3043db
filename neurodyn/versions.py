"""Versions that a result depends on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("neurodyn", "jax", "flax", "optax", "numpyro", "numpy", "scipy", "xarray", "h5py")


def versions() -> dict[str, str]:
    """Version of Python and of each package a result depends on, without importing any of them."""
    return {"python": platform.python_version(), **{package: installed(package) or "unknown" for package in PACKAGES}}


def installed(package: str) -> str | None:
    """Version of a package; None if it is not installed, or run from a source tree that was not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
