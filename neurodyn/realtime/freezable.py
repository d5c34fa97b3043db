"""What a live decoder is made of: frozen numbers, or a model that can be frozen. The rig knows no more of a model."""

from typing import Any, Protocol, runtime_checkable

from neurodyn.binning.batch import Modality
from neurodyn.realtime.runner import COUNTS, Frozen


@runtime_checkable
class Freezable(Protocol):
    """A trained model that a live decoder can be made of, as `neurodyn.multiscale.fitted.Fitted` is."""

    def frozen(self) -> Frozen:
        """Everything that a decoder needs at run time, as plain arrays."""
        ...


def row_of(modality: Modality) -> dict[str, Any]:
    """The modality's row as the runner reads it; of a likelihood that it does not know, also whether it is counts."""
    row = {
        "name": modality.name, "channels": modality.n_channels, "likelihood": modality.likelihood,
        "clock": modality.clock,
    }  # fmt: skip
    return row if modality.likelihood in COUNTS else {**row, "counts": modality.counts}


def frozen_of(model: Freezable | Frozen) -> Frozen:
    """The frozen numbers of a model, or those that were given.

    Parameters
    ----------
    model
        A trained model, or one that was exported.
    """
    return model if isinstance(model, Frozen) else model.frozen()
