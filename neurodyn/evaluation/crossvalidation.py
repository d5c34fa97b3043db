"""Fit every method on every fold and score it on what was held out.

One fit is a function of (method, fold number, fold) alone and returns plain arrays, so that fits can run one after
the other or in worker processes and give the same result.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.folds import Fold
from neurodyn.binning.targets import ANGLE
from neurodyn.display import Shown, counted, listed
from neurodyn.errors import InputError, unknown_name
from neurodyn.evaluation.calibration import Calibration, calibrate
from neurodyn.evaluation.metrics import METRICS, Score, angle_error, score, summarise
from neurodyn.evaluation.paired import MEAN, PairedDifference, paired_difference
from neurodyn.evaluation.streaming import OnlineCheck, check_online
from neurodyn.evaluation.workers import in_workers

if TYPE_CHECKING:
    import xarray as xr


@runtime_checkable
class Decoder(Protocol):
    """What a method has to offer to be compared: the model and every baseline do."""

    def fit(self, batch: MultimodalBatch) -> "Decoder":
        """Return a decoder fitted on the batch."""
        ...

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False) -> "xr.Dataset":
        """Return ``target`` and ``deviation`` (trial x time x dim) in the unit of the target.

        A decoder without smoothed estimates says so by an attribute ``smooths`` that is False.
        """
        ...


@runtime_checkable
class FitsMany(Protocol):
    """What a method can offer beside: fits on several batches at once, each as it would be alone."""

    def fit_many(self, batches: Sequence[MultimodalBatch], *, together: bool | None = None) -> Sequence[Decoder]:
        """Return a decoder fitted on each batch; ``together=True`` refuses batches that differ in shape."""
        ...

    def faster_together(self, batches: Sequence[MultimodalBatch]) -> bool:
        """Whether that is faster than one fit after the other, on the device that there is."""
        ...


@dataclass(frozen=True, eq=False)
class Method:
    """One row of the comparison.

    Parameters
    ----------
    name
        What it is called in the results.
    decoder
        Not fitted; must pickle if fits run in worker processes.
    modalities
        What it sees.
    stream
        Whether held-out trials are also streamed through ``decoder.realtime()`` and compared, and latents kept.
    """

    name: str
    decoder: Decoder
    modalities: tuple[str, ...]
    stream: bool = False

    def __post_init__(self) -> None:
        names = (self.modalities,) if isinstance(self.modalities, str) else tuple(self.modalities)
        object.__setattr__(self, "modalities", names)


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve(Shown):
    """Course of a training run.

    Parameters
    ----------
    loss
        (epochs,) mean training loss of each epoch.
    validation_epoch, validation
        (validations,) epoch and score of each validation; the lowest is kept.
    status
        How the run ended.
    """

    loss: Float[np.ndarray, " epochs"]
    validation_epoch: Int[np.ndarray, " validations"]
    validation: Float[np.ndarray, " validations"]
    status: str

    def _title(self) -> str:
        return f"LearningCurve: {counted(len(self.loss), 'epoch')}, {self.status}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if len(self.loss):
            yield "loss", f"{self.loss[0]:.4g} at first, {self.loss[-1]:.4g} at last"
        if len(self.validation):
            best = int(np.argmin(self.validation))
            yield "validation", f"{self.validation[best]:.4g} at best, after epoch {self.validation_epoch[best]}"


@dataclass(frozen=True, eq=False, repr=False)
class Decoded(Shown):
    """Held-out target, true and decoded; the bins of the test trials end to end, without their context.

    Parameters
    ----------
    time
        (bins,) end of each bin in seconds.
    trial
        (bins,) number of the test trial.
    scored
        (bins,) False where the true target is not known.
    true, filtered, deviation, smoothed
        (bins, dims) in the unit of the target; ``deviation`` is the standard error of ``filtered``, and ``smoothed`` is
        None for a causal method.
    """

    time: Float[np.ndarray, " bins"]
    trial: Int[np.ndarray, " bins"]
    scored: Bool[np.ndarray, " bins"]
    true: Float[np.ndarray, "bins dims"]
    filtered: Float[np.ndarray, "bins dims"]
    deviation: Float[np.ndarray, "bins dims"]
    smoothed: Float[np.ndarray, "bins dims"] | None

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "bins", f"{len(self.time):,}, {int(self.scored.sum()):,} of them scored"
        yield "target", counted(self.true.shape[1], "dimension")
        yield "estimates", "filtered" if self.smoothed is None else "filtered, smoothed"


@dataclass(frozen=True, eq=False, repr=False)
class FoldResult(Shown):
    """One method on one fold.

    Parameters
    ----------
    method, fold
        Name, and number from 0.
    filtered, smoothed
        Scores on held-out data; ``smoothed`` is None for a method that has no such estimate.
    decoded
        What was decoded.
    fit_seconds
        Wall-clock time of the fit, compilation included; of folds fitted together, an equal share each.
    learning
        Course of the training, None for a method without.
    latent
        (bins, latent) smoothed latents, at the bins of ``decoded``; None if not asked for.
    online
        Real time against offline; None if not asked for.
    train_bins
        Bins with a known target that were fitted on; None if that is not known.
    """

    method: str
    fold: int
    filtered: Score
    smoothed: Score | None
    decoded: Decoded
    fit_seconds: float
    learning: LearningCurve | None = None
    latent: Float[np.ndarray, "bins latent"] | None = None
    online: OnlineCheck | None = None
    train_bins: int | None = None

    def _title(self) -> str:
        return f"FoldResult: {self.method}, fold {self.fold + 1}, fitted in {self.fit_seconds:.1f} s"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for estimate, found in (("filtered", self.filtered), ("smoothed", self.smoothed)):
            if found is not None:
                per_dim = listed(f"{n} {value:.3f}" for n, value in zip(found.dims, found.r2, strict=True))
                yield estimate, f"R² {found.r2.mean():.3f} ({per_dim}), {counted(found.n_bins, 'bin')} scored"


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(Shown):
    """All methods on all folds.

    Parameters
    ----------
    methods
        Names in the order they were given.
    dims
        Names of the target dimensions.
    n_folds
        Number of folds.
    results
        One per method and fold, ordered by method, then fold.
    """

    methods: tuple[str, ...]
    dims: tuple[str, ...]
    n_folds: int
    results: tuple[FoldResult, ...]

    def _title(self) -> str:
        folds = counted(self.n_folds, "fold")
        return f"CrossValidation: held-out R² of {listed(self.dims)}, mean ± spread over {folds}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for method in self.methods:
            parts = []
            for smoothed, estimate in ((False, "filtered"), (True, "smoothed")):
                values = np.asarray([found.r2.mean() for found in self.scores(method, smoothed=smoothed)])
                parts += [f"{values.mean():.3f} ± {values.std():.3f} {estimate}"] if len(values) else []
            yield method, ", ".join(parts)

    def of(self, method: str) -> tuple[FoldResult, ...]:
        """Return the folds of one method, in order."""
        if method not in self.methods:
            raise unknown_name("method", method, self.methods)
        return tuple(result for result in self.results if result.method == method)

    def scores(self, method: str, *, smoothed: bool = False) -> tuple[Score, ...]:
        """Return the score of each fold of one method; none if smoothed ones are asked for and it has none."""
        found = (result.smoothed if smoothed else result.filtered for result in self.of(method))
        return tuple(one for one in found if one is not None)

    def summary(self) -> dict[str, Any]:
        """Summarise as plain numbers: ``<method>.<filtered|smoothed>.<correlation|r2>``, see ``summarise``.

        A method without smoothed estimates has no such key.
        """
        found: dict[str, Any] = {}
        for method in self.methods:
            found[method] = {"filtered": summarise(self.scores(method))}
            if smoothed := self.scores(method, smoothed=True):
                found[method]["smoothed"] = summarise(smoothed)
        return found

    def calibration(self, method: str) -> Calibration | None:
        """How the filtered estimate's intervals fared, over the scored bins of all folds of one method.

        None for a method that gives a bin no spread.
        """
        decoded = [result.decoded for result in self.of(method)]
        parts = [(d.true[d.scored], d.filtered[d.scored], d.deviation[d.scored]) for d in decoded]
        true, filtered, deviation = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return calibrate(true, filtered, deviation) if (deviation > 0).all() else None

    def difference(self, method: str, other: str, *, metric: str = "r2", smoothed: bool = False) -> PairedDifference:
        """By how much one method decodes better than another, paired over folds, per dimension of the target.

        Parameters
        ----------
        method, other
            The score of the first minus that of the second.
        metric
            'r2' or 'correlation'.
        smoothed
            Whether smoothed estimates are compared instead of filtered ones.

        Returns
        -------
        Differences with 95 % intervals and p values of the corrected resampled t-test (see
        :mod:`neurodyn.evaluation.paired`).

        Raises
        ------
        InputError
            If a method is not there or has no smoothed estimates, or there is no such metric.
        """
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        tables = []
        for name in (method, other):
            if not (scores := self.scores(name, smoothed=smoothed)):
                raise InputError(f"method '{name}' has no smoothed estimates to compare: leave smoothed=True out")
            tables.append(np.stack([np.asarray(getattr(one, metric), np.float64) for one in scores]))
        values = tables[0] - tables[1]
        values = np.concatenate([values.mean(axis=1, keepdims=True), values], axis=1)
        estimate, dims = "smoothed" if smoothed else "filtered", (MEAN, *self.dims)
        mean, low, high, p_value = paired_difference(values, self._test_to_train(method))
        return PairedDifference(
            method=method, other=other, metric=metric, estimate=estimate, dims=dims, per_fold=values,
            difference=mean, low=low, high=high, p_value=p_value,
        )  # fmt: skip

    def _test_to_train(self, method: str) -> float:
        """Scored bins by bins fitted on, over all folds; of folds of equal size where that is not known."""
        results = self.of(method)
        trained = [result.train_bins for result in results]
        if any(count is None for count in trained):
            return 1 / (self.n_folds - 1)
        return sum(result.filtered.n_bins for result in results) / sum(count or 0 for count in trained)

    def angle_errors(self) -> dict[str, dict[str, dict[str, float]]]:
        """Errors of a decoded direction in degrees, over the scored bins of all folds; empty if none was decoded.

        Returns
        -------
        ``<method>.<filtered|smoothed>.<mean|median>``; a quarter of a turn, 90, is what chance gives.
        """
        if not set(ANGLE) <= set(self.dims):
            return {}
        columns, found = [self.dims.index(name) for name in ANGLE], {}
        for method in self.methods:
            decoded = [result.decoded for result in self.of(method)]
            for estimate in ("filtered", "smoothed"):
                pairs = [(d.true[d.scored], getattr(d, estimate)) for d in decoded]
                if any(values is None for _, values in pairs):
                    continue
                errors = [
                    angle_error(true[:, columns], values[d.scored][:, columns])
                    for d, (true, values) in zip(decoded, pairs, strict=True)
                ]
                joined = np.concatenate(errors)
                found.setdefault(method, {})[estimate] = {
                    "mean": float(joined.mean()), "median": float(np.median(joined)),
                }  # fmt: skip
        return found

    def online(self) -> tuple[OnlineCheck, ...]:
        """Return what was streamed, one per fold of each method that was."""
        return tuple(result.online for result in self.results if result.online is not None)


def check_folds(methods: Sequence[Method], folds: Sequence[Fold]) -> None:
    """Refuse folds that a fit or a score would stumble over, before any time is spent.

    Raises
    ------
    InputError
        For what is no method or fold, fewer than two folds, no method, two of one name, data that cannot be fitted, or
        a target dimension that is constant where it is scored; the message names the fold.
    """
    _check_kinds(methods, folds)
    names = [method.name for method in methods]
    if not names or len(set(names)) != len(names):
        raise InputError(f"a comparison needs methods of different names, got: {', '.join(names) or 'none'}")
    if len(folds) < 2:
        raise InputError(f"cross-validation needs at least 2 folds, got {len(folds)}")
    for number, fold in enumerate(folds, start=1):
        if fold.train.n_dims == 0:
            raise InputError("there is no target to decode: name one")
        try:
            check_usable(fold.train)
        except InputError as error:
            raise InputError(f"fold {number} of {len(folds)} cannot be trained on: {error}") from error
        _check_scorable(fold.test, f"fold {number} of {len(folds)}")


def cross_validate(
    methods: Sequence[Method],
    folds: Sequence[Fold],
    *,
    jobs: int = 1,
    together: bool | None = None,
    max_stream_bins: int | None = 10_000,
    on_result: Callable[[FoldResult], None] | None = None,
) -> CrossValidation:
    """Fit and score every method on every fold.

    Parameters
    ----------
    methods
        What is compared; all see the same folds.
    folds
        Training and test parts.
    jobs
        Fits at a time: 1 runs them in this process; more run them in as many new processes of one thread each.
    together
        Whether the folds of a method that can (``FitsMany``) are fitted together, in this process: None for those of
        equal shape where the method says that it is faster, True to insist on it.
    max_stream_bins
        Most bins per fold streamed through the real-time decoder; None for all.
    on_result
        Called with each result as it comes, in no particular order: for showing progress.

    Returns
    -------
    CrossValidation

    Raises
    ------
    InputError
        See ``check_folds``; or ``together=True`` with several jobs, methods of which none can, or unequal folds.
    NeurodynError
        If a worker process dies.
    KeyboardInterrupt
        On Ctrl-C, after the worker processes have been stopped.
    """
    check_folds(methods, folds)
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    if together:
        _check_together(methods, jobs)
    tasks = [
        (method, number, _restricted(fold, method.modalities), max_stream_bins)
        # Fold by fold, so that workers compile different methods instead of each the same.
        for number, fold in enumerate(folds)
        for method in methods
    ]
    results = []
    for result in _in_turn(tasks, together) if jobs == 1 else in_workers(evaluate, tasks, jobs):
        results.append(result)
        if on_result is not None:
            on_result(result)
    order = {method.name: place for place, method in enumerate(methods)}
    results.sort(key=lambda result: (order[result.method], result.fold))
    return CrossValidation(tuple(order), folds[0].test.target_names, len(folds), tuple(results))


_Task = tuple[Method, int, Fold, int | None]


def evaluate(method: Method, number: int, fold: Fold, max_stream_bins: int | None = None) -> FoldResult:
    """Fit one method on one fold and score it; the unit of work of ``cross_validate``.

    Parameters
    ----------
    method
        Fitted on ``fold.train`` as it is: the fold already has the method's modalities only.
    number
        Of the fold, from 0.
    fold
        Training and test part.
    max_stream_bins
        Most bins streamed.
    """
    begin = time.perf_counter()
    fitted = method.decoder.fit(fold.train)
    return judge(method, number, fold, fitted, time.perf_counter() - begin, max_stream_bins)


def judge(
    method: Method, number: int, fold: Fold, fitted: Decoder, seconds: float, max_stream_bins: int | None = None
) -> FoldResult:
    """Score what a method fitted on a fold in so many seconds; see ``evaluate``."""
    learning = learning_curve(fitted)
    if learning is not None and learning.status == "interrupted":
        raise KeyboardInterrupt
    decoded = decode(fitted, fold.test)
    names = fold.test.target_names
    true, scored = decoded.true[decoded.scored], decoded.scored
    latent, online = _streamed(fitted, fold.test, max_stream_bins) if method.stream else (None, None)
    return FoldResult(
        method=method.name, fold=number, filtered=score(true, decoded.filtered[scored], names),
        smoothed=None if decoded.smoothed is None else score(true, decoded.smoothed[scored], names), decoded=decoded,
        fit_seconds=seconds, learning=learning, latent=latent, online=online,
        train_bins=int((fold.train.in_trials() & fold.train.target_observed).sum()),
    )  # fmt: skip


def decode(fitted: Decoder, batch: MultimodalBatch) -> Decoded:
    """Decode the trials of a batch, filtered and smoothed, and lay them end to end without their context."""
    stacked = batch.stacked(observations=False)
    kept = stacked.valid & ~stacked.context
    filtered = fitted.predict(batch)
    smoothed = fitted.predict(batch, smoothed=True) if getattr(fitted, "smooths", True) else None
    return Decoded(
        time=stacked.time[kept],
        trial=np.nonzero(kept)[0].astype(np.int64),
        scored=stacked.target_observed[kept],
        true=stacked.target[kept].astype(np.float64),
        filtered=filtered["target"].to_numpy()[kept],
        deviation=filtered["deviation"].to_numpy()[kept],
        smoothed=None if smoothed is None else smoothed["target"].to_numpy()[kept],
    )


def learning_curve(fitted: Any) -> LearningCurve | None:
    """Course of the training of a fitted decoder, None if it has none."""
    state = getattr(fitted, "fitted_", None)
    history = getattr(state, "history", None)
    if state is None or history is None:
        return None
    return LearningCurve(
        np.asarray(history.loss, np.float64),
        np.asarray(history.validation_epoch, np.int64),
        np.asarray(history.validation, np.float64),
        str(state.status),
    )


def _streamed(fitted: Any, test: MultimodalBatch, max_bins: int | None) -> tuple[np.ndarray, OnlineCheck]:
    stacked = test.stacked(observations=False)
    latent = fitted.transform(test, smoothed=True)["latent"].to_numpy()[stacked.valid & ~stacked.context]
    return latent, check_online(fitted, test, max_bins=max_bins)


def _check_kinds(methods: Sequence[Method], folds: Sequence[Fold]) -> None:
    """Refuse what a caller may take for methods and folds."""
    for what, given, kind in (("methods", methods, Method), ("folds", folds, Fold)):
        items = list(given) if isinstance(given, Sequence) else [given]
        wrong = [item for item in items if not isinstance(item, kind)]
        if wrong or not isinstance(given, Sequence):
            example = {
                "methods": 'Method("multimodal", MultiscaleDecoder(), batch.names)',
                "folds": "time_folds(batch, 5, gap=2.0)",
            }[what]
            found = type(wrong[0] if wrong else given).__name__
            raise InputError(f"{what} are a list, such as {example}; got a {found}")


def _check_scorable(test: MultimodalBatch, where: str) -> None:
    target = test.stacked(observations=False).target[test.scored()]
    if len(target) < 2:
        raise InputError(f"{where} has fewer than two bins to score: use fewer folds")
    constant = np.ptp(target, axis=0) == 0
    if constant.any():
        name = test.target_names[int(np.argmax(constant))]
        raise InputError(f"target '{name}' is constant in the test part of {where}: use fewer folds, or leave it out")


def _restricted(fold: Fold, modalities: Sequence[str]) -> Fold:
    return Fold(fold.train.with_modalities(modalities), fold.test.with_modalities(modalities))


def _check_together(methods: Sequence[Method], jobs: int) -> None:
    if jobs > 1:
        raise InputError(f"folds are fitted together in one process: together=True needs jobs=1, got {jobs}")
    if not any(isinstance(method.decoder, FitsMany) for method in methods):
        names = ", ".join(method.name for method in methods)
        raise InputError(f"none of the methods can fit folds together: leave together=True out for {names}")


def _in_turn(tasks: Sequence[_Task], together: bool | None) -> Iterator[FoldResult]:
    fitted: dict[tuple[str, int], tuple[Decoder, float]] = {}
    for method, number, fold, most in tasks:
        if number == tasks[0][1] and together is not False and isinstance(method.decoder, FitsMany):
            folds = {n: f.train for m, n, f, _ in tasks if m is method}
            if together or method.decoder.faster_together(list(folds.values())):
                fitted |= _fit_folds(method, folds, together)
        if (method.name, number) in fitted:
            yield judge(method, number, fold, *fitted.pop((method.name, number)), most)
        else:
            yield evaluate(method, number, fold, most)


def _fit_folds(
    method: Method, folds: Mapping[int, MultimodalBatch], together: bool | None
) -> dict[tuple[str, int], tuple[Decoder, float]]:
    """All folds of a method, each with its share of the seconds."""
    assert isinstance(method.decoder, FitsMany)
    begin = time.perf_counter()
    fitted = method.decoder.fit_many(list(folds.values()), together=together)
    seconds = (time.perf_counter() - begin) / len(folds)
    return {(method.name, number): (one, seconds) for number, one in zip(folds, fitted, strict=True)}
