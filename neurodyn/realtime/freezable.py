"""What a live decoder is made of: frozen numbers, or a model that can be frozen. The rig knows no more of a model."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from neurodyn.binning.batch import Modality
from neurodyn.binning.limits import learn_limits
from neurodyn.binning.scaling import Scaling
from neurodyn.realtime.runner import COUNTS, Frozen


@runtime_checkable
class Freezable(Protocol):
    """A trained model that a live decoder can be made of, as `neurodyn.multiscale.fitted.Fitted` is."""

    def frozen(self) -> Frozen:
        """Everything that a decoder needs at run time, as plain arrays."""
        ...


def settings_of(
    modalities: Sequence[Modality],
    scaling: Scaling,
    target_names: Sequence[str],
    width: float,
    *,
    states: Sequence[int],
    traces: int,
) -> dict[str, Any]:
    """What a decoder says of itself and of the data that it was trained on, beside its arrays.

    Parameters
    ----------
    modalities, target_names
        Rows of the modality table, and names of the target's dimensions.
    scaling
        Means and scales of the training data.
    width
        Of a bin, seconds.
    states
        Dimensions of the backbone's state, and of each modality's own.
    traces
        Time constants of the fading memories of the observations.
    """
    return {
        "modalities": [row_of(modality) for modality in modalities],
        "channel_names": {m.name: list(m.channels) for m in modalities},
        "target_names": list(target_names),
        "width_seconds": width,
        "states": list(states),
        "traces": traces,
        "rates": {m.name: m.rate for m in modalities if m.rate is not None},
        "limits": learn_limits(modalities, scaling.mean, scaling.scale, width),
    }


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
