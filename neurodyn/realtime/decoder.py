"""A fitted model as a decoder that takes one bin at a time."""

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError
from neurodyn.realtime.adaptive import AdaptiveIntervals
from neurodyn.realtime.freezable import Freezable, check_same_sizes, runner_of
from neurodyn.realtime.latency import Stats, StepCounts
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.listener import StepListener
from neurodyn.realtime.recalibration import Recalibration
from neurodyn.realtime.runner import BadInput, Frozen, LiveEstimate, Runner, load_arrays, save_arrays
from neurodyn.realtime.target_feedback import TargetFeedback
from neurodyn.writing import writing

REMEMBERED = 100_000
"""Bins whose true target :meth:`RealtimeDecoder.observe` keeps: a quarter of an hour at 10 ms."""


class RealtimeDecoder(Shown):
    """Recursive decoder: equal to the offline filter bin for bin.

    A :class:`neurodyn.realtime.runner.Runner`, the NumPy code of exported decoders, with what a rig needs around it.

    Parameters
    ----------
    model
        The trained model with its read-outs, or one that was exported.
    remembered
        Bins whose true target is kept for recalibration.
    output
        Bounds of what is handed out as the target; None for none.
    intervals
        How intervals follow the true targets given to :meth:`observe`; None keeps those that training found.
    recalibration
        How the read-out follows them; None: it is that of training.

    Raises
    ------
    InputError
        If the model's numbers make no decoder, or bounds are of another target.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.realtime.follower import follower
    >>> live = nd.RealtimeDecoder(follower(["x", "y"]))  # made by hand; that of a fitted model is model.realtime()
    >>> live.step({"field": [1.0, -2.0]}, t=0.01).target.tolist()
    [0.5, -1.0]
    >>> live.step({"field": None}, t=0.02).stale
    ('field',)
    """

    def __init__(
        self,
        model: Freezable | Frozen,
        *,
        remembered: int = REMEMBERED,
        output: OutputLimits | None = None,
        intervals: AdaptiveIntervals | None = None,
        recalibration: Recalibration | None = None,
    ) -> None:
        self._runner, self._output = runner_of(model), output
        if output is not None:
            output.check(len(self.target_names))
        self._feedback = TargetFeedback(len(self.target_names), remembered, intervals, recalibration)
        self._next: Runner | None = None
        self._limits: dict[str, np.ndarray] | None = None  # that were set; they outlast a swap
        self._listener: StepListener | None = None
        self._time = np.nan  # of the last bin
        self._forget_counts()
        self.warmup()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        output: OutputLimits | None = None,
        intervals: AdaptiveIntervals | None = None,
        recalibration: Recalibration | None = None,
    ) -> "RealtimeDecoder":
        """Read a decoder that ``model.export(path)`` wrote; needs no JAX. The other arguments are those of a new one.

        Raises
        ------
        InputError
            If the file holds something else.
        """
        try:
            return cls(Frozen.load(path), output=output, intervals=intervals, recalibration=recalibration)
        except ValueError as error:
            raise InputError(str(error)) from error

    @property
    def runner(self) -> Runner:
        """The decoder proper: sizes, names, tables of gains."""
        return self._runner

    @property
    def output(self) -> OutputLimits | None:
        """Bounds of the target."""
        return self._output

    @property
    def intervals(self) -> AdaptiveIntervals | None:
        """How intervals follow the truth."""
        return self._feedback.intervals

    @property
    def recalibration(self) -> Recalibration | None:
        """How the read-out follows the truth."""
        return self._feedback.recalibration

    @property
    def width(self) -> float:
        """Width of a bin, seconds."""
        return self._runner.frozen.settings["width_seconds"]

    @property
    def channels(self) -> dict[str, int]:
        """Channels of each modality, in the order of the modality table."""
        return {m.name: m.channels for m in self._runner.modalities}

    @property
    def channel_names(self) -> dict[str, tuple[str, ...]]:
        """Labels of the channels of each modality, in the order in which `step` takes their values."""
        return {name: tuple(labels) for name, labels in self._runner.frozen.settings["channel_names"].items()}

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the target's dimensions."""
        return tuple(self._runner.frozen.settings["target_names"])

    @property
    def target_units(self) -> tuple[str, ...]:
        """Units of the target's dimensions, "" where they are not known; of decoders of earlier versions none is."""
        units = self._runner.frozen.settings.get("target_units", ())
        return tuple(map(str, units)) if len(units) == len(self.target_names) else ("",) * len(self.target_names)

    def _facts(self) -> Iterable[tuple[str, str]]:
        latency = self._counts.latency
        yield "bins", f"{1e3 * self.width:g} ms, {latency.total:,} decoded"
        yield from ((name, pluralised(channels, "channel")) for name, channels in self.channels.items())
        yield "target", listed(self.target_names) or "none"
        if latency.total:
            yield "step", f"{latency.percentile(50.0):.0f} µs at the median, {latency.worst:.0f} at worst"

    @property
    def limits(self) -> dict[str, np.ndarray]:
        """Lowest and highest value (2, channels) of each modality that is a measurement; others are missing.

        They are learned from the training data when a model is exported, and may be set, ``{}`` for none; those that
        were set outlast a swap. A decoder that was exported by an earlier version has none.
        """
        return self._runner.limits

    @limits.setter
    def limits(self, limits: Mapping[str, np.ndarray]) -> None:
        try:
            self._runner.limits = self._limits = dict(limits)
        except ValueError as error:
            raise InputError(str(error)) from error

    # Bin by bin -----------------------------------------------------------------------------------------------

    def warmup(self) -> None:
        """Run one step per modality to load code and compute the first Kalman gains, then reset."""
        for row in self._runner.modalities:
            self.step({row.name: row.usual}, 0.0)
        self.predict_ahead(1)
        self.reset()
        self._forget_counts()

    def reset(self) -> None:
        """Forget everything seen: the next bin is the first of a session. Counts and observed targets are kept."""
        if self._next is not None:
            self._adopt(self._next)
        self._runner.reset()
        self._runner.prepare()
        self._feedback.last = self._feedback.handed_out = None
        self._moved(np.nan)

    def step(self, observations: Mapping[str, Any], t: float) -> LiveEstimate:
        """Take in one bin and return what is known at its end.

        Parameters
        ----------
        observations
            Array (channel) per modality, in the unit of the training data; a modality that is None or left out is
            missing in this bin, and so is a single channel whose value is not finite.
        t
            Time of the bin's end, seconds; passed through.

        Raises
        ------
        InputError
            If a modality is unknown or has another number of channels, or a count is below 0; the decoder's state is
            unchanged.
        """
        if self._next is not None:
            self._adopt(self._next)
        if self._listener is not None:
            self._listener.before(self.snapshot)
        try:
            estimate = self._runner.step(observations, t, time.perf_counter)
        except BadInput as error:
            self._counts.refused += 1
            raise InputError(str(error)) from error
        self._feedback.decoded(estimate.target)
        estimate = self._feedback.corrected(estimate)
        if self._output is not None:
            estimate = self._output.apply(estimate, self._feedback.last, self._runner.overdue)
        self._feedback.hand_out(estimate)
        self._counts.add(estimate.microseconds, estimate.seen)
        self._time = estimate.time
        if self._listener is not None:
            self._listener.stepped(observations, estimate)
        return estimate

    def prepare(self) -> None:
        """Work ahead while there is nothing else to do: after a step, and again shortly before data are expected.

        Steps give the same numbers without it. With it, a bin whose pattern of missing samples is new takes no longer
        than any other, and one after a long sleep finds its weights in the cache.
        """
        self._runner.prepare()

    def predict_ahead(self, bins: int) -> LiveEstimate:
        """Estimate so many bins after the last step from what is known now; the decoder's state is unchanged.

        Latent and rates are those of ``transform(batch, ahead=bins)``; the modalities' own states, which the target is
        read out from too, move on by their own dynamics.
        """
        if bins < 0:
            raise InputError(f"bins ahead must be 0 or more, got {bins}")
        last = 0.0 if np.isnan(self._time) else self._time
        return self._feedback.corrected(self._runner.ahead(bins, last + bins * self.width))

    def listen(self, listener: StepListener | None) -> None:
        """Call a listener, such as a session recorder, around every step from now on; None removes it."""
        self._listener = listener

    def _moved(self, time: float) -> None:
        """Go on from another state than the last step left."""
        self._time = time
        if self._listener is not None:
            self._listener.moved()

    # The truth ------------------------------------------------------------------------------------------------

    def observe(self, target: Float[np.ndarray, " dim"] | None) -> None:
        """Keep the true target of the last bin beside what was decoded, for later recalibration; None is unknown.

        The first truth of a bin is what ``intervals`` and ``recalibration`` follow, from the next estimate on.

        Raises
        ------
        InputError
            If no bin has been decoded yet, or the target has another number of dimensions.
        """
        if target is None or not np.isfinite(target).any():
            return
        self._feedback.update(target)
        if self._listener is not None:
            self._listener.observed(np.asarray(target, np.float64))

    @property
    def widening(self) -> Float[np.ndarray, " dim"]:
        """Factor by which intervals are wider than training found them to be, per dimension of the target."""
        return self._feedback.widening.copy()

    @property
    def gain(self) -> Float[np.ndarray, " dim"]:
        """Factor that recalibration has found for each dimension of the target; 1 without it."""
        return self._feedback.gain.copy()

    def forget_truths(self) -> None:
        """Go back to the intervals and the read-out of training; :meth:`observed` still has the truths."""
        self._feedback.reset()
        self._moved(self._time)

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bins given to :meth:`observe`: times (bins,), decoded and true targets (bins, dims)."""
        return self._feedback.history()

    def swap(self, model: Freezable | Frozen | Runner) -> None:
        """Replace the model from the next step on, without interrupting decoding.

        The state goes over as it is: right for a model whose read-out was recalibrated; one whose dynamics differ finds
        its way within the memory of its filters. Limits that were set stay, those of training are the new model's. May
        be called from another thread than the one that steps.

        Parameters
        ----------
        model
            The trained model, one that was exported, or what `ready` has made of one, which takes no time.

        Raises
        ------
        InputError
            If modalities, channels, target or sizes differ; the old model goes on.
        """
        self._next = model if isinstance(model, Runner) else self.ready(model)

    def ready(self, model: Freezable | Frozen) -> Runner:
        """Make a model ready to change to, of the sizes of the running one.

        Raises
        ------
        InputError
            If modalities, channels, target or sizes differ, or its numbers make no decoder.
        """
        runner = runner_of(model)
        check_same_sizes(self._runner.frozen, runner.frozen)
        runner.step({}, 0.0)
        return runner

    def _adopt(self, runner: Runner) -> None:
        self._next = None
        runner.restore(self._runner.snapshot())
        runner.limits = runner.limits if self._limits is None else self._limits
        self._runner = runner
        self.forget_truths()

    # Snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as arrays."""
        stamp = {"time": np.asarray(self._time), "model": self._runner.frozen.fingerprint}
        return {**self._runner.snapshot(), **stamp, **self._feedback.snapshot()}

    def is_from_other_model(self, snapshot: Mapping[str, np.ndarray]) -> bool:
        """Whether a snapshot says of itself that it was taken with another model."""
        model, running = snapshot.get("model"), self._runner.frozen.fingerprint
        known = model is not None and np.shape(model) == running.shape and np.asarray(model).dtype == running.dtype
        return known and not np.array_equal(np.asarray(model), running)

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> float:
        """Go on from a snapshot of this model; returns the time of its last bin, seconds (NaN if there was none).

        Raises
        ------
        InputError
            If it is of another model, or damaged; the decoder's state is unchanged.
        """
        if not np.array_equal(snapshot.get("model", ()), self._runner.frozen.fingerprint):
            raise InputError("the snapshot is of another model: load the model it was taken with")
        try:
            time, truths = float(snapshot["time"]), self._feedback.checked(snapshot)
            self._runner.restore(snapshot)
        except ValueError as error:
            raise InputError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise InputError("the snapshot is damaged: it holds something else than numbers, or no time") from error
        self._feedback.restore(truths)
        self._moved(time)
        return time

    def save_snapshot(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot to a file, atomically: a kill at any moment leaves the previous one whole.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        with writing(path):
            save_arrays(path, self.snapshot())

    def load_snapshot(self, path: str | os.PathLike[str]) -> float:
        """Restore from a file that :meth:`save_snapshot` wrote; returns the time of its last bin.

        Raises
        ------
        InputError
            As :meth:`restore`, or if there is no such file.
        """
        try:
            return self.restore(load_arrays(path, self.snapshot()))
        except ValueError as error:
            raise InputError(str(error)) from error

    # What it did ----------------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Latency percentiles and counts since the decoder was made or warmed up."""
        tables = [part.table for part in self._runner.filters]
        hits, misses = sum(table.hits for table in tables), sum(table.misses for table in tables)
        return self._counts.stats(table_hits=hits, table_misses=misses)

    def _forget_counts(self) -> None:
        self._counts = StepCounts(self._runner.names, self.width)
