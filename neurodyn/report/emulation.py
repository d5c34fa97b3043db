"""Whether a network emulates a hidden Markov model, as one figure and one page."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn import plotting
from neurodyn.emulation.match_result import Match
from neurodyn.emulation.verdict import Statistic, Verdict
from neurodyn.errors import InputError
from neurodyn.evaluation import LearningCurve
from neurodyn.plotting import emulation as panels
from neurodyn.report.page import fill_template
from neurodyn.report.pictures import Picture, new_figure, save_drawings
from neurodyn.training import History
from neurodyn.versions import versions
from neurodyn.writing import write_bytes, write_text

RULE = (
    "The model itself stands in for the emulator in every statistic and test, with as many trials: the floor, with the "
    "interval of its noise. The emulator fails if a statistic is outside its limit and outside the interval of the "
    "floor. It is undecided if the interval of a floor goes beyond the limit: more trials are needed. It passes if all "
    "limits are kept, and is indistinguishable if moreover no test distinguishes it from the model. The emulator's "
    "intervals are bootstrap intervals over trials (for the classifier: exact binomial); those of largest errors lie a "
    "little high, since resampling adds its own noise."
)


def write_match_report(
    match: Match, directory: Path, *, title: str, history: History | None = None, settings: dict[str, str] | None = None
) -> Path:
    """Write ``match.html``, ``match.png``, ``match.json`` and drawings into a folder, which is made if it is not there.

    Parameters
    ----------
    match
        What was found.
    directory
        The folder.
    title
        Head of the page.
    history
        History of the emulator's training, drawn beside the rest; None to leave it out.
    settings
        Settings of the emulator, as a reader wants to see them.

    Returns
    -------
    The page.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    picture = match_picture(match, history)
    values = {
        "title": title, "sentence": sentence(match), "verdict": match.verdict.value, "reasons": match.reasons,
        "rows": [_row(s) for s in match.statistics], "tests": _test_rows(match), "rule": RULE, "facts": _facts(match),
        "settings": settings or {}, "versions": versions(),
    }  # fmt: skip
    page = fill_template("match.html.j2", values, [picture])
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write the report to {directory}: {error.strerror or error}") from error
    write_bytes(directory / "match.png", picture.png)
    save_drawings([picture], directory)
    write_text(directory / "match.json", json.dumps(match.to_dict(), indent=1, allow_nan=False))
    write_text(directory / "match.html", page)
    return directory / "match.html"


def sentence(match: Match) -> str:
    """Return the finding in one sentence."""
    transitions, ratio = match["transition_error_max"], match["volatility_ratio"]
    measured = (
        f"its symbols' transition matrix is off by {transitions.value:.3f} at most (limit "
        f"{transitions.upper_limit:g}; {transitions.floor:.3f} for the model itself), and it changes its symbol "
        f"{ratio.value:.2f} times as often"
    )
    head = {
        Verdict.INDISTINGUISHABLE: f"The network cannot be distinguished from {match.model}",
        Verdict.PASSES: f"The network emulates {match.model} within all limits, though tests distinguish them",
        Verdict.UNDECIDED: f"There are too few trials to say whether the network emulates {match.model}",
        Verdict.FAILS: f"The network does not emulate {match.model}",
    }[match.verdict]
    return f"{head}: {measured}."


def match_picture(match: Match, history: History | None = None) -> Picture:
    """Draw all panels as one figure."""
    figure = new_figure((15.0, 10.0))
    draw_match(match, figure, history)
    caption = (
        f"{match.trials:,} trials of {match.steps} steps from the network and from {match.model}. First row: trials of "
        "each, and every statistic as a share of its limit, with the model itself in the emulator's place in blue. "
        "In the transition matrix the exact value stands below the network's. Dwell times are runs of one symbol."
    )
    return Picture("Emulator and model", caption, figure)


def draw_match(match: Match, figure: Any, history: History | None = None) -> None:
    """Draw all panels into a figure of the caller's."""
    grid = figure.add_gridspec(3, 4)
    one, model, true = match.emulator, match.hmm, match.expected
    count = len(true.frequencies)
    for place, (name, part) in enumerate((("emulator", one), ("model", model))):
        ax = panels.plot_sequences(part.examples, symbol_count=count, ax=figure.add_subplot(grid[0, place]))
        ax.set_title(f"{name}: trials", fontsize=10)
    ax = panels.plot_limits(match.statistics, ax=figure.add_subplot(grid[0, 2:]))
    ax.set_title(f"verdict: {match.verdict.value}", fontsize=10)
    bounds = {
        n: np.stack([getattr(r, n) for r in (one.rates, one.low, one.high)]) for n in ("frequencies", "autocorrelation")
    }
    panels.plot_frequencies(bounds["frequencies"], true.frequencies, ax=figure.add_subplot(grid[1, 0]))
    panels.plot_symbol_transitions(one.rates.transitions, true.transitions, ax=figure.add_subplot(grid[1, 1]))
    panels.plot_dwell_times(one.rates.dwells, true.dwells, ax=figure.add_subplot(grid[1, 2]))
    panels.plot_symbol_autocorrelation(
        bounds["autocorrelation"], true.autocorrelation, ax=figure.add_subplot(grid[1, 3])
    )
    pairs = {
        "changes of the symbol in a trial": [part.changes.astype(np.float64) for part in (one, model)],
        "steps that differ from the matched trial": [np.round(part.matched * match.steps) for part in (one, model)],
        "log-likelihood (nats per symbol)": [_finite(part.log_likelihood) for part in (one, model)],
    }
    for place, (label, values) in enumerate(pairs.items()):
        panels.plot_two_distributions(*values, label=label, whole=place < 2, ax=figure.add_subplot(grid[2, place]))
    if history is not None and history.validation:
        curve = LearningCurve(
            np.asarray(history.loss, np.float64), np.asarray(history.validation_epoch, np.int64),
            np.asarray(history.validation, np.float64), "",
        )  # fmt: skip
        plotting.plot_learning([curve], ax=figure.add_subplot(grid[2, 3]))


def _finite(values: np.ndarray) -> np.ndarray:
    """Leave out trials that the model cannot emit: they have no likelihood to draw."""
    kept = values[np.isfinite(values)]
    return kept if len(kept) else np.zeros(1)


def _row(statistic: Statistic) -> dict[str, Any]:
    s = statistic
    limit = f"{s.upper_limit:.4g}" if np.isinf(s.lower_limit) else f"{s.lower_limit:.4g} to {s.upper_limit:.4g}"
    found = f"{s.value:.4f} ({s.low:.4f} to {s.high:.4f})"
    floor = f"{s.floor:.4f} ({s.floor_low:.4f} to {s.floor_high:.4f})"
    return {"label": s.label, "met": s.met, "cells": (found, floor, limit)}


def _test_rows(match: Match) -> list[dict[str, Any]]:
    bound = match.config.significance / len(match.tests)
    return [
        {"label": t.label, "p": f"{t.p_value:.2g}", "floor": f"{t.floor_p_value:.2g}", "apart": t.p_value < bound}
        for t in match.tests
    ]


def _facts(match: Match) -> dict[str, str]:
    looked = {key.replace("_", " "): str(v) for key, v in asdict(match.config).items() if key != "limits"}
    return {
        "model": match.model,
        "trials": f"{match.trials:,}",
        "steps": str(match.steps),
        "seed": str(match.seed),
        **looked,
    }
