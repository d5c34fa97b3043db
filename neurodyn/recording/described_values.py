"""What a layout names among the variables of a file: numbers, times in seconds, and matrices, whole or in trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.guard import MAX_BYTES
from neurodyn.recording.layout import TIME_UNITS, Layout
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Choices
from neurodyn.recording.paths import Many, resolve, shape_of
from neurodyn.recording.values import in_memory, matrix, number, vector


@dataclass(frozen=True, eq=False)
class Pieces:
    """A signal, or counts, in trials.

    Parameters
    ----------
    values
        (samples, channels) per trial.
    period
        Seconds per sample.
    times
        Of all samples in seconds where trials have times of one clock, else None: they are put one after the other.
    """

    values: tuple[np.ndarray, ...]
    period: float
    times: np.ndarray | None


class Described:
    """The variables of a file, and what a layout says of them: paths followed, numbers and matrices read.

    Parameters
    ----------
    variables
        By name, as `matlab_file.load_variables` gives them.
    layout
        Which of them hold what.
    choices
        What to leave out and how.
    """

    def __init__(self, variables: Mapping[str, Any], layout: Layout, choices: Choices) -> None:
        self.variables, self.layout, self.choices = variables, layout, choices

    def find(self, path: str) -> Any:
        """What lies at a path."""
        return resolve(self.variables, path)

    def number(self, value: float | str | None, what: str) -> float:
        """Number that a layout gives, or names; the same for all trials."""
        if value is None:
            raise InputError(f"times in samples need their '{what}' in Hz")
        if not isinstance(value, str):
            return float(value)
        found = self.find(value)
        if isinstance(found, Many):
            numbers = {number(entry, value) for entry in found.values}
            if len(numbers) != 1:
                raise InputError(f"'{value}' has {len(numbers)} different values, where one number is needed")
            return numbers.pop()
        return number(found, value)

    def positive(self, value: float | str, what: str, variable: str | tuple[str, ...]) -> float:
        """Number as `number` finds it, refused where it is not above 0."""
        found = self.number(value, what)
        if not 1e-12 < found < 1e12:
            raise InputError(f"'{shown_path(variable)}' needs a {what} above 0, got {found:g}")
        return found

    def pieces(
        self, variable: str | tuple[str, ...], axes: str, time: str, time_unit: str, period: float | None
    ) -> Any:
        """A matrix (samples x channels), or pieces where it comes in trials."""
        paths = (variable,) if isinstance(variable, str) else variable
        parts = [_split(self.find(path), axes, path) for path in paths]
        if not any(isinstance(part, list) for part in parts):
            return parts[0] if len(parts) == 1 else _side_by_side([in_memory(part) for part in parts], paths)
        if len({len(part) if isinstance(part, list) else 0 for part in parts}) != 1:
            raise InputError(f"{', '.join(paths)} do not have the same number of trials")
        joined = [_side_by_side(trial, paths) for trial in zip(*parts, strict=True)]
        widths = {piece.shape[1] for piece in joined}
        if len(widths) != 1:
            raise InputError(
                f"'{paths[0]}' has between {min(widths)} and {max(widths)} channels per trial: they must agree"
            )
        times = None
        if time:
            times, period = self._trial_times(joined, time, time_unit)
        if period is None:
            raise InputError(f"'{paths[0]}' comes in trials: say the 'rate', 'width' or 'time' of its samples")
        return Pieces(tuple(joined), period, times)

    def _trial_times(self, joined: list[np.ndarray], time: str, unit: str) -> tuple[np.ndarray | None, float]:
        """Times of all samples, None if they begin anew in each trial, and seconds per sample."""
        found = self.find(time)
        vectors = [found] * len(joined)
        if isinstance(found, Many):
            vectors = list(found.values)
        elif isinstance(found, np.ndarray) and found.dtype == object:
            vectors = list(found.ravel(order="F"))
        clocks = [in_seconds(vector(value, time), unit, None, time) for value in vectors]
        if [len(clock) for clock in clocks] != [len(piece) for piece in joined]:
            raise InputError(f"'{time}' does not have a time for each sample of each of the {len(joined)} trials")
        steps = np.concatenate([np.diff(clock) for clock in clocks])
        if not (steps > 0).any():
            raise InputError(f"'{time}' does not increase within trials")
        period = float(np.median(steps[steps > 0]))
        together = np.concatenate(clocks)
        return (together if (np.diff(together) > 0).all() else None), period


def shown_path(variable: str | tuple[str, ...]) -> str:
    """Paths of a variable, as messages show them."""
    return variable if isinstance(variable, str) else ", ".join(variable)


def missing(rows: int, columns: int, what: str) -> np.ndarray:
    """Matrix of samples that are all missing, refused where it could not be held."""
    if rows * columns * 8 > MAX_BYTES:
        raise InputError(f"'{what}' would have {rows:,} samples with its gaps, more than can be held: check its times")
    return np.full((rows, columns), np.nan)


def in_seconds(times: np.ndarray, unit: str, rate: float | None, what: str) -> np.ndarray:
    """Times in their unit as seconds; ``rate`` in Hz is needed for samples."""
    per_second = TIME_UNITS[unit]
    if per_second is None:
        if rate is None or not rate > 0:
            raise InputError(f"times in samples ('{what}') need their 'rate' in Hz, above 0")
        per_second = rate
    times = np.asarray(times, np.float64)
    return times if per_second == 1 else times / per_second


def _split(value: Any, axes: str, what: str) -> Any:
    """A matrix (samples x channels), or a list of them, one per trial."""
    if isinstance(value, Many):
        return [
            _turned(part, axes, f"{what} [{label}]") for label, part in zip(value.labels, value.values, strict=True)
        ]
    if isinstance(value, np.ndarray) and value.dtype == object and value.size:
        return [_turned(part, axes, f"{what}{{{row + 1}}}") for row, part in enumerate(value.ravel(order="F"))]
    names = axes.split()
    if "trial" in names:
        return _trials_of(in_memory(value), names, what)
    if isinstance(value, LazyArray) and not axes:
        return value
    turned = _turned(value, axes, what)
    # A row vector without a word about its axes is one channel.
    return turned.T if not axes and turned.shape[0] == 1 < turned.shape[1] else turned


def _turned(value: Any, axes: str, what: str) -> np.ndarray:
    found = matrix(value, what)
    return found.T if axes.split()[:1] == ["channel"] else found


def _trials_of(value: Any, axes: list[str], what: str) -> list[np.ndarray]:
    """Trials of an array with an axis of them."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.ndim != len(axes):
        raise InputError(
            f"'{what}' must be an array of numbers with the axes {' x '.join(axes)}, it is a {shape_of(value)}"
        )
    order = [axes.index(name) for name in ("trial", "time", "channel") if name in axes]
    turned = value.transpose(order)
    return list(turned if turned.ndim == 3 else turned[:, :, None])


def _side_by_side(parts: Sequence[np.ndarray], paths: Sequence[str]) -> np.ndarray:
    if len({len(part) for part in parts}) != 1:
        raise InputError(f"{', '.join(paths)} do not have the same number of samples")
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
