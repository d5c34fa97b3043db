"""From a fitted model to the plain arrays that :mod:`neurodyn.realtime.runner` decodes with.

The rig knows no model: what it decodes with is made here, and the layout of the arrays is the runner's.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.binning.likelihoods import likelihood
from neurodyn.history.filters import PRIOR
from neurodyn.multiscale.modality_encoder import MAX_INFLATION
from neurodyn.realtime.freezable import settings_of
from neurodyn.realtime.runner import Frozen
from neurodyn.targets import LogLinearVariance
from neurodyn.writing import writing

if TYPE_CHECKING:
    from neurodyn.multiscale.fitted import Fitted


def freeze(fitted: "Fitted") -> Frozen:
    """Everything a decoder needs at run time, in the precision that the model has.

    Linear maps that follow one another are multiplied here, in double precision: a network that reads an embedding
    ``C x`` reads the state x instead, the offset of the target sits in the read-out's matrix, and the decoders give log
    rates in hertz, or values in the recording's unit.

    Parameters
    ----------
    fitted
        The trained model with its read-outs.
    """
    import jax

    model = fitted.network.model()
    dynamics = jax.jit(lambda: model.step_parameters())()
    arrays: dict[str, np.ndarray] = {}
    for number in range(len(fitted.modalities)):
        arrays |= _modality(fitted, model, number, np.asarray(dynamics.backbone.emission, np.float64))
    arrays |= _dynamics("backbone", dynamics.backbone)
    for number, of_modality in enumerate(dynamics.modalities):
        arrays |= _dynamics(f"{number}/dynamics", of_modality)
    if model.fusion is not None:
        emissions = [np.asarray(d.emission, np.float64) for d in dynamics.modalities]
        arrays |= _network("fusion", model.fusion.network, reads=_block_diagonal(emissions))
    arrays |= _readout(fitted)
    arrays |= _recurrent(fitted)
    if fitted.config.model.traces:
        arrays["decays"] = np.asarray(model.decays())
    sizes = fitted.config.model
    settings = settings_of(
        fitted.modalities, fitted.scaling, fitted.target_names, fitted.width, states=sizes.states,
        traces=len(sizes.traces), target_units=fitted.target_units,
    )  # fmt: skip
    settings |= {"trace_prior": PRIOR, "max_inflation": MAX_INFLATION}
    return Frozen.pack(settings, arrays, np.asarray(dynamics.backbone.transition).dtype)


def export(fitted: "Fitted", path: str | os.PathLike[str]) -> None:
    """Write a decoder for :mod:`neurodyn.realtime.runner`, which needs NumPy alone, to one npz file.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    frozen = freeze(fitted)
    with writing(path):
        frozen.save(path)


def _modality(fitted: "Fitted", model: Any, number: int, emission: np.ndarray) -> dict[str, np.ndarray]:
    encoder, decoder, row = model.encoders[number], model.decoders[number], fitted.modalities[number]
    arrays = {
        f"{number}/center": np.asarray(encoder.center[...]),
        f"{number}/inverse_scale": 1 / np.asarray(encoder.scale[...], np.float64),
        **_network(f"{number}/encoder", encoder.network),
    }
    if row.counts:
        per_second = -np.log(fitted.width)
        unit, offset = np.ones(row.n_channels), np.full(row.n_channels, per_second)
        arrays[f"{number}/bounds"] = np.asarray(likelihood(row.likelihood).bounds) + per_second
    else:
        unit, offset = fitted.scaling.scale[row.name], fitted.scaling.mean[row.name]
    return arrays | _network(f"{number}/decoder", decoder.network, reads=emission, unit=unit, offset=offset)


def _network(
    prefix: str,
    network: Any,
    *,
    reads: np.ndarray | None = None,
    unit: np.ndarray | float = 1.0,
    offset: np.ndarray | float = 0.0,
) -> dict[str, np.ndarray]:
    """Each layer as one matrix (outputs, inputs + 1), for :class:`neurodyn.realtime.runner.Mlp`.

    Parameters
    ----------
    prefix
        Of the arrays' names.
    network
        Its layers, output layer and linear path.
    reads
        (inputs, state), what the input is of the state that is read instead.
    unit, offset
        The output becomes ``unit * output + offset``.
    """
    hidden = [(_wide(layer.kernel), _wide(layer.bias)) for layer in network.layers]
    kernel, bias = _wide(network.output.kernel), _wide(network.output.bias)
    around = None if network.around is None else _wide(network.around.kernel)
    if network.around is not None:
        bias = bias + _wide(network.around.bias)
    if reads is not None:
        around = None if around is None else reads.T @ around
        if hidden:
            hidden[0] = (reads.T @ hidden[0][0], hidden[0][1])
        else:
            kernel = reads.T @ kernel
    if around is not None:
        kernel = np.vstack([kernel, around]) if hidden else kernel + around
    layers = [*hidden, (kernel * unit, bias * unit + offset)]
    return {f"{prefix}/{i}": np.vstack([k, b]).T for i, (k, b) in enumerate(layers)}


def _wide(variable: Any) -> np.ndarray:
    return np.asarray(variable[...], np.float64)


def _block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    rows, columns = zip(*(block.shape for block in blocks), strict=True)
    result, row, column = np.zeros((sum(rows), sum(columns))), 0, 0
    for block in blocks:
        result[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return result


def _dynamics(prefix: str, parameters: Any) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": np.asarray(value) for name, value in parameters._asdict().items()}


def _readout(fitted: "Fitted") -> dict[str, np.ndarray]:
    """Weights (expert x dim, feature) on what stands in the runner's state; its first one has the offset as weight."""
    readout, states = fitted.filtered, fitted.config.model.states
    features = sum(states) + fitted.config.model.n_traces
    if readout is None:
        nothing = np.zeros(0)
        return {
            "readout/weights": np.zeros((0, features + 2)), "readout/residual": nothing, "readout/usual": nothing,
        }  # fmt: skip
    rows, first = [], 0
    bounds = {} if fitted.bounds is None else {"readout/bounds": fitted.bounds}
    for expert in readout.experts:
        weights = np.zeros((features, len(expert.intercept)))
        weights[first : first + len(expert.weights)] = expert.weights
        parts, no = np.split(weights, [states[0], sum(states)]), np.zeros((1, len(expert.intercept)))
        rows.append(np.vstack([parts[0], expert.intercept[None], parts[1], no, parts[2]]).T)
        first += len(expert.weights)
    model = readout.variance_model
    arrays = {"readout/weights": np.vstack(rows)}
    if len(readout.stack) == 1:  # in the order that snapshots of such decoders know them by
        return arrays | bounds | {"readout/residual": model.constant, "readout/usual": readout.usual_variance}
    kind = "log_" if isinstance(model, LogLinearVariance) else ""
    return (
        arrays
        | bounds
        | {
            "readout/usual": readout.usual_variance,
            "readout/stack": readout.stack,
            "readout/centre": readout.centre,
            f"readout/{kind}constant": model.constant,
            f"readout/{kind}slopes": model.slopes,
        }
    )


def _recurrent(fitted: "Fitted") -> dict[str, np.ndarray]:
    """The recurrent network beside the linear experts, if there is one."""
    from neurodyn.recurrent.export import live_arrays

    if fitted.recurrent is None:
        return {}
    return live_arrays(fitted.recurrent, fitted.scaling.target_mean, fitted.scaling.target_scale)
