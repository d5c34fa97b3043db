"""A fitted model as one HDF5 file: settings as JSON, arrays by name; loading never executes anything."""

import os
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import neurodyn
from neurodyn.binning.batch import Modality, MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.fitted import Fitted, Readout
from neurodyn.multiscale.fitting import build_model, split_model
from neurodyn.multiscale.inference import Network
from neurodyn.targets.linear import LinearTarget
from neurodyn.training import History, load_arrays, load_settings, save_checkpoint


def provenance(batch: MultimodalBatch) -> dict[str, Any]:
    """Versions and sizes that a result depends on."""
    packages = ("jax", "flax", "optax", "numpyro", "numpy", "scipy")
    return {
        "versions": {"neurodyn": neurodyn.__version__, **{p: version(p) for p in packages}},
        "python": platform.python_version(),
        "device": jax.devices()[0].platform,
        "training_bins": batch.n_bins,
        "training_trials": batch.n_trials,
    }


def save_fitted(path: str | os.PathLike[str], fitted: Fitted) -> None:
    """Write a fitted model atomically."""
    settings = {
        "kind": "multiscale",
        "config": asdict(fitted.config),
        "modalities": [asdict(m) for m in fitted.modalities],
        "target_names": list(fitted.target_names),
        "width_seconds": fitted.width,
        "history": asdict(fitted.history),
        "status": fitted.status,
        "provenance": fitted.provenance,
        "dtype": str(np.dtype(jnp.result_type(float))),
    }
    save_checkpoint(path, _arrays(fitted), settings)


def load_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read a fitted model.

    Raises
    ------
    InputError
        If the file is missing or holds something else.
    """
    settings = load_settings(path)
    if settings.get("kind") != "multiscale":
        raise InputError(f"{path} holds no multiscale model: give the file that save() wrote, not a checkpoint")
    config = _config(settings["config"])
    modalities = tuple(Modality(**{**m, "channels": tuple(m["channels"])}) for m in settings["modalities"])
    dims = config.model.target
    scaling = Scaling(
        {m.name: np.zeros(m.n_channels, np.float32) for m in modalities},
        {m.name: np.ones(m.n_channels, np.float32) for m in modalities},
        np.zeros(dims, np.float32),
        np.ones(dims, np.float32),
        tuple(m.name for m in modalities if m.likelihood == "poisson"),
    )
    graph, parameters, constants = split_model(build_model(config, scaling))
    states, past = sum(config.model.states), config.model.n_traces
    filtered = _blank_readout(states + past, dims) if dims else None
    smoothed = _blank_readout(states + 2 * past, dims) if dims else None
    blank = Fitted(
        config, Network(graph, parameters, constants), scaling, modalities, tuple(settings["target_names"]),
        settings["width_seconds"], filtered, smoothed, History(**settings["history"]),
        settings["status"], settings["provenance"],
    )  # fmt: skip
    return _with_arrays(blank, load_arrays(path, _arrays(blank)))


def _arrays(fitted: Fitted) -> dict[str, Any]:
    """Everything numeric in a fitted model, as one nested dictionary."""
    scaling = fitted.scaling
    return {
        "parameters": nnx.to_pure_dict(fitted.network.parameters),
        "constants": nnx.to_pure_dict(fitted.network.constants),
        "scaling": {
            "mean": scaling.mean,
            "scale": scaling.scale,
            "target_mean": scaling.target_mean,
            "target_scale": scaling.target_scale,
        },
        "readout": {
            name: {**vars(readout.linear), "usual_variance": readout.usual_variance}
            for name, readout in (("filtered", fitted.filtered), ("smoothed", fitted.smoothed))
            if readout is not None
        },
    }


def _with_arrays(blank: Fitted, arrays: dict[str, Any]) -> Fitted:
    network = blank.network
    nnx.replace_by_pure_dict(network.parameters, jax.tree.map(jnp.asarray, arrays["parameters"]))
    nnx.replace_by_pure_dict(network.constants, jax.tree.map(jnp.asarray, arrays["constants"]))
    readouts = {name: _readout(found) for name, found in arrays["readout"].items()}
    return replace(
        blank,
        network=network,
        scaling=replace(blank.scaling, **arrays["scaling"]),
        filtered=readouts.get("filtered"),
        smoothed=readouts.get("smoothed"),
    )


def _readout(arrays: dict[str, np.ndarray]) -> Readout:
    linear = {name: value for name, value in arrays.items() if name != "usual_variance"}
    return Readout(LinearTarget(**linear), arrays["usual_variance"])


def _blank_readout(features: int, dims: int) -> Readout:
    linear = LinearTarget(np.zeros((features, dims)), np.zeros(dims), np.zeros(dims), np.zeros((dims, dims)))
    return Readout(linear, np.zeros(dims))


def _config(settings: dict[str, Any]) -> DecoderConfig:
    """Rebuild the frozen settings from JSON, where tuples have become lists."""
    model = _tuples(settings["model"])
    rows = tuple(ModalityConfig(**_tuples(row)) for row in settings["model"]["modalities"])
    return DecoderConfig(
        ModelConfig(**{**model, "modalities": rows}),
        ObjectiveConfig(**_tuples(settings["objective"])),
        TrainingConfig(**_tuples(settings["training"])),
    )


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
