"""``neurodyn explain DIR``: how a trained network emulates its hidden Markov model, claim by claim."""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers, argument, names, seed
from neurodyn.cli.study import output_folder
from neurodyn.errors import REPORT, require_extras
from neurodyn.versions import versions
from neurodyn.writing import replace_atomically, write_text

if TYPE_CHECKING:
    from neurodyn.mechanism import Explanation


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("explain", help=COMMANDS["explain"])
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a network that was trained and saved")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for report.html, mechanism.nc, table.csv (DIR/mechanism)"
    )
    parser.add_argument("--seed", metavar="N", type=argument(seed), default=0, help="of everything random (0)")
    parser.add_argument("--claims", metavar="NAMES", type=argument(names), help="those to test, by their names (all)")
    parser.add_argument("--quick", action="store_true", help="small sizes that show that everything works")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load the network, test the claims, write the results, print the verdicts."""
    from neurodyn.emulation import HmmEmulator
    from neurodyn.mechanism import ExplainConfig, explain, quick_config

    require_extras(REPORT)
    emulator = HmmEmulator.load(arguments.folder)
    out = arguments.out or arguments.folder / "mechanism"
    config = quick_config() if arguments.quick else ExplainConfig()
    screen = Console(stderr=True)
    with output_folder(out):
        with screen.status("recording") as status:
            explanation = explain(
                emulator,
                config=config,
                seed=arguments.seed,
                report=lambda part: status.update(f"explain: {part}"),
                claims=arguments.claims,
            )
        write_results(explanation, out, seed=arguments.seed, title=f"How a network emulates {explanation.hmm}")
    Console().print(verdict_table(explanation))
    Console().print(f"{escape(str(out / 'report.html'))}", soft_wrap=True)
    return 0


def write_results(explanation: "Explanation", out: Path, *, seed: int, title: str) -> None:
    """Write report.html, its drawings, mechanism.nc, table.csv and verdicts.json into a folder."""
    from neurodyn.report import save_drawings
    from neurodyn.report.mechanism import draw_explanation, render_explanation

    facts = {
        "network": explanation.network,
        "model": explanation.hmm,
        "seed": str(seed),
        "time": f"{sum(explanation.seconds.values()):.0f} s",
        **{f"time of {name}": f"{seconds:.1f} s" for name, seconds in explanation.seconds.items()},
    }
    with replace_atomically(out / "mechanism.nc") as temporary:
        explanation.to_xarray().to_netcdf(temporary, engine="scipy")
    write_text(out / "table.csv", _csv(explanation))
    write_text(out / "verdicts.json", json.dumps(_summary(explanation, seed), indent=2) + "\n")
    drawn = draw_explanation(explanation)
    save_drawings(drawn.pictures, out)
    page = render_explanation(explanation, title=title, facts=facts, versions=versions(), drawn=drawn)
    write_text(out / "report.html", page)


def verdict_table(explanation: "Explanation") -> Table:
    """Lay the verdicts out as a table."""
    table = Table(
        title=f"{explanation.hmm}, {explanation.network}", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    for column in ("claim", "", "verdict", "number", "control"):
        table.add_column(column, overflow="fold")
    for found in explanation.findings:
        row = (
            str(found.number),
            found.name.replace("_", " "),
            found.headline,
            str(found.estimate),
            str(found.control),
        )
        table.add_row(*(escape(cell) for cell in row))
    return table


def _csv(explanation: "Explanation") -> str:
    rows, text = explanation.to_rows(), io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _summary(explanation: "Explanation", seed: int) -> dict:
    """Plain values under stable keys."""
    return {
        "hmm": explanation.hmm,
        "network": explanation.network,
        "seed": seed,
        "seconds": {name: round(value, 2) for name, value in explanation.seconds.items()},
        "claims": [
            {
                "claim": found.number,
                "name": found.name,
                "verdict": found.verdict.value,
                "headline": found.headline,
                "nothing": found.not_applicable_because,
                "parts": [{"name": part.name, "verdict": part.verdict.value} for part in found.parts],
                "statistic": found.estimate.name,
                "value": str(found.estimate),
                "control": str(found.control),
                "criteria": [
                    {"text": c.text, "found": str(c.estimate), "holds": c.holds} for c in found.every_criterion
                ],
                "notes": list(found.notes),
            }
            for found in explanation.findings
        ],
    }
