"""The windows that a source's samples are averaged over, after its filters: sums, and which windows lack a sample."""

import numpy as np
from jaxtyping import Float

from neurodyn.realtime.buffers import FieldInput, Grid
from neurodyn.realtime.stamps import MEMORY
from neurodyn.recording.edges import bin_of, cut, number_of

NONE_DONE = -(2**62)
"""Number of the newest finished window while there is none: samples from before the first bin stay before it."""


class Windows:
    """Means of the filtered samples over the windows of a source, and which windows lack one.

    Parameters
    ----------
    source, grid
        The source, and the bins.
    sample_every
        Bins from one feature to the next: those of a window.
    """

    def __init__(self, source: FieldInput, grid: Grid, sample_every: int) -> None:
        self._source, self._grid, self.sample_every = source, grid, sample_every
        self._filter = source.made.filter(source.rate, source.channels)
        self._of_mean = source.made.of_mean
        self._gaps: list[tuple[float, float]] = []  # first and last tick without a sample
        self._open: dict[int, tuple[np.ndarray, int]] = {}
        self._done = NONE_DONE  # the newest window that is finished

    def __len__(self) -> int:
        return len(self._gaps) + len(self._open)

    def add(self, times: np.ndarray, values: np.ndarray, first: int) -> None:
        """Filter samples that follow one another, the first on tick ``first``, and add them to their windows."""
        self._add(times, self._level(values, first))

    def mark_missing(self, first: float, last: float) -> None:
        """Remember that no sample came from one time to another, both of ticks in seconds."""
        self._gaps = [gap for gap in self._gaps if gap[1] > first - MEMORY][-1000:]
        self._gaps.append((first, last))

    def finished(self, index: int, reached: float) -> tuple[np.ndarray | None, list[np.ndarray]]:
        """Feature of the window that ends with a bin, None if none does or it is missing; and those that come late.

        Parameters
        ----------
        index
            Of the bin.
        reached
            Time that no further sample can come before, seconds: later windows are not finished.
        """
        last, inside = divmod(index + 1, self.sample_every)
        due, late = None, []
        for number in sorted(self._open):
            if number >= last or reached < cut(self._edge(number + 1)):
                continue
            feature = self._feature(number)
            if number == last - 1 and inside == 0:
                due = feature
            elif feature is not None:
                late.append(feature)
        return due, late

    def forget(self) -> None:
        """The bins have begun anew."""
        self._open, self._gaps, self._done = {}, [], NONE_DONE

    def begin_anew(self, until: float) -> None:
        """The filters have failed: new ones, and windows up to a time (seconds) are missing as far as they are open."""
        self._filter = self._source.made.filter(self._source.rate, self._source.channels)
        last = until - 0.5 / self._source.rate
        self.mark_missing(min((self._edge(number) for number in self._open), default=last), last)

    def _level(self, values: np.ndarray, first: int) -> Float[np.ndarray, "n channels *outputs"]:
        """The samples, or what the filter makes of them; NaN where unknown."""
        if self._filter is None:
            return values
        level, known = self._filter.push(values, [(slice(0, len(values)), first)])
        return level if known.all() else np.where(known, level, np.nan)

    def _add(self, times: np.ndarray, level: np.ndarray) -> None:
        """Add samples to the sums of their windows."""
        start, width = self._grid.start, self._grid.width
        # What comes for a finished window was stamped a little before its edge, and stands for a tick on it.
        first = max(number_of(float(times[0]), start, width) // self.sample_every, self._done + 1)
        if times[-1] < cut(self._edge(first + 1)):
            self._sum(first, level)
            return
        numbers = np.maximum(bin_of(times, start, width) // self.sample_every, self._done + 1)
        for number in np.unique(numbers).tolist():
            self._sum(number, level[numbers == number])

    def _sum(self, number: int, level: np.ndarray) -> None:
        """Add samples to one window; those before the first bin belong to none."""
        if number >= 0:
            total, count = np.add.reduce(level, axis=0), len(level)
            if number in self._open:
                before, earlier = self._open[number]
                total, count = before + total, earlier + count
            self._open[number] = total, count

    def _feature(self, number: int) -> np.ndarray | None:
        """Finish a window: mean of its samples, NaN where one is lacking; None if nothing is left of it."""
        total, count = self._open.pop(number)
        self._done = max(self._done, number)
        start, stop = cut(self._edge(number)), cut(self._edge(number + 1))
        if any(start <= last and first < stop for first, last in self._gaps):
            return None
        mean = (total / count).reshape(len(total), -1)  # channels x outputs, as offline
        made = self._of_mean(mean).ravel()  # channel by channel
        return made.astype(np.float32) if np.isfinite(made).any() else None

    def _edge(self, number: int) -> float:
        """Begin of a window, seconds."""
        return self._grid.edge(number * self.sample_every)
