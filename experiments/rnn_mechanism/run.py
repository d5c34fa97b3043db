"""Which of the paper's nine claims hold for the networks that were trained to emulate hidden Markov models?"""

import csv
import json
import multiprocessing
import os
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from experiments.command import arguments, configuration, fill_readme, run, save_png, table_file
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
VERDICTS = ("supported", "undecided", "not supported", "does not apply")
_MARKS = {"supported": "yes", "not supported": "no", "undecided": "?", "does not apply": "–"}
_COLOURS = {"supported": "#00734f", "not supported": "#b3420a", "undecided": "#8c8c8c", "does not apply": "#e6e6e6"}


def main(argv: list[str] | None = None) -> None:
    """Explain every network that has not been explained yet, and put the verdicts together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    given.out.mkdir(parents=True, exist_ok=True)
    networks = find_networks(ROOT / config["networks"]) if config["networks"] else {}
    for name, spec in config["train"].items():
        for seed in spec["seeds"]:
            networks[f"{name}-seed{seed}"] = train(spec, seed, given.out / "networks" / f"{name}-seed{seed}")
    if not networks:
        raise SystemExit(f"no network below {config['networks']}: run the experiment hmm_rnn_grid first")
    missing = {name: folder for name, folder in networks.items() if not _summary_of(given.out / name).exists()}
    explain_all(missing, given.out, config["options"], jobs=config["jobs"] or os.cpu_count() or 1)
    summaries = {name: json.loads(_summary_of(given.out / name).read_text(encoding="utf-8")) for name in networks}
    write_results(summaries, given.out)
    fill_readme(given.readme, (given.out / "table.md").read_text(encoding="utf-8"))


def find_networks(folder: Path) -> dict[str, Path]:
    """Folders of the networks below a folder, by their path in words."""
    from neurodyn.training.store import kind_of

    found = sorted(path for path in (folder, *folder.rglob("*")) if path.is_dir() and kind_of(path) == "emulator")
    return {"-".join(path.relative_to(folder).parts): path for path in found}


def train(spec: Mapping[str, Any], seed: int, folder: Path) -> Path:
    """A network on a chain, trained as config.yaml says unless it has been."""
    from neurodyn.emulation import HmmEmulator, Objective, holds_network, training_at
    from neurodyn.markov import linear_chain

    if not holds_network(folder):
        hmm = linear_chain(spec["states"], trial_steps=spec.get("trial_steps"))
        changes = {key: tuple(value) if isinstance(value, list) else value for key, value in spec["training"].items()}
        changes |= {key: Objective(changes[key]) for key in ("objective",) if key in changes}
        training = replace(training_at(spec.get("scale", "laptop"), hmm), seed=seed, **changes)
        HmmEmulator(spec.get("hidden", 150), spec.get("inputs", 100), training=training).fit(hmm, directory=folder)
    return folder


def explain_all(networks: Mapping[str, Path], out: Path, options: Mapping[str, Any], *, jobs: int) -> None:
    """Run ``neurodyn explain`` on every network, each in a process with one thread: two that share cores only wait."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    flags = ["--seed", str(options["seed"]), *(["--quick"] if options.get("quick") else [])]
    fresh = multiprocessing.get_context("spawn")
    with (
        Progress(console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(min(jobs, len(networks) or 1), mp_context=fresh, max_tasks_per_child=1) as pool,
    ):
        shown = progress.add_task("networks", total=len(networks))
        tasks = [
            pool.submit(run, "explain", network, "--out", out / name, *flags) for name, network in networks.items()
        ]
        for task in as_completed(tasks):
            task.result()
            progress.update(shown, advance=1)


def _summary_of(folder: Path) -> Path:
    return folder / "verdicts.json"


def write_results(summaries: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Write table.csv (a row per network and claim), table.md (to read) and figure.png."""
    rows = [
        {"network": name, "hmm": summary["hmm"], "seconds": round(sum(summary["seconds"].values()), 1), **_cells(claim)}
        for name, summary in summaries.items()
        for claim in summary["claims"]
    ]
    with table_file(out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_text(out / "table.md", markdown(summaries))
    save_figure(summaries, out / "figure.png")


def markdown(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Verdicts as a table of networks x claims, what each claim came to, and the criteria that failed."""
    first = next(iter(summaries.values()))["claims"]
    heads = [f"{claim['claim']} {claim['name'].replace('_', ' ')}" for claim in first]
    lines = [f"| network | {' | '.join(heads)} |", "|---" * (len(first) + 1) + "|"]
    for name, summary in summaries.items():
        lines.append(f"| {name} | " + " | ".join(_mark(claim) for claim in summary["claims"]) + " |")
    counts = ["", f"Networks (of {len(summaries)}) in which each claim is", ""]
    for place, head in enumerate(heads):
        verdicts = [summary["claims"][place]["verdict"] for summary in summaries.values()]
        told = ", ".join(f"{verdict} in {verdicts.count(verdict)}" for verdict in VERDICTS if verdict in verdicts)
        counts.append(f"- {head}: {told}{_parts(summaries, place)}{_failed(summaries, place)}")
    seconds = [sum(summary["seconds"].values()) for summary in summaries.values()]
    counts += ["", f"{np.median(seconds):.0f} s per network (median), at most {max(seconds):.0f} s."]
    return "\n".join([*lines, *counts]) + "\n"


def save_figure(summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Verdicts as coloured cells, networks x claims."""
    names, claims = list(summaries), next(iter(summaries.values()))["claims"]
    figure = new_figure((7.0, 1.6 + 0.28 * len(names)))
    ax = figure.add_subplot()
    for row, summary in enumerate(summaries.values()):
        for column, claim in enumerate(summary["claims"]):
            ax.barh(row, 0.92, left=column - 0.46, height=0.85, color=_COLOURS[claim["verdict"]])
    for verdict in VERDICTS:
        ax.barh(0, 0, color=_COLOURS[verdict], label=verdict)
    ax.set_xticks(
        range(len(claims)), [claim["name"].replace("_", " ") for claim in claims], rotation=35, ha="right", fontsize=8
    )
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    save_png(figure, path)


def _cells(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {name: claim[name] for name in ("claim", "name", "verdict", "statistic", "value", "control")}


def _mark(claim: Mapping[str, Any]) -> str:
    """Verdict of a claim; of one on several things, how many of those it applies to it is supported for."""
    tested = [part["verdict"] for part in claim.get("parts", ()) if part["verdict"] != "does not apply"]
    return f"{tested.count('supported')} of {len(tested)}" if tested else _MARKS[claim["verdict"]]


def _parts(summaries: Mapping[str, Mapping[str, Any]], place: int) -> str:
    """In how many of all transitions a claim on transitions is supported."""
    parts = [part["verdict"] for summary in summaries.values() for part in summary["claims"][place].get("parts", ())]
    tested = [verdict for verdict in parts if verdict != "does not apply"]
    return f"; in {tested.count('supported')} of {len(tested)} transitions" if tested else ""


def _failed(summaries: Mapping[str, Mapping[str, Any]], place: int) -> str:
    """How often each kind of criterion failed; transitions are not told apart."""
    failed: dict[str, int] = {}
    for summary in summaries.values():
        kinds = {
            re.sub(r"[A-Z0-9]+→[A-Z0-9]+ ?|its \d+ |:[^:]*$", "", criterion["text"])
            for criterion in summary["claims"][place]["criteria"]
            if criterion["holds"] is False
        }
        for kind in kinds:
            failed[kind] = failed.get(kind, 0) + 1
    return "".join(f"\n    - missed by {count}: {kind}" for kind, count in failed.items())


if __name__ == "__main__":
    main()
