"""How well are behaviour and neural activity predicted some bins ahead, from both modalities and from each alone?"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, Tables, gain_cells, gains, markdown, mean_cell, scores_of
from experiments.fits import MODEL, Task, alone, decoder, fit_all, fitted_on, study_of
from neurodyn.binning import Fold, MultimodalBatch
from neurodyn.evaluation.metrics import bits_per_spike, r2
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
TARGET, COUNTS, FIELD = "target", "spikes", "field"
MEASURES = {TARGET: "R² of the target", COUNTS: "bits per spike", FIELD: "R² of the field"}
"""What is predicted, and how it is scored; the modalities by their names."""
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#5A5A5A", "#CC79A7")


def main(argv: list[str] | None = None) -> None:
    """Fit every method once per system, score what it says of later bins, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    tasks = [Task(seed, 0, name) for seed, name in product(config["seeds"], config["methods"])]
    found = fit_all(tasks, given.out / "parts", partial(scores, config=config), config)
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "method", "predicted", "ahead", "score"])
        for task, left in found.items():
            for what, ahead, value in left["rows"]:
                writer.writerow([task.seed, task.fold + 1, task.method, what, ahead, f"{value:.4f}"])
    table = "\n".join(table_of(found, config["horizons"]))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, config["horizons"], given.out / "figure.png")


def scores(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """What is predicted, how many bins ahead, and the score, for every horizon."""
    study = study_of(config, task.seed)
    method, seen = alone(task.method, study.batch.names)
    fold = study.folds[task.fold]
    part = Fold(fold.train.with_modalities(seen), fold.test.with_modalities(seen))
    estimator = decoder(study, method)
    if method != MODEL:  # what knows no later bins is fitted anew for each horizon
        rows = []
        for ahead in config["horizons"]:
            fitted, _ = fitted_on(estimator, Fold(shifted(part.train, ahead), part.test))
            rows.append((TARGET, ahead, target_score(fitted.predict(part.test), part.test, ahead)))
        return {"rows": rows}
    fitted, seconds = fitted_on(estimator, part)
    return {**seconds, "rows": [row for ahead in config["horizons"] for row in model_rows(fitted, part.test, ahead)]}


def shifted(batch: MultimodalBatch, ahead: int) -> MultimodalBatch:
    """A batch whose target is that of so many bins later; not observed where there is none in the trial."""
    target, observed = np.zeros_like(batch.target), np.zeros_like(batch.target_observed)
    for start, bins in zip(batch.starts, batch.lengths, strict=True):
        here, later = slice(start, start + bins - ahead), slice(start + ahead, start + bins)
        target[here], observed[here] = batch.target[later], batch.target_observed[later]
    return replace(batch, target=target, target_observed=observed)


def model_rows(fitted: MultiscaleDecoder, test: MultimodalBatch, ahead: int) -> list[tuple[str, int, float]]:
    """Scores of what the model says of behaviour and of every modality that it sees."""
    rows = [(TARGET, ahead, target_score(fitted.predict(test, ahead=ahead), test, ahead))]
    states, stacked = fitted.transform(test, ahead=ahead), test.stacked()
    for name in test.names:
        bins = stacked.valid.shape[1] - ahead
        said = states[name].to_numpy()[:, :bins]
        true, counted = stacked.observations[name][:, ahead:], stacked.observed[name][:, ahead:]
        if name == COUNTS:
            rows.append((name, ahead, bits_per_spike(said, true, counted)))
        else:
            known = counted.all(axis=-1)
            rows.append((name, ahead, float(np.mean(r2(np.asarray(true[known], np.float64), said[known])))))
    return rows


def target_score(decoded: Any, test: MultimodalBatch, ahead: int) -> float:
    """R² of what is said of the target so many bins ahead, mean over its dimensions."""
    stacked = test.stacked(observations=False)
    said, scored = decoded["target"].to_numpy()[:, : stacked.valid.shape[1] - ahead], stacked.scored()[:, ahead:]
    return float(np.mean(r2(np.asarray(stacked.target[:, ahead:][scored], np.float64), said[scored])))


def at(found: Mapping[Task, Any], what: str, ahead: int) -> Tables:
    """Scores of one quantity at one horizon, of the methods that predict it."""
    here = {task: left for task, left in found.items() if any(row[0] == what for row in left["rows"])}
    return scores_of(here, lambda left: next(v for name, k, v in left["rows"] if (name, k) == (what, ahead)))


def table_of(found: Mapping[Task, Any], horizons: Sequence[int]) -> list[str]:
    """A table for each quantity, and what the first method gains on the others, corrected at each horizon."""
    lines = []
    for what, measure in MEASURES.items():
        columns = {ahead: at(found, what, ahead) for ahead in horizons}
        methods = list(columns[horizons[0]])
        lines += [f"**{measure[0].upper()}{measure[1:]}** (mean ± half of the 95 % interval), by bins ahead", ""]
        rows = [f"{name} | {' | '.join(mean_cell(columns[k][name]) for k in horizons)}" for name in methods]
        lines += markdown(" | ".join(["method", *map(str, horizons)]), rows)
        if len(methods) > 1:
            lines += [f"**{methods[0]} minus each other: {measure}**", ""]
            gained = {k: gains(columns[k], methods[0]) for k in horizons}
            rows = [f"{k} | {name} | {gain_cells(one)}" for k, each in gained.items() for name, one in each.items()]
            lines += markdown(f"bins ahead | method | {GAIN_HEAD}", rows)
    return lines


def save_figure(found: Mapping[Task, Any], horizons: Sequence[int], path: Path) -> None:
    """One panel for each quantity: score against bins ahead, lines are means, dots systems."""
    figure = new_figure((11, 3.4))
    colours = dict(zip(dict.fromkeys(task.method for task in found), COLOURS, strict=False))
    for ax, (what, measure) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        columns = [at(found, what, ahead) for ahead in horizons]
        for name in columns[0]:
            values = np.stack([np.concatenate(tables[name])[:, 0] for tables in columns])
            ax.plot(horizons, values.mean(axis=1), "o-", color=colours[name], label=name)
            ax.plot(horizons, values, ".", color=colours[name], alpha=0.35)
        ax.set_xlabel("bins ahead")
        ax.set_ylabel(f"{measure} (held out)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=len(labels))
    save_png(figure, path)


if __name__ == "__main__":
    main()
