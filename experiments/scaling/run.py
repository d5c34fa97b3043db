"""How do accuracy and the time of a fit grow with trials, channels, dimensions of the latent state and epochs?"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, Tables, gain_cells, markdown, mean_cell, minus, scores_of, together
from experiments.fits import Task, decoder, filtered_r2, fit_cells, fitted_on, fold_with_channels, study_of
from neurodyn.binning import Fold
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
AT = " at "
"""Between the name of a method and that of the size that is moved, in the name of a task."""
DIMS = ("x", "y", "z")
COLOURS = ("#D55E00", "#5A5A5A", "#0072B2", "#009E73")
COMPARED = ("trials", "channels")
"""Sizes of the data, at each of which the first method is compared with each other."""


def main(argv: list[str] | None = None) -> None:
    """Fit every method at every value of every size, and put scores and seconds together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    found = fit_cells(fits_of(config), given.out / "parts", partial(scores, config=config), config)
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "method", "size", "value", "dimension", "r2", "processor_seconds"])
        for task, left in found.items():
            method, size, value = parts_of(task.method)
            key = [task.seed, task.fold + 1, method, size, value]
            for name, one in zip(DIMS, left["r2"], strict=True):
                writer.writerow([*key, name, f"{one:.4f}", f"{left['processor_seconds']:.1f}"])
    table = "\n".join(table_of(found, config))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, config, given.out / "figure.png")


def cell_name(method: str, size: str, value: int) -> str:
    """Name of a method where one size has a value and all others are those of the base."""
    return f"{method}{AT}{size} {value}"


def parts_of(name: str) -> tuple[str, str, int]:
    """Method, size and value of a cell.

    Examples
    --------
    >>> parts_of(cell_name("ridge", "trials", 5))
    ('ridge', 'trials', 5)
    """
    method, where = name.split(AT)
    size, value = where.split()
    return method, size, int(value)


def fits_of(config: Mapping[str, Any]) -> dict[Task, Task]:
    """The fit of every cell: cells at the base are one fit, whichever size they stand for."""
    base, first, fits = config["base"], next(iter(config["base"])), {}
    for seed, (method, sizes) in product(config["seeds"], config["methods"].items()):
        for size in sizes:
            for value in config["axes"][size]:
                at_base = value == base[size]
                name = cell_name(method, first, base[first]) if at_base else cell_name(method, size, value)
                fits[Task(seed, 0, cell_name(method, size, value))] = Task(seed, 0, name)
    return fits


def scores(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """R² of a method at the value of a size; every cell is tested on the same trials of the same system."""
    method, size, value = parts_of(task.method)
    at: dict[str, int] = {**config["base"], size: value}
    most = max([config["base"]["channels"], *config["axes"].get("channels", [])])
    of_model = {**config["sizes"], "latent": at["latent"], "epochs": at["epochs"]}
    study = study_of({**config, "sizes": of_model}, task.seed)
    channels = dict.fromkeys(study.batch.names, at["channels"])
    fold = fold_with_channels(config, task, channels, most)
    part = Fold(fold.train.with_trials(list(range(at["trials"]))), fold.test)
    fitted, seconds = fitted_on(decoder(study, method), part)
    return {**seconds, "r2": filtered_r2(fitted, part.test).tolist()}


def mean_r2(left: Mapping[str, Any]) -> float:
    """R² of a fit, mean of the dimensions of its target."""
    return float(np.mean(left["r2"]))


def table_of(found: Mapping[Task, Any], config: Mapping[str, Any]) -> list[str]:
    """R² and seconds by the value of each size, and what the first method gains on the others."""
    tables = scores_of(found, mean_r2)
    seconds = scores_of(found, lambda left: float(left["processor_seconds"]))
    methods, lines = config["methods"], []
    for size, values in config["axes"].items():
        names = [name for name, sizes in methods.items() if size in sizes]
        lines += [f"**Filtered R²** (mean ± half of the 95 % interval), by {size}", ""]
        rows = [f"{name} | {' | '.join(mean_cell(tables[cell_name(name, size, v)]) for v in values)}" for name in names]
        lines += markdown(" | ".join(["method", *map(str, values)]), rows)
        lines += [f"**Processor seconds of a fit**, by {size}", ""]
        means = {name: [np.mean(seconds[cell_name(name, size, v)]) for v in values] for name in names}
        rows = [f"{name} | {' | '.join(f'{mean:.0f}' for mean in taken)}" for name, taken in means.items()]
        lines += markdown(" | ".join(["method", *map(str, values)]), rows)
    hero, *others = methods
    return lines + gain_lines(tables, hero, others, config)


def gain_lines(tables: Tables, hero: str, others: Sequence[str], config: Mapping[str, Any]) -> list[str]:
    """What one method gains on the others at every size of the data, corrected for all of these comparisons."""
    pairs = {
        f"{size} {value} | {other}": minus(tables[cell_name(hero, size, value)], tables[cell_name(other, size, value)])
        for size in COMPARED if size in config["axes"]
        for value, other in product(config["axes"][size], others) if size in config["methods"][other]
    }  # fmt: skip
    lines = [f"**{hero} minus each other**, corrected for all comparisons of this table", ""]
    return lines + markdown(
        f"size | method | {GAIN_HEAD}", [f"{pair} | {gain_cells(g)}" for pair, g in together(pairs).items()]
    )


def save_figure(found: Mapping[Task, Any], config: Mapping[str, Any], path: Path) -> None:
    """A panel per size: R² against its value; lines are means, dots systems."""
    tables, axes = scores_of(found, mean_r2), config["axes"]
    figure = new_figure((3.0 * len(axes), 3.2))
    panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
    for ax, (size, values) in zip(panels, axes.items(), strict=True):
        for (name, sizes), colour in zip(config["methods"].items(), COLOURS, strict=False):
            if size not in sizes:
                continue
            points = np.stack([np.concatenate(tables[cell_name(name, size, value)])[:, 0] for value in values])
            ax.plot(values, points.mean(axis=1), "o-", color=colour, label=name)
            ax.plot(values, points, ".", color=colour, alpha=0.35)
        ax.set_xscale("log", base=2)
        ax.set_xticks(values, [str(value) for value in values])
        ax.minorticks_off()
        ax.set_xlabel(size)
    panels[0].set_ylabel("R² (filtered, held out)")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right upper")
    save_png(figure, path)


if __name__ == "__main__":
    main()
