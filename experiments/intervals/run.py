"""Do the intervals of the decoded target hold the truth as often as they say, in every phase of every gap?"""

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, left, save_png, table_file
from experiments.decoders.data import FILES, load
from experiments.intervals.gaps import Case, cases
from neurodyn.binning import MultimodalBatch, time_folds
from neurodyn.evaluation.calibration import LEVELS, calibrate
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.report.pictures import new_figure
from neurodyn.simulation import LorenzSettings, simulate_lorenz
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
NAMES = [f"{level:.0%}" for level in LEVELS]


@dataclass(frozen=True)
class System:
    """Training and test data, and the gaps that are cut into the test data.

    Parameters
    ----------
    name, seed
        What it is; of the simulation, the fit and the losses.
    train, test
        Parts of one data set.
    length, every, shifts
        Of the gaps (:func:`experiments.intervals.gaps.cases`).
    """

    name: str
    seed: int
    train: MultimodalBatch
    test: MultimodalBatch
    length: int
    every: int
    shifts: int


def main(argv: list[str] | None = None) -> None:
    """Fit a decoder to each system, cut gaps into its test data, and count what the intervals hold."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    settings, found = {"lorenz": config["lorenz"], "epochs": config["epochs"]}, []
    for seed in config["seeds"]:
        for system in systems(config, seed):
            path = given.out / "parts" / f"{system.name}-seed{seed}.json"
            found += left(path, settings, partial(study, system, config["epochs"]))
    write(found, given.out, given.readme)


def systems(config: Mapping[str, Any], seed: int) -> Iterator[System]:
    """The simulated attractor and, with the first seed, the last fold of each recording whose file is there."""
    sizes = config["lorenz"]
    trials, seconds = sizes["train"] + sizes["test"], sizes["seconds"]
    batch = simulate_lorenz(LorenzSettings(trials, seconds, field_sample_every=1, missing=0.0), seed=seed)
    train, test = (batch.with_trials(part) for part in np.split(np.arange(trials), [sizes["train"]]))
    yield System("lorenz", seed, train, test, length=60, every=10_000, shifts=1)
    data = Path(os.environ.get("NEURODYN_DATA", ""))
    for name in config["recordings"] if seed == config["seeds"][0] else ():
        if not (data / FILES[name]).is_file():
            print(f"left out: {name}, since {FILES[name]} is not in the folder NEURODYN_DATA", file=sys.stderr)
            continue
        fold = time_folds(load(name, data), 5, gap=2.0, lead_in=10.0)[-1]
        length = round(5.0 / fold.test.width)
        yield System(name, seed, fold.train, fold.test, length, every=4 * length, shifts=4)


def study(system: System, epochs: int | None) -> list[dict[str, Any]]:
    """Fit, and measure every phase of every case."""
    model = MultiscaleDecoder(progress=False, epochs=epochs, seed=system.seed)
    return measure(system, model.fit(system.train))


def measure(system: System, fitted: MultiscaleDecoder) -> list[dict[str, Any]]:
    """A row for every phase of every case: what the intervals hold, and how wide they are."""
    places = {"length": system.length, "every": system.every, "shifts": system.shifts}
    errors, scales = defaultdict(list), defaultdict(list)
    for case in cases(system.test, seed=system.seed, **places):
        for phase, error, deviation in _phases(case, fitted):
            errors[case.name, phase].append(error)
            scales[case.name, phase].append(deviation)
    key = {"system": system.name, "seed": system.seed}
    return [
        {
            **key,
            "case": case,
            "phase": phase,
            **row(np.concatenate(errors[case, phase]), np.concatenate(scales[case, phase])),
        }
        for case, phase in errors
    ]


def _phases(case: Case, fitted: MultiscaleDecoder) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Errors and deviations (bins, dims) in the scored bins of each phase, in standard deviations of the target."""
    stacked, found = case.batch.stacked(), fitted.predict(case.batch)
    scored, step = stacked.scored(), np.arange(stacked.valid.shape[1])
    places = np.minimum(case.batch.starts[:, None] + step, len(case.phase) - 1)
    phase = np.where(stacked.valid, case.phase[places], -1)
    unit = stacked.target[scored].std(axis=0)
    for number, name in enumerate(case.phases):
        bins = scored & (phase == number)
        error = found["target"].to_numpy()[bins] - stacked.target[bins]
        if len(error):
            yield name, error / unit, found["deviation"].to_numpy()[bins] / unit


def row(error: np.ndarray, deviation: np.ndarray) -> dict[str, Any]:
    """Coverage at each level, root mean square error, deviation, and the width beside the best constant one's.

    The best constant interval is the 95 % quantile of the errors' sizes in this phase, for each dimension.
    """
    found = calibrate(error, np.zeros_like(error), deviation)
    best = np.quantile(np.abs(error), found.levels[-1], axis=0)
    return {
        "bins": len(error),
        "coverage": dict(zip(NAMES, found.coverage.mean(axis=1).tolist(), strict=True)),
        "rms": float(np.sqrt(np.mean(error**2))),
        "deviation": float(np.sqrt(np.mean(deviation**2))),
        "width": float(np.mean(found.width / 2 / best)),
    }


def write(found: list[dict[str, Any]], out: Path, readme: Path | None) -> None:
    """Write table.csv (every number), table.md (means over seeds) and figure.png."""
    with table_file(out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "seed", "case", "phase", "bins", *NAMES, "rms", "deviation", "width"])
        for one in found:
            covered = [f"{one['coverage'][level]:.4f}" for level in NAMES]
            rest = [f"{one[name]:.4f}" for name in ("rms", "deviation", "width")]
            writer.writerow([one["system"], one["seed"], one["case"], one["phase"], one["bins"], *covered, *rest])
    table = markdown(found)
    write_text(out / "table.md", table)
    fill_readme(readme, table)
    save_figure(found, out / "figure.png")


def markdown(found: list[dict[str, Any]]) -> str:
    """A row per case and phase: means over seeds, errors in standard deviations of the target."""
    lines = []
    for system in dict.fromkeys(one["system"] for one in found):
        of_system = [one for one in found if one["system"] == system]
        lines += [
            f"**{system}**, {len({one['seed'] for one in of_system})} fits", "",
            "| lost | bins | 50 % | 80 % | 90 % | 95 % | error | deviation | width / best |", "|---" * 9 + "|",
        ]  # fmt: skip
        for case, phase in dict.fromkeys((one["case"], one["phase"]) for one in of_system):
            rows = [one for one in of_system if (one["case"], one["phase"]) == (case, phase)]
            covered = [f"{np.mean([r['coverage'][level] for r in rows]):.1%}" for level in NAMES]
            rest = [f"{np.mean([r[name] for r in rows]):.2f}" for name in ("rms", "deviation", "width")]
            lines.append(f"| {case} | {phase} | {' | '.join(covered + rest)} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def save_figure(found: list[dict[str, Any]], path: Path) -> None:
    """One panel per system: coverage of 95 % intervals by phase, a line per case."""
    names = list(dict.fromkeys(one["system"] for one in found))
    figure = new_figure((5.2 * len(names), 4.2))
    for system, ax in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
        of_system = [one for one in found if one["system"] == system and one["case"].endswith(" lost")]
        phases = [p for p in dict.fromkeys(one["phase"] for one in of_system) if p != "throughout"]
        ax.axhspan(92, 98, color="0.9")
        for case in dict.fromkeys(one["case"] for one in of_system if one["phase"] != "throughout"):
            covered = [
                100 * np.mean([r["coverage"]["95%"] for r in of_system if (r["case"], r["phase"]) == (case, phase)])
                for phase in phases
            ]
            ax.plot(range(len(phases)), covered, "o-", label=case)
        ax.set_xticks(range(len(phases)), phases, rotation=35, ha="right")
        ax.set_xlabel("bins of the gap, and after it")
        ax.set_ylabel("truth inside the 95 % interval (%)")
        ax.set_title(system)
        ax.legend(frameon=False)
    save_png(figure, path)


if __name__ == "__main__":
    main()
