"""A recorded session decoded again: whether the model gives what was handed out, to the bit."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from neurodyn.display import pluralised
from neurodyn.errors import InputError
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.session_file import ESTIMATED, settings_of
from neurodyn.recording.session import open_session, session_array, session_text

ROUNDING = 1e-5
"""Half widths of an interval by which gains may move a target: a decoder that was used before the session has a table
of gains of its own, and takes one that is the same up to rounding for another."""


@dataclass(frozen=True)
class SessionCheck:
    """How a session decoded again compares with what was handed out.

    Parameters
    ----------
    bins
        That were decoded again.
    equal
        Of those, how many gave the same target, interval and latent to the bit.
    others
        Bins that another model decoded, which were not compared.
    runs
        Times that the decoder went on from a state that is in the file.
    largest
        Largest difference of a target, in half widths of its interval; NaN if nothing was compared.
    first
        Time in seconds of the first bin that differs; None if none does.
    """

    bins: int
    equal: int
    others: int
    runs: int
    largest: float
    first: float | None

    @property
    def same(self) -> bool:
        """Whether every bin was compared and is the same, but for the rounding of gains that come from a table."""
        return self.bins > 0 and not self.others and (self.equal == self.bins or self.largest <= ROUNDING)

    def __str__(self) -> str:
        """What came out, in a sentence or two."""
        if not self.bins + self.others:
            return "the session has no bins"
        runs = "" if self.runs == 1 else f" in {self.runs} runs"
        if self.same and self.equal == self.bins:
            bins = f"{pluralised(self.bins, 'bin')}{runs}"
            return f"{bins} decoded again: targets, intervals and latents are the same to the bit"
        parts = []
        if self.bins:
            parts.append(
                f"{pluralised(self.bins, 'bin')}{runs} decoded again, {self.equal:,} of them the same to the bit"
            )
        if self.first is not None:
            parts.append(
                f"the first that differs ends at {self.first:g} s; targets differ by up to {self.largest:.2g} of the "
                "half width of their interval"
            )
        if self.same:
            parts.append("which is the rounding of its table of gains")
        if self.others:
            parts.append(f"{pluralised(self.others, 'bin')} of another model, give the one that decoded them")
        return "; ".join(parts)


def check_session(path: str | os.PathLike[str], decoder: RealtimeDecoder) -> SessionCheck:
    """Decode the bins of a recorded session again and compare.

    Parameters
    ----------
    path
        What ``neurodyn serve --record`` wrote.
    decoder
        Of the model that decoded the session; its limits of the output are those of the file.

    Raises
    ------
    InputError
        If the file is not a session, is damaged, or of a model of other sizes.
    """
    path = Path(path)
    with open_session(path) as file:
        head = session_text(file, "head", path)
        given = {name: session_array(file, f"bins/{name}", path) for name in ("time", "truth", *ESTIMATED)}
        names = [str(row["name"]) for row in head["modalities"]]
        seen = {n: session_array(file, f"bins/observations/{k}", path) for k, n in enumerate(names)}
        first = session_array(file, "runs/first", path)
        states = {name: session_array(file, f"runs/state/{name}", path) for name in file["runs/state"]}
    _check_sizes(decoder, names, seen, given, path)
    decoder = RealtimeDecoder(decoder.runner.frozen, **settings_of(head))
    bins = min(map(len, (*given.values(), *seen.values())))
    runs = min(map(len, (first, *states.values())))
    edges = np.minimum([*first[:runs], bins], bins).tolist()
    equal = compared = others = taken = 0
    largest, differs = 0.0, None
    for number, (start, stop) in enumerate(pairwise(edges)):
        state = {name: rows[number] for name, rows in states.items()}
        if decoder.is_from_other_model(state):
            others += max(0, stop - start)
            continue
        taken += start < stop
        decoder.restore(state)
        for row in range(start, stop):
            estimate = decoder.step({name: rows[row] for name, rows in seen.items()}, float(given["time"][row]))
            expected = {name: given[name][row] for name in ESTIMATED}
            compared += 1
            if not np.isnan(given["truth"][row]).all():
                decoder.observe(given["truth"][row])
            if all(np.array_equal(getattr(estimate, name), expected[name], equal_nan=True) for name in ESTIMATED):
                equal += 1
                continue
            differs = float(given["time"][row]) if differs is None else differs
            half = np.maximum((expected["upper"] - expected["lower"]) / 2, np.finfo(np.float64).tiny)
            largest = max(largest, float(np.max(np.abs(estimate.target - expected["target"]) / half, initial=0.0)))
    return SessionCheck(compared, equal, others, taken, largest if compared else float("nan"), differs)


def _check_sizes(
    decoder: RealtimeDecoder,
    names: list[str],
    seen: dict[str, np.ndarray],
    given: dict[str, np.ndarray],
    path: Path,
) -> None:
    """Refuse a model that cannot have decoded the session."""
    expected = {name: (channels,) for name, channels in decoder.channels.items()}
    if expected != {name: seen[name].shape[1:] for name in names} or given["target"].shape[1:] != (
        len(decoder.target_names),
    ):
        raise InputError(f"'{path}' was decoded by a model with other modalities or another target: give that one")
