"""Propose a layout for a file that says nothing about what is what: a guess by names, shapes and values."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.counts import WHOLE
from neurodyn.recording.described import described_recording
from neurodyn.recording.described_pieces import regular_bins
from neurodyn.recording.layout import CountsLayout, IntervalsLayout, Layout, SignalLayout, SpikesLayout
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.left_out import Choices
from neurodyn.recording.paths import Many
from neurodyn.recording.tree import Leaf, leaves

_COUNTS = re.compile(r"spike|count|rate|neur|unit|binned|firing|^fr$|^y$|^n$")
_FIELD = re.compile(r"emg|lfp|eeg|ecog|ieeg|field|analog|volt|^csd")
_BEHAVIOUR = re.compile(r"pos|cursor|vel|acc|force|kin|hand|head|angle|speed|joint|^[xy]$|track|arm|finger|reach")
_POSITION = re.compile(r"pos|cursor|track|^xy$")
_TIME = re.compile(r"time|^ts?$|stamp|frame")
_RATE = re.compile(r"^fs|rate$|samp.*(rate|freq)|^sr$|_?hz$|freq")
_WIDTH = re.compile(r"bin.*(size|width)|^dt$|width")
_CLUSTER = re.compile(r"clu|unit|^id|_id|cell|neuron|template")
_SPIKES = re.compile(r"spike|^ts$|unit|times")
FEWEST = 10
"""Samples from which on a matrix may be a signal."""
_MOST_LOOKED_AT = 2_000_000


@dataclass(frozen=True, eq=False)
class _Found:
    """A numeric matrix of the file: its first trial where it comes in trials."""

    path: str
    values: np.ndarray | LazyArray
    trials: bool

    @property
    def container(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2].lower()

    @property
    def rows(self) -> int:
        return self.values.shape[0]


def propose_layout(variables: Mapping[str, Any]) -> Layout | None:
    """Layout that the names, shapes and values of variables suggest; only what it can indeed read stands in it.

    Parameters
    ----------
    variables
        By name, as the readers of variables give them.

    Returns
    -------
    Layout or None
        None if nothing looks like something that is read.
    """
    guess = _Guess(leaves(variables))
    layout = guess.layout()
    return _what_works(variables, layout)


def counts_without_width(variables: Mapping[str, Any]) -> str | None:
    """Path of a matrix that looks like counts in bins of a length that nothing in the file says, None without one."""
    return _Guess(leaves(variables)).counts_without_width()


def _what_works(variables: Mapping[str, Any], layout: Layout) -> Layout | None:
    """The layout without what cannot be read with it."""
    for _ in range(4):  # what is left out may be what the others hang on
        if not (layout.spikes or layout.counts or layout.fields or layout.behaviour):
            return None
        try:
            broken = described_recording("proposal", variables, layout, Choices(strict=False)).unusable
        except InputError:
            return None
        if not broken:
            return layout
        names = {(item.kind, item.name) for item in broken}
        spikes, counts = layout.spike_times, layout.counts
        layout = replace(
            layout,
            spikes="" if spikes is None or ("spikes", spikes.name) in names else layout.spikes,
            counts=None if counts is None or ("counts", counts.name) in names else counts,
            intervals=tuple(row for row in layout.intervals if ("intervals", row.name) not in names),
            **{
                kind: tuple(row for row in getattr(layout, kind) if (kind, row.name or row.variable) not in names)
                for kind in ("fields", "behaviour")
            },
        )
        if ("intervals", "trials") in names:
            layout = replace(layout, trials="")
    return None


class _Guess:
    """Guesses from the leaves of a tree."""

    def __init__(self, found: Sequence[Leaf]) -> None:
        self._leaves = found
        self._matrices = [matrix for leaf in found if (matrix := _matrix_of(leaf)) is not None]
        self._texts = [leaf for leaf in found if isinstance(leaf.value, list)]

    def layout(self) -> Layout:
        """Counts, else spike times; signals; trials."""
        counts = self._counts()
        spikes = None if counts is not None else self._spikes()
        taken = {counts.variable} if counts is not None else set()
        fields = self._signals(_FIELD, counts, taken)
        taken |= {row.variable for row in fields}
        behaviour = self._positions_named(self._signals(_BEHAVIOUR, counts, taken))
        trials = next((matrix.container for matrix in self._matrices if matrix.trials), "")
        return Layout(
            spikes=spikes or "", counts=counts, fields=fields, behaviour=behaviour, trials=trials,
            intervals=() if trials else self._tables(),
        )  # fmt: skip

    # --- counts and spikes ------------------------------------------------------------------------

    def _counts(self) -> CountsLayout | None:
        chosen = self._like_counts()
        if chosen is None:
            return None
        time, width = self._time_of(chosen), self._scalar(_WIDTH, chosen.container)
        clock: dict[str, Any] = {"time": time[0]} if time is not None else {"width": width}
        if time is None and width is None:
            return None
        values = np.asarray(chosen.values)
        rates = bool(time is not None and _are_rates(values, time[1]))
        return CountsLayout(chosen.path, rates=rates, units=self._labels(chosen), **clock)

    def counts_without_width(self) -> str | None:
        """Path of what looks like counts and cannot be proposed."""
        chosen = self._like_counts()
        return None if chosen is None or self._counts() is not None else chosen.path

    def _like_counts(self) -> _Found | None:
        candidates = [m for m in self._matrices if _COUNTS.search(m.name) and self._looks_like_counts(m)]
        return max(candidates, key=lambda m: m.values.shape[1], default=None)

    def _looks_like_counts(self, found: _Found) -> bool:
        values = found.values
        if isinstance(values, LazyArray) or values.shape[1] < 2 or (not found.trials and values.shape[0] < FEWEST):
            return False
        some = values[: max(1, _MOST_LOOKED_AT // values.shape[1])].astype(np.float64)
        some = some[np.isfinite(some)]
        return bool(some.size and some.min() >= 0 and some.max() > 0 and (some == np.round(some)).all())

    def _spikes(self) -> SpikesLayout | None:
        for leaf in self._leaves:
            value = leaf.value
            if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 2 and value.size:
                trains = [np.asarray(item) for item in value.ravel()]
                if all(_is_train(train) for train in trains) and any(train.size for train in trains):
                    return SpikesLayout(leaf.path)
        for found in self._matrices:
            vector = np.asarray(found.values).ravel() if min(found.values.shape) == 1 else None
            if vector is None or found.trials or not _SPIKES.search(found.name) or not _is_train(vector[:, None]):
                continue
            if vector.size < FEWEST or _regular(vector):
                continue
            cluster = next((m.path for m in self._matrices if m.path != found.path and m.values.size == vector.size
                            and min(m.values.shape) == 1 and _CLUSTER.search(m.name)), "")  # fmt: skip
            rate = self._scalar(_RATE, found.container)
            whole = vector.max() > 1e4 and bool((vector == np.round(vector)).all())
            spikes = SpikesLayout(found.path, cluster=cluster)
            return replace(spikes, time_unit="samples", rate=rate) if whole and rate else spikes
        return None

    # --- signals ----------------------------------------------------------------------------------

    def _signals(
        self, words: re.Pattern[str], counts: CountsLayout | None, taken: set[Any]
    ) -> tuple[SignalLayout, ...]:
        rows = []
        for found in self._matrices:
            if found.path in taken or not words.search(found.name) or _TIME.fullmatch(found.name):
                continue
            if not found.trials and max(found.values.shape) < FEWEST:
                continue
            row = SignalLayout(found.path, name=found.path.rpartition(".")[2], channels=self._labels(found))
            clock = self._clock(found, counts)
            if clock is not None:
                rows.append(replace(row, **clock))
        return tuple(rows)

    def _clock(self, found: _Found, counts: CountsLayout | None) -> dict[str, Any] | None:
        if counts is not None and isinstance(counts.variable, str):
            matrix = next(each for each in self._matrices if each.path == counts.variable)
            if matrix.rows == found.rows and matrix.container == found.container:
                return {"binned": True}
        for first in (False, True):
            samples = found.values.shape[1] if first else found.rows
            time = self._time_of(found, samples)
            if time is not None:
                return {"time": time[0], "channels_first": first}
        rate = self._scalar(_RATE, found.container)
        return None if rate is None else {"rate": rate, "channels_first": found.values.shape[0] < found.values.shape[1]}

    @staticmethod
    def _positions_named(rows: tuple[SignalLayout, ...]) -> tuple[SignalLayout, ...]:
        """The only one that looks like a position gets the name that the target of that name looks for."""
        places = [row for row in rows if _POSITION.search(row.name.lower())]
        if len(places) != 1 or any(row.name == "position" for row in rows):
            return rows
        return tuple(replace(row, name="position") if row is places[0] else row for row in rows)

    # --- what belongs together --------------------------------------------------------------------

    def _time_of(self, found: _Found, samples: int | None = None) -> tuple[str, float] | None:
        """Path and typical step of the vector of times that goes with a matrix."""
        samples = found.rows if samples is None else samples
        for other in self._matrices:
            vector = min(other.values.shape) == 1 and other.values.size == samples > 1
            if not vector or other.trials != found.trials or not _TIME.search(other.name) or other is found:
                continue
            times = np.asarray(other.values, np.float64).ravel()
            if other.container == found.container and (np.diff(times) >= 0).all() and times[-1] > times[0]:
                return other.path, float(np.median(np.diff(times)))
        return None

    def _scalar(self, words: re.Pattern[str], container: str) -> str | None:
        for leaf in self._leaves:
            place, _, name = leaf.path.rpartition(".")
            value = leaf.value.values[0] if isinstance(leaf.value, Many) and leaf.value.values else leaf.value
            one = isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf" and value.item() > 0
            if one and place in (container, "") and words.search(name.lower()):
                return leaf.path
        return None

    def _labels(self, found: _Found) -> tuple[str, ...] | str:
        """Path of the list of texts that has one per channel, the one with the most similar name."""
        fitting = [leaf for leaf in self._texts if len(leaf.value) == found.values.shape[1] and not found.trials
                   and leaf.path.rpartition(".")[0] == found.container
                   and len({text.strip() for text in leaf.value}) == len(leaf.value)]  # fmt: skip
        if not fitting:
            return ()

        def alike(leaf: Leaf) -> float:
            return difflib.SequenceMatcher(None, leaf.path.rpartition(".")[2].lower(), found.name).ratio()

        return max(fitting, key=alike).path

    def _tables(self) -> tuple[IntervalsLayout, ...]:
        """A matrix of trials whose columns are labelled, one as start and one as end."""
        for found in self._matrices:
            labels = self._labels(found)
            if found.trials or "trial" not in found.name or not labels or isinstance(labels, tuple):
                continue
            texts = [text.strip() for text in next(leaf.value for leaf in self._texts if leaf.path == labels)]
            starts = [i for i, text in enumerate(texts) if re.search(r"start|begin", text.lower())]
            stops = [i for i, text in enumerate(texts) if re.search(r"end|stop", text.lower())]
            if starts and stops:
                columns = {
                    re.sub(r"\W+", "_", text).strip("_"): f"{found.path}(:,{i + 1})" for i, text in enumerate(texts)
                }
                return (IntervalsLayout("trials", f"{found.path}(:,{starts[0] + 1})", f"{found.path}(:,{stops[0] + 1})",
                                        columns=columns),)  # fmt: skip
        return ()


def _matrix_of(leaf: Leaf) -> _Found | None:
    value, trials = leaf.value, False
    if isinstance(value, Many):
        parts = [part for part in value.values if isinstance(part, np.ndarray) and part.dtype.kind in "biuf"]
        if len(parts) != len(value.values) or not parts or all(part.size == 1 for part in parts):
            return None
        value, trials = max(parts, key=len), True
    if not isinstance(value, np.ndarray | LazyArray) or value.dtype.kind not in "biuf" or value.ndim != 2:
        return None
    return _Found(leaf.path, value, trials) if value.size > 1 else None


def _is_train(values: np.ndarray) -> bool:
    if values.size == 0:
        return True
    if values.dtype.kind not in "iuf" or min(values.shape) != 1:
        return False
    times = values.ravel().astype(np.float64)
    return bool(np.isfinite(times).all() and times[0] >= 0 and (np.diff(times) >= 0).all())


def _regular(times: np.ndarray) -> bool:
    try:
        regular_bins(times, "")
    except InputError:
        return False
    return True


def _are_rates(values: np.ndarray, step: float) -> bool:
    """Whether all are multiples of one spike per bin, and none is one alone."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    counts = known.astype(np.float64) * step
    return bool(step < 1 and (known > 0).any() and np.abs(counts - np.round(counts)).max() < WHOLE)
