"""The four methods that benchmarks of brain-computer interfaces call a decoder by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.errors import InputError
from neurodyn.realtime.freezable import Freezable, frozen_of
from neurodyn.realtime.runner import Frozen, Runner


class BenchmarkDecoder:
    """A decoder of several recordings at once: ``reset``, ``predict``, ``observe``, ``on_done``.

    Arrays are (batch, channel): one row per recording, the channels of all modalities side by side in the order of the
    modality table; NaN is missing. Every row has its own state; tables of gains are shared.

    Parameters
    ----------
    model
        The trained model with its read-outs, or one that was exported.
    batch
        Recordings decoded at once.

    Reference: Karpowicz et al. (2024), Few-shot algorithms for consistent neural decoding (FALCON) benchmark, NeurIPS.
    """

    def __init__(self, model: Freezable | Frozen, *, batch: int = 1) -> None:
        if batch < 1:
            raise InputError(f"the batch must have at least one recording, got {batch}")
        first = Runner(frozen_of(model))
        self._rows = [first, *(first.fork() for _ in range(batch - 1))]
        edges = np.cumsum([0, *(m.channels for m in first.modalities)]).tolist()
        self._columns = {m.name: slice(a, b) for m, a, b in zip(first.modalities, edges[:-1], edges[1:], strict=True)}
        self._channels = edges[-1]
        self.tags: tuple[str, ...] = ()

    def reset(self, tags: Sequence[Any] = ()) -> None:
        """Start new recordings in all rows; ``tags`` say which, and are kept as text."""
        self.tags = tuple(str(tag) for tag in tags)
        for row in self._rows:
            row.reset()

    def predict(self, observations: Float[np.ndarray, "batch channel"]) -> Float[np.ndarray, "batch dim"]:
        """Take in one bin of each recording and return the decoded target of each.

        Raises
        ------
        InputError
            If the array has another shape; no state has changed then.
        """
        self._check(observations)
        rows = zip(self._rows, observations, strict=True)
        return np.stack([row.step(self._split(values)).target for row, values in rows])

    def observe(self, observations: Float[np.ndarray, "batch channel"]) -> None:
        """Take in one bin of each recording whose target is not asked for."""
        self.predict(observations)

    def on_done(self, dones: Bool[np.ndarray, " batch"]) -> None:
        """Start afresh the rows whose trial has ended."""
        if np.shape(dones) != (len(self._rows),):
            raise InputError(f"dones needs one entry per recording ({len(self._rows)}), got shape {np.shape(dones)}")
        for row, done in zip(self._rows, np.asarray(dones).tolist(), strict=True):
            if done:
                row.reset()

    def _check(self, observations: np.ndarray) -> None:
        expected = (len(self._rows), self._channels)
        if np.shape(observations) != expected:
            raise InputError(f"observations must be (batch, channels) = {expected}, got {np.shape(observations)}")

    def _split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[columns] for name, columns in self._columns.items()}
