"""Units and channels of a stream brought into the order of the model's: by label, or by place where there are none."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int64, Num, Shaped

from neurodyn.binning.labels import MOST_SHOWN, are_numbered, places_of
from neurodyn.display import listed
from neurodyn.errors import InputError
from neurodyn.realtime.events import EventKind

Labels = tuple[str, ...]


class Matcher:
    """Says where the units or channels of one stream belong; it looks anew only when the stream's labels change.

    Parameters
    ----------
    name
        Of the modality.
    wanted
        The model's labels in its order; () if nobody knows them: the stream then goes by place, without a word.
    say
        Takes the kind of an event, the modality, and what happened.
    """

    def __init__(self, name: str, wanted: Labels, say: Callable[[EventKind, str, str], None]) -> None:
        self._name, self._wanted, self._say = name, wanted, say
        self._given: Labels | None = None
        self._fresh = bool(wanted)
        self._places: Int64[np.ndarray, " wanted"] | None = None
        self._rows: Int64[np.ndarray, " given"] | None = None
        self._refused: InputError | None = None

    def places(self, given: Labels | None) -> Int64[np.ndarray, " wanted"] | None:
        """Place in the stream of each of the model's channels; None if they are in order.

        Raises
        ------
        InputError
            If a label of the model is not in the stream; the message has both lists.
        """
        if self._fresh or (given is not self._given and given != self._given):
            self._look(given)
        if self._refused is not None:
            raise self._refused
        return self._places

    def rows(self, given: Labels | None) -> Int64[np.ndarray, " given"] | None:
        """Number in the model of each of the stream's units, -1 for one it does not know; None if they are in order.

        Raises
        ------
        InputError
            As `places`.
        """
        self.places(given)
        return self._rows

    def _look(self, given: Labels | None) -> None:
        self._given, self._fresh = given, False
        self._places = self._rows = self._refused = None
        if not self._wanted or given == self._wanted:
            return
        if given is None:
            self._by_place("the stream has no labels")
            return
        try:
            places = match(self._name, self._wanted, given)
        except InputError as error:
            self._refused = error
            return
        if places is None:
            self._by_place(
                f"labels are numbers of places only ({listed(self._wanted, MOST_SHOWN)}; {listed(given, MOST_SHOWN)})"
            )
            return
        self._places, self._rows = places, np.full(len(given), -1)
        self._rows[places] = np.arange(len(places))
        if len(given) > len(places):
            left = [label for label, row in zip(given, self._rows.tolist(), strict=True) if row < 0]
            self._say(
                EventKind.LEFT_OUT,
                self._name,
                f"the model does not know {listed(left, MOST_SHOWN)}; the others go by label",
            )

    def _by_place(self, why: str) -> None:
        first, last = self._wanted[0], self._wanted[-1]
        text = f"{why}: it goes by position, the first is taken for {first}, number {len(self._wanted)} for {last}"
        self._say(EventKind.BY_POSITION, self._name, text)


def match(name: str, wanted: Labels, given: Labels) -> Int64[np.ndarray, " wanted"] | None:
    """Place of each wanted label among the given ones, or None where labels do not tell and places have to.

    Parameters
    ----------
    name
        Of the modality.
    wanted, given
        Labels of the model and of the stream. Made-up ones (``lfp_0``, ``lfp_1``, ...) of which not one matches are no
        labels, if there are as many on both sides.

    Raises
    ------
    InputError
        If a label of the model is not in the stream; the message has both lists.
    """
    try:
        return places_of(wanted, given, what=f"modality '{name}'", other="the stream")
    except InputError:
        strangers = len(wanted) == len(given) and set(wanted).isdisjoint(given)
        if strangers and (are_numbered(wanted) or are_numbered(given)):
            return None
        raise


def in_order_of(
    rows: Int64[np.ndarray, " units"], times: Num[np.ndarray, " n"], units: Num[np.ndarray, " n"]
) -> tuple[Num[np.ndarray, " kept"], Int64[np.ndarray, " kept"], int]:
    """Spikes with the model's numbers of their units, those of other units left out.

    Parameters
    ----------
    rows
        Number in the model of each of the stream's units, -1 for none.
    times, units
        Of each spike: seconds, and the stream's number of its unit.

    Returns
    -------
    times, units
        Of the spikes that are kept.
    unknown
        How many spikes are of a unit that the stream itself does not have.
    """
    # A negative number and NaN fail the first comparison.
    known = (units >= 0) & (units < len(rows))
    numbers = rows[units[known].astype(np.int64)]
    kept = numbers >= 0
    return times[known][kept], numbers[kept], int(np.count_nonzero(~known))


# Labels that travel with data ---------------------------------------------------------------------------------


def labelled(values: Shaped[np.ndarray, "..."], labels: Labels) -> Shaped[np.ndarray, "..."]:
    """View of an array that says its labels itself, in the metadata of its type: parts of it do too.

    Who takes a chunk apart and hands on its arrays alone does not lose the labels by it.
    """
    return values.view(np.dtype(values.dtype.str, metadata={"labels": labels}))


def labels_in(values: Shaped[np.ndarray, "..."]) -> Labels | None:
    """Labels that an array made by `labelled` says; None for any other."""
    metadata = values.dtype.metadata
    return None if metadata is None else metadata.get("labels")


@lru_cache(maxsize=100)
def to_bytes(labels: Labels) -> bytes:
    """Labels as a message has them: JSON, in UTF-8."""
    return json.dumps(list(labels), ensure_ascii=False).encode()


@lru_cache(maxsize=100)
def from_bytes(data: bytes) -> Labels:
    """Labels from a message.

    Raises
    ------
    ValueError
        If it holds no list of texts.
    """
    try:
        found = json.loads(data)
    except RecursionError as error:  # thousands of brackets
        raise ValueError("labels must be a list of texts") from error
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError(f"labels must be a list of texts, got {data[:60]!r}")
    return tuple(found)


def check_streams(wanted: Sequence[tuple[str, Labels]], given: Sequence[tuple[str, Labels | None]]) -> None:
    """Refuse streams whose labels do not fit a model, before a session begins.

    Parameters
    ----------
    wanted
        Name of each modality and its labels.
    given
        Name of each stream and its labels, None where it has none.

    Raises
    ------
    InputError
        For the first stream that lacks a label of the model.
    """
    known = dict(given)
    for name, labels in wanted:
        if (found := known.get(name)) is not None and labels:
            match(name, labels, found)
