"""What a stream says of itself at its start, and again for who joins later: names, units, width, channels, model."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neurodyn.errors import InputError
from neurodyn.realtime.runner import Runner
from neurodyn.realtime.streams.protocol import ChunkKind

VERSION = 1
"""Of what a hello says; a reader takes what it knows and leaves the rest."""
EVERY = 1.0
"""Seconds between two hellos where a reader cannot ask for one: who joins waits no longer, and a thousand labels cost
ten kilobytes a second."""


@dataclass(frozen=True)
class StreamInfo:
    """One stream of data, or one modality of a model.

    Parameters
    ----------
    name
        Of the stream and the modality.
    kind
        What its data are.
    channels
        Labels of channels or units, in the order in which values are sent; () if nobody knows them.
    unit
        Of the values that are sent under this name: with estimates that of ``rates``, in a replay that of samples; ""
        if it is not known, and of spikes and markers, which are rows.
    rate
        Samples per second of the signal, hertz; None if it is not known, and of spikes and markers.
    every
        Bins between two samples of a modality; 1 in a replay, which has no bins.

    Examples
    --------
    >>> from neurodyn.realtime.streams import ChunkKind, StreamInfo
    >>> lfp = StreamInfo("lfp", ChunkKind.SAMPLES, ("CA1", "CA3"), "mV", rate=1000.0)
    >>> lfp.kind.value, len(lfp.channels), lfp.rate
    ('samples', 2, 1000.0)
    """

    name: str
    kind: ChunkKind
    channels: tuple[str, ...] = ()
    unit: str = ""
    rate: float | None = None
    every: int = 1


@dataclass(frozen=True)
class Hello:
    """What a stream says of itself.

    Parameters
    ----------
    streams
        The streams of a replay, or the modalities of the model that decodes.
    target, units
        Name and unit of each dimension of what is decoded, "" for a unit that is not known; () in a replay.
    width
        Of a bin, seconds; None in a replay.
    latent
        Dimensions of the latent state; 0 in a replay.
    model
        Fingerprint of the model that decodes, 64 hexadecimal digits: equal for the same numbers, and for no others; ""
        in a replay.

    Raises
    ------
    InputError
        If there are not as many units as dimensions.

    Examples
    --------
    >>> field = StreamInfo("field", ChunkKind.SAMPLES, ("lfp0", "lfp1"), "mV", rate=1000.0)
    >>> Hello((field,)).to_dict()["streams"][0]["channels"]
    ['lfp0', 'lfp1']
    """

    streams: tuple[StreamInfo, ...]
    target: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    width: float | None = None
    latent: int = 0
    model: str = ""

    def __post_init__(self) -> None:
        if len(self.units) != len(self.target):
            raise InputError(f"a hello needs a unit for each of {len(self.target)} dimensions, got {len(self.units)}")

    @classmethod
    def of(cls, runner: Runner) -> "Hello":
        """What is said with the estimates of a model."""
        settings = runner.frozen.settings
        names, rates = settings["channel_names"], settings.get("rates", {})
        told, every = settings.get("value_units", {}), {row["name"]: row["clock"] for row in settings["modalities"]}
        streams = tuple(
            StreamInfo(
                m.name,
                ChunkKind.SPIKES if m.counts else ChunkKind.SAMPLES,
                tuple(map(str, names[m.name])),
                "Hz" if m.counts else str(told.get(m.name, "")),
                rate=rates.get(m.name),
                every=every[m.name],
            )
            for m in runner.modalities
        )
        target, units = tuple(map(str, settings["target_names"])), tuple(map(str, settings.get("target_units", ())))
        units = units if len(units) == len(target) else ("",) * len(target)
        model = runner.frozen.fingerprint.tobytes().hex()
        return cls(streams, target, units, float(settings["width_seconds"]), len(runner.backbone.mean), model)

    def to_dict(self) -> dict[str, Any]:
        """The same as numbers, texts and lists, fit for JSON."""
        return {
            "version": VERSION,
            "model": self.model,
            "width": self.width,
            "latent": self.latent,
            "target": [{"name": name, "unit": unit} for name, unit in zip(self.target, self.units, strict=True)],
            "streams": [
                {
                    "name": one.name, "kind": one.kind.value, "channels": list(one.channels), "unit": one.unit,
                    "rate": one.rate, "every": one.every,
                }
                for one in self.streams
            ],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: Any) -> "Hello":
        """What `to_dict` made; what a later version says beside it is left.

        Raises
        ------
        InputError
            If it is something else.

        Examples
        --------
        >>> hello = Hello((StreamInfo("trials", ChunkKind.MARKERS),))
        >>> Hello.from_dict(hello.to_dict()) == hello
        True
        """
        try:
            streams = tuple(_described(one) for one in told["streams"])
            target = tuple(str(one["name"]) for one in told["target"])
            units = tuple(str(one["unit"]) for one in told["target"])
            width = _positive(told["width"])
            return cls(streams, target, units, width, int(told["latent"]), str(told["model"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            shown = str(told)[:200]
            raise InputError(f"expected a hello with streams, target, width and model, got {shown}") from error

    def part(self, name: str) -> "Hello | None":
        """What there is to say of one stream of a replay; None if it is not one of them."""
        found = tuple(one for one in self.streams if one.name == name)
        return Hello(found) if found else None


class PeriodicMessage:
    """A message that is due when it is new, and again every so often.

    Parameters
    ----------
    every
        Seconds between two times.
    clock
        Seconds that pass.

    Examples
    --------
    >>> seconds = iter([10.0, 10.9, 11.0])
    >>> hello = PeriodicMessage(1.0, lambda: next(seconds))
    >>> hello.due()  # nothing to say yet: the clock is not even looked at
    >>> hello.say("hello")
    >>> hello.due(), hello.due(), hello.due()
    ('hello', None, 'hello')
    """

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._clock = every, clock
        self._message: Any = None
        self._next = -math.inf

    def say(self, message: Any) -> None:
        """Have it said from now on, in place of what was said before."""
        self._message, self._next = message, -math.inf

    def due(self) -> Any:
        """The message if it is to be said now, else None."""
        if self._message is None or (now := self._clock()) < self._next:
            return None
        self._next = now + self._every
        return self._message


def _described(told: Mapping[str, Any]) -> StreamInfo:
    channels = tuple(str(one) for one in told["channels"])
    rate, every = _positive(told["rate"]), int(told["every"])
    return StreamInfo(str(told["name"]), ChunkKind(told["kind"]), channels, str(told["unit"]), rate, every)


def _positive(told: Any) -> float | None:
    if told is None:
        return None
    if not 0 < (number := float(told)) < math.inf:
        raise ValueError(number)
    return number
