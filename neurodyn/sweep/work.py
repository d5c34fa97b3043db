"""What a worker does: one task, from the file to its numbers in the store."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.binning import Fold
from neurodyn.cli.decode import MODEL_METHOD, build_study, methods_of
from neurodyn.cli.options import DecodeOptions
from neurodyn.cli.reading import read_given
from neurodyn.cli.study import Study
from neurodyn.compilation import start_quickly
from neurodyn.errors import InputError
from neurodyn.evaluation import FoldResult, Method, calibrate
from neurodyn.evaluation.crossvalidation import evaluate
from neurodyn.sweep import store
from neurodyn.sweep.plan import Session, Task, digest_of


def perform(task: Task, places: Sequence[Sequence[int]], out: str) -> str:
    """Do a task unless it is done, and write what it found.

    Parameters
    ----------
    task, places
        What to do, and where its numbers go.
    out
        Folder of the sweep; every worker has to see the same files in it.

    Returns
    -------
    The key of the task.
    """
    folder = Path(out)
    found = store.marked(folder, task)
    if found is None:
        start_quickly()
        found = result_of(task)
    store.write(folder, places, task, found)
    return task.key


def result_of(task: Task) -> dict[str, Any]:
    """Fit and score; numbers and text alone."""
    study = study_of(task.session, replace(task.options, seed=0), task.layout)
    method = method_of(methods_of(study.batch, task.options), task.method)
    fold = study.folds[task.fold]
    part = Fold(fold.train.with_modalities(method.modalities), fold.test.with_modalities(method.modalities))
    return numbers_of(evaluate(method, task.fold, part), fold.test.target_names)


@lru_cache(maxsize=2)
def study_of(session: Session, options: DecodeOptions, layout: str = "") -> Study:
    """Bins and folds of a session: kept for the next task of it.

    Raises
    ------
    InputError
        If its file, or the layout, is not what it was when the sweep was planned; and if it cannot be decoded.
    """
    for path, digest in ((session.path, session.digest), (options.layout, layout)):
        if path is not None and digest_of(Path(path)) != digest:
            raise InputError(f"'{path}' has changed since the sweep was begun: run the command again")
    return build_study(read_given(Path(session.path), options), options)


def method_of(methods: Sequence[Method], name: str) -> Method:
    """A method by the name it has in ``--methods``, on all modalities; nothing is streamed."""
    found = next(each for each in methods if (each.stream if name == MODEL_METHOD else each.name == name))
    return replace(found, stream=False)


def numbers_of(result: FoldResult, dims: Sequence[str]) -> dict[str, Any]:
    """What is kept of a fold."""
    nothing = np.full(len(dims), np.nan)
    scores = [
        [nothing, nothing] if each is None else [np.asarray(each.r2), np.asarray(each.correlation)]
        for each in (result.filtered, result.smoothed)
    ]
    decoded, scored = result.decoded, result.decoded.scored
    true, filtered, deviation = (part[scored] for part in (decoded.true, decoded.filtered, decoded.deviation))
    certain = (deviation > 0).all()
    covered = calibrate(true, filtered, deviation, levels=(0.95,)).coverage.mean() if certain else np.nan
    return {
        "dims": list(dims),
        "score": np.asarray(scores).tolist(),
        "coverage": float(covered),
        "fit_seconds": round(result.fit_seconds, 3),
        "train_bins": int(result.train_bins or 0),
        "test_bins": int(scored.sum()),
    }
