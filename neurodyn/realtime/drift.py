r"""Channels whose mean, spread or rate moves away from that of the training data: logged, and put back if asked.

Of what a channel has sent, each sample weighing less the older it is, mean and spread are compared with those of the
training data, by which values are z-scored. A field's channel has drifted when its mean is more than a standard
deviation from that of training, or its spread twice or half as large; a unit when it fires twice or half as often. It
is logged once, and once more when it is back by half of that.

Put back, a field's value becomes

.. math::
    x' = \mu_0 + (x - \mu)\,\frac{\sigma_0}{\sigma},

and the count of a unit is multiplied by the rate of training over its own. Shift and factor are bounded, and come in
slowly: the belief that nothing has drifted is worth a part of the memory.

Reference: of recordings whose units change over days: Degenhart et al. (2020), Stabilization of a brain-computer
interface via the alignment of low-dimensional spaces of neural activity, Nature Biomedical Engineering 4; z-scores
that follow a recording: Jarosiewicz et al. (2015), Virtual typing by people with tetraplegia using a self-calibrating
intracortical brain-computer interface, Science Translational Medicine 7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from neurodyn.errors import InputError
from neurodyn.given import number
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.runner import under

TAKEN = 5.0
"""Standard deviations of training beyond which a value counts as being there: one artefact is not a drift."""
ENOUGH = 0.5
"""Share of the memory that has to be filled before drift is logged."""
SPIKES = 20.0
"""Spikes that a unit of the training data would have fired within the memory for its rate to be judged."""
NAMED = 6
"""Channels that an event names."""
_PARTS = {"sums": np.float64, "block": np.float64, "told": np.bool_}
"""What is kept of a modality, and of which kind."""


@dataclass(frozen=True)
class DriftPolicy:
    """When a channel counts as drifted, and whether its values are put back.

    Parameters
    ----------
    memory
        Seconds after which a sample weighs 1/e of what it did; chosen inside training parts (``experiments/drift``). A
        shorter one follows what an animal does, which moves rates for minutes.
    shift
        Distance of a field's mean from that of training, in standard deviations of training, above which it has
        drifted; a judgement, as are the factor and the bounds.
    factor
        Ratio of spreads, or of rates, above which (and below its inverse) a channel has drifted.
    adapt
        Whether values are put back to mean and spread of the training data, as far as the bounds.
    most_shift
        Largest shift that is put back, in standard deviations of training.
    most_factor
        Largest factor that values are multiplied by, and its inverse the smallest.

    Raises
    ------
    InputError
        If a number is not positive, or a factor below 1.

    Examples
    --------
    >>> from neurodyn.realtime import DriftPolicy
    >>> DriftPolicy(adapt=True).memory
    300.0
    """

    memory: float = 300.0
    shift: float = 1.0
    factor: float = 2.0
    adapt: bool = False
    most_shift: float = 3.0
    most_factor: float = 3.0

    def __post_init__(self) -> None:
        for name in ("memory", "shift", "factor", "most_shift", "most_factor"):
            value = getattr(self, name)
            if not number(value, f"{name} of a drift must be a number, got {value!r}") > 0:
                raise InputError(f"{name} of a drift must be positive, got {value}")
        if min(self.factor, self.most_factor) < 1:
            raise InputError(f"factors of a drift must be 1 or more, got {self.factor} and {self.most_factor}")


class ChannelDrift:
    """Follows the channels of a session, whose decoder it does not change.

    Parameters
    ----------
    decoder
        Whose training data are the reference. Of a model that takes counts as they are (`published`), no rate is known,
        and no unit is followed.
    say
        Records an event.
    policy
        When a channel counts as drifted, and whether its values are put back.
    """

    def __init__(self, decoder: RealtimeDecoder, say: LogEvent, policy: DriftPolicy | None = None) -> None:
        self.policy, self._say, self._decoder = policy or DriftPolicy(), say, decoder
        self._begin()

    @property
    def told(self) -> int:
        """How many channels have drifted and are not back."""
        return sum(int(followed.told.sum()) for followed in self._followed.values())

    def forget(self) -> None:
        """Begin anew: nothing is known of the channels."""
        self._begin()

    def snapshot(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays whose names begin with ``drift``; {} as long as there is nothing."""
        if not any(followed.begun for followed in self._followed.values()):
            return {}
        kept = {"drift_memory": np.asarray(self.policy.memory)}
        for place, row in enumerate(self._runner.modalities):
            if row.name in self._followed:
                parts = self._followed[row.name].snapshot()
                kept |= {f"drift_{place}/{part}": array for part, array in parts.items()}
        return kept

    @property
    def names(self) -> tuple[str, ...]:
        """Of the arrays that `snapshot` may have."""
        places = [place for place, row in enumerate(self._runner.modalities) if row.name in self._followed]
        return "drift_memory", *(f"drift_{place}/{part}" for place in places for part in _PARTS)

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot, also one of before drift was in it; begin anew if it is damaged.

        What was learned with another memory is discarded, which is logged.

        Parameters
        ----------
        snapshot
            That `snapshot` was a part of.
        """
        self._begin()
        if "drift_memory" not in snapshot:
            return
        try:
            memory = float(snapshot["drift_memory"])
            if memory != self.policy.memory:
                self._say(EventKind.RESTORED, "", f"drift was followed with a memory of {memory:g} s: it begins anew")
                return
            for place, row in enumerate(self._runner.modalities):
                if row.name in self._followed:
                    self._followed[row.name].restore(under(snapshot, f"drift_{place}"), self.policy)
        except (ValueError, TypeError, LookupError):
            self._begin()
            self._say(EventKind.BAD_INPUT, "", "the snapshot is damaged in what was learned of drift: it begins anew")

    def _begin(self) -> None:
        """Begin anew with the model that runs now, whose training data are another reference than those of the last."""
        self._runner = runner = self._decoder.runner
        names, rows = self._decoder.channel_names, runner.frozen.settings["modalities"]
        self._followed = {
            row.name: _Followed(
                names[row.name], (row.center, row.shrink), row.counts,
                memory=self.policy.memory / (stored["clock"] * self._decoder.width),
            )
            for row, stored in zip(runner.modalities, rows, strict=True)
            if not row.counts or (row.center > 0).any()
        }  # fmt: skip

    def adapted(self, observations: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of a bin as the decoder is to get them: those that came, unless they are to be put back.

        Parameters
        ----------
        observations
            (channel,) per modality, None or left out where missing.
        """
        if not self.policy.adapt:
            return observations
        return {
            name: values if values is None or name not in self._followed else self._followed[name].put_back(values)
            for name, values in observations.items()
        }

    def learn(self, observations: Mapping[str, Any]) -> None:
        """Take in a bin as it came, and tell of channels that have drifted or are back.

        Parameters
        ----------
        observations
            As of `adapted`, before it.
        """
        if self._decoder.runner is not self._runner:
            self._begin()
        for name, values in observations.items():
            followed = self._followed.get(name)
            if followed is None or values is None or np.shape(values) != np.shape(followed.told):
                continue
            for text in followed.take(values, self.policy):
                self._say(EventKind.DRIFT, name, text)


class _Followed:
    """Moments of the channels of one modality, in units of the training data: z-scores, or rate over rate.

    Parameters
    ----------
    labels
        Of the channels.
    reference
        Mean, and inverse of the standard deviation, of the training data.
    counts
        Whether they are counts.
    memory
        Samples after which one weighs 1/e of what it did.
    """

    def __init__(
        self, labels: Sequence[str], reference: tuple[np.ndarray, np.ndarray], counts: bool, *, memory: float
    ) -> None:
        self._labels, self._counts = tuple(labels), counts
        self._center, self._shrink = (np.asarray(part, np.float64) for part in reference)
        self._full = memory
        # Taken in many at a time: a bin costs a copy, and what is followed is a hundredth of the memory behind.
        self._block = np.empty((max(1, int(memory / 100)), len(self._labels)))
        self._filled = 0
        self._sums = np.zeros((3, len(self._labels)))  # weight, first and second moment
        self._offset, self._gain = np.zeros(len(self._labels)), np.ones(len(self._labels))
        self.told = np.zeros(len(self._labels), bool)
        # The ratio of rates of a unit that hardly fires cannot be estimated within the memory.
        self._telling = self._center * memory >= SPIKES if counts else np.ones(len(self._labels), bool)

    @property
    def begun(self) -> bool:
        """Whether there has been a sample."""
        return self._filled > 0 or bool(self._sums[0].any())

    def snapshot(self) -> dict[str, np.ndarray]:
        """Sums, what waits to be added to them (sample, channel), and which channels have been logged as drifted."""
        return {"sums": self._sums.copy(), "block": self._block[: self._filled].copy(), "told": self.told.copy()}

    def restore(self, kept: Mapping[str, np.ndarray], policy: DriftPolicy) -> None:
        """Go on from there; what puts values back follows from the sums.

        Raises
        ------
        ValueError, TypeError, LookupError
            If it is damaged.
        """
        sums, block, told = (np.asarray(kept[name], dtype) for name, dtype in _PARTS.items())
        if not (sums.shape == self._sums.shape and np.isfinite(sums).all() and (sums[[0, 2]] >= 0).all()):
            raise ValueError("drift sums of wrong shape, not finite, or negative")
        if not (block.shape[1:] == told.shape == self.told.shape and len(block) < len(self._block)):
            raise ValueError("another number of samples or channels")
        self._sums, self.told, self._filled = sums.copy(), told.copy(), len(block)
        self._block[: len(block)] = block
        if policy.adapt:
            self._correct(policy)

    def put_back(self, values: Any) -> np.ndarray:
        """Values as they would have been in the training data; one that is missing stays so."""
        return np.asarray(values, np.float64) * self._gain + self._offset

    def take(self, values: Any, policy: DriftPolicy) -> list[str]:
        """Update with a sample of each channel that is not missing; return texts about channels for the event log.

        Parameters
        ----------
        values
            (channel,), NaN where missing.
        policy
            When a channel counts as drifted.
        """
        self._block[self._filled] = values
        self._filled += 1
        if self._filled < len(self._block):
            return []
        self._filled = 0
        self._absorb()
        if policy.adapt:
            self._correct(policy)
        return self._news(policy)

    def _absorb(self) -> None:
        """Add the block to the sums; a sample of a channel is as old as the number of its samples since."""
        if self._counts:
            unit = np.where(self._center > 0, self._block / np.where(self._center > 0, self._center, 1.0), 1.0)
        else:
            unit = np.clip((self._block - self._center) * self._shrink, -TAKEN, TAKEN)
        seen = np.isfinite(unit)
        unit = np.where(seen, unit, 0.0)
        decay = np.exp(-1 / self._full)
        since = np.cumsum(seen[::-1], axis=0)[::-1] - seen
        weight = np.where(seen, decay**since, 0.0)
        fresh = np.stack([weight, weight * unit, weight * unit**2]).sum(axis=1)
        self._sums = decay ** seen.sum(axis=0) * self._sums + fresh

    def _news(self, policy: DriftPolicy) -> list[str]:
        """Texts for the event log about channels that have just drifted or come back."""
        weight, mean, spread = self._moments()
        known = self._telling & (weight >= ENOUGH * -np.expm1(-1.0) / -np.expm1(-1 / self._full))
        size = self._size(mean, spread, policy)
        gone, back = known & ~self.told & (size > 1), known & self.told & (size < 0.5)
        self.told = (self.told | gone) & ~back
        texts = [
            ("has drifted" if gone.sum() == 1 else "have drifted", gone),
            ("is as in the training data again" if back.sum() == 1 else "are as in the training data again", back),
        ]
        return [
            f"{self._named(which)} {text}: {self._how(which, mean, spread)}" for text, which in texts if which.any()
        ]

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight = self._sums[0]
        mean, square = self._sums[1:] / np.maximum(weight, 1e-300)
        return weight, mean, np.sqrt(np.maximum(square - mean**2, 0.0))

    def _size(self, mean: np.ndarray, spread: np.ndarray, policy: DriftPolicy) -> np.ndarray:
        """Drift of each channel relative to what is logged: logarithms of factors, standard deviations of means."""
        with np.errstate(divide="ignore"):
            factor = np.abs(np.log(mean if self._counts else spread)) / np.log(max(policy.factor, 1 + 1e-9))
        return factor if self._counts else np.maximum(factor, np.abs(mean) / policy.shift)

    def _correct(self, policy: DriftPolicy) -> None:
        """The factor and the offset that put values back, each as far as the memory is filled and the bounds allow."""
        weight, mean, spread = self._moments()
        trust = weight / (weight + ENOUGH * self._full)
        with np.errstate(divide="ignore"):
            found = -np.log(np.maximum(mean if self._counts else spread, 1e-12))
        gain = np.exp(np.clip(trust * found, -np.log(policy.most_factor), np.log(policy.most_factor)))
        if self._counts:
            self._gain = np.where(self._telling, gain, 1.0)
            return
        shift = np.clip(trust * mean, -policy.most_shift, policy.most_shift) / self._shrink
        self._gain, self._offset = gain, self._center - gain * (self._center + shift)

    def _named(self, which: Bool[np.ndarray, " channel"]) -> str:
        names = [label for label, one in zip(self._labels, which, strict=True) if one]
        rest = len(names) - NAMED
        return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")

    def _how(self, which: Bool[np.ndarray, " channel"], mean: np.ndarray, spread: np.ndarray) -> str:
        if self._counts:
            low, high = mean[which].min(), mean[which].max()
            many = f"{low:.2g}" if which.sum() == 1 else f"{low:.2g} to {high:.2g}"
            return f"{many} times the rate of training"
        far = np.argmax(np.where(which, np.abs(mean), -1.0))
        wide = np.argmax(np.where(which, np.abs(np.log(np.maximum(spread, 1e-12))), -1.0))
        return (
            f"mean up to {mean[far]:+.2g} standard deviations from that of training, spread up to {spread[wide]:.2g} "
            "times it"
        )
