"""By how much does each method decline when samples are lost at inference only?"""

import csv
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from experiments.comparisons import GAIN_HEAD, Tables, gain_cells, gains, markdown, mean_cell, ratio_of, scores_of
from experiments.fits import Task, decoder, filtered_r2, fit_all, fitted_on, study_of
from experiments.losses import KINDS, lose
from neurodyn.evaluation import compare
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
LOSING = {"both": ("spikes", "field"), "spikes": ("spikes",), "field": ("field",)}
"""Modalities that lose bins, by what tables call them."""
TESTED = 0.4
"""Share of bins lost at which methods are compared."""
DIMS = ("x", "y", "z")
COLOURS = ("#D55E00", "#0072B2", "#5A5A5A", "#009E73", "#CC79A7")


def main(argv: list[str] | None = None) -> None:
    """Fit every method once per seed and fold, score it with every loss, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    tasks = [Task(*one) for one in product(config["seeds"], range(config["folds"]), config["methods"])]
    found = fit_all(tasks, given.out / "parts", partial(scores, config=config), config)
    write_csv(found, given.out / "table.csv")
    table = "\n".join(table_of(found, config))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(found, config, given.out / "figure.png")


def scores(task: Task, config: dict[str, Any]) -> dict[str, Any]:
    """R² of one method on one fold, complete and with every loss."""
    study = study_of(config, task.seed)
    fold = study.folds[task.fold]
    fitted, seconds = fitted_on(decoder(study, task.method), fold)
    rows = [{"kind": "", "losing": "", "share": 0.0, "r2": filtered_r2(fitted, fold.test).tolist()}]
    for kind, losing, share in product(KINDS, LOSING, config["shares"]):
        test = lose(
            fold.test, LOSING[losing], kind=kind, share=share, longest=config["longest_burst"],
            seed=(task.seed, task.fold),
        )  # fmt: skip
        rows.append({"kind": kind, "losing": losing, "share": share, "r2": filtered_r2(fitted, test).tolist()})
    return {**seconds, "rows": rows}


def r2_at(left: Mapping[str, Any], kind: str, losing: str, share: float) -> float:
    """Mean R² over dimensions with one loss; a share of 0 is the complete test part."""
    wanted = (kind, losing, share) if share else ("", "", 0.0)
    return next(float(np.mean(r["r2"])) for r in left["rows"] if (r["kind"], r["losing"], r["share"]) == wanted)


def declines(found: Mapping[Task, Any], kind: str, losing: str, share: float) -> Tables:
    """R² of the complete test part minus that with a loss, of every method."""
    return scores_of(found, lambda left: r2_at(left, kind, losing, 0.0) - r2_at(left, kind, losing, share))


def write_csv(found: Mapping[Task, Any], path: Path) -> None:
    """Every number, one per row."""
    with table_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "fold", "method", "kind", "losing", "share", "dimension", "r2"])
        for task, left in found.items():
            for row in left["rows"]:
                key = [task.seed, task.fold + 1, task.method, row["kind"] or "complete", row["losing"], row["share"]]
                writer.writerows([*key, name, f"{value:.4f}"] for name, value in zip(DIMS, row["r2"], strict=True))


def table_of(found: Mapping[Task, Any], config: Mapping[str, Any]) -> list[str]:
    """R² by share, declines at 40 %, and what the first method gains on each other one there."""
    shares, methods, hero = [0.0, *config["shares"]], config["methods"], config["methods"][0]
    seconds = {
        m: np.mean([left["processor_seconds"] for task, left in found.items() if task.method == m]) for m in methods
    }
    lines = []
    for kind in KINDS:
        lines += [f"**Filtered R², both modalities losing bins {kind}** (mean ± half of the 95 % interval)", ""]
        columns = [scores_of(found, lambda left, s=share, k=kind: r2_at(left, k, "both", s)) for share in shares]
        rows = [f"{m} | {' | '.join(mean_cell(column[m]) for column in columns)} | {seconds[m]:.0f}" for m in methods]
        head = " | ".join("complete" if not share else f"{share:.0%} lost" for share in shares)
        lines += markdown(f"method | {head} | s of processor per fit", rows)
    lines += [f"**Decline of R² at {TESTED:.0%} lost**", ""]
    conditions = list(product(KINDS, LOSING))
    columns = [declines(found, kind, losing, TESTED) for kind, losing in conditions]
    rows = [f"{method} | {' | '.join(mean_cell(column[method]) for column in columns)}" for method in methods]
    lines += markdown(" | ".join(["method", *(f"{losing}, {kind}" for kind, losing in conditions)]), rows)
    lines += [
        f"**Decline of each other method minus that of {hero}, at {TESTED:.0%} lost** (above 0: {hero} declines less)",
        "",
    ]
    lines += gain_rows({c: negative(column) for c, column in zip(conditions, columns, strict=True)}, hero)
    lines += [f"**R² of {hero} minus that of each other method, at {TESTED:.0%} lost**", ""]
    at_tested = {c: scores_of(found, lambda left, c=c: r2_at(left, *c, TESTED)) for c in conditions}
    return lines + gain_rows(at_tested, hero)


def negative(scores: Tables) -> Tables:
    """Scores of which more is better, from those of which less is."""
    return {method: [-table for table in tables] for method, tables in scores.items()}


def gain_rows(columns: Mapping[tuple[str, str], Tables], hero: str) -> list[str]:
    """Table of what a method gains on each other method in every condition, each corrected for its methods."""
    rows = []
    for (kind, losing), column in columns.items():
        rows += [f"{losing}, {kind} | {name} | {gain_cells(gain)}" for name, gain in gains(column, hero).items()]
    return markdown(f"losing bins | other method | {GAIN_HEAD}", rows)


def save_figure(found: Mapping[Task, Any], config: Mapping[str, Any], path: Path) -> None:
    """R² and its decline against the share lost, a line per method with its 95 % interval."""
    figure = new_figure((10, 10.5))
    panels = figure.subplots(4, len(LOSING), sharex=True, sharey="row")
    for (row, (label, decline)), kind in product(enumerate((("R²", False), ("decline of R²", True))), KINDS):
        for ax, losing in zip(panels[2 * row + KINDS.index(kind)], LOSING, strict=True):
            draw(ax, found, config, condition=(kind, losing), decline=decline)
            ax.set_title(f"{losing}, {kind}", fontsize=10)
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(label)
    for ax in panels[-1]:
        ax.set_xlabel("share of bins lost")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    save_png(figure, path)


def draw(
    ax: Any, found: Mapping[Task, Any], config: Mapping[str, Any], *, condition: tuple[str, str], decline: bool
) -> None:
    """Draw one panel: every method's mean with its interval, by share."""
    shares = [0.0, *config["shares"]]
    columns = [
        declines(found, *condition, share)
        if decline
        else scores_of(found, lambda left, s=share: r2_at(left, *condition, s))
        for share in shares
    ]
    for place, method in enumerate(config["methods"]):
        over = [compare(column[method], ratio_of(column[method])) for column in columns]
        colour, above = COLOURS[place % len(COLOURS)], 3 - 0.1 * place  # the first method lies on top
        ax.plot(shares, [one.difference for one in over], "o-", color=colour, label=method, markersize=3, zorder=above)
        ax.fill_between(shares, [one.low for one in over], [one.high for one in over], color=colour, alpha=0.15, lw=0)
    ax.axhline(0.0, color="0.6", linewidth=0.8)


if __name__ == "__main__":
    main()
