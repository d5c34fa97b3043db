"""Regression on one number by constant pieces: what any function of a phase, or of a coordinate, explains."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Pieces:
    """A function that is constant between edges.

    Parameters
    ----------
    edges
        (piece - 1,) rising.
    values
        (piece, output).
    """

    edges: Float[np.ndarray, " edges"]
    values: Float[np.ndarray, "pieces outputs"]

    def __call__(self, place: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n outputs"]:
        """Values at some places."""
        return self.values[np.searchsorted(self.edges, place, side="right")]


def fit_pieces(
    place: Float[np.ndarray, " n"], outputs: Float[np.ndarray, "n outputs"], *, most: int = 32, least: int = 25
) -> Pieces:
    """Regression tree on one number: again and again, the piece is cut where that lowers the squared error most.

    The pieces adapt to where the outputs change, so that a step in a coordinate and a step in a phase are fitted
    equally well: two numbers can be compared by what they explain, whatever the shape of their relation to the outputs.

    Parameters
    ----------
    place
        (n,) the number.
    outputs
        (n, output) what it is to explain.
    most
        Pieces at most.
    least
        Samples in a piece at least.

    Examples
    --------
    >>> place = np.linspace(-1.0, 1.0, 200)
    >>> step = fit_pieces(place, np.sign(place)[:, None], most=2)
    >>> step(np.array([-0.5, 0.5])).ravel()
    array([-1.,  1.])
    """
    order = np.argsort(place, kind="stable")
    place, outputs = place[order], np.asarray(outputs, float)[order]
    sums = np.concatenate([np.zeros((1, outputs.shape[1])), np.cumsum(outputs, axis=0)])
    bounds = [(0, len(place))]
    cuts = [_best_cut(sums, place, *bounds[0], least)]
    while len(bounds) < most:
        widest = max(range(len(bounds)), key=lambda piece: cuts[piece][0])
        gain, at = cuts[widest]
        if gain <= 0:
            break
        start, stop = bounds[widest]
        halves = [(start, at), (at, stop)]
        bounds[widest : widest + 1] = halves
        cuts[widest : widest + 1] = [_best_cut(sums, place, *half, least) for half in halves]
    edges = np.array([(place[start - 1] + place[start]) / 2 for start, _ in bounds[1:]])
    values = np.stack([(sums[stop] - sums[start]) / (stop - start) for start, stop in bounds])
    return Pieces(edges, values)


def _best_cut(sums: np.ndarray, place: np.ndarray, start: int, stop: int, least: int) -> tuple[float, int]:
    """By how much the best cut of a piece lowers the squared error, and where it is; 0 if it cannot be cut."""
    at = np.arange(start + least, stop - least + 1)
    at = at[place[at - 1] < place[np.minimum(at, len(place) - 1)]] if len(at) else at
    if not len(at):
        return 0.0, start
    left, right = sums[at] - sums[start], sums[stop] - sums[at]
    between = (left**2).sum(axis=1) / (at - start) + (right**2).sum(axis=1) / (stop - at)
    best = int(between.argmax())
    whole = float(((sums[stop] - sums[start]) ** 2).sum()) / (stop - start)
    return float(between[best]) - whole, int(at[best])
