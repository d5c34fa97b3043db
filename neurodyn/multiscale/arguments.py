"""What a user gives a decoder, as it is kept: numbers may be text, as on the command line; what is none is refused."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from neurodyn.errors import InputError
from neurodyn.given import argument_named, boolean, count, duration, durations, positive_integers
from neurodyn.multiscale.config import READOUTS, STARTS, ObjectiveConfig, TrainingConfig
from neurodyn.recurrent.config import RecurrentConfig

if TYPE_CHECKING:
    from neurodyn.multiscale.estimator import MultiscaleDecoder


def kept_settings(decoder: "MultiscaleDecoder") -> dict[str, Any]:
    """Settings of a decoder that are to be kept as something else than what was given, by name.

    Raises
    ------
    InputError
        If one is not what it has to be; the message names it.
    """
    found = {name: argument_named(name, parse, getattr(decoder, name)) for name, parse in _PARSERS.items()}
    return {name: value for name, value in found.items() if not _as_given(value, getattr(decoder, name))}


def in_training(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, with ``epochs`` and ``seed`` under the names they have in ``training``; None changes nothing.

    Raises
    ------
    InputError
        If one is given under both of its names.
    """
    found = {name: value for name, value in parameters.items() if name not in ("epochs", "seed")}
    for name in ("epochs", "seed"):
        if parameters.get(name) is not None:
            if f"training__{name}" in parameters:
                raise InputError(f"{name} and training__{name} are one setting: give one of them")
            found[f"training__{name}"] = parameters[name]
    return found


def _as_given(value: Any, given: Any) -> bool:
    """Whether what was given is right as it is: it is then kept itself, which the cloning of scikit-learn asks for."""
    if type(value) is not type(given) or value != given:
        return False
    return not isinstance(value, tuple) or all(type(a) is type(b) for a, b in zip(value, given, strict=True))


def _or_none(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else parse(value)


def _memory(value: Any) -> tuple[float, float]:
    found = durations(value)
    if len(found) != 2:
        raise InputError(f"expected the shortest and the longest time constant, like (0.1, 10.0), got {value!r}")
    return found[0], found[1]


def _instance(kind: type, hint: str = "") -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, kind):
            raise InputError(f"expected {kind.__name__}(...), got {value!r}{hint}")
        return value

    return parse


def _smoothness(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise InputError(f'expected weights by modality or likelihood, like {{"spikes": 250.0}}, got {value!r}')
    return value


def _one_of(known: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in known:
            raise InputError(f"expected {' or '.join(map(repr, known))}, got {value!r}")
        return value

    return parse


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "latent": count, "modality_state": _or_none(count), "embedding": _or_none(count),
    "encoder": positive_integers, "decoder": positive_integers, "fusion": positive_integers,
    "memory": _memory, "traces": durations, "choose": _or_none(duration),
    "linear_path": boolean, "raw_counts": boolean, "bounded": boolean, "progress": boolean,
    "start": _one_of(STARTS), "readout": _one_of(READOUTS), "smoothness": _or_none(_smoothness),
    "recurrent": _or_none(_instance(RecurrentConfig, ": None leaves the recurrent network out")),
    "objective": _instance(ObjectiveConfig),
    "training": _instance(TrainingConfig, ": for epochs or a seed alone write epochs=5, seed=0"),
}  # fmt: skip
