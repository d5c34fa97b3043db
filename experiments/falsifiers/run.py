"""How often is the rule of each claim right, on systems that have it, lack it or mimic it?"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from experiments.command import arguments, configuration, fill_readme, left, save_png, table_file
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
ENOUGH = 0.95
_COLOURS = {
    "supported": "#00734f",
    "undecided": "#8c8c8c",
    "does not apply": "#d9d9d9",
    "not supported": "#b3420a",
}


@dataclass(frozen=True)
class Row:
    """Verdicts on one system, seed by seed."""

    claim: str
    kind: str
    system: str
    verdicts: tuple[str, ...]
    right: tuple[bool, ...]
    seconds: float

    @property
    def share(self) -> float:
        """How often the rule is right."""
        return sum(self.right) / len(self.right)


def main(argv: list[str] | None = None) -> None:
    """Examine every system of the table under every seed, and count."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = examine_all(config, given.out / "parts")
    with table_file(given.out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["claim", "kind", "system", "seed", "verdict", "right"])
        for row in rows:
            for seed, (verdict, right) in enumerate(zip(row.verdicts, row.right, strict=True), config["first"]):
                writer.writerow([row.claim, row.kind, row.system, seed, verdict, int(right)])
    write_text(given.out / "table.md", markdown(rows))
    save_figure(rows, given.out / "figure.png")
    fill_readme(given.readme, markdown(rows))


def examine_all(config: Mapping[str, Any], parts: Path) -> list[Row]:
    """Verdicts on every system; what has been examined on these seeds lies in a file per system."""
    from experiments.falsifiers.table import FALSIFIERS

    claims, first = config["claims"], config["first"]
    chosen = [each for each in FALSIFIERS if claims is None or each.claim in claims]
    rows = []
    with Progress(console=Console(stderr=True)) as progress:
        for falsifier in progress.track(chosen, description="systems"):
            seeds = range(first, first + config["fewer"].get(falsifier.claim, config["seeds"]))
            file = parts / f"{falsifier.claim}-{falsifier.system.replace(' ', '_')}.json"
            found = left(file, {"seeds": list(seeds)}, partial(examine, falsifier, seeds))
            rows.append(Row(**{key: _tuple(value) for key, value in found.items()}))
    return rows


def examine(falsifier: Any, seeds: Sequence[int]) -> dict[str, Any]:
    """Verdicts on one system, a seed after the other."""
    from neurodyn.mechanism import CLAIMS, ExplainConfig

    start, verdicts = time.process_time(), []
    settings = ExplainConfig().settings_of(falsifier.claim)
    for seed in seeds:
        evidence = falsifier.make(seed)
        measured_with = {"residency": evidence.residency_config, "kick_neurons": evidence.kick_config}
        found = CLAIMS[falsifier.claim].examine(evidence, measured_with.get(falsifier.claim, settings), seed=seed)
        verdicts.append(found.verdict)
    return {
        "claim": falsifier.claim,
        "kind": falsifier.kind.value,
        "system": falsifier.system,
        "verdicts": [verdict.value for verdict in verdicts],
        "right": [falsifier.is_right(verdict) for verdict in verdicts],
        "seconds": time.process_time() - start,
    }


def markdown(rows: Sequence[Row]) -> str:
    """A line per system: how often the rule is right, and what it says."""
    lines = ["| claim | system | it | right | verdicts |", "|---|---|---|---|---|"]
    for row in rows:
        counts = {verdict: row.verdicts.count(verdict) for verdict in dict.fromkeys(row.verdicts)}
        told = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
        share = f"{sum(row.right)} of {len(row.right)}"
        share = share if row.share >= ENOUGH else f"**{share}**"
        lines.append(f"| {row.claim.replace('_', ' ')} | {row.system} | {row.kind} | {share} | {told} |")
    every = [right for row in rows for right in row.right]
    below = sum(row.share < ENOUGH for row in rows)
    lines += [
        "",
        f"Right in {sum(every)} of {len(every)}; in {len(rows) - below} of {len(rows)} systems in at least 95 %. "
        f"{sum(row.seconds for row in rows):.0f} s of processor time.",
    ]
    return "\n".join(lines) + "\n"


def save_figure(rows: Sequence[Row], path: Path) -> None:
    """Verdicts as stacked bars, a bar per system."""
    figure = new_figure((9.0, 1.2 + 0.26 * len(rows)))
    ax = figure.add_subplot()
    for place, row in enumerate(rows):
        left = 0.0
        for verdict, colour in _COLOURS.items():
            width = row.verdicts.count(verdict) / len(row.verdicts)
            ax.barh(place, width, left=left, height=0.8, color=colour)
            left += width
    for verdict, colour in _COLOURS.items():
        ax.barh(0, 0, color=colour, label=verdict)
    names = [f"{row.claim.replace('_', ' ')}: {row.system} ({row.kind})" for row in rows]
    ax.set_yticks(range(len(rows)), names, fontsize=8)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the seeds")
    ax.invert_yaxis()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    save_png(figure, path)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
