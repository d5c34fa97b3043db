"""A network that was trained elsewhere: its cell and its arrays, checked, as a fitted network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.emulation.config import EmulationConfig, NetworkConfig, laptop
from neurodyn.emulation.network import initial_parameters
from neurodyn.emulation.storage import Fitted
from neurodyn.errors import InputError
from neurodyn.kernels.recurrence import cell_named
from neurodyn.markov import HiddenMarkovModel
from neurodyn.training import History
from neurodyn.training.engine import fingerprint

ELSEWHERE = "elsewhere"
"""Status of a network that this package has not trained."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A recurrent network as arrays: a cell of `neurodyn.kernels.recurrence.CELLS` with a linear read-out.

    Parameters
    ----------
    cell
        Name of the cell: 'relu', 'relu_bias', 'tanh', 'gru', 'lstm', 'leaky', 'leaky_rectifier', ...
    parameters
        ``recurrent`` (gates x hidden, hidden), ``input`` (gates x hidden, inputs), ``readout`` (symbols, hidden), the
        biases of the cell, and ``readout_bias`` (symbols,) if there is one. Biases of the cell that are left out are 0;
        the share ``leak`` of a leaky cell is the sigmoid of what is given, and has to be given.

    Raises
    ------
    InputError
        If a name or a shape is not one of the cell, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> weights = Weights("tanh", {"recurrent": np.eye(4), "input": np.ones((4, 2)), "readout": np.ones((3, 4))})
    >>> weights.hidden, weights.inputs, weights.symbols
    (4, 2, 3)
    """

    cell: str
    parameters: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        cell = cell_named(self.cell)
        arrays = {name: np.asarray(array) for name, array in self.parameters.items()}
        for name in ("recurrent", "input", "readout", *(["leak"] if "leak" in cell.biases else [])):
            if name not in arrays:
                raise InputError(f"the weights of a {self.cell} network lack '{name}': got {', '.join(sorted(arrays))}")
        if arrays["recurrent"].ndim != 2 or arrays["input"].ndim != 2 or arrays["readout"].ndim != 2:
            raise InputError("recurrent, input and readout have to be matrices: (to, from)")
        hidden, inputs = arrays["recurrent"].shape[1], arrays["input"].shape[1]
        symbols = len(arrays["readout"])
        shapes = {"recurrent": (cell.gates * hidden, hidden), "input": (cell.gates * hidden, inputs)}
        shapes |= {"readout": (symbols, hidden), "readout_bias": (symbols,)}
        shapes |= {name: (gates * hidden,) for name, gates in cell.biases.items()}
        for name, array in arrays.items():
            if name not in shapes:
                raise InputError(f"a {self.cell} network has no '{name}': it has {', '.join(shapes)}")
            if array.shape != shapes[name]:
                raise InputError(f"'{name}' of a {self.cell} network of {hidden} units has to be {shapes[name]}, got "
                                 f"{array.shape}")  # fmt: skip
            if not np.isfinite(array).all():
                raise InputError(f"'{name}' holds NaN or infinity: the training it comes from has failed")
        arrays |= {
            name: np.zeros(shapes[name], arrays["recurrent"].dtype) for name in cell.biases if name not in arrays
        }
        object.__setattr__(self, "parameters", arrays)

    @property
    def hidden(self) -> int:
        """Units."""
        return self.parameters["recurrent"].shape[1]

    @property
    def inputs(self) -> int:
        """Dimensions of the input."""
        return self.parameters["input"].shape[1]

    @property
    def symbols(self) -> int:
        """Outputs of the read-out."""
        return len(self.parameters["readout"])


def as_fitted(weights: Weights, hmm: HiddenMarkovModel) -> Fitted:
    """The network as what a fit returns, without a history.

    Parameters
    ----------
    weights
        The network.
    hmm
        The model that it should emulate.

    Raises
    ------
    InputError
        If the read-out has another number of symbols than the model.
    """
    if weights.symbols != hmm.symbols:
        raise InputError(
            f"the network reads out {weights.symbols} symbols, {hmm.name} emits {hmm.symbols}: give the model that the "
            "network was trained on"
        )
    bias = "readout_bias" in weights.parameters
    config = EmulationConfig(NetworkConfig(weights.hidden, weights.inputs, weights.cell, bias), laptop(hmm))
    blank = initial_parameters(config.network, hmm.symbols, jax.random.key(0))
    parameters = {name: jnp.asarray(weights.parameters[name], array.dtype) for name, array in blank.items()}
    identity = {
        "cell": weights.cell,
        "hmm": hmm.to_dict(),
        "data": fingerprint([np.asarray(weights.parameters[name]) for name in sorted(blank)]),
    }
    return Fitted(
        config=config, hmm=hmm, parameters=parameters, history=History(), status=ELSEWHERE, snapshots=(),
        identity=identity,
    )  # fmt: skip
