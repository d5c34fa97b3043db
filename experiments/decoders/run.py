"""Does any simpler causal method decode better than the multiscale decoder, and what do lost samples cost?"""

import csv
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, left, save_png, table_file
from experiments.comparisons import GAIN_HEAD, gain_cells, together
from experiments.comparisons import markdown as table_lines
from experiments.decoders.data import FILES, LOST, load, losses
from experiments.workers import on_workers
from neurodyn.baselines import BASELINES
from neurodyn.binning import MultimodalBatch, time_folds
from neurodyn.errors import unknown_name
from neurodyn.evaluation import calibrate
from neurodyn.evaluation.metrics import r2
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
METHODS = ("multiscale", *BASELINES)
"""In the order of the tables."""
DRAWN = ("multiscale", "gru")
"""Those whose fit depends on the seed; the others are fitted once."""


@dataclass(frozen=True)
class Task:
    """One fit: a method on a fold of a recording, scored with the losses that each of some seeds draws."""

    recording: str
    seed: int
    fold: int
    method: str
    losses: tuple[int, ...]
    folds: int
    epochs: int | None

    @property
    def name(self) -> str:
        """Of the file with its scores."""
        return f"{self.recording}-seed{self.seed}-fold{self.fold + 1}-{self.method}.json"


def main(argv: list[str] | None = None) -> None:
    """Fit what has not been fitted yet, two fits at a time, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    if "NEURODYN_DATA" not in os.environ:
        print("skipped: set NEURODYN_DATA to the folder that holds the recordings (see README.md)", file=sys.stderr)
        return
    data, config = Path(os.environ["NEURODYN_DATA"]), configuration(FOLDER, smoke=given.smoke)
    parts = given.out / "parts"
    tasks = [
        Task(
            recording,
            seed,
            fold,
            method,
            losses=_losses(config, recording, seed, method),
            folds=config["folds"],
            epochs=config["epochs"],
        )
        for recording in _there(list(config["seeds"]), data)
        for number, seed in enumerate(config["seeds"][recording])
        for fold in range(config["folds"])
        for method in config["methods"]
        if number == 0 or method in DRAWN
    ]
    if not tasks:
        return
    for method in config["methods"]:
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
    write(_work(tasks, data, parts, config["jobs"]), given.out, given.readme)


def _there(names: Sequence[str], data: Path) -> list[str]:
    for name in names:
        if not (data / FILES[name]).is_file():
            print(f"left out: {name}, since {FILES[name]} is not in {data}", file=sys.stderr)
    return [name for name in names if (data / FILES[name]).is_file()]


def _work(tasks: Sequence[Task], data: Path, parts: Path, jobs: int) -> dict[Task, dict[str, Any]]:
    """The scores of every task, those that an earlier run left among them."""
    done = dict(on_workers(partial(fit, data=data.resolve(), parts=parts.resolve()), tasks, jobs))
    return {task: done[task] for task in tasks}


def fit(task: Task, data: Path, parts: Path) -> dict[str, Any]:
    """The scores of a task: as an earlier run left them, or made."""
    return left(parts / task.name, asdict(task), partial(scores_of, task, data))


def scores_of(task: Task, data: Path) -> dict[str, Any]:
    """Fit one method on one fold, and score it on the test part and its losses."""
    batch = load(task.recording, data)
    fold = time_folds(batch, task.folds, gap=2.0, lead_in=10.0)[task.fold]
    begin = time.perf_counter()
    fitted = decoder(task).fit(fold.train)
    seconds = time.perf_counter() - begin
    scores: dict[str, Any] = {"fit_seconds": seconds, "dims": list(batch.target_names), "conditions": {}}
    found = [
        {condition: _score(fitted, test) for condition, test in losses(fold.test, seed).items()} for seed in task.losses
    ]
    for condition in found[0]:
        scores["conditions"][condition] = {
            "r2": np.mean([one[condition][0] for one in found], axis=0).tolist(),
            "coverage": float(np.mean([one[condition][1] for one in found])),
        }
    complete = np.mean(scores["conditions"]["complete"]["r2"])
    print(f"{task.name.removesuffix('.json')}: R2 {complete:.3f}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return scores


def _losses(config: dict[str, Any], recording: str, seed: int, method: str) -> tuple[int, ...]:
    """Seeds of the losses that a fit is scored with: its own, or all of them where it is the only fit of its method."""
    return (seed,) if method in DRAWN else tuple(config["seeds"][recording])


def _score(fitted: Any, test: MultimodalBatch) -> tuple[np.ndarray, float]:
    """R2 of each dimension, and the share of the truth that 95 % intervals hold."""
    stacked, found = test.stacked(), fitted.predict(test)
    scored = stacked.scored()
    true, decoded = np.asarray(stacked.target[scored], np.float64), found["target"].to_numpy()[scored]
    deviation = found["deviation"].to_numpy()[scored]
    return r2(true, decoded), float(calibrate(true, decoded, deviation, levels=(0.95,)).coverage.mean())


def decoder(task: Task) -> Any:
    """The method with its defaults, and with the seed of the task."""
    from neurodyn.multiscale import MultiscaleDecoder

    model = MultiscaleDecoder(progress=False)
    training = replace(model.training, seed=task.seed)
    if task.epochs is not None:
        training = replace(training, epochs=task.epochs)
    model = replace(model, training=training)
    if task.method == "multiscale":
        return model
    made = BASELINES[task.method].make(model.recurrent_config())
    return replace(made, smoothed=False) if task.method == "ridge" else made  # what is not scored takes no time


def write(found: dict[Task, dict[str, Any]], out: Path, readme: Path | None) -> None:
    """Write table.csv (every number), table.md, comparisons.md and figure.png."""
    with table_file(out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "seed", "fold", "method", "condition", "metric", "value"])
        for task, scores in found.items():
            key = [task.recording, task.seed, task.fold + 1, task.method]
            writer.writerow([*key, "", "fit_seconds", f"{scores['fit_seconds']:.1f}"])
            for condition, row in scores["conditions"].items():
                writer.writerow([*key, condition, "r2", f"{np.mean(row['r2']):.4f}"])
                writer.writerow([*key, condition, "coverage of 95 %", f"{row['coverage']:.4f}"])
    table = markdown(found)
    write_text(out / "table.md", table)
    fill_readme(readme, table)
    write_text(out / "comparisons.md", "\n".join(compared(out / "table.csv")))
    save_figure(found, out / "figure.png")


def markdown(found: dict[Task, Any]) -> str:
    """R2 per fold of the complete data, then the means with losses, for each recording."""
    lines = []
    for recording in dict.fromkeys(task.recording for task in found):
        tasks = [task for task in found if task.recording == recording]
        conditions = list(found[tasks[0]]["conditions"])
        folds = max(task.folds for task in tasks)
        lines += [f"**{recording}**: filtered R²", ""]
        head = [*(f"fold {k + 1}" for k in range(folds)), "mean", *conditions[1:], "coverage of 95 %", "s per fit"]
        lines += [f"| method | seeds | {' | '.join(head)} |", "|---" * (len(head) + 2) + "|"]
        for method in (name for name in METHODS if any(task.method == name for task in tasks)):
            of_method = [task for task in tasks if task.method == method]
            cells = [_mean([t for t in of_method if t.fold == k], found, "complete") for k in range(folds)]
            cells += [_mean(of_method, found, condition) for condition in conditions]
            coverage = np.mean([found[t]["conditions"]["complete"]["coverage"] for t in of_method])
            seconds = np.mean([found[t]["fit_seconds"] for t in of_method])
            seeds = len({task.seed for task in of_method})
            lines.append(f"| {method} | {seeds} | {' | '.join(cells)} | {coverage:.1%} | {seconds:.0f} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def compared(path: Path) -> list[str]:
    """Lines of tables of what the first method gains on each other one, in each recording and over recordings.

    Parameters
    ----------
    path
        Of table.csv, which has every score.
    """
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "r2"]
    recordings = list(dict.fromkeys(row["recording"] for row in rows))
    (hero, *others), lines = dict.fromkeys(row["method"] for row in rows), list[str]()
    for condition in ("complete", f"{LOST:.0%} lost"):
        tables = {
            (recording, name): _scores(rows, recording, name, condition)
            for recording, name in product(recordings, (hero, *others))
        }
        gained = {name: {other: [tables[name, hero] - tables[name, other]] for other in others} for name in recordings}
        if len(recordings) > 1:
            gained["all of them"] = {
                other: [one for name in recordings for one in gained[name][other]] for other in others
            }
        lines += [f"**R² of {hero} minus that of each other method, {condition}**", ""]
        cells = [
            f"{name} | {other} | {gain_cells(gain)}"
            for name, differences in gained.items()
            for other, gain in together(differences).items()
        ]
        lines += table_lines(f"recording | other method | {GAIN_HEAD}", cells)
    return lines


def _scores(rows: Sequence[dict[str, str]], recording: str, method: str, condition: str) -> np.ndarray:
    """(seeds, folds), or (1, folds) of a method that is fitted once."""
    wanted = {"recording": recording, "method": method, "condition": condition}
    chosen = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    seeds = list(dict.fromkeys(row["seed"] for row in chosen))
    return np.asarray([[float(row["value"]) for row in chosen if row["seed"] == seed] for seed in seeds])


def _mean(tasks: Sequence[Task], found: dict[Task, Any], condition: str) -> str:
    return f"{np.mean([np.mean(found[t]['conditions'][condition]['r2']) for t in tasks]):.3f}"


def save_figure(found: dict[Task, Any], path: Path) -> None:
    """One panel per recording: R2 of each fold, by condition."""
    recordings = list(dict.fromkeys(task.recording for task in found))
    figure = new_figure((4.6 * len(recordings), 3.8))
    for recording, ax in zip(recordings, figure.subplots(1, len(recordings), squeeze=False)[0], strict=True):
        tasks = [task for task in found if task.recording == recording]
        conditions = list(found[tasks[0]]["conditions"])
        methods = [name for name in METHODS if any(task.method == name for task in tasks)]
        for shift, method in enumerate(methods):
            of_method = [task for task in tasks if task.method == method]
            values = [[np.mean(found[t]["conditions"][c]["r2"]) for t in of_method] for c in conditions]
            places = np.arange(len(conditions)) + 0.7 * ((shift + 0.5) / len(methods) - 0.5)
            ax.plot(places, np.mean(values, axis=1), "o", color=f"C{shift}", label=method)
            for place, row in zip(places, values, strict=True):
                ax.plot([place] * len(row), row, ".", color=f"C{shift}", alpha=0.4)
        ax.set_xticks(range(len(conditions)), conditions, rotation=20)
        ax.set_title(recording)
        ax.set_ylabel("filtered R²")
    figure.axes[0].legend(frameon=False)
    save_png(figure, path)


if __name__ == "__main__":
    main()
