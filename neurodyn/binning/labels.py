"""Two lists of labels of the same things, matched by name: units, channels, dimensions of a target."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from neurodyn.display import listed
from neurodyn.errors import InputError

MOST_SHOWN = 12
"""Labels of a list that a message shows; of a longer list their number is told too."""


def places_of(
    wanted: Sequence[str], given: Sequence[str], *, what: str, other: str, kind: str = "channels"
) -> Int[np.ndarray, " wanted"]:
    """Where each label that a model was fitted on stands among those that are given.

    Parameters
    ----------
    wanted
        Labels of the model, in its order.
    given
        Labels that are there, in any order; there may be more of them.
    what, other, kind
        For the message: what has the labels ("modality 'spikes'"), who has the given ones ("the stream"), and what
        they are labels of.

    Returns
    -------
    places
        Of each wanted label: ``given[places[i]] == wanted[i]``.

    Raises
    ------
    InputError
        If a wanted label is not there, or stands there twice; the message has both lists.
    """
    place = {label: number for number, label in enumerate(given)}
    absent = [label for label in wanted if label not in place]
    twice = [] if len(place) == len(given) else [label for label in wanted if list(given).count(label) > 1]
    if absent or twice:
        fault = (
            f"it lacks {listed(absent, MOST_SHOWN)}"
            if absent
            else f"there {listed(twice, MOST_SHOWN)} comes more than once"
        )
        raise InputError(
            f"{what} was fitted on {len(wanted)} {kind} ({_some(wanted)}), {other} has {len(given)} ({_some(given)}): "
            f"{fault}. They are matched by label: give the labels that the model knows"
        )
    return np.array([place[label] for label in wanted], np.int64)


def are_numbered(labels: Sequence[str]) -> bool:
    """Whether labels say no more than the place: a prefix and 0, 1, 2, ..., made up where none were known."""
    found = re.fullmatch(r"(.*\D)0", labels[0]) if labels else None
    return found is not None and all(label == f"{found[1]}{number}" for number, label in enumerate(labels))


def _some(labels: Sequence[str]) -> str:
    return listed(labels, MOST_SHOWN)
