"""Networks that were trained with PyTorch: a file of a state dictionary as `Weights`.

PyTorch is needed to read the file and nothing else; only tensors are read (``weights_only=True``), and nothing in the
file is executed.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodyn.emulation.weights import Weights
from neurodyn.errors import InputError, import_extra
from neurodyn.kernels.recurrence import CELLS

NESTED = ("state_dict", "model_state_dict", "model")
"""Entries under which training loops save the state dictionary beside an optimizer's."""
GATED = {CELLS[name].gates: name for name in ("gru", "lstm")}
"""PyTorch's gated cells by the rows of weights that they have per unit; one row is a plain cell."""
PLAIN = {"relu": "relu_bias", "tanh": "tanh"}
"""Plain cells, and their names with a bias."""
LAYER = {"recurrent": "weight_hh", "input": "weight_ih", "input_bias": "bias_ih", "recurrent_bias": "bias_hh"}
"""What PyTorch calls the arrays of a recurrent cell; those of a layer have the number of the layer behind."""


def read_torch(
    path: str | os.PathLike[str], *, cell: str | None = None, names: Mapping[str, str] | None = None
) -> Weights:
    """Read a network from a file that ``torch.save(model.state_dict(), path)`` has written.

    Understood are one layer of ``torch.nn.RNN``, ``GRU`` or ``LSTM``, or one of their cells, and a linear read-out with
    or without a bias; beside them any two matrices whose names are given.

    Parameters
    ----------
    path
        The file; a dictionary with the state dictionary under 'state_dict', 'model_state_dict' or 'model' will do.
    cell
        'tanh' or 'relu' of a plain recurrent layer, which its file does not say; None for gated ones.
    names
        Keys of the file for 'recurrent', 'input', 'input_bias', 'recurrent_bias', 'readout' and 'readout_bias', where
        they are not those of PyTorch's own layers. Biases that are not named are those found beside the matrices.

    Returns
    -------
    Weights
        For `HmmEmulator.from_weights`.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed (extra ``torch``).
    InputError
        If the file cannot be read without executing it, or holds another kind of network.

    Examples
    --------
    >>> import neurodyn as nd
    >>> hmm = nd.markov.linear_chain(2)
    >>> weights = nd.emulation.read_torch("model.pth", cell="relu")  # doctest: +SKIP
    >>> emulator = nd.HmmEmulator.from_weights(weights, hmm)  # doctest: +SKIP
    >>> nd.emulation.match(emulator, hmm, trials=2000, seed=0)  # doctest: +SKIP
    """
    content = content_of(path, "model.state_dict()")
    for name in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path} holds a {type(content).__name__} instead of a state dictionary: save model.state_dict()"
        )
    torch: Any = import_extra("torch", "torch")
    arrays = {str(key): value.detach().to(torch.float64).numpy() for key, value in content.items()
              if isinstance(value, torch.Tensor) and value.is_floating_point()}  # fmt: skip
    return weights_of(arrays, cell=cell, names=names)


def content_of(path: str | os.PathLike[str], expected: str) -> Any:
    """What a file of PyTorch holds, if that is tensors, numbers and names alone.

    Parameters
    ----------
    path
        Written by ``torch.save``.
    expected
        What should have been saved, for the error.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed (extra ``torch``).
    InputError
        If the file cannot be read without executing it, or is not a file of PyTorch.
    """
    torch: Any = import_extra("torch", "torch")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch says in many ways what it does not read
        if isinstance(error, AttributeError) or type(error).__name__ == "UnpicklingError":
            raise InputError(
                f"{path} holds more than tensors; reading it would execute it: save {expected} instead"
            ) from error
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"cannot read {path} as a file of PyTorch: {cause}") from error


def weights_of(
    arrays: Mapping[str, np.ndarray], *, cell: str | None = None, names: Mapping[str, str] | None = None
) -> Weights:
    """The network of a state dictionary whose tensors are arrays.

    Parameters
    ----------
    arrays
        By the names of the state dictionary.
    cell, names
        As in `read_torch`.

    Raises
    ------
    InputError
        If the arrays are not those of one recurrent layer and a linear read-out, or what they are is not clear.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.emulation.torch_file import weights_of
    >>> arrays = {"rnn.weight_hh_l0": np.eye(4), "rnn.weight_ih_l0": np.ones((4, 2)), "out.weight": np.ones((3, 4))}
    >>> weights = weights_of(arrays, cell="tanh")
    >>> weights.cell, weights.hidden, weights.inputs, weights.symbols
    ('tanh', 4, 2, 3)
    """
    names = dict(names or {})
    for name, key in names.items():
        if name not in (*LAYER, "readout", "readout_bias"):
            raise InputError(f"names: unknown array '{name}': there are {', '.join(LAYER)}, readout and readout_bias")
        if key not in arrays:
            raise InputError(f"names: the file has no '{key}' for {name}: it has {', '.join(arrays)}")
    _refuse_others(arrays)
    found = {name: names.get(name) or _layer_key(arrays, part) for name, part in LAYER.items()}
    for name in ("recurrent", "input"):
        if found[name] is None:
            raise InputError(
                f"no {name} weights are found among {', '.join(arrays)}: name them by names={{'{name}': ...}}"
            )
    recurrent, given = arrays[str(found["recurrent"])], arrays[str(found["input"])]
    layer = {"recurrent": recurrent, "input": given}
    biases = [arrays[key] if (key := found[name]) else None for name in ("input_bias", "recurrent_bias")]
    taken = {key for key in found.values() if key}
    readout = names.get("readout") or _readout_key(arrays, recurrent.shape[-1], taken)
    layer["readout"] = arrays[readout]
    bias = names.get("readout_bias") or readout.removesuffix("weight") + "bias"
    if bias in arrays and bias != readout:
        layer["readout_bias"] = arrays[bias]
    kind = _cell_of(recurrent, cell, biased=any(each is not None for each in biases))
    return Weights(kind, {**layer, **_biases(kind, biases, recurrent)})


def _biases(cell: str, biases: list[np.ndarray | None], recurrent: np.ndarray) -> dict[str, np.ndarray]:
    """PyTorch's two biases as ours: their sum, but for the new gate of a GRU, whose reset gate multiplies one alone."""
    if cell == "relu":
        return {}
    into, back = (np.zeros(len(recurrent)) if bias is None else bias for bias in biases)
    if into.shape != (len(recurrent),) or back.shape != into.shape:
        raise InputError(
            f"biases of the recurrent layer have to be ({len(recurrent)},), got {into.shape} and {back.shape}"
        )
    if cell != "gru":
        return {"bias": into + back}
    new = 2 * recurrent.shape[1]
    return {"bias": into + np.append(back[:new], np.zeros(len(back) - new)), "gated_bias": back[new:]}


def _layer_key(arrays: Mapping[str, np.ndarray], part: str) -> str | None:
    """Key of an array of the recurrent layer: 'rnn.weight_hh_l0', or 'cell.weight_hh' of a cell."""
    keys = [key for key in arrays if key.split(".")[-1] in (part, f"{part}_l0")]
    if len(keys) > 1:
        raise InputError(f"the file holds several recurrent layers ({', '.join(keys)}): one is understood")
    return keys[0] if keys else None


def _refuse_others(arrays: Mapping[str, np.ndarray]) -> None:
    """Layers on layers, both directions in time, and projected outputs."""
    for key in arrays:
        last = key.split(".")[-1]
        if last.endswith("_reverse"):
            raise InputError(f"{key}: the recurrent layer is bidirectional: one that only looks back is understood")
        if last.startswith("weight_hr"):
            raise InputError(f"{key}: the LSTM projects its output (proj_size): one without a projection is understood")
        if last.startswith("weight_hh_l") and last != "weight_hh_l0":
            raise InputError(f"{key}: there are several recurrent layers on each other (num_layers): one is understood")


def _readout_key(arrays: Mapping[str, np.ndarray], hidden: int, taken: set[str]) -> str:
    """The one matrix besides the layer's that takes the hidden units."""
    keys = [key for key, array in arrays.items() if array.ndim == 2 and array.shape[1] == hidden and key not in taken]
    if len(keys) != 1:
        what = "no matrix" if not keys else f"more than one matrix ({', '.join(keys)})"
        raise InputError(f"{what} takes {hidden} units to symbols: name the read-out by names={{'readout': ...}}")
    return keys[0]


def _cell_of(recurrent: np.ndarray, cell: str | None, *, biased: bool) -> str:
    """The cell by the shape of its weights, and by what the user says where the shape is ambiguous."""
    if recurrent.ndim != 2 or recurrent.shape[0] % recurrent.shape[1]:
        raise InputError(f"the recurrent weights have to be (gates x hidden, hidden), got {recurrent.shape}")
    gates = recurrent.shape[0] // recurrent.shape[1]
    if gates == 1:
        if cell is None:
            raise InputError("a plain recurrent layer's file does not say its nonlinearity: give cell='tanh' or 'relu'")
        if cell not in PLAIN:
            raise InputError(
                f"the weights are of a plain recurrent layer: cell has to be 'tanh' or 'relu', got '{cell}'"
            )
        return PLAIN[cell] if biased else cell
    if gates not in GATED or cell not in (None, GATED[gates]):
        known = GATED.get(gates, "no known cell")
        raise InputError(f"the recurrent weights have {gates} rows per unit, as {known}: got cell={cell!r}")
    return GATED[gates]
