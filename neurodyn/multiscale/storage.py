"""What a fitted multiscale model hands to the store (:mod:`neurodyn.training.store`), and how it is rebuilt from it."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.modality import Modality
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.given import argument_named, file_path
from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.fitted import Fitted, Readout
from neurodyn.multiscale.fitting import split_model
from neurodyn.multiscale.inference import Network
from neurodyn.multiscale.model import MultiscaleModel
from neurodyn.multiscale.stored_settings import check_settings, from_stored, stored_config, to_stored
from neurodyn.recurrent import InputScaling, RecurrentConfig
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.recurrent.network import draw_weights
from neurodyn.targets import LinearTarget, LinearVariance, LogLinearVariance, memory_size
from neurodyn.training import History, in_this_precision
from neurodyn.training.store import (
    ModelFormat,
    Settings,
    may_hold_model,
    read_model_arrays,
    read_model_settings,
    save_model,
)
from neurodyn.versions import versions


def provenance(batch: MultimodalBatch) -> dict[str, Any]:
    """Versions and sizes that a result depends on."""
    return {
        "versions": versions(),
        "device": jax.devices()[0].platform,
        "training_bins": batch.n_bins,
        "training_trials": batch.n_trials,
    }


def save_fitted(path: str | os.PathLike[str], fitted: Fitted) -> None:
    """Write a fitted model to a directory, atomically.

    Raises
    ------
    InputError
        If it cannot be written, or there is something else in its place.
    """
    folder = argument_named("path", file_path, path)
    if folder.exists() and not (folder.is_dir() and may_hold_model(folder)):
        raise InputError(f"'{folder}' is there already and is no model: choose another name for the directory")
    settings = {
        "config": stored_config(fitted.config),
        "modalities": [to_stored(asdict(m)) for m in fitted.modalities],
        "target_names": list(fitted.target_names),
        "target_units": list(fitted.target_units),
        "width_seconds": fitted.width,
        "history": asdict(fitted.history),
        "status": fitted.status,
        "provenance": fitted.provenance,
        "bounded": fitted.bounds is not None,
        "readout": "stacked" if fitted.filtered is not None and len(fitted.filtered.stack) > 1 else "single",
        "variance": "linear" if isinstance(_variance_model(fitted), LinearVariance) else "log-linear",
        "lost_channels": fitted.filtered is not None and fitted.filtered.follows_channels,
    }
    save_model(folder, MODEL, settings, _arrays(fitted))


def _variance_model(fitted: Fitted) -> LinearVariance | LogLinearVariance | None:
    return None if fitted.filtered is None else fitted.filtered.variance_model


def load_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read a fitted model, in the precision that JAX computes in here, whichever it was saved in.

    Raises
    ------
    InputError
        If it is missing, damaged, something else or of a later version. Shapes are compared with those in the file
        before any memory of their size is asked for.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"no such file or directory: {path}")
    settings, file = read_model_settings(path, MODEL, first_version=path)
    try:
        blank = _blank(settings, file.stat().st_size if file.is_file() else 0)
        like = _arrays(blank)
    except _NO_SETTINGS as error:
        words = " ".join(f"{'' if isinstance(error, InputError) else type(error).__name__} {error}".split())[:200]
        raise InputError(f"the settings of the model '{path}' are damaged: {words}") from error
    arrays = read_model_arrays(file, settings, like)
    _check_finite(arrays, file)
    return _with_arrays(blank, arrays)


_NO_SETTINGS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What settings that are of no model may raise where a model is made of them."""


def _check_finite(arrays: dict[str, Any], file: Path) -> None:
    """The checksum says that numbers are those that were written, and of the first version nothing does."""
    for key, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        bad = np.isnan(leaf) if str(jax.tree_util.keystr(key[:1])) == "['bounds']" else ~np.isfinite(leaf)
        if bad.any() or np.iscomplexobj(leaf):
            name = "/".join(str(getattr(one, "key", one)) for one in key)
            raise InputError(f"the arrays of the model '{file}' are damaged: '{name}' has numbers that are not finite")


def _from_1(settings: Settings) -> Settings:
    """Version 1 knew no units and no checksum."""
    return {**settings, "version": 2, "target_units": [], "sha256": ""}


def _from_2(settings: Settings) -> Settings:
    """Version 2 read the target out with one linear map, and had no recurrent network."""
    config = {**settings["config"], "recurrent": None}
    return {**settings, "version": 3, "config": config, "readout": "single", "bounded": False}


def _from_3(settings: Settings) -> Settings:
    """Version 3 added up the variance of the target."""
    return {**settings, "version": 4, "variance": "linear"}


def _from_4(settings: Settings) -> Settings:
    """Version 4 called what training hides from the recurrent network lost."""
    config, names = settings["config"], {"lost_bins": "hidden_probability", "lossy": "hidden_windows"}
    if config["recurrent"] is not None:
        recurrent = {names.get(name, name): value for name, value in config["recurrent"].items()}
        config = {**config, "recurrent": recurrent}
    return {**settings, "version": 5, "config": config}


def _from_5(settings: Settings) -> Settings:
    """Version 5 neither hid channels in training nor counted those that were lost."""
    config = settings["config"]
    if config["recurrent"] is not None:
        config = {**config, "recurrent": {**config["recurrent"], "windows_without_channels": 0.0}}
    return {**settings, "version": 6, "lost_channels": False, "config": config}


MODEL = ModelFormat("multiscale", "multiscale model", 6, {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5})
"""The present version of the format, and the way from each older one to the next."""


def _blank(settings: Settings, size: int) -> Fitted:
    """The model that the settings describe, whose arrays have shapes alone; `size` is that of their file, bytes."""
    config = _config(settings["config"])
    modalities = tuple(Modality(**_tuples(from_stored(row))) for row in settings["modalities"])
    check_settings(settings, config, modalities, size)
    dims = config.model.target
    channels = {m.name: _nothing(m.n_channels, dtype=np.float32) for m in modalities}
    target = _nothing(dims, dtype=np.float32)
    scaling = Scaling(channels, channels, target, target, tuple(m.name for m in modalities if m.counts))
    graph, parameters, constants = split_model(nnx.eval_shape(lambda: _drawn(config)))
    past = config.model.n_traces
    linear, follows_channels = settings["variance"] == "linear", bool(settings["lost_channels"])
    filtered, smoothed = (
        None if not dims else _blank_single(config, traces) if settings["readout"] == "single"
        else _blank_stacked(config, traces, len(modalities), linear, follows_channels) for traces in (past, 2 * past)
    )  # fmt: skip
    recurrent = _blank_recurrent(config.recurrent, modalities, dims) if dims and config.recurrent else None
    return Fitted(
        config=config, network=Network(graph, parameters, constants), scaling=scaling, modalities=modalities,
        target_names=tuple(settings["target_names"]), width=settings["width_seconds"], filtered=filtered,
        smoothed=smoothed, history=History(**settings["history"]), status=settings["status"],
        provenance=settings["provenance"], target_units=tuple(settings["target_units"]), recurrent=recurrent,
        bounds=_nothing(2, dims, dtype=np.float32) if settings["bounded"] else None,
    )  # fmt: skip


def _drawn(config: DecoderConfig) -> MultiscaleModel:
    """A model of these sizes, of which nothing is drawn where only shapes are asked for."""
    dtype = jnp.result_type(float)
    statistics = {m.name: (jnp.zeros(m.channels, dtype), jnp.ones(m.channels, dtype)) for m in config.model.modalities}
    return MultiscaleModel(
        config.model, statistics, parallel=config.training.parallel, rngs=nnx.Rngs(jax.random.key(0))
    )


def _nothing(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    """An array of a shape that takes no memory: what is in the file comes in its place."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _arrays(fitted: Fitted) -> dict[str, Any]:
    """Everything numeric in a fitted model, as one nested dictionary."""
    scaling = fitted.scaling
    return (
        {
            "parameters": nnx.to_pure_dict(fitted.network.parameters),
            "constants": nnx.to_pure_dict(fitted.network.constants),
            "scaling": {
                "mean": scaling.mean,
                "scale": scaling.scale,
                "target_mean": scaling.target_mean,
                "target_scale": scaling.target_scale,
            },
            "readout": {
                name: _readout_arrays(readout)
                for name, readout in (("filtered", fitted.filtered), ("smoothed", fitted.smoothed))
                if readout is not None
            },
        }
        | ({} if fitted.recurrent is None else {"recurrent": _recurrent_arrays(fitted.recurrent)})
        | ({} if fitted.bounds is None else {"bounds": fitted.bounds})
    )


def _readout_arrays(readout: Readout) -> dict[str, Any]:
    """One linear map as format 2 wrote it, or all experts with their weights."""
    if len(readout.stack) == 1:
        return {**vars(readout.experts[0]), "usual_variance": readout.usual_variance}
    return {
        "experts": {str(i): dict(vars(expert)) for i, expert in enumerate(readout.experts)},
        "stack": readout.stack,
        "centre": readout.centre,
        "usual_variance": readout.usual_variance,
        "variance": dict(vars(readout.variance_model)),
    }


def _recurrent_arrays(network: RecurrentNetwork) -> dict[str, Any]:
    scaling = network.scaling
    return {
        "weights": dict(network.weights),
        "centre": {str(i): a for i, a in enumerate(scaling.centre)},
        "scale": {str(i): a for i, a in enumerate(scaling.scale)},
        "fading": scaling.fading,
    }


def _with_arrays(blank: Fitted, arrays: dict[str, Any]) -> Fitted:
    network = blank.network
    # A network of single precision fed with double, or the other way round, would not compile.
    nnx.replace_by_pure_dict(network.parameters, in_this_precision(arrays["parameters"]))
    nnx.replace_by_pure_dict(network.constants, in_this_precision(arrays["constants"]))
    blanks = {"filtered": blank.filtered, "smoothed": blank.smoothed}
    readouts = {name: _readout(found, blanks[name]) for name, found in arrays["readout"].items()}
    return replace(
        blank,
        network=network,
        scaling=replace(blank.scaling, **arrays["scaling"]),
        filtered=readouts.get("filtered"),
        smoothed=readouts.get("smoothed"),
        recurrent=None if blank.recurrent is None else _recurrent(blank.recurrent, arrays["recurrent"]),
        bounds=arrays.get("bounds"),
    )


def _recurrent(blank: RecurrentNetwork, arrays: dict[str, Any]) -> RecurrentNetwork:
    centre, scale = (tuple(arrays[name][str(i)] for i in range(len(arrays[name]))) for name in ("centre", "scale"))
    scaling = InputScaling(blank.scaling.counts, centre, scale, arrays["fading"])
    return RecurrentNetwork(dict(arrays["weights"]), scaling)


def _readout(arrays: dict[str, Any], blank: Readout | None) -> Readout:
    if "experts" not in arrays:
        linear = {name: value for name, value in arrays.items() if name != "usual_variance"}
        return Readout.of_one(LinearTarget(**linear), arrays["usual_variance"])
    experts = tuple(LinearTarget(**arrays["experts"][str(i)]) for i in range(len(arrays["experts"])))
    assert blank is not None
    variance = replace(blank.variance_model, **arrays["variance"])
    return Readout(experts, arrays["stack"], arrays["centre"], arrays["usual_variance"], variance)


def _blank_linear(features: int, dims: int) -> LinearTarget:
    return LinearTarget(_nothing(features, dims), _nothing(dims), _nothing(dims), _nothing(dims, dims))


def _blank_single(config: DecoderConfig, traces: int) -> Readout:
    dims = config.model.target
    return Readout.of_one(_blank_linear(sum(config.model.states) + traces, dims), _nothing(dims))


def _blank_stacked(config: DecoderConfig, traces: int, modalities: int, linear: bool, channels: bool) -> Readout:
    dims = config.model.target
    experts = tuple(_blank_linear(n, dims) for n in (sum(config.model.states), traces) if n)
    count = len(experts) + (config.recurrent is not None)
    memories = memory_size(modalities, channels=channels)
    kind, features = (LinearVariance, 2 + memories) if linear else (LogLinearVariance, 1 + 2 * memories)
    variance = kind(_nothing(dims), _nothing(features, dims))
    return Readout(experts, _nothing(modalities + 1, count, dims), _nothing(dims), _nothing(dims), variance)


def _blank_recurrent(config: RecurrentConfig, modalities: tuple[Modality, ...], dims: int) -> RecurrentNetwork:
    channels = [m.n_channels for m in modalities]
    scaling = InputScaling(
        tuple(m.counts for m in modalities),
        tuple(_nothing(n, dtype=np.float32) for n in channels),
        tuple(_nothing(n, dtype=np.float32) for n in channels),
        np.ones(len(modalities), np.float32),
    )
    shapes = jax.eval_shape(lambda key: draw_weights(key, scaling.n_inputs, dims, config), jax.random.key(0))
    return RecurrentNetwork({name: _nothing(*a.shape, dtype=a.dtype) for name, a in shapes.items()}, scaling)


def _config(settings: Settings) -> DecoderConfig:
    """Rebuild the frozen settings from JSON, where tuples have become lists."""
    model = _tuples(from_stored(settings["model"]))
    rows = tuple(ModalityConfig(**_tuples(row)) for row in settings["model"]["modalities"])
    return DecoderConfig(
        ModelConfig(**{**model, "modalities": rows}),
        ObjectiveConfig(**_tuples(settings["objective"])),
        TrainingConfig(**_tuples(settings["training"])),
        None if settings["recurrent"] is None else RecurrentConfig(**settings["recurrent"]),
    )


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
