"""Rows of features and target that come block by block, because all of them together would not fit into memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError
from neurodyn.threads import one_ahead

_DEAD = 1e-12  # a deviation below this share of the mean is rounding error
_BLOCK_BYTES = 2**24  # of one temporary array in double precision


class Rows(NamedTuple):
    """A block of rows.

    Attributes
    ----------
    features
        (rows, features), float32 or float64; never written to. The next block is made while this one is
        worked on, so it must be another array.
    target
        (rows, dims).
    groups
        (rows,), integer label of the group each row belongs to.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import Rows
    >>> rows = Rows(features=np.zeros((20, 3)), target=np.ones((20, 1)), groups=np.repeat([0, 1], 10))
    >>> rows.features.shape, np.unique(rows.groups).tolist()
    ((20, 3), [0, 1])
    """

    features: Float[np.ndarray, "rows features"]
    target: Float[np.ndarray, "rows dims"]
    groups: Int[np.ndarray, " rows"]


Stream = Callable[[], Iterable[Rows]]
"""Called once per pass over the data; every pass must bring the same rows in the same order."""


@dataclass(frozen=True)
class Layout:
    """Centre and scale of all rows: taken out first, only to keep sums of products free of cancellation."""

    feature_centre: Float[np.ndarray, " features"]
    feature_scale: Float[np.ndarray, " features"]
    target_centre: Float[np.ndarray, " dims"]
    target_scale: Float[np.ndarray, " dims"]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.feature_centre)


@dataclass(frozen=True)
class Summary:
    """What one pass over the rows tells.

    Attributes
    ----------
    layout
        Centre and scale.
    groups
        Labels in use, sorted.
    n_rows
        Rows of all blocks.
    """

    layout: Layout
    groups: Int[np.ndarray, " groups"]
    n_rows: int


def in_blocks(features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> Iterator[Rows]:
    """Cut arrays that are in memory into blocks of rows whose copies in double precision stay small."""
    rows = max(256, _BLOCK_BYTES // (8 * max(1, features.shape[1])))
    for first in range(0, len(features), rows):
        cut = slice(first, first + rows)
        yield Rows(features[cut], target[cut], groups[cut])


def summarise(stream: Stream) -> Summary:
    """Moments of all rows, in one pass and in double precision.

    Raises
    ------
    InputError
        If there are no rows, shapes disagree, a value is not finite, a target dimension is constant, or there are fewer
        than two groups.
    """
    features, target, labels, ranges = _Moments(), _Moments(), set(), []
    for block in one_ahead(stream()):
        _check_block(block, features, target)
        if not len(block.groups):
            continue
        features.add(block.features)
        target.add(block.target)
        labels.update(np.unique(block.groups).tolist())
        ranges += [block.target.min(0), block.target.max(0)]
    if not features.count:
        raise InputError("there are no rows to fit on: the blocks brought none")
    if not (np.isfinite(features.mean).all() and np.isfinite(target.mean).all()):
        raise InputError("features and target must be finite: leave out the bins where one is missing")
    if len(labels) < 2:
        raise InputError("choosing the penalty needs at least two groups of bins: give more data or more blocks")
    constant = np.flatnonzero(np.ptp(ranges, axis=0) == 0)
    if len(constant):
        raise InputError(f"target dimension {constant[0]} is constant: there is nothing to decode")
    layout = Layout(*features.centre_scale(), *target.centre_scale())
    return Summary(layout, np.asarray(sorted(labels), np.int64), features.count)


def standardised(block: Rows, layout: Layout, dtype: np.dtype | type) -> tuple[np.ndarray, np.ndarray]:
    """Features and target of a block without centre and scale; a constant column becomes exact zeros."""
    features = np.subtract(block.features, layout.feature_centre.astype(dtype), dtype=dtype)
    features *= (1.0 / layout.feature_scale).astype(dtype)
    return features, (block.target.astype(np.float64) - layout.target_centre) / layout.target_scale


def group_rows(labels: np.ndarray, groups: np.ndarray) -> list[tuple[int, slice | np.ndarray]]:
    """Groups of a block's rows: (index of the group among all, its rows)."""
    if not len(labels):
        return []
    if labels[0] == labels[-1] and (labels == labels[0]).all():
        return [(int(np.searchsorted(groups, labels[0])), slice(None))]
    return [(int(np.searchsorted(groups, g)), np.flatnonzero(labels == g)) for g in np.unique(labels)]


class _Moments:
    """Mean and squared deviations of columns, block after block (Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.mean = self.squares = np.zeros(0)

    def add(self, block: np.ndarray) -> None:
        """Take in some rows, a few at a time: they are copied in double precision."""
        if not self.count:
            self.first = block[0].astype(np.float64)
            self.mean, self.squares = np.zeros((2, block.shape[1]))
        rows = max(1, _BLOCK_BYTES // (8 * max(1, block.shape[1])))
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused at the end of the pass
            for first in range(0, len(block), rows):
                self._add(block[first : first + rows].astype(np.float64))

    def _add(self, rows: np.ndarray) -> None:
        mean, added = rows.mean(0), len(rows)
        rows -= mean
        apart, total = mean - self.mean, self.count + added
        self.squares += np.einsum("ij,ij->j", rows, rows) + apart**2 * (self.count * added / total)
        self.mean += apart * (added / total)
        self.count = total

    def centre_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation; of a constant column its value and 1."""
        scale = np.sqrt(self.squares / self.count)
        dead = scale <= _DEAD * np.abs(self.mean)
        return np.where(dead, self.first, self.mean), np.where(dead, 1.0, scale)


def _check_block(block: Rows, features: _Moments, target: _Moments) -> None:
    x, y, groups = block
    if x.ndim != 2 or y.ndim != 2 or groups.ndim != 1:
        raise InputError(
            "expected features (bins, features), target (bins, dims) and groups (bins,), got shapes "
            f"{x.shape}, {y.shape} and {groups.shape}"
        )
    if not len(x) == len(y) == len(groups):
        raise InputError(
            f"features, target and groups must have one row per bin, got {len(x)}, {len(y)} and {len(groups)} rows"
        )
    for what, rows, so_far in (("features", x, features), ("target dimensions", y, target)):
        if so_far.count and rows.shape[1] != len(so_far.mean):
            raise InputError(f"every block must have the same {what}, got {len(so_far.mean)}, then {rows.shape[1]}")
