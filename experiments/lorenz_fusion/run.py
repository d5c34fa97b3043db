"""Do spikes and a slower field together decode better than either alone, whatever the numbers of their channels?"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, gain_cells, markdown, mean_cell, minus, scores_of, together
from experiments.fits import Task, decoder, filtered_r2, fit_all, fitted_on, fold_with_channels, study_of
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
DIMS = ("x", "y", "z")


def main(argv: list[str] | None = None) -> None:
    """Fit a model to every number of channels of either modality and of both, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    tasks = [Task(seed, 0, name) for seed, name in product(config["seeds"], cells(config["channels"]))]
    found = fit_all(tasks, given.out / "parts", partial(scores, config=config), config)
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "channels", "dimension", "r2"])
        for task, left in found.items():
            key = [task.seed, task.fold + 1, task.method]
            writer.writerows([*key, name, f"{value:.4f}"] for name, value in zip(DIMS, left["r2"], strict=True))
    table = "\n".join(table_of(found, config["channels"]))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, config["channels"], given.out / "figure.png")


def cells(channels: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Channels of spikes and of field, 0 for none, by what tables call them."""
    alone = [(n, 0) for n in channels] + [(0, n) for n in channels]
    return {cell_name(*cell): cell for cell in [*alone, *product(channels, channels)]}


def cell_name(spikes: int, field: int) -> str:
    """What tables call so many channels of each modality."""
    return " + ".join(f"{count} {name}" for count, name in ((spikes, "spikes"), (field, "field")) if count)


def scores(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """R² of the method on the channels of one cell."""
    spikes, field = cells(config["channels"])[task.method]
    channels = {"spikes": spikes, "field": field}
    fold = fold_with_channels(config, task, channels, most=max(config["channels"]))
    fitted, seconds = fitted_on(decoder(study_of(config, task.seed), config["method"]), fold)
    return {**seconds, "r2": filtered_r2(fitted, fold.test).tolist()}


def table_of(found: Mapping[Task, Any], channels: Sequence[int]) -> list[str]:
    """R² in every cell, and what both add to each alone there, corrected for all cells."""
    tables = scores_of(found, lambda left: float(np.mean(left["r2"])))
    lines = ["**Filtered R²** (mean ± half of the 95 % interval), by channels of spikes (rows) and field (columns)", ""]
    rows = [
        " | ".join([str(n), *(mean_cell(tables[cell_name(n, m)]) if n or m else "" for m in (0, *channels))])
        for n in (0, *channels)
    ]
    lines += markdown(" | ".join(["spikes", "no field", *(f"{m} field" for m in channels)]), rows)
    lines += ["**Both minus each alone**, corrected for all comparisons of this table", ""]
    pairs = [
        (cell_name(n, m), one) for n, m in product(channels, channels) for one in (cell_name(n, 0), cell_name(0, m))
    ]
    added = together({f"{both} | {one}": minus(tables[both], tables[one]) for both, one in pairs})
    return lines + markdown(f"both | alone | {GAIN_HEAD}", [f"{pair} | {gain_cells(g)}" for pair, g in added.items()])


def save_figure(found: Mapping[Task, Any], channels: Sequence[int], path: Path) -> None:
    """One panel per number of spiking channels: R² against the number of field channels, and each alone."""
    tables = {
        name: np.concatenate(values)
        for name, values in scores_of(found, lambda left: float(np.mean(left["r2"]))).items()
    }
    figure = new_figure((3.4 * len(channels), 3.2))
    for ax, spikes in zip(figure.subplots(1, len(channels), sharey=True, squeeze=False)[0], channels, strict=True):
        for label, colour, names in (
            ("both", "#D55E00", [cell_name(spikes, m) for m in channels]),
            ("spikes alone", "#0072B2", [cell_name(spikes, 0)] * len(channels)),
            ("field alone", "#009E73", [cell_name(0, m) for m in channels]),
        ):
            values = np.stack([tables[name][:, 0] for name in names])
            ax.plot(channels, values.mean(axis=1), "o-", color=colour, label=label)
            ax.plot(channels, values, ".", color=colour, alpha=0.4)
        ax.set_title(f"{spikes} spiking channels", fontsize=10)
        ax.set_xlabel("field channels")
        ax.set_xticks(channels)
    figure.axes[0].set_ylabel("R²")
    figure.axes[0].legend(frameon=False)
    save_png(figure, path)


if __name__ == "__main__":
    main()
