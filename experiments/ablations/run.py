"""What does each part of the model add to what it decodes, complete and with samples lost?"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, gain_cells, gains, markdown, mean_cell, scores_of
from experiments.fits import MODEL, Task, decoder, filtered_r2, fit_all, fitted_on, study_of
from experiments.losses import KINDS, lose
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
WHOLE = "as it is"
COMPLETE = "complete"
DIMS = ("x", "y", "z")


def with_objective(**settings: Any) -> Callable[[MultiscaleDecoder], MultiscaleDecoder]:
    """A change of the objective alone."""
    return lambda model: replace(model, objective=replace(model.objective, **settings))


def nothing_hidden(model: MultiscaleDecoder) -> MultiscaleDecoder:
    """Without time dropout, and without losses in the training of the recurrent read-out."""
    assert model.recurrent is not None
    return replace(
        with_objective(time_dropout=0.0)(model),
        recurrent=replace(model.recurrent, hidden_windows=0.0, hidden_probability=0.0, windows_without_channels=0.0),
    )


def rough(model: MultiscaleDecoder) -> MultiscaleDecoder:
    """Without the terms of smoothness, of the outputs and of the latent states."""
    return replace(with_objective(latent_smoothness=0.0)(model), smoothness={"poisson": 0.0, "gaussian": 0.0})


VARIANTS: dict[str, Callable[[MultiscaleDecoder], MultiscaleDecoder]] = {
    WHOLE: lambda model: model,
    "no time dropout": with_objective(time_dropout=0.0),
    "nothing hidden in training": nothing_hidden,
    "no smoothness": rough,
    "no dropout of channels": with_objective(dropout=0.0),
    "no target term": with_objective(target=0.0),
    "linear fusion": lambda model: replace(model, fusion=()),
    "no linear path": lambda model: replace(model, linear_path=False),
    "no traces": lambda model: replace(model, traces=()),
    "no recurrent read-out": lambda model: replace(model, recurrent=None),
    "states alone": lambda model: replace(model, traces=(), recurrent=None),
    "shared state alone": lambda model: replace(model, traces=(), recurrent=None, readout="backbone"),
}
"""From the model of ``neurodyn demo`` to the one without a part."""


def main(argv: list[str] | None = None) -> None:
    """Fit every variant once per system, score it complete and with losses, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    tasks = [Task(seed, 0, name) for seed, name in product(config["seeds"], config.get("variants", VARIANTS))]
    found = fit_all(tasks, given.out / "parts", partial(scores, config=config), config)
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "variant", "condition", "dimension", "r2"])
        for task, left in found.items():
            for condition, values in left["r2"].items():
                key = [task.seed, task.fold + 1, task.method, condition]
                writer.writerows([*key, name, f"{value:.4f}"] for name, value in zip(DIMS, values, strict=True))
    table = "\n".join(table_of(found))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, given.out / "figure.png")


def scores(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """R² of one variant, complete and with both modalities losing bins."""
    study = study_of(config, task.seed)
    fold = study.folds[task.fold]
    fitted, seconds = fitted_on(VARIANTS[task.method](decoder(study, MODEL)), fold)
    found = {COMPLETE: filtered_r2(fitted, fold.test).tolist()}
    for kind in KINDS:
        test = lose(
            fold.test, fold.test.names, kind=kind, share=config["share"], longest=config["longest_burst"],
            seed=(task.seed, task.fold),
        )  # fmt: skip
        found[f"{config['share']:.0%} lost {kind}"] = filtered_r2(fitted, test).tolist()
    return {**seconds, "r2": found}


def table_of(found: Mapping[Task, Any]) -> list[str]:
    """R² of every variant, and what the whole model gains on it, corrected for the variants of one condition."""
    conditions = list(next(iter(found.values()))["r2"])
    columns = {c: scores_of(found, lambda left, c=c: float(np.mean(left["r2"][c]))) for c in conditions}
    variants = list(columns[COMPLETE])
    lines = ["**Filtered R²** (mean ± half of the 95 % interval)", ""]
    rows = [f"{name} | {' | '.join(mean_cell(columns[c][name]) for c in conditions)}" for name in variants]
    lines += markdown(" | ".join(["variant", *conditions]), rows)
    for condition, column in columns.items():
        lines += [f"**The whole model minus each variant, {condition}**", ""]
        gained = gains(column, WHOLE)
        lines += markdown(f"variant | {GAIN_HEAD}", [f"{name} | {gain_cells(gain)}" for name, gain in gained.items()])
    return lines


def save_figure(found: Mapping[Task, Any], path: Path) -> None:
    """What the whole model gains on every variant, with its 95 % interval, a panel per condition."""
    conditions = list(next(iter(found.values()))["r2"])
    figure = new_figure((11, 4))
    for ax, condition in zip(figure.subplots(1, len(conditions), sharey=True), conditions, strict=True):
        gained = gains(scores_of(found, lambda left, c=condition: float(np.mean(left["r2"][c]))), WHOLE)
        for place, gain in enumerate(gained.values()):
            ax.plot([gain.low, gain.high], [place, place], color="#0072B2")
            ax.plot(gain.difference, place, "o", color="#0072B2")
        ax.axvline(0.0, color="0.6", linewidth=0.8)
        ax.set_yticks(range(len(gained)), list(gained))
        ax.set_title(condition, fontsize=10)
        ax.set_xlabel("R² of the whole model minus this")
    figure.axes[0].invert_yaxis()
    save_png(figure, path)


if __name__ == "__main__":
    main()
