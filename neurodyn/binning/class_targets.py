"""Classes as a target: which of a few labels an interval of the recording carries, such as the side of a trial.

A class is decoded as one dimension per label, 1 where it holds and 0 where another does. What a decoder with squared
errors makes of that is an estimate of the label's probability (:mod:`neurodyn.evaluation.classes`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64

from neurodyn.display import pluralised
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording import Intervals, Recording
from neurodyn.recording.edges import slack

IS = "="
"""Between the name of the target and the label in the name of a dimension: ``trials=left``."""
MOST_CLASSES = 20
"""More labels than that number something, and are no classes."""


def is_class_target(recording: Recording, name: str) -> bool:
    """Whether a target's name is that of a table of intervals, or of a column of one (``trials.choice``)."""
    return name not in recording.behaviour and _table(recording, name) is not None


def class_names(recording: Recording) -> list[str]:
    """Targets of classes that a recording can give."""
    found = []
    for table in recording.intervals.values():
        choices = [(table.name, table.labels), *((f"{table.name}.{c}", v) for c, v in table.columns.items())]
        found += [name for name, labels in choices if 1 < len({str(label) for label in labels}) <= MOST_CLASSES]
    return found


def make_class_target(
    recording: Recording, name: str, times: Float[np.ndarray, " bins"]
) -> tuple[Float64[np.ndarray, "bins classes"], Bool[np.ndarray, " bins"], tuple[str, ...]]:
    """Labels of the intervals that bins end in.

    Parameters
    ----------
    recording
        With the table.
    name
        Of a table of intervals, whose labels are the classes, or of a column of one: ``trials.choice``.
    times
        Ends of the bins, seconds. A bin that ends where an interval does belongs to it, one that ends where it begins
        does not.

    Returns
    -------
    values, observed, names
        (bins, classes), 1 for the label that holds; (bins,), False outside of all intervals and where two with other
        labels overlap; name of each dimension, in the order in which labels first come.

    Raises
    ------
    InputError
        If there is no such table or column, or it has one label or more than twenty.
    """
    table = _table(recording, name)
    if table is None:
        raise unknown_name("target", name, class_names(recording))
    labels = _labels(table, name)
    kinds = tuple(dict.fromkeys(labels))
    if not 1 < len(kinds) <= MOST_CLASSES:
        others = [other for other in class_names(recording) if other != name]
        hint = f"choose one of {', '.join(others)}" if others else "no table or column of this recording has"
        raise InputError(
            f"target '{name}' has {pluralised(len(kinds), 'label')} for {pluralised(len(table), 'interval')}, and "
            f"classes are 2 to {MOST_CLASSES} labels: {hint}"
        )
    holds = np.zeros((len(times), len(kinds)), np.bool_)
    after, until = table.starts + slack(table.starts), table.stops + slack(table.stops)
    for start, stop, label in zip(after, until, labels, strict=True):
        holds[(times > start) & (times <= stop), kinds.index(label)] = True
    observed = holds.sum(axis=1) == 1
    holds[~observed] = False
    return holds.astype(np.float64), observed, tuple(f"{name}{IS}{kind}" for kind in kinds)


def _table(recording: Recording, name: str) -> Intervals | None:
    """The table of intervals that a target is made from, if it is."""
    if name in recording.intervals:
        return recording.intervals[name]
    table, _, column = name.partition(".")
    return recording.intervals[table] if table in recording.intervals and column else None


def _labels(table: Intervals, name: str) -> Sequence[str]:
    """Label of each interval.

    Raises
    ------
    InputError
        If the table has no such column.
    """
    if name == table.name:
        return table.labels
    column = name.partition(".")[2]
    if column not in table.columns:
        raise unknown_name(f"column of '{table.name}'", column, table.columns)
    return [str(label) for label in table.columns[column]]
