"""The figures of a study, with captions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn import plotting
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.components import principal_scores
from neurodyn.evaluation import Calibration, CrossValidation, Decoded, FoldResult
from neurodyn.plotting.arena import draw_arena
from neurodyn.plotting.predictions import end_to_end
from neurodyn.plotting.style import GREY, quiet
from neurodyn.report.pictures import Picture, new_figure
from neurodyn.report.summary import main_methods

_FEW_BINS = 400
"""About as many bins as one picture of a time course can show."""


def study_pictures(batch: MultimodalBatch, result: CrossValidation, *, baseline: str = "ridge") -> list[Picture]:
    """Draw the figures of a study: scores, decoded target, latents, recording, learning, latency.

    Parameters
    ----------
    batch
        What was decoded.
    result
        All methods on all folds; the first method is the one shown in detail.
    baseline
        Method drawn as a line in the figure of scores.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> result = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0))
    >>> [picture.title for picture in nd.report.study_pictures(batch, result)]
    ['How well each method decodes', 'Decoded against true target', 'The recording', 'Do the intervals hold?']
    """
    shown = middle_fold(result, result.methods[0])
    pictures = [
        _scores(result, baseline),
        _decoded(result, shown),
        _overview(batch),
    ]
    if shown.latent is not None:
        pictures.insert(2, _latents(result, shown))
    if {"x", "y"} <= set(result.dims) and "z" not in result.dims:
        pictures.insert(2, _arena(result, shown))
    if intervals := {m: found for m in result.methods if (found := result.calibration(m)) is not None}:
        pictures.append(_reliability(intervals))
    if any(r.learning is not None and len(r.learning.validation) for r in result.results):
        pictures.append(_learning(result))
    if result.online():
        pictures.append(_latency(batch, result))
    return pictures


def middle_fold(result: CrossValidation, method: str) -> FoldResult:
    """Fold whose R2 is the median: neither the best nor the worst is shown off."""
    folds = sorted(result.of(method), key=lambda r: float(r.filtered.r2.mean()))
    return folds[len(folds) // 2]


def window(decoded: Decoded, bins: int = _FEW_BINS) -> slice:
    """Stretch with the most scored bins; the earliest of several."""
    total = np.concatenate([[0], np.cumsum(decoded.scored)])
    size = min(bins, len(decoded.scored))
    start = int(np.argmax(total[size:] - total[:-size]))
    return slice(start, start + size)


def _scores(result: CrossValidation, baseline: str) -> Picture:
    figure = new_figure((9.0, 3.4))
    rows = figure.subplots(1, 4, sharey=False)
    panels = [("r2", "R²", False), ("r2", "R²", True), ("correlation", "correlation", False)]
    panels.append(("correlation", "correlation", True))
    for ax, (metric, label, smoothed) in zip(rows, panels, strict=True):
        table = {
            m: np.asarray([getattr(s, metric).mean() for s in result.scores(m, smoothed=smoothed)])
            for m in main_methods(result)
            if result.scores(m, smoothed=smoothed)
        }
        plotting.plot_scores(table, baseline=baseline, label=label, ax=ax)
        ax.set_title("smoothed" if smoothed else "filtered (live)", fontsize=10)
        if smoothed:
            ax.set_ylabel("")
    for left, right in ((rows[0], rows[1]), (rows[2], rows[3])):
        limits = [*left.get_ylim(), *right.get_ylim()]
        left.set_ylim(min(limits), max(limits))
        right.set_ylim(min(limits), max(limits))
    caption = (
        f"Mean over {len(result.dims)} target dimensions ({', '.join(result.dims)}) on held-out data. Lines: mean over "
        f"{result.n_folds} folds; dots: folds in order; dashed: {baseline}, the baseline on the same features and "
        "folds. Filtered estimates use the past only, as a live decoder does; smoothed ones the whole trial."
    )
    return Picture("How well each method decodes", caption, figure)


def _decoded(result: CrossValidation, shown: FoldResult) -> Picture:
    decoded = shown.decoded
    part = window(decoded)
    figure = new_figure((9.0, 1.7 * len(result.dims) + 0.6))
    rows = figure.subplots(len(result.dims), 1, sharex=True, squeeze=False)[:, 0]
    time, trial = _laid_out(decoded, part)
    for dim, (name, ax) in enumerate(zip(result.dims, rows, strict=True)):
        plotting.plot_estimate(
            time, decoded.true[part, dim], decoded.filtered[part, dim], decoded.deviation[part, dim],
            scored=decoded.scored[part], trial=trial, colour=plotting.method_colour(shown.method, result.methods),
            label=f"{shown.method}, live", name=name.replace("_", " "), ax=ax,
        )  # fmt: skip
    rows[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9)
    rows[-1].set_xlabel("time (s)")
    trials = len(np.unique(trial))
    what = "Several held-out trials end to end" if trials > 1 else "A held-out stretch"
    caption = (
        f"{what} of fold {shown.fold + 1}, the fold with the median score. Black: true; colour: decoded from the past "
        "alone, with the central 95 % of the predictive distribution."
    )
    return Picture("Decoded against true target", caption, figure)


def _arena(result: CrossValidation, shown: FoldResult) -> Picture:
    """The place decoded, where the target is one."""
    decoded = shown.decoded
    part = window(decoded, _FEW_BINS // 2)
    places = [result.dims.index(name) for name in ("x", "y")]
    true = np.where(decoded.scored[part, None], decoded.true[part][:, places], np.nan)
    figure = new_figure((5.0, 4.6))
    ax = quiet(figure.add_subplot())
    draw_arena(
        true, decoded.filtered[part][:, places], decoded.deviation[part][:, places],
        breaks=np.flatnonzero(np.diff(decoded.trial[part])) + 1,
        colour=plotting.method_colour(shown.method, result.methods), ax=ax,
    )  # fmt: skip
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    caption = (
        f"The place, true and decoded live, in {np.ptp(decoded.time[part]):.0f} s of the fold with the median score. "
        "Each ellipse holds 95 % of the prediction at one moment; its middle is the dot."
    )
    return Picture("In the arena", caption, figure)


def _laid_out(decoded: Decoded, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Recorded time within one trial; trials drawn end to end where there are several."""
    time, trial = decoded.time[part], decoded.trial[part]
    return end_to_end(time, trial, float(np.median(np.diff(time)))), trial


def _latents(result: CrossValidation, shown: FoldResult) -> Picture:
    assert shown.latent is not None
    decoded = shown.decoded
    part = window(decoded, 5 * _FEW_BINS)
    path = principal_scores(shown.latent[part], 3)
    dims = min(3, len(result.dims))
    figure = new_figure((3.6 * dims, 3.6))
    flat = path.shape[1] < 3
    for dim in range(dims):
        ax = figure.add_subplot(1, dims, dim + 1, projection=None if flat else "3d")
        name = result.dims[dim].replace("_", " ")
        value = np.where(decoded.scored[part], decoded.true[part, dim], np.nan)
        _trajectory(path, value, decoded.trial[part], f"true {name}", ax)
    caption = (
        f"First {path.shape[1]} principal components of the smoothed latents ({shown.method}, held-out data of fold "
        f"{shown.fold + 1}), coloured by the true target (dark: low, bright: high), which the decoder did not see."
    )
    return Picture("Latent trajectories", caption, figure)


def _trajectory(path: np.ndarray, value: np.ndarray, trial: np.ndarray, name: str, ax: Any) -> None:
    if path.shape[1] == 1:  # one latent only: against the number of the bin
        path = np.column_stack([np.arange(len(path), dtype=path.dtype), path])
    labels = tuple(f"PC {i + 1}" for i in range(path.shape[1]))
    plotting.plot_trajectory(path, value, trial=trial, axis_names=labels, ax=ax)
    ax.set_title(name, fontsize=10)


def _overview(batch: MultimodalBatch) -> Picture:
    part, time = _stretch(batch)
    rows = len(batch.modalities) + (1 if batch.n_dims else 0)
    figure = new_figure((9.0, 1.7 * rows + 0.4))
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for row, ax in zip(batch.modalities, panels, strict=False):
        values, seen = batch.observations[row.name][part], batch.observed[row.name][part]
        if row.counts:
            plotting.plot_counts(time, values, seen, ax=ax)
        else:
            plotting.plot_field(time, _standard(values, seen), seen, ax=ax)
        share = float(batch.observed[row.name][part].mean())
        ax.set_title(f"{row.name} ({row.n_channels} channels, {share:.0%} of bins observed)", fontsize=9, loc="left")
    if batch.n_dims:
        _target(batch, part, time, panels[-1])
    panels[-1].set_xlabel("time (s)")
    caption = (
        "What the decoder sees, and the target: spike counts per bin (dark: many; tinted: missing), field features "
        "(one line per feature, standardised), and the target's dimensions (standardised)."
    )
    return Picture("The recording", caption, figure)


def _target(batch: MultimodalBatch, part: slice, time: np.ndarray, ax: Any) -> None:
    seen = np.repeat(batch.target_observed[part][:, None], batch.n_dims, axis=1)
    plotting.plot_field(time, _standard(batch.target[part], seen), seen, colour=plotting.TRUTH, ax=ax)
    ax.set_yticks(-np.arange(batch.n_dims), [name.replace("_", " ") for name in batch.target_names])
    ax.set_ylabel("")
    ax.set_title("target", fontsize=9, loc="left")


def _stretch(batch: MultimodalBatch) -> tuple[slice, np.ndarray]:
    """Beginning of the longest trial, or several short ones end to end where they follow each other."""
    longest = int(np.argmax(batch.lengths))
    start = int(batch.starts[longest])
    part = slice(start, start + min(_FEW_BINS, int(batch.lengths[longest])))
    return part, batch.time[part]


def _standard(values: Float[np.ndarray, "bins _"], seen: Bool[np.ndarray, "bins _"]) -> Float[np.ndarray, "bins _"]:
    """Zero mean and unit variance over the observed bins of each column."""
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / count)
    return np.where(seen, (values - mean) / np.where(spread > 0, spread, 1), 0)


def _reliability(found: Mapping[str, Calibration]) -> Picture:
    figure = new_figure((4.2, 3.8))
    levels = next(iter(found.values())).levels
    plotting.plot_reliability(
        {method: one.coverage.mean(axis=1) for method, one in found.items()}, levels, ax=figure.add_subplot()
    )
    caption = (
        "Share of the held-out truth inside the central intervals of the filtered estimate, over all folds and "
        "dimensions, against the share they promise. Below the line they are too narrow."
    )
    return Picture("Do the intervals hold?", caption, figure)


def _learning(result: CrossValidation) -> Picture:
    methods = [m for m in result.methods if _curves(result.of(m))]
    figure = new_figure((3.2 * len(methods), 3.0))
    for ax, method in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        plotting.plot_learning(_curves(result.of(method)), colour=plotting.method_colour(method, result.methods), ax=ax)
        ax.set_title(method, fontsize=10)
        if method != methods[0]:
            ax.set_ylabel("")
    caption = (
        "Score on the validation part of the training data, one line per fold; the parameters at the dot were kept. "
        "Test data are never part of this."
    )
    return Picture("Learning curves", caption, figure)


def _curves(folds: Sequence[FoldResult]) -> list[Any]:
    return [r.learning for r in folds if r.learning is not None and len(r.learning.validation)]


def _latency(batch: MultimodalBatch, result: CrossValidation) -> Picture:
    online = result.online()
    steps = np.concatenate([o.microseconds for o in online])
    streamed = next(r.method for r in result.results if r.online is not None)
    figure = new_figure((6.0, 3.0))
    ax = figure.add_subplot()
    plotting.plot_latency(
        steps, bin_seconds=batch.width, colour=plotting.method_colour(streamed, result.methods), ax=ax
    )
    ax.set_title(ax.get_title(loc="right"), fontsize=9, color=GREY, loc="right")
    latent, target = max(o.latent_difference for o in online), max(o.target_difference for o in online)
    caption = (
        f"Held-out data streamed bin by bin through the real-time decoder ({sum(o.n_bins for o in online):,} bins, "
        f"{streamed}, while other fits may have been running). Largest difference between this and the offline filter: "
        f"{latent:.1e} in a latent, {target:.1e} standard deviations in the target."
    )
    return Picture("Time per step", caption, figure)
