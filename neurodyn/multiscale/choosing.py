"""Sizes chosen inside the training part: successive halving on time-ordered blocks, within a budget of seconds.

1. A quarter of the training part is kept out, in long pieces that are spread over it.
2. Every candidate is fitted to the rest for a few epochs, and scored on what was kept out: R2 of the causal estimate.
3. The better third is fitted anew for more epochs, and of these the better half to the end.

What the decoder came with is the first candidate. No data but those given are looked at, so that a test part remains
one. Reference: Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization,
AISTATS.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.errors import InputError, NumericalError
from neurodyn.evaluation.metrics import r2
from neurodyn.training import ProgressBar

if TYPE_CHECKING:
    from neurodyn.multiscale.estimator import MultiscaleDecoder

SECONDS = 600.0
"""Budget where none is given."""
KEPT_OUT = 0.25
"""Share of the training part that candidates are scored on."""
SHORTEST = 10.0
"""Least seconds of a piece that is kept out."""
ROUNDS = ((0.15, 1), (0.4, 3), (1.0, 2))
"""Share of the epochs that each round trains for, and the part of the round before that gets there: one in so many."""

AS_GIVEN = "as given"
Change = Callable[["MultiscaleDecoder"], "MultiscaleDecoder"]


def _sizes(**changes: Any) -> Change:
    return lambda decoder: replace(decoder, **changes)


def _network(**changes: Any) -> Change:
    def change(decoder: "MultiscaleDecoder") -> "MultiscaleDecoder":
        return (
            decoder if decoder.recurrent is None else replace(decoder, recurrent=replace(decoder.recurrent, **changes))
        )

    return change


CANDIDATES: dict[str, Change] = {
    AS_GIVEN: lambda decoder: decoder,
    "64 hidden units": _network(hidden=64),
    "256 hidden units": _network(hidden=256),
    "dropout 0.1": _network(dropout=0.1),
    "dropout 0.5": _network(dropout=0.5),
    "learning rate 0.001": _network(learning_rate=1e-3),
    "windows of 50 bins": _network(window=50),
    "16 latents": _sizes(latent=16),
    "64 latents": _sizes(latent=64),
    "short memory": _sizes(traces=(0.05, 0.1, 0.2, 0.5)),
    "long memory": _sizes(traces=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)),
    "no recurrent network": _sizes(recurrent=None),
}
"""What is compared, by name: each changes one thing of the decoder given."""


@dataclass(frozen=True)
class Compared:
    """One candidate in one round.

    Parameters
    ----------
    candidate
        Its name.
    epochs
        Most that it was trained for.
    r2
        On what was kept out, mean over dimensions; minus infinity if its loss stopped being finite.
    seconds
        That its fit took.
    """

    candidate: str
    epochs: int
    r2: float
    seconds: float


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what.

    Parameters
    ----------
    candidate
        Name of the best one in the last round that was gone through.
    compared
        Every fit, in the order in which they were made.
    """

    candidate: str
    compared: tuple[Compared, ...]

    def record(self) -> dict[str, Any]:
        """Plain numbers and text, for a model's provenance."""
        rows = [{**asdict(one), "r2": one.r2 if math.isfinite(one.r2) else None} for one in self.compared]
        return {"chosen": self.candidate, "compared": rows}


def choose(
    decoder: "MultiscaleDecoder",
    batch: MultimodalBatch,
    seconds: float = SECONDS,
    candidates: Mapping[str, Change] | None = None,
) -> tuple["MultiscaleDecoder", Choice]:
    """Choose the settings of a decoder on the data it is going to be fitted to.

    Parameters
    ----------
    decoder
        What it says holds, but for what a candidate changes.
    batch
        Training trials, with a target.
    seconds
        After which no further fit is begun. A round that was not gone through decides nothing, unless it is the first.
    candidates
        Name and change of each; `CANDIDATES` if None. Those that change nothing are left out.

    Returns
    -------
    The decoder with the settings chosen, not fitted, and how they were chosen. Ctrl-C ends the choice with what is
    best so far.

    Raises
    ------
    InputError
        If there is no target, or the budget is not positive.
    """
    if batch.n_dims == 0:
        raise InputError("there is no target to choose sizes by: name one when binning, or leave choose out")
    if not seconds > 0:
        raise InputError(f"choosing sizes needs more than 0 seconds, got {seconds:g}")
    decoder = replace(decoder, fitted_=None)
    changed = {AS_GIVEN: decoder}
    for name, change in (CANDIDATES if candidates is None else candidates).items():
        if (one := change(decoder)) not in changed.values():
            changed[name] = one
    inner, held = validation_split(batch, KEPT_OUT, held_out_seconds(batch, KEPT_OUT, SHORTEST))
    rounds, done = _halving(changed, inner, held, time.monotonic() + seconds, decoder.progress)
    best = max(rounds[-1], key=lambda one: one.r2)  # of equal ones the first, which is what was given
    return changed[best.candidate], Choice(best.candidate, tuple(done))


def _halving(
    changed: Mapping[str, "MultiscaleDecoder"],
    inner: MultimodalBatch,
    held: MultimodalBatch,
    end: float,
    progress: bool,
) -> tuple[list[list[Compared]], list[Compared]]:
    """The rounds that were gone through (of the first, what there is), and every fit."""
    names, rounds, done = list(changed), [], []
    bar = ProgressBar("choose sizes") if progress else None
    places = list(accumulate((part for _, part in ROUNDS), lambda n, part: math.ceil(n / part), initial=len(names)))[1:]
    try:
        for (share, _), count in zip(ROUNDS, places, strict=True):
            names, found = names[:count], []
            for name in names:
                if done and time.monotonic() > end:
                    break
                found.append(_compare(name, changed[name], share, inner, held))
                done.append(found[-1])
                if bar is not None:
                    bar.update(len(done), sum(places), 1 - found[-1].r2, 1 - max(one.r2 for one in found))
            if len(found) < len(names) and rounds:
                break
            rounds.append(found)
            if len(found) < len(names):
                break
            names = [one.candidate for one in sorted(found, key=lambda one: -one.r2)]
    except KeyboardInterrupt:
        if not rounds and not done:
            raise
        rounds = rounds or [done]
    finally:
        if bar is not None:
            bar.finish("finished")
    return rounds, done


def _compare(
    name: str, decoder: "MultiscaleDecoder", share: float, inner: MultimodalBatch, held: MultimodalBatch
) -> Compared:
    epochs, begin = max(1, round(share * decoder.training.epochs)), time.monotonic()
    short = replace(decoder, training=replace(decoder.training, epochs=epochs), choose=None, progress=False)
    try:
        fitted = short.fit(inner)
    except NumericalError:
        return Compared(name, epochs, -math.inf, time.monotonic() - begin)
    if fitted.fitted_ is not None and fitted.fitted_.status == "interrupted":
        raise KeyboardInterrupt
    stacked = held.stacked(observations=False)
    scored = stacked.scored()
    decoded = fitted.predict(held)["target"].to_numpy()[scored]
    value = float(np.mean(r2(np.asarray(stacked.target[scored], np.float64), decoded)))
    return Compared(name, epochs, value, time.monotonic() - begin)
