"""``neurodyn emulate``: train a network to emit the sequences of a hidden Markov model, and show how well it does."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers, argument, count, seed
from neurodyn.cli.study import output_folder
from neurodyn.display import pluralised
from neurodyn.errors import REPORT, InputError, require_extras, unknown_name
from neurodyn.writing import write_text

if TYPE_CHECKING:
    from neurodyn.cli.fitted_hmm import FittedHmm
    from neurodyn.emulation import HmmEmulator, Match, TrainingConfig
    from neurodyn.markov import HiddenMarkovModel

_STATES = {"chain": 3, "fully_connected": 3, "cycle": 4}
_FLOOR_DRAWS = 3
_SMOKE = "scale smoke shows in seconds that everything runs; a network trained so shortly cannot pass"
_OVERRIDES = ("batch", "epochs", "sequences", "validation", "snapshot_every")
BATCH = 4096
"""Sequences that the paper's authors compare at once."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("emulate", help=COMMANDS["emulate"])
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--family", metavar="NAME", help="chain, fully_connected or cycle")
    model.add_argument("--hmm", metavar="FILE", type=Path, help="JSON with initial, transitions, emissions, ...")
    model.add_argument(
        "--fit",
        metavar="FILE",
        type=Path,
        help="CSV, NumPy or MATLAB file of symbol sequences: a model is fitted to it",
    )
    parser.add_argument(
        "--states",
        metavar="N",
        type=int,
        help="hidden states of the family (3; 4 for a cycle), or of the fit (chosen by cross-validation)",
    )
    parser.add_argument("--hidden", metavar="N", type=int, default=150, help="units of the network (150)")
    parser.add_argument("--inputs", metavar="N", type=int, default=100, help="dimensions of its noise (100)")
    parser.add_argument(
        "--cell",
        metavar="NAME",
        default="relu",
        help="cell (relu); an unknown one lists them all",
    )
    parser.add_argument("--scale", metavar="NAME", default="laptop", help="paper, laptop or smoke (laptop)")
    parser.add_argument("--seed", metavar="N", type=argument(seed), default=0, help="of everything random (0)")
    for name in _OVERRIDES:
        option = name.replace("_", "-")
        parser.add_argument(f"--{option}", metavar="N", type=int, help=f"instead of the {option} of the scale")
    parser.add_argument(
        "--trials", metavar="N", type=argument(count), help="trials that are compared (30000; 400 at scale smoke)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for network, report and summary")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, then train, compare, write and print."""
    from neurodyn.emulation import HmmEmulator, MatchConfig, match
    from neurodyn.report.emulation import write_match_report

    require_extras(REPORT)
    HmmEmulator(arguments.hidden, arguments.inputs, arguments.cell)  # refuses sizes before a model is fitted
    source = None if arguments.fit is None else _fitted(arguments)
    hmm = _hmm(arguments) if source is None else source.hmm
    training = _training(arguments, hmm)
    emulator = HmmEmulator(arguments.hidden, arguments.inputs, arguments.cell, training)
    smoke = arguments.scale == "smoke"
    usual = 400 if smoke else 30_000
    trials = usual if arguments.trials is None else arguments.trials
    config = MatchConfig(resamples=50) if smoke else MatchConfig()
    if trials < 2 * config.folds:
        raise InputError(f"--trials must be at least {2 * config.folds}, got {trials}")
    console = Console(stderr=True)
    if smoke:
        print(f"neurodyn: note: {_SMOKE}", file=sys.stderr)
    with output_folder(arguments.out):
        if source is not None:
            source.write(arguments.out)
        started = time.perf_counter()
        fitted = emulator.fit(hmm, directory=arguments.out)
        trained = time.perf_counter()
        with console.status("comparing the network with the model"):
            found = match(fitted, hmm, trials=trials, seed=arguments.seed, config=config)
            summary = summary_of(fitted, found, scale=arguments.scale, seconds=(trained - started))
        title = f"{hmm.name}: {arguments.hidden} {arguments.cell} units, {arguments.inputs} inputs"
        title += f" ({_SMOKE})" if smoke else ""
        page = write_match_report(
            found, arguments.out, title=title, history=fitted.history, settings=_settings(training, arguments.scale)
        )
        summary["seconds"] = round(time.perf_counter() - started, 2)
        write_text(arguments.out / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    Console().print(_table(summary))
    Console().print(escape(str(page)), soft_wrap=True)
    return 0


def summary_of(emulator: "HmmEmulator", found: "Match", *, scale: str, seconds: float) -> dict[str, Any]:
    """What a study of many networks needs of one, under stable keys.

    ``sinkhorn_validation`` is the validation of the parameters that were kept, ``sinkhorn_test`` that of other
    sequences and noise, and ``sinkhorn_floor`` the mean of new sequences of the model in the network's place;
    ``sinkhorn_best`` is the lowest validation of all epochs. For comparison with others there are, of the test
    sequences, the divergence of 4096 at once, and the mean of batches of 4096, 4096 and what is left, as the paper's
    authors measure it; both with their floors.
    """
    training, history = emulator.config.training, emulator.history
    finished = emulator.status == "finished"
    kept = len(history.validation) - 1 if finished else history.validation.index(history.best)
    third = training.sequences // 3
    whole, in_batches = (min(BATCH, third), 0), (third, BATCH)
    usual = (training.validation, training.at_once)
    found_at = {way: _divergences(emulator, *way) for way in {usual, whole, in_batches}}
    test, floors = found_at[usual]
    return {
        "model": emulator.hmm.name,
        "states": emulator.hmm.states,
        "cell": emulator.cell,
        "hidden": emulator.hidden,
        "inputs": emulator.inputs,
        "seed": training.seed,
        "scale": scale,
        "objective": training.objective.value,
        "status": emulator.status,
        "epochs": len(history.loss),
        "kept_epoch": history.validation_epoch[kept],
        "sinkhorn_validation": history.validation[kept],
        "sinkhorn_best": history.best,
        "sinkhorn_best_epoch": history.validation_epoch[history.validation.index(history.best)],
        "sinkhorn_test": test,
        "sinkhorn_floor": mean(floors),
        "sinkhorn_floor_spread": max(floors) - min(floors),
        "sinkhorn_batch": training.at_once or training.validation,
        "sinkhorn_at_once": found_at[whole][0],
        "sinkhorn_at_once_floor": mean(found_at[whole][1]),
        "sinkhorn_in_batches": found_at[in_batches][0],
        "sinkhorn_in_batches_floor": mean(found_at[in_batches][1]),
        **found.summary(),
        "training_seconds": round(seconds, 2),
        "training": asdict(training),
    }


def _divergences(emulator: "HmmEmulator", sequences: int, at_once: int) -> tuple[float, list[float]]:
    """Divergence of a network from the test sequences, and those of several draws of the model itself."""
    seed = emulator.config.training.seed
    seeds = [seed + 1_000_003 * draw for draw in range(1, _FLOOR_DRAWS + 1)]
    floors = [emulator.floor(seed=draw, sequences=sequences, at_once=at_once) for draw in seeds]
    return emulator.divergence(seed=seed + 1, sequences=sequences, at_once=at_once), floors


def _fitted(arguments: argparse.Namespace) -> "FittedHmm":
    """Model of the sequences in a file; says on standard error what it found."""
    from neurodyn.cli.fitted_hmm import fit_file

    with Console(stderr=True).status("fitting a hidden Markov model"):
        found = fit_file(arguments.fit, arguments.states, seed=arguments.seed)
    how = "" if found.choice is None else ", chosen by cross-validation"
    symbols = ", ".join(found.labels[:8]) + (", ..." if len(found.labels) > 8 else "")
    print(f"neurodyn: {found.facts['sequences']} sequences of the symbols {symbols}", file=sys.stderr)
    print(f"neurodyn: {pluralised(found.hmm.states, 'hidden state')}{how}", file=sys.stderr)
    return found


def _hmm(arguments: argparse.Namespace) -> "HiddenMarkovModel":
    from neurodyn.markov import FAMILIES

    if arguments.hmm is not None:
        if arguments.states is not None:
            raise InputError("--states belongs to --family: a model from a file has its own states")
        return _read_hmm(arguments.hmm)
    name = arguments.family.replace("-", "_")
    if name not in FAMILIES:
        raise unknown_name("family", arguments.family, FAMILIES)
    return FAMILIES[name](_STATES[name] if arguments.states is None else arguments.states)


def _read_hmm(path: Path) -> "HiddenMarkovModel":
    from neurodyn.markov import HiddenMarkovModel

    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise InputError(f"{path} must hold one JSON object with initial, transitions, emissions, name, trial_steps")
    try:
        hmm = HiddenMarkovModel.from_dict(entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if hmm.trial_steps < 2:
        raise InputError(f"{path}: trials of one step have no transitions to emulate: give trial_steps of 2 or more")
    return hmm


def _training(arguments: argparse.Namespace, hmm: "HiddenMarkovModel") -> "TrainingConfig":
    from neurodyn.emulation import training_at

    given = {name: getattr(arguments, name) for name in _OVERRIDES if getattr(arguments, name) is not None}
    return replace(training_at(arguments.scale, hmm), seed=arguments.seed, **given)


def _settings(training: "TrainingConfig", scale: str) -> dict[str, str]:
    """Settings as a reader of the report wants to see them."""
    return {"scale": scale, **{name.replace("_", " "): str(value) for name, value in asdict(training).items()}}


def _table(summary: dict[str, Any]) -> Table:
    expected = " (scale smoke cannot pass)" if summary["scale"] == "smoke" else ""
    table = Table(title=f"{summary['model']}: {summary['verdict']}{expected}", title_justify="left", show_edge=False)
    for column in ("", "network", "model itself"):
        table.add_column(column)
    training = summary["training"]
    whole = training["at_once"] in (0, training["validation"])
    way = "at once" if whole else f"in batches of {training['at_once']}"
    table.add_row(
        f"Sinkhorn divergence of {training['validation']} {way}, validation",
        f"{summary['sinkhorn_validation']:.3f}",
        f"{summary['sinkhorn_floor']:.3f}",
    )
    for name in ("transition_error_max", "frequency_error_max", "volatility_ratio"):
        table.add_row(name.replace("_", " "), f"{summary[name]:.4f}", f"{summary[f'{name}_floor']:.4f}")
    table.add_row("seconds", f"{summary['seconds']:.0f}", "")
    return table
