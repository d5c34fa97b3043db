"""Samples that stay in their HDF5 file until they are asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError

BLOCK_VALUES = 2**22
"""Values (samples x channels) read at once where a whole signal is gone through; 32 MiB in double precision."""


@dataclass(frozen=True)
class LazyArray:
    """Samples x channels in an HDF5 file, read in slices: ``value = stored * scale + offset``.

    The file is opened for every read and closed again, so that an array may be kept, copied and sent to another
    process; the file has to stay where it is.  NumPy functions see the whole array, in memory.

    Parameters
    ----------
    path
        The file.
    dataset
        Path of the dataset in it: (samples, channels), (samples,), or (channels, samples) if `transposed`.
    n_samples
        Samples from `first` on.
    n_channels
        Channels of the dataset, before `columns` are chosen.
    scale
        One factor, or one per channel of the dataset.
    offset
        Added after scaling.
    first
        Sample of the dataset that is sample 0 here.
    columns
        Channels of the dataset to give, in order; None for all.
    transposed
        Whether channels come first in the file, as MATLAB writes it.
    missing
        Samples of the dataset that are NaN whatever the file says: first and last (not included) of each run.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     values = nd.recording.read_hdf5(path, lazy=True).field("lfp").values
    ...     type(values).__name__, values.shape, values.read(100, 110).shape
    ('LazyArray', (2500, 2), (10, 2))
    """

    path: Path
    dataset: str
    n_samples: int
    n_channels: int
    scale: float | tuple[float, ...] = 1.0
    offset: float = 0.0
    first: int = 0
    columns: tuple[int, ...] | None = None
    transposed: bool = False
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and channels."""
        return self.n_samples, self.n_channels if self.columns is None else len(self.columns)

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Double precision, whatever the file stores."""
        return np.dtype(np.float64)

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "samples channels"]:
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise InputError("samples in a file are read by a slice of rows without a step, like values[100:200]")
        first, last, _ = rows.indices(self.n_samples)
        return self.read(first, max(first, last))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.read(0, self.n_samples), dtype)

    def read(self, first: int, last: int) -> Float[np.ndarray, "samples channels"]:
        """Samples ``first`` to ``last`` (not included), in memory.

        Raises
        ------
        InputError
            If the file has gone, has changed or is damaged, or holds an infinite value.
        """
        stored = self._stored(self.first + first, self.first + last)
        values = stored.astype(np.float64) * np.asarray(self.scale) + self.offset
        if self.columns is not None:
            values = values[:, list(self.columns)]
        if np.isinf(values).any():
            raise InputError(f"'{self.dataset}' in '{self.path}' holds infinite values: mark missing samples with NaN")
        for begin, end in self.missing:
            values[max(begin - self.first - first, 0) : max(end - self.first - first, 0)] = np.nan
        return values

    def rows(self, first: int, last: int) -> "LazyArray":
        """The array of some samples, still in the file."""
        return replace(self, first=self.first + first, n_samples=max(0, last - first))

    def select(self, columns: tuple[int, ...]) -> "LazyArray":
        """The array of some channels, still in the file."""
        chosen = columns if self.columns is None else tuple(self.columns[column] for column in columns)
        return replace(self, columns=chosen)

    def without(self, runs: Iterable[tuple[int, int]]) -> "LazyArray":
        """The array with some samples missing, first and last (not included) of each run, still in the file."""
        more = tuple((self.first + begin, self.first + end) for begin, end in runs)
        return replace(self, missing=self.missing + more)

    def _stored(self, first: int, last: int) -> np.ndarray:
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                dataset = file[self.dataset]
                assert isinstance(dataset, h5py.Dataset)
                values = np.asarray(dataset[:, first:last] if self.transposed else dataset[first:last])
        except (OSError, KeyError, AssertionError, ValueError, TypeError) as error:
            raise InputError(
                f"cannot read '{self.dataset}' from '{self.path}', has the file gone or changed? HDF5 says: "
                f"{' '.join(str(error).split())}"
            ) from error
        values = values.T if self.transposed else values
        values = values[:, None] if values.ndim == 1 else values
        if values.shape != (last - first, self.n_channels) or values.dtype.kind not in "biuf":
            raise InputError(f"'{self.dataset}' in '{self.path}' has changed its shape since it was opened")
        return values


LAZY_BYTES = 2**30
"""Fields of more bytes than this stay in the file unless asked for otherwise."""


def stays_in_file(samples: int, channels: int, lazy: bool | None) -> bool:
    """Whether a signal of this size is read when it is needed."""
    return samples * channels * 8 > LAZY_BYTES if lazy is None else lazy
