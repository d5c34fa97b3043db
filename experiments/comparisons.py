"""Tables of what one method gains on others over simulated systems: paired, corrected, and said in words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.fits import Task
from neurodyn.evaluation import Comparison, compare, corrected

Tables = dict[str, list[np.ndarray]]
"""Scores of each method: (1, folds) of each simulated system, which are what sessions are of recordings."""


def scores_of(found: Mapping[Task, Any], value: Callable[[Any], float]) -> Tables:
    """Scores of every method, system by system, in the order of the tasks.

    Parameters
    ----------
    found
        What every task left.
    value
        From that to a score.
    """
    tables: dict[str, dict[int, list[float]]] = {}
    for task, left in found.items():
        tables.setdefault(task.method, {}).setdefault(task.seed, []).append(value(left))
    return {method: [np.asarray([folds]) for folds in seeds.values()] for method, seeds in tables.items()}


def ratio_of(tables: Sequence[np.ndarray]) -> float:
    """Test bins by training bins of the folds; of a single fold, that of two."""
    return 1 / max(1, tables[0].shape[1] - 1)


def gains(scores: Tables, hero: str) -> dict[str, Comparison]:
    """By how much one method's scores exceed each other's, corrected for the number of the others."""
    names = [name for name in scores if name != hero]
    return together({name: minus(scores[hero], scores[name]) for name in names})


def minus(tables: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Differences of two methods, fold by fold of each system."""
    return [one - other for one, other in zip(tables, others, strict=True)]


def together(differences: Tables) -> dict[str, Comparison]:
    """Whether differences are larger or smaller than 0, corrected for their number."""
    found = corrected([compare(tables, ratio_of(tables)) for tables in differences.values()])
    return dict(zip(differences, found, strict=True))


def mean_cell(tables: Sequence[np.ndarray]) -> str:
    """Mean score with half of its 95 % interval over systems."""
    found = compare(tables, ratio_of(tables))
    return f"{found.difference:.3f} ± {found.high - found.difference:.3f}"


def gain_cells(gain: Comparison) -> str:
    """Cells of a table: difference with interval and p value, effect size with interval, verdict."""
    effect = f"{gain.effect:+.1f} [{gain.effect_low:+.1f}, {gain.effect_high:+.1f}]"
    return f"{gain.cell()} | {effect} | {gain.verdict()}"


GAIN_HEAD = "difference [95 % interval], p after Holm | effect size [95 % interval] | finding"
"""Heads of the columns of ``gain_cells``."""


def markdown(head: str, rows: Sequence[str]) -> list[str]:
    """Lines of a table, its head and rows given as cells between bars."""
    columns = head.count("|") + 1
    return [f"| {head} |", "|---" * columns + "|", *(f"| {row} |" for row in rows), ""]
