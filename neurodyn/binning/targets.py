"""What is decoded: behaviour in seconds, smoothed and put on the bins.

Targets are smoothed with a symmetric Gaussian, so they look ahead by about its width. That is allowed: a
target is the truth a decoder is fitted to and scored on, never its input.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Bool, Float, Float64

from neurodyn.binning.class_targets import class_names, is_class_target, make_class_target
from neurodyn.binning.count_targets import UNIT, count_names, is_count_target, make_count_target
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording import Recording, Signal
from neurodyn.recording.edges import slack

_METRES = {"": 1.0, "m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0,
           "cm": 0.01, "centimeters": 0.01, "mm": 0.001, "millimeters": 0.001}  # fmt: skip
_RADIANS = {"": 1.0, "rad": 1.0, "radian": 1.0, "radians": 1.0, "deg": np.pi / 180, "degrees": np.pi / 180,
            "degree": np.pi / 180}  # fmt: skip
_AXES = ("x", "y", "z")
ANGLE = ("cos", "sin")
"""Dimensions of a direction."""


@dataclass(frozen=True)
class TargetOptions:
    """How targets are smoothed and where they count as missing.

    Parameters
    ----------
    smoothing
        Standard deviation of the Gaussian in seconds; 0 for none.
    max_gap
        Longest gap in seconds that is interpolated; bins in longer ones are not observed.

    Raises
    ------
    InputError
        For negative durations.

    Examples
    --------
    >>> TargetOptions(smoothing=0.0).max_gap
    0.5
    """

    smoothing: float = 0.25
    max_gap: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.smoothing < np.inf and 0 <= self.max_gap < np.inf):
            raise InputError(
                f"target smoothing and max_gap must be seconds, 0 or more, got {self.smoothing} and {self.max_gap}"
            )


@dataclass(frozen=True, eq=False)
class Track:
    """Target dimensions on a regular clock of their own, which stands still in long pauses of the recording.

    Parameters
    ----------
    times
        (steps,) seconds, multiples of the first step.
    values
        (steps, dims).
    valid
        (steps,) False in long gaps.
    names
        One per dimension.
    """

    times: Float64[np.ndarray, " steps"]
    values: Float64[np.ndarray, "steps dims"]
    valid: Bool[np.ndarray, " steps"]
    names: tuple[str, ...]

    def at(
        self, times: Float[np.ndarray, " bins"]
    ) -> tuple[Float64[np.ndarray, "bins dims"], Bool[np.ndarray, " bins"]]:
        """Values at other times (linear in between), and where they are known."""
        columns = [np.interp(times, self.times, column) for column in self.values.T]
        step = self.times[1] - self.times[0]
        near = slack(np.asarray(times, np.float64))
        inside = (times >= self.times[0] - step - near) & (times <= self.times[-1] + step + near)
        # A time on a valid step, up to rounding, takes nothing from the step beside it.
        known = np.interp(times, self.times, self.valid.astype(np.float64)) >= 1 - np.minimum(near / step, 1e-3)
        observed = inside & known
        return np.where(observed[:, None], np.stack(columns, axis=1), 0.0), observed


def target_sources(recording: Recording, names: Sequence[str]) -> dict[str, Signal]:
    """Behaviour series that the targets of these names are made from; classes and counts are made from none.

    Raises
    ------
    InputError
        For a name that is neither a derived target nor a behaviour series, a table of intervals or a group of events.
    """
    others = (is_class_target, is_count_target)
    return {name: _find(recording, name)[0] for name in names if not any(other(recording, name) for other in others)}


def make_targets(
    recording: Recording,
    names: Sequence[str],
    times: Float[np.ndarray, " bins"],
    options: TargetOptions | None = None,
    width: float | None = None,
) -> tuple[Float64[np.ndarray, "bins dims"], Bool[np.ndarray, " bins"], tuple[str, ...]]:
    """Targets at the given times.

    ``position`` (x, y in m), ``x``, ``y``, ``velocity`` (vx, vy in m/s), ``speed`` (m/s), ``log_speed``
    (log(1 + speed in cm/s)), ``head_direction`` (cosine, sine), or the name of any behaviour series (all its
    channels); a recorded series goes before a derived target of the same name. The name of a table of intervals, or of
    a column of one (``trials.choice``), gives classes (:mod:`neurodyn.binning.class_targets`), that of a group of
    events the number in each bin (:mod:`neurodyn.binning.count_targets`); neither is smoothed.

    Parameters
    ----------
    recording
        Where the behaviour is.
    names
        Of the targets, in order.
    times
        Seconds; usually the ends of the bins.
    options
        Smoothing and gaps.
    width
        Of the bins in seconds, which counts need.

    Returns
    -------
    values, observed, names
        (bins, dims) with 0 where missing; (bins,) True where all dimensions are known; name per dimension.

    Raises
    ------
    InputError
        For an unknown target, a series that cannot give it, or the same dimension twice.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> values, observed, names = nd.binning.make_targets(session, ["position", "speed"], np.arange(2.0, 10.0, 0.1))
    >>> values.shape, names
    ((80, 3), ('x', 'y', 'speed'))
    """
    parts = []
    for name in names:
        if is_class_target(recording, name):
            parts.append(make_class_target(recording, name, times))
            continue
        if is_count_target(recording, name):
            parts.append(make_count_target(recording, name, times, width))
            continue
        signal, derive = _find(recording, name)
        parts.append((*(track := derive(signal, options or TargetOptions())).at(times), track.names))
    labels = tuple(label for part in parts for label in part[2])
    if len(set(labels)) != len(labels):
        raise InputError(f"targets give the same dimension twice ({', '.join(labels)}): name each once")
    observed = np.asarray(np.stack([part[1] for part in parts]).all(axis=0))
    values = np.concatenate([part[0] for part in parts], axis=1)
    return np.where(observed[:, None], values, 0.0), observed, labels


def target_units(recording: Recording, names: Sequence[str]) -> tuple[str, ...]:
    """Unit of each dimension that `make_targets` gives for these names; empty where it has none."""
    units: list[str] = []
    sources = target_sources(recording, names)
    for name in names:
        if is_count_target(recording, name):
            units += [UNIT] * len(count_names(name, {**recording.spikes, **recording.counts}[name].units))
            continue
        if name not in sources:
            units += ["probability"] * len(make_class_target(recording, name, np.zeros(0))[2])
            continue
        signal = sources[name]
        if name in recording.behaviour and name != "position":
            units += [signal.unit] * signal.n_channels
            continue
        length = "m" if signal.unit.strip().lower() in _METRES else signal.unit
        unit, dims = {
            "position": (length, signal.n_channels),
            "velocity": (f"{length}/s", signal.n_channels),
            "speed": (f"{length}/s", 1),
            "log_speed": ("log(1 + cm/s)", 1),
            "head_direction": ("", 2),
        }.get(name, (length, 1))
        units += [unit] * dims
    return tuple(units)


_Derive = Callable[[Signal, TargetOptions], Track]


def _find(recording: Recording, name: str) -> tuple[Signal, _Derive]:
    """Series a target is made from, and how."""
    if name != "position" and name in recording.behaviour:
        return recording.behaviour[name], _series
    recording.check_usable(name, "behaviour")
    if name in _DERIVED:
        finder, derive = _DERIVED[name]
        return finder(recording, name), derive
    others = [*class_names(recording), *recording.spikes, *recording.counts]
    near = difflib.get_close_matches(name, others, cutoff=0.7)  # the rest are no targets that one means
    raise unknown_name("target", name, {*_DERIVED, *recording.behaviour, *near})


def _have(recording: Recording) -> str:
    """Behaviour series of a recording, and those of its file that cannot be used."""
    broken = [f"'{item.name}' cannot be used: {item.reason}" for item in recording.unusable if item.kind == "behaviour"]
    return "; ".join([", ".join(recording.behaviour) or "none", *broken])


def _position_signal(recording: Recording, target: str) -> Signal:
    """The series named position, else the only one with that in its name, else the only of 2 or 3 axes."""
    table = recording.behaviour
    named = [s for s in table.values() if s.name.lower() == "position" and s.n_channels <= 3]
    similar = [s for s in table.values() if "position" in s.name.lower() and s.n_channels <= 3]
    planar = [s for s in table.values() if s.n_channels in (2, 3)]
    for choice in (named, similar, planar):
        if len(choice) == 1:
            return choice[0]
    have = _have(recording)
    raise InputError(
        f"target '{target}' needs one position series, the behaviour series are: {have}; name a series as target"
    )


def _direction_signal(recording: Recording, target: str) -> Signal:
    """The only one-channel series whose name speaks of a direction."""
    words = ("direction", "heading", "compass", "angle", "orientation")
    table = recording.behaviour
    choice = [s for s in table.values() if s.n_channels == 1 and any(w in s.name.lower() for w in words)]
    if len(choice) == 1:
        return choice[0]
    have = _have(recording)
    raise InputError(
        f"target '{target}' needs one series of one angle (a CompassDirection), the behaviour series are: {have}"
    )


def _series(signal: Signal, options: TargetOptions) -> Track:
    """All channels of a series, as recorded."""
    names = (signal.name,) if signal.n_channels == 1 else signal.channels
    return _smoothed(_regular(signal, signal.read(0, signal.n_samples), names, options), options)


def _position(signal: Signal, options: TargetOptions) -> Track:
    """Position in m (in the unit of the file if that is no length)."""
    metres = signal.read(0, signal.n_samples) * _METRES.get(signal.unit.strip().lower(), 1.0)
    return _smoothed(_regular(signal, metres, _AXES[: signal.n_channels], options), options)


def _axis(axis: int) -> _Derive:
    """One coordinate of the position."""

    def derive(signal: Signal, options: TargetOptions) -> Track:
        if axis >= signal.n_channels:
            raise InputError(f"series '{signal.name}' has {signal.n_channels} channels: no {_AXES[axis]} in it")
        track = _position(signal, options)
        return Track(track.times, track.values[:, [axis]], track.valid, (_AXES[axis],))

    return derive


def _velocity(signal: Signal, options: TargetOptions) -> Track:
    """Derivative of the position in m/s; differences first, smoothing after, so that gaps have no slope."""
    metres = signal.read(0, signal.n_samples) * _METRES.get(signal.unit.strip().lower(), 1.0)
    names = tuple(f"v{axis}" for axis in _AXES[: signal.n_channels])
    track = _regular(signal, metres, names, options)
    slope = np.gradient(track.values, track.times, axis=0)
    # A difference that reaches into a long gap would be the slope of the interpolation.
    inner = track.valid & np.append(track.valid[1:], True) & np.insert(track.valid[:-1], 0, True)
    return _smoothed(Track(track.times, slope, inner, names), options)


def _speed(signal: Signal, options: TargetOptions) -> Track:
    """Length of the smoothed velocity in m/s."""
    track = _velocity(signal, options)
    return Track(track.times, np.linalg.norm(track.values, axis=1, keepdims=True), track.valid, ("speed",))


def _log_speed(signal: Signal, options: TargetOptions) -> Track:
    """log(1 + speed in cm/s): near 0 at rest, and even over the range of running."""
    if signal.unit.strip().lower() not in _METRES:
        raise InputError(
            f"target 'log_speed' needs a position in m, cm or mm, '{signal.name}' is in {signal.unit}: use 'speed'"
        )
    track = _speed(signal, options)
    return Track(track.times, np.log1p(100.0 * track.values), track.valid, ("log_speed",))


def _head_direction(signal: Signal, options: TargetOptions) -> Track:
    """Cosine and sine of an angle; smoothed as a vector, so that 359 and 1 degrees are neighbours."""
    unit = signal.unit.strip().lower()
    if unit not in _RADIANS:
        raise InputError(f"series '{signal.name}' must be in radians or degrees, got '{signal.unit}'")
    angle = signal.read(0, signal.n_samples) * _RADIANS[unit]
    vector = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    track = _smoothed(_regular(signal, vector, ANGLE, options), options)
    length = np.linalg.norm(track.values, axis=1, keepdims=True)
    unit_vector = track.values / np.where(length > 0, length, 1.0)
    return Track(track.times, unit_vector, track.valid & (length[:, 0] > 0), ANGLE)


_DERIVED: dict[str, tuple[Callable[[Recording, str], Signal], _Derive]] = {
    "position": (_position_signal, _position),
    "x": (_position_signal, _axis(0)),
    "y": (_position_signal, _axis(1)),
    "velocity": (_position_signal, _velocity),
    "speed": (_position_signal, _speed),
    "log_speed": (_position_signal, _log_speed),
    "head_direction": (_direction_signal, _head_direction),
}
DERIVED_TARGETS = tuple(_DERIVED)


def _regular(
    signal: Signal,
    values: Float[np.ndarray, "samples channels"],
    names: tuple[str, ...],
    options: TargetOptions,
) -> Track:
    """Values on a regular clock at the signal's own rate, linear over gaps, long gaps not valid."""
    seen = ~np.isnan(values).any(axis=1)
    if seen.sum() < 2:
        raise InputError(f"behaviour series '{signal.name}' has {seen.sum()} samples that are not NaN")
    times, known = signal.times[seen], values[seen].astype(np.float64)
    period = 1.0 / signal.typical_rate
    clock = _clock(signal.name, times, period, options)
    columns = [np.interp(clock, times, column) for column in known.T]
    return Track(clock, np.stack(columns, axis=1), ~_in_long_gap(clock, times, options.max_gap, period), names)


MOST_STEPS = 2**27
"""Most steps of the clock of a target: 1 GiB for each of its dimensions."""
_TRUNCATE = 4.0
"""Standard deviations at which the Gaussian ends."""


def _clock(
    name: str, times: Float64[np.ndarray, " samples"], period: float, options: TargetOptions
) -> Float64[np.ndarray, " steps"]:
    """Multiples of the period from the first sample to the last, without those deep inside pauses of the recording.

    No value is known in a pause, and what lies further from its ends than the smoothing reaches changes none: the work
    grows with the samples and not with the hours between them.

    Raises
    ------
    InputError
        When the stamps are so irregular that the clock would have more than `MOST_STEPS` steps.
    """
    reach = options.max_gap + (_TRUNCATE + 1) * options.smoothing + 2 * period
    pauses = np.flatnonzero(np.diff(times) > 2 * reach + 2 * period)
    since = times - times[0]
    first = np.concatenate([[0], np.floor((since[pauses + 1] - reach) / period)]).astype(np.int64)
    past = np.concatenate([np.ceil((since[pauses] + reach) / period), [max(1, round(since[-1] / period)) + 1]])
    past = past.astype(np.int64)
    total = int((past - first).sum())
    if total > MOST_STEPS:
        raise InputError(
            f"behaviour series '{name}' has {len(times):,} samples at {1 / period:.4g} Hz that would need {total:,} "
            "steps of an even clock: its stamps are too irregular; resample it to a fixed rate"
        )
    steps = [np.arange(a, b) for a, b in zip(first.tolist(), past.tolist(), strict=True)]
    return times[0] + period * np.concatenate(steps)


def _in_long_gap(
    clock: Float64[np.ndarray, " steps"], times: Float[np.ndarray, " samples"], max_gap: float, period: float
) -> Bool[np.ndarray, " steps"]:
    """Times between two samples that lie further apart than `max_gap` (and than the sampling itself)."""
    after = np.clip(np.searchsorted(times, clock), 1, len(times) - 1)
    apart = times[after] - times[after - 1]
    nearest = np.minimum(np.abs(times[after] - clock), np.abs(clock - times[after - 1]))
    return (apart > max(max_gap + period, 1.5 * period) + slack(clock)) & (nearest > 0.5 * period)


def _smoothed(track: Track, options: TargetOptions) -> Track:
    """Gaussian average over valid steps only, its weights renormalised where some are not."""
    if options.smoothing == 0:
        return track
    steps = options.smoothing / (track.times[1] - track.times[0])
    weight = track.valid.astype(np.float64)
    options_of_filter: dict[str, Any] = {"mode": "constant", "truncate": _TRUNCATE}
    total = scipy.ndimage.gaussian_filter1d(track.values * weight[:, None], steps, axis=0, **options_of_filter)
    share = scipy.ndimage.gaussian_filter1d(weight, steps, **options_of_filter)
    values = np.where(track.valid[:, None], total / np.where(share > 0, share, 1.0)[:, None], track.values)
    return Track(track.times, values, track.valid, track.names)
