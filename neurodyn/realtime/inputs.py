"""Inputs of the binner from a model's modalities: which are spikes, which feature of a field, at which rate."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from neurodyn.binning.batch import Modality
from neurodyn.binning.features import feature_of
from neurodyn.errors import InputError, NeurodynError, unknown_name
from neurodyn.realtime.binner import FieldInput, SpikeInput
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind, EndOfStream, Source
from neurodyn.recording.checks import MOST_GROUPED
from neurodyn.recording.clocks import fit_clock

ENOUGH, MANY = 20, 100_000
"""Samples that a rate needs to be estimated, and above which more of them do not make it better."""
MOST_SPIKES = 2**20
"""Spikes that one chunk of counts may unfold into: seconds of a thousand units, all firing as fast as they can."""
LONG_ENOUGH = 2.0
"""Seconds of stamps from which a rate is estimated: jitter of a fifth of a period leaves an error of 1e-4 of 250 Hz."""
SAME_RATE, OTHER_RATE = 1e-3, 0.02
"""Relative difference of two rates up to which they are one, measured twice; and above which they are not alike."""


def modalities_of(decoder: RealtimeDecoder) -> tuple[Modality, ...]:
    """Table of modalities of a live decoder."""
    settings = decoder.runner.frozen.settings
    names = settings["channel_names"]
    return tuple(
        Modality(
            row["name"], row["likelihood"], tuple(names[row["name"]]), row["clock"],
            unit=str(settings.get("value_units", {}).get(row["name"], "")),
            rate=settings.get("rates", {}).get(row["name"]),
        )
        for row in settings["modalities"]
    )  # fmt: skip


def binner_inputs(
    modalities: Sequence[Modality], width: float, rates: Mapping[str, float]
) -> list[SpikeInput | FieldInput]:
    """Inputs of a `StreamingBinner` that makes what a model was trained on.

    Features of a field are known by the names of their channels (``lfp_0 8-12 Hz``). Band powers are made with the
    usual smoothing, order and bridging, which a model does not keep.

    Parameters
    ----------
    modalities
        Of the model.
    width
        Of a bin, seconds.
    rates
        Samples per second of every modality that is not spikes.

    Raises
    ------
    InputError
        If a rate is missing.
    """
    return [_input(row, width, rates) for row in modalities]


def sampled(modalities: Sequence[Modality]) -> list[str]:
    """Names of the modalities that are not spikes."""
    return [row.name for row in modalities if not row.counts]


def learn_rates(
    source: Source,
    names: Sequence[str],
    *,
    timeout: float,
    wall: Callable[[], float] = time.monotonic,
    say: Callable[[str], object] | None = None,
) -> tuple[dict[str, float], list[Chunk]]:
    """Samples per second of streams, from the first data that come.

    Parameters
    ----------
    source
        To read from.
    names
        Streams to wait for; with none there is no wait.
    timeout
        Seconds after which a silent stream is given up.
    wall
        Seconds that pass.
    say
        Called with the error of every malformed message, which is lost; None ignores them.

    Returns
    -------
    rates
        Per name: the one that fits the stamps best (`neurodyn.recording.clocks`).
    chunks
        What was read meanwhile, not to be lost.

    Raises
    ------
    InputError
        If a stream stays silent, or its stamps are too uneven to tell.
    """
    heard = {name: _Heard() for name in names}
    chunks: list[Chunk] = []
    begin = wall()
    while any(not one.enough(wall() - begin) for one in heard.values()):
        try:
            fresh = source.read(0.05)
        except EndOfStream:
            break
        except InputError as error:
            fresh = []
            if say is not None:
                say(str(error))
        except Exception as error:  # a server that has gone away: each library says so in its own way
            raise NeurodynError(f"the source broke off while the first data were waited for: {error}") from error
        chunks += fresh
        for chunk in fresh:
            if chunk.name in heard and chunk.kind is ChunkKind.SAMPLES:
                heard[chunk.name].take(chunk)
        if wall() > begin + timeout:
            break
    return {name: one.nominal or _rate(name, one.times, chunks, timeout) for name, one in heard.items()}, chunks


class _Heard:
    """Stamps that have come of a stream whose rate is to be estimated."""

    def __init__(self) -> None:
        self.times: list[np.ndarray] = []
        self.nominal: float | None = None  # what the stream itself says
        self._samples, self._first, self._last = 0, math.inf, -math.inf

    def take(self, chunk: Chunk) -> None:
        self.nominal = chunk.rate or self.nominal
        self.times.append(chunk.times)
        self._samples += len(chunk.times)
        if len(chunk.times):
            self._first, self._last = min(self._first, chunk.times.min()), max(self._last, chunk.times.max())

    def enough(self, waited: float) -> bool:
        if self.nominal is not None or self._samples >= MANY:
            return True
        return bool(self._samples >= ENOUGH and max(self._last - self._first, waited) >= LONG_ENOUGH)


def agreed_rates(
    modalities: Sequence[Modality], learned: Mapping[str, float], given: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """Rates to make features with: those that were learned or given, compared with those of the training data.

    Parameters
    ----------
    modalities
        Of the model.
    learned, given
        Hertz by modality, estimated from the stream and given by the user.

    Returns
    -------
    rates
        A rate that was learned and differs from that of the training data by what measuring does is taken for it.
    told
        What differs, for the event log, one text each.

    Raises
    ------
    InputError
        If a stream has another rate than the model was trained on, and the user has not said so.
    """
    rates, told = dict(learned) | dict(given), []
    for row in modalities:
        if row.rate is None or row.name not in rates:
            continue
        away = abs(rates[row.name] / row.rate - 1)
        text = f"'{row.name}' comes at {rates[row.name]:g} Hz, the model was trained at {row.rate:g} Hz"
        if away > OTHER_RATE and row.name not in given:
            raise InputError(f"{text}: resample it, or say  --rate {row.name}=HZ  to have its features all the same")
        if row.name in learned and away <= SAME_RATE:
            rates[row.name] = row.rate
        elif away > SAME_RATE:
            told.append(text)
    return rates, told


def as_spikes(chunk: Chunk) -> Chunk:
    """Counts per sample (time x unit), as rigs send threshold crossings, as spikes at the time of their sample.

    Raises
    ------
    InputError
        If one is below 0, or they would unfold into more than `MOST_SPIKES`.
    """
    if np.count_nonzero(chunk.values < 0):
        raise InputError(f"'{chunk.name}' holds counts, which cannot be below 0, got {np.nanmin(chunk.values):g}")
    counts = np.where(np.isfinite(chunk.values), chunk.values, 0).clip(0, MOST_SPIKES + 1).astype(np.int64)
    if (total := int(counts.sum())) > MOST_SPIKES:
        raise InputError(f"'{chunk.name}' has {total:,} spikes or more in a chunk, at most {MOST_SPIKES:,} are taken")
    rows, units = np.nonzero(counts)
    repeats = counts[rows, units]
    until = float(chunk.times[-1]) if len(chunk.times) else None
    times = np.repeat(chunk.times[rows], repeats)
    return Chunk(
        chunk.name, times, np.repeat(units, repeats), ChunkKind.SPIKES, until, chunk.labels, unrecorded=chunk.unrecorded
    )


def labels_of(row: Modality) -> tuple[str, ...]:
    """Labels that a stream of a modality has: its units, or the channels of the raw signal."""
    return row.channels if row.counts else feature_of(row.channels)[0]


def _input(row: Modality, width: float, rates: Mapping[str, float]) -> SpikeInput | FieldInput:
    if row.counts:
        return SpikeInput(row.name, row.n_channels, labels=row.channels)
    if row.name not in rates:
        raise InputError(f"the rate of '{row.name}' is not known: say  --rate {row.name}=HZ")
    channels, feature = feature_of(row.channels)
    slower = row.sample_every * width if row.sample_every > 1 else None
    return FieldInput(row.name, len(channels), rates[row.name], feature, slower, channels)


def _rate(name: str, parts: list[np.ndarray], chunks: Sequence[Chunk], timeout: float) -> float:
    times = np.unique(np.concatenate([np.zeros(0), *parts]))
    if len(times) >= ENOUGH:
        clock, usual = fit_clock(times), float(np.median(np.diff(times)))
        # Uneven by jitter is even enough in the mean; groups of stamps tell when packets came and nothing of the rate.
        if not clock.even and usual * MOST_GROUPED < clock.period:
            raise InputError(
                f"the stamps of '{name}' are too uneven to tell its rate (most steps are {usual:.2g} s or less, the "
                f"mean is {clock.period:.2g} s): say  --rate {name}=HZ"
            )
        return clock.rate
    heard = {chunk.name for chunk in chunks}
    if heard and name not in heard:
        error = unknown_name("stream", name, heard)
        raise InputError(
            f"no stream is called like the model's modality ({error}): rename it, or say  --rate {name}=HZ"
        )
    raise InputError(f"no samples of '{name}' in {timeout:g} s: start its source first, or say  --rate {name}=HZ")
