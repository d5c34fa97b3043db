"""Z-scores with statistics of the training trials only; missing entries count nowhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError, unknown_name

_CHANNELS = 64
"""Channels whose statistics are taken at once."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation per channel and target dimension.

        scaled = (value - mean) / scale

    `apply` and `invert` leave counts as they are, because their likelihood needs counts;
    their statistics are here for an encoder that wants centred inputs.

    Parameters
    ----------
    mean, scale
        Per modality (channels,), in the unit of the observations.
    target_mean, target_scale
        (dims,) in the unit of the target.
    counts
        Names of the modalities that stay counts.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling = nd.binning.Scaling.fit(batch)
    >>> scaled = scaling.apply(batch).observations["field"][batch.observed["field"]]
    >>> abs(float(scaled.mean())) < 1e-3, scaling.counts
    (True, ('spikes',))
    """

    mean: dict[str, Float32[np.ndarray, " _"]]
    scale: dict[str, Float32[np.ndarray, " _"]]
    target_mean: Float32[np.ndarray, " dims"]
    target_scale: Float32[np.ndarray, " dims"]
    counts: tuple[str, ...] = ()

    @classmethod
    def fit(cls, batch: MultimodalBatch) -> "Scaling":
        """Statistics over the observed entries of the trials of this batch, context bins excluded.

        A channel or dimension that never changes, or is never observed, gets scale 1 (and mean 0 if never
        observed).

        Raises
        ------
        InputError
            When the trials hold nothing but context.
        """
        inside = batch.in_trials()
        if not inside.any():
            raise InputError("scaling needs trials with bins after their context, got none")
        kept = slice(None) if inside.all() else inside  # a mask copies
        mean, scale = {}, {}
        for name in batch.names:
            mean[name], scale[name] = moments(batch.observations[name][kept], batch.observed[name][kept])
        seen = np.broadcast_to(batch.target_observed[:, None], batch.target.shape)
        target_mean, target_scale = moments(batch.target[inside], seen[inside])
        counts = tuple(m.name for m in batch.modalities if m.counts)
        return cls(mean, scale, target_mean, target_scale, counts)

    def apply(self, batch: MultimodalBatch) -> MultimodalBatch:
        """Batch with z-scored Gaussian modalities and target; missing entries stay 0."""
        return self._mapped(batch, self.apply_observation, self.apply_target)

    def apply_observation(self, name: str, values: Float[np.ndarray, "*axes _"]) -> Float32[np.ndarray, "*axes _"]:
        """Z-score values (..., channel) of one modality; counts come back unchanged."""
        if self._stays(name):
            return values.astype(np.float32)
        return ((values - self.mean[name]) / self.scale[name]).astype(np.float32)

    def invert_observation(self, name: str, values: Float[np.ndarray, "*axes _"]) -> Float32[np.ndarray, "*axes _"]:
        """Undo `apply_observation`."""
        if self._stays(name):
            return values.astype(np.float32)
        return (values * self.scale[name] + self.mean[name]).astype(np.float32)

    def apply_target(self, values: Float[np.ndarray, "*axes dims"]) -> Float32[np.ndarray, "*axes dims"]:
        """Z-score target values (..., dim)."""
        return ((values - self.target_mean) / self.target_scale).astype(np.float32)

    def _stays(self, name: str) -> bool:
        """Whether this modality is left as counts."""
        if name not in self.mean:
            raise unknown_name("modality", name, self.mean)
        return name in self.counts

    def _mapped(self, batch: MultimodalBatch, observation, target) -> MultimodalBatch:
        """Batch with both functions applied where something was observed."""
        zero = np.float32(0)
        observations = {
            name: np.where(batch.observed[name], observation(name, batch.observations[name]), zero)
            for name in batch.names
        }
        values = np.where(batch.target_observed[:, None], target(batch.target), zero)
        return replace(batch, observations=observations, target=values)


def moments(
    values: Float[np.ndarray, "bins channels"],
    observed: Bool[np.ndarray, "bins channels"],
    of: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Float32[np.ndarray, " channels"], Float32[np.ndarray, " channels"]]:
    """Mean and standard deviation of the observed entries per channel, summed in double precision.

    A channel that never changes gets a deviation of 1.

    Parameters
    ----------
    values, observed
        Entries, and which of them count.
    of
        Function of the entries whose moments are wanted instead.
    """
    count = np.maximum(observed.sum(axis=0), 1)
    mean, scale = np.zeros((2, values.shape[1]))
    # A few channels at a time: the copies in double precision would be several times the data.
    edges = np.linspace(0, values.shape[1], 1 + max(1, -(-values.shape[1] // _CHANNELS))).astype(int)
    for cut in map(slice, edges[:-1], edges[1:]):
        part, seen = values[:, cut], observed[:, cut]
        part = part if of is None else of(part)
        mean[cut] = np.where(seen, part, 0.0).sum(axis=0, dtype=np.float64) / count[cut]
        centred = np.where(seen, part - mean[cut], 0.0)
        scale[cut] = np.sqrt((centred**2).sum(axis=0) / count[cut])
    # Rounding leaves a constant channel with a spread of some 1e-16 of its level, which would blow up.
    dead = scale <= 1e-7 * np.abs(mean)
    return mean.astype(np.float32), np.where(dead, 1.0, scale).astype(np.float32)
