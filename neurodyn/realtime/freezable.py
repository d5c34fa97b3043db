"""What a live decoder is made of: frozen numbers, or a model that can be frozen. The rig knows no more of a model."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from neurodyn.binning.batch import Modality
from neurodyn.binning.limits import learn_limits
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.realtime.runner import COUNTS, Frozen, Runner, checked_runner, loss_memory_size


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
    target_units: Sequence[str] = (),
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
    target_units
        Of the target's dimensions; () if they are not known.
    """
    return {
        "modalities": [row_of(modality) for modality in modalities],
        "channel_names": {m.name: list(m.channels) for m in modalities},
        "target_names": list(target_names),
        "target_units": list(target_units),
        "value_units": {m.name: m.unit for m in modalities if m.unit and not m.counts},
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
        "clock": modality.sample_every,
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


def runner_of(model: Freezable | Frozen) -> Runner:
    """What decodes with a model, whose numbers were checked first: a model in memory may be as damaged as a file.

    Parameters
    ----------
    model
        A trained model, or one that was exported.

    Raises
    ------
    InputError
        If its sizes, times or names are invalid, or it has numbers that are not finite.
    """
    try:
        return checked_runner(frozen_of(model))
    except ValueError as error:
        raise InputError(f"the model cannot decode: {error}") from error


def check_same_sizes(running: Frozen, other: Frozen) -> None:
    """Refuse a model that cannot go on from the state of another.

    Parameters
    ----------
    running, other
        The running model, and the one to change to.

    Raises
    ------
    InputError
        If modalities, channels, target, sizes or what the target is read out with differ.
    """
    for key, name in (
        ("modalities", "modalities"), ("channel_names", "order or choice of channels"),
        ("states", "sizes of the states"), ("traces", "traces"),
        ("target_names", "target"), ("width_seconds", "bin width"),
    ):  # fmt: skip
        one, two = running.settings[key], other.settings[key]
        if one != two:
            raise InputError(f"the new model has another {name}: {two}, the running one {one}")
    experts = [
        {name: frozen.arrays[name].shape for name in ("readout/stack", "recurrent/recurrent") if name in frozen.arrays}
        for frozen in (running, other)
    ]
    if experts[0] != experts[1]:
        raise InputError("the new model reads the target out with other experts than the running one")
    if loss_memory_size(running.arrays) != loss_memory_size(other.arrays):
        raise InputError(
            "one of the new and the running model counts single lost channels; the other, of an earlier version, does "
            "not: fit that one again, or begin a new session"
        )
