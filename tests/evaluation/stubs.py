"""Decoders that cost nothing and pickle: what cross-validation does around a fit is what is tested."""

import os
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from neurodyn.binning import Stacked
from neurodyn.evaluation import labelled_target


@dataclass(frozen=True)
class Leaky:
    """A leaky sum of the first channel of each modality, times a fitted gain: offline as a scan, online as a step.

    ``error`` is added to what the online decoder says of its latents.
    """

    names: tuple[str, ...] = ("spikes", "field")
    error: float = 0.0
    gain: Any = None
    history: Any = None

    @property
    def fitted_(self):
        return None if self.gain is None else SimpleNamespace(history=self.history, status="finished")

    def fit(self, batch):
        stacked, own = batch.stacked(), replace(self, names=batch.names)
        x, y = own._latent(stacked)[stacked.scored()], stacked.target[stacked.scored()]
        gain = np.linalg.lstsq(x, y.astype(np.float64), rcond=None)[0]
        history = SimpleNamespace(loss=[3.0, 2.0], validation_epoch=[1, 2], validation=[2.0, 2.5])
        return replace(own, gain=gain, history=history)

    def predict(self, batch, *, smoothed=False):
        stacked = batch.stacked()
        target = self._latent(stacked) @ self.gain
        return labelled_target(batch, stacked, target, np.ones_like(target))

    def transform(self, batch, *, smoothed=False):
        return xr.Dataset({"latent": (("trial", "time", "latent"), self._latent(batch.stacked()))})

    def realtime(self):
        return _Live(self)

    def _latent(self, stacked: Stacked):
        first = [np.where(stacked.observed[n], stacked.observations[n], 0)[..., 0] for n in self.names]
        drive = np.stack([*first, np.ones_like(first[0])], axis=-1).astype(np.float64)
        state, out = np.zeros(drive[:, 0].shape), np.empty(drive.shape)
        for t in range(drive.shape[1]):
            state = 0.9 * state + drive[:, t]
            out[:, t] = state
        return out


class _Live:
    def __init__(self, decoder: Leaky) -> None:
        self.decoder, self.state, self.seen = decoder, 0.0, []

    def reset(self):
        self.state = 0.0
        self.seen.append("reset")

    def step(self, observations, t):
        self.seen.append({name: value is not None for name, value in observations.items()})
        drive = [0.0 if (v := observations[n]) is None else np.nan_to_num(v[0]) for n in self.decoder.names]
        self.state = 0.9 * self.state + np.array([*drive, 1.0])
        latent = self.state + self.decoder.error
        return SimpleNamespace(latent=latent, target=self.state @ self.decoder.gain, microseconds=100.0 + t)


class Dies:
    """Ends its process while fitting."""

    def fit(self, batch):
        os._exit(3)

    def predict(self, batch, *, smoothed=False):
        raise AssertionError


class Interrupted:
    """A fit that Ctrl-C ended early: it returns the best so far."""

    fitted_ = SimpleNamespace(
        history=SimpleNamespace(loss=[1.0], validation_epoch=[], validation=[]), status="interrupted"
    )

    def fit(self, batch):
        return self

    def predict(self, batch, *, smoothed=False):
        raise AssertionError


@dataclass(frozen=True)
class Many(Leaky):
    """A :class:`Leaky` that fits folds together where ``faster`` says so, and counts how often it did in ``calls``."""

    faster: bool = True
    calls: Any = None

    def fit_many(self, batches, *, together=None):
        self.calls.append((len(batches), together))
        return [self.fit(batch) for batch in batches]

    def faster_together(self, batches):
        return self.faster
