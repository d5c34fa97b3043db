"""Do spikes and a field together decode better than either alone, however slowly the field is sampled?"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, Tables, gain_cells, gains, markdown, mean_cell, scores_of
from experiments.fits import Task, alone, decoder, filtered_r2, fit_cells, fitted_on, study_of
from neurodyn.binning import Fold
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
AT = " at "
"""Between the name of a method and the bins from one sample of the field to the next, in the name of a task."""
DIMS = ("x", "y", "z")
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#5A5A5A", "#CC79A7", "#56B4E9")


def main(argv: list[str] | None = None) -> None:
    """Fit every method once per system and sampling interval of the field, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    found = fit_cells(fits_of(config), given.out / "parts", partial(scores, config=config), config)
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "method", "field_sample_every", "dimension", "r2"])
        for task, left in found.items():
            key = [task.seed, task.fold + 1, *task.method.split(AT)]
            writer.writerows([*key, name, f"{value:.4f}"] for name, value in zip(DIMS, left["r2"], strict=True))
    table = "\n".join(table_of(found, config["field_sample_every"], config["methods"]))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, config["field_sample_every"], config["methods"], given.out / "figure.png")


def fits_of(config: Mapping[str, Any]) -> dict[Task, Task]:
    """The fit of every cell of the table; what sees no field is the same however it is sampled, and fitted once."""
    fits = {}
    for seed, every, name in product(config["seeds"], config["field_sample_every"], config["methods"]):
        other = config["field_sample_every"][0] if name.endswith(" spikes") else every
        fits[Task(seed, 0, f"{name}{AT}{every}")] = Task(seed, 0, f"{name}{AT}{other}")
    return fits


def scores(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """R² of a method where the field is sampled once in so many bins; it sees the modalities that its name ends in."""
    name, every = task.method.split(AT)
    study = study_of({**config, "sizes": {**config["sizes"], "field_sample_every": int(every)}}, task.seed)
    method, seen = alone(name, study.batch.names)
    fold = study.folds[task.fold]
    part = Fold(fold.train.with_modalities(seen), fold.test.with_modalities(seen))
    fitted, seconds = fitted_on(decoder(study, method), part)
    return {**seconds, "r2": filtered_r2(fitted, part.test).tolist()}


def sampled_every(found: Mapping[Task, Any], bins: int) -> Tables:
    """Mean R² of every method where the field has a sample in so many bins, system by system."""
    here = {task: left for task, left in found.items() if task.method.endswith(f"{AT}{bins}")}
    return {
        name.split(AT)[0]: values for name, values in scores_of(here, lambda left: float(np.mean(left["r2"]))).items()
    }


def table_of(found: Mapping[Task, Any], sample_every: Sequence[int], methods: Sequence[str]) -> list[str]:
    """R² of every method by sampling interval of the field, and what the first gains on each, corrected at each."""
    by_interval = {every: sampled_every(found, every) for every in sample_every}
    lines = ["**Filtered R²** (mean ± half of the 95 % interval), by bins per sample of the field", ""]
    rows = [f"{name} | {' | '.join(mean_cell(by_interval[every][name]) for every in sample_every)}" for name in methods]
    lines += markdown(" | ".join(["method", *map(str, sample_every)]), rows)
    for every, tables in by_interval.items():
        lines += [f"**{methods[0]} minus each other, a sample of the field every {every} bins**", ""]
        rows = [f"{name} | {gain_cells(gain)}" for name, gain in gains(tables, methods[0]).items()]
        lines += markdown(f"method | {GAIN_HEAD}", rows)
    return lines


def save_figure(found: Mapping[Task, Any], sample_every: Sequence[int], methods: Sequence[str], path: Path) -> None:
    """R² against the sampling interval of the field: lines are means, dots systems."""
    figure = new_figure((7, 3.6))
    ax = figure.subplots()
    by_interval = [sampled_every(found, every) for every in sample_every]
    for name, colour in zip(methods, COLOURS, strict=False):
        values = np.stack([np.concatenate(tables[name])[:, 0] for tables in by_interval])
        ax.plot(sample_every, values.mean(axis=1), "o-", color=colour, label=name)
        ax.plot(sample_every, values, ".", color=colour, alpha=0.35)
    ax.set_xticks(sample_every)
    ax.set_xlabel("bins per sample of the field")
    ax.set_ylabel("R² (filtered, held out)")
    figure.legend(frameon=False, loc="outside right upper")
    save_png(figure, path)


if __name__ == "__main__":
    main()
