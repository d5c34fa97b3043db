"""Fit every method on every fold and score it on what was held out.

One fit is a function of (method, fold number, fold) alone and returns plain arrays, so that fits can run one after
the other or in worker processes and give the same result.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.folds import Fold
from neurodyn.errors import InputError
from neurodyn.evaluation.methods import Decoder, FitsMany, Method, training_of
from neurodyn.evaluation.metrics import score
from neurodyn.evaluation.results import CrossValidation, Decoded, FoldResult, LearningCurve
from neurodyn.evaluation.streaming import OnlineCheck, check_online
from neurodyn.evaluation.workers import in_workers


def check_folds(methods: Sequence[Method], folds: Sequence[Fold]) -> None:
    """Refuse folds that a fit or a score would stumble over, before any time is spent.

    Raises
    ------
    InputError
        For what is no method or fold, fewer than two folds, no method, two of one name, data that cannot be fitted, or
        a target dimension that is constant where it is scored; the message names the fold.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> nd.evaluation.check_folds([ridge, ridge], nd.trial_folds(batch, 3, seed=0))
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: a comparison needs methods of different names, got: ridge, ridge
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

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> result = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0))
    >>> [round(score.mean("correlation"), 1) for score in result.scores("ridge")]
    [0.7, 0.7, 0.7]
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
    return score_fold(method, number, fold, fitted, time.perf_counter() - begin, max_stream_bins)


def score_fold(
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
        train_bins=int((fold.train.in_trials() & fold.train.target_observed).sum()), training=training_of(fitted),
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
            yield score_fold(method, number, fold, *fitted.pop((method.name, number)), most)
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
