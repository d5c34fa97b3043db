"""Many fits of a decoder: which are trained together, which one after the other."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.errors import InputError
from neurodyn.multiscale.fit_one import fitted_on, prepare_run
from neurodyn.multiscale.fitting import Training, fit_parameters
from neurodyn.multiscale.together import check_equal_shapes, fit_together, groups_of
from neurodyn.training import ProgressBar

if TYPE_CHECKING:
    from neurodyn.multiscale.estimator import MultiscaleDecoder


_Task = tuple["MultiscaleDecoder", MultimodalBatch]


def fit_each(
    decoder: "MultiscaleDecoder",
    batches: MultimodalBatch | Sequence[MultimodalBatch],
    *,
    seeds: Sequence[int] | None,
    together: bool | None,
    checkpoints: Sequence[str | os.PathLike[str]] | None,
) -> list["MultiscaleDecoder"]:
    """Fit on every batch with every seed, those of equal shape together where that is faster."""
    tasks = _tasks(decoder, batches, seeds)
    files = _files(checkpoints, len(tasks))
    fits: list[Callable[[], list[MultiscaleDecoder]]]
    if together and decoder.choose is not None:
        raise InputError("models whose sizes are chosen are fitted one after the other: leave together=True out")
    if (
        together is False
        or decoder.choose is not None
        or (together is None and not decoder.faster_together([batch for _, batch in tasks]))
    ):
        fits = [lambda d=d, b=b, f=f: [d.fit(b, checkpoint=f)] for (d, b), f in zip(tasks, files, strict=True)]
        return _in_turn(fits)
    runs = [prepare_run(one, batch) for one, batch in tasks]
    if together:
        check_equal_shapes(runs, _labels(tasks))
    groups = groups_of(runs)
    fits = [lambda g=g: _fit_group([tasks[n] for n in g], [runs[n] for n in g], [files[n] for n in g]) for g in groups]
    fitted = dict(zip(chain(*groups), _in_turn(fits), strict=True))
    return [fitted[number] for number in range(len(tasks))]


def _tasks(
    decoder: "MultiscaleDecoder", batches: MultimodalBatch | Sequence[MultimodalBatch], seeds: Sequence[int] | None
) -> list[_Task]:
    """Every batch with every seed, none of them twice."""
    chosen = [batches] if isinstance(batches, MultimodalBatch) else list(batches)
    if not chosen or (seeds is not None and not len(seeds)):
        raise InputError(f"expected at least one batch and one seed, got {len(chosen)} batches and seeds {seeds}")
    for position, batch in enumerate(chosen):
        if any(batch is other for other in chosen[:position]):
            raise InputError(f"batch {position + 1} comes more than once: leave it out, or give it other seeds")
        check_usable(batch)
    if seeds is not None and len(set(seeds)) < len(seeds):
        raise InputError(f"seeds must differ, got {', '.join(map(str, seeds))}")
    training_seeds = [decoder.training.seed] if seeds is None else [int(seed) for seed in seeds]
    decoders = [replace(decoder, training=replace(decoder.training, seed=seed)) for seed in training_seeds]
    return [(decoder, batch) for batch in chosen for decoder in decoders]


def _labels(tasks: Sequence[_Task]) -> list[str]:
    return [f"model {number} (seed {decoder.training.seed})" for number, (decoder, _) in enumerate(tasks, start=1)]


def _files(checkpoints: Sequence[str | os.PathLike[str]] | None, count: int) -> list[Path | None]:
    if checkpoints is None:
        return [None] * count
    files = [Path(path) for path in checkpoints]
    if len(files) != count or len(set(files)) < count:
        raise InputError(f"expected {count} different checkpoints, one for each model, got {len(files)}")
    return list(files)


def _in_turn(fits: Sequence[Callable[[], list["MultiscaleDecoder"]]]) -> list["MultiscaleDecoder"]:
    """Results of all fits; Ctrl-C in any but the last is a real interrupt, since the others would be missing."""
    results: list[MultiscaleDecoder] = []
    for number, fit in enumerate(fits, start=1):
        results += fit()
        if number < len(fits) and any(
            one.fitted_ is not None and one.fitted_.status == "interrupted" for one in results
        ):
            raise KeyboardInterrupt
    return results


def _fit_group(
    tasks: Sequence[_Task], runs: Sequence[Training], files: Sequence[Path | None]
) -> list["MultiscaleDecoder"]:
    """Fit models of equal shape together."""
    decoder, batch = tasks[0]
    count = f"{len(tasks)} x " if len(tasks) > 1 else ""
    progress = ProgressBar(f"fit {count}{'+'.join(batch.names)}") if decoder.progress else None
    if len(tasks) == 1:  # several devices then share its trials
        trained = [fit_parameters(runs[0], checkpoint=files[0], progress=progress)]
    else:
        trained = fit_together(runs, _labels(tasks), checkpoints=files, progress=progress)
    found = zip(tasks, runs, trained, files, strict=True)
    return [replace(d, fitted_=fitted_on(d, b, run, one, file)) for (d, b), run, one, file in found]
