"""Trials of a batch side by side: trial x time x channel."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Float64

from neurodyn.display import Shown, pluralised

if TYPE_CHECKING:
    from neurodyn.binning.batch import MultimodalBatch


@dataclass(frozen=True, eq=False, repr=False)
class Stacked(Shown):
    """Trials of a batch side by side, the shorter ones padded at their end with missing bins.

    Parameters
    ----------
    observations, observed
        Per modality, (trial, time, channel); padded entries are 0 and not observed.
    target, target_observed
        (trial, time, dim) and (trial, time).
    valid
        (trial, time): False where padded.
    context
        (trial, time): True in the leading bins that the decoder sees and nobody scores.
    time
        (trial, time) end of each bin in seconds; NaN where padded.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> stacked = batch.stacked()
    >>> stacked.observations["spikes"].shape, stacked.target.shape, bool(stacked.valid.all())
    ((4, 100, 10), (4, 100, 3), True)
    """

    observations: dict[str, Float32[np.ndarray, "trials time _"]]
    observed: dict[str, Bool[np.ndarray, "trials time _"]]
    target: Float32[np.ndarray, "trials time dims"]
    target_observed: Bool[np.ndarray, "trials time"]
    valid: Bool[np.ndarray, "trials time"]
    context: Bool[np.ndarray, "trials time"]
    time: Float64[np.ndarray, "trials time"]

    @staticmethod
    def of(batch: "MultimodalBatch", *, observations: bool) -> "Stacked":
        """Trials of a batch as `MultimodalBatch.stacked` returns them."""
        step = np.arange(int(batch.lengths.max()))
        valid = step < batch.lengths[:, None]
        index = np.where(valid, batch.starts[:, None] + step, 0)
        mask, names = valid[..., None], batch.names if observations else ()
        return Stacked(
            observations={n: np.where(mask, batch.observations[n][index], np.float32(0)) for n in names},
            observed={n: mask & batch.observed[n][index] for n in names},
            target=np.where(mask, batch.target[index], np.float32(0)),
            target_observed=valid & batch.target_observed[index],
            valid=valid,
            context=valid & (step < batch.lead[:, None]),
            time=np.where(valid, batch.time[index], np.nan),
        )

    def _facts(self) -> Iterable[tuple[str, str]]:
        trials, bins = self.valid.shape
        yield "trials", f"{trials:,} of at most {pluralised(bins, 'bin')}"
        yield from ((name, pluralised(values.shape[2], "channel")) for name, values in self.observations.items())
        yield "target", pluralised(self.target.shape[2], "dimension")

    def scored(self) -> Bool[np.ndarray, "trials time"]:
        """Bins where a prediction of the target counts: in a trial, after its lead, target observed."""
        return self.valid & ~self.context & self.target_observed
