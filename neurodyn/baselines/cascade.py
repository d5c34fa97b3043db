r"""The Wiener cascade: a Wiener filter, and a static nonlinearity behind it.

.. math::
    \hat y_{t,d} = p_d\Big(b_d + \sum_{k=0}^{K-1} w_{k,d} \cdot x_{t-k}\Big)

with a polynomial :math:`p_d` for each dimension of the target. It is fitted to what the filter decodes of blocks that
it was not fitted on: on its own bins a filter of many inputs is right too often, and a polynomial fitted there would
take back what the penalty has shrunk. Its degree is chosen by leaving out the same blocks once more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial import legendre

from neurodyn.baselines.lagged import LaggedFilter
from neurodyn.baselines.wiener import WienerFilter
from neurodyn.display import listed, several
from neurodyn.given import count, parse_sequence


class Polynomial(NamedTuple):
    """A polynomial of one number, constant beyond the range that it was fitted on, where it would run away.

    Attributes
    ----------
    lowest, highest
        Of the numbers that it was fitted on.
    coefficients
        Of the Legendre polynomials on that range, which are nearly uncorrelated there.
    """

    lowest: float
    highest: float
    coefficients: Float[np.ndarray, " terms"]

    def __call__(self, values: Float[np.ndarray, "*bins"]) -> Float[np.ndarray, "*bins"]:
        """The polynomial at each of the values."""
        return legendre.legval(_on_unit_range(values, self.lowest, self.highest), self.coefficients)

    @property
    def degree(self) -> int:
        """Highest power."""
        return len(self.coefficients) - 1


@dataclass(frozen=True)
class Polynomials:
    """A polynomial behind each dimension of a filter."""

    curves: tuple[Polynomial, ...]

    def __call__(self, decoded: Float[np.ndarray, "*bins dims"]) -> Float[np.ndarray, "*bins dims"]:
        """The output of the filter, each dimension through its polynomial."""
        return np.stack([curve(decoded[..., dim]) for dim, curve in enumerate(self.curves)], axis=-1)


@dataclass(frozen=True, repr=False)
class WienerCascade(WienerFilter):
    """A Wiener filter followed by a polynomial for each dimension of the target.

    Parameters
    ----------
    lags, penalties, blocks, root_counts
        As of `WienerFilter`.
    degrees
        Degrees to choose from, per target dimension; 1 leaves the filter linear.
    fitted_
        What a fit found; None before.

    Reference
    ---------
    Pohlmeyer et al. (2007), Prediction of upper limb muscle activity from motor cortical discharge during reaching,
    Journal of Neural Engineering 4(4).

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=8, seconds=1.0), seed=0)
    >>> fitted = nd.baselines.WienerCascade((3, 10)).fit(batch)
    >>> len(fitted.degrees_), fitted.predict(batch)["target"].dims
    (3, ('trial', 'time', 'dim'))
    """

    degrees: tuple[int, ...] = field(default=(1, 2, 3, 4, 5), kw_only=True)

    @property
    def degrees_(self) -> tuple[int, ...]:
        """Degree of the polynomial of each dimension, as chosen."""
        output = self._require().output
        return tuple(curve.degree for curve in output.curves) if isinstance(output, Polynomials) else ()

    def _fit_output(self, found: LaggedFilter) -> tuple[Polynomials, Float[np.ndarray, " dims"]]:
        degrees = _degrees(self.degrees)
        decoded, target, groups = _left_out(found)
        fits = [fit_polynomial(x, y, groups, degrees) for x, y in zip(decoded.T, target.T, strict=True)]
        return Polynomials(tuple(curve for curve, _ in fits)), np.sqrt([error for _, error in fits])

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield from super()._facts()
        chosen = f"{listed(str(degree) for degree in self.degrees_)}, chosen from " if self.fitted_ else ""
        yield "degrees", chosen + several(self.degrees)


def fit_polynomial(
    values: Float[np.ndarray, " bins"],
    target: Float[np.ndarray, " bins"],
    groups: Int[np.ndarray, " bins"],
    degrees: tuple[int, ...],
) -> tuple[Polynomial, float]:
    """Least squares for a polynomial whose degree is best on groups of bins left out.

    Parameters
    ----------
    values, target
        What it takes, and what it has to give.
    groups
        Label of the group of each bin.
    degrees
        To choose from.

    Returns
    -------
    The polynomial fitted to all bins, and the mean squared error of that degree on the groups left out.
    """
    lowest, highest = float(values.min()), float(values.max())
    terms = legendre.legvander(_on_unit_range(values, lowest, highest), max(degrees))
    # What a fit without a group needs is the sum over the others of these products.
    rows = [groups == group for group in np.unique(groups)]
    grams = np.stack([terms[of_group].T @ terms[of_group] for of_group in rows])
    moments = np.stack([terms[of_group].T @ target[of_group] for of_group in rows])

    def solved(degree: int, left_out: int | None) -> np.ndarray:
        gram, moment = (part.sum(0) if left_out is None else part.sum(0) - part[left_out] for part in (grams, moments))
        return np.linalg.lstsq(gram[: degree + 1, : degree + 1], moment[: degree + 1], rcond=None)[0]

    def error(degree: int) -> float:
        squares = [
            np.sum((target[of_group] - terms[of_group, : degree + 1] @ solved(degree, number)) ** 2)
            for number, of_group in enumerate(rows)
        ]
        return float(np.sum(squares)) / len(target)

    errors = [error(degree) for degree in degrees]
    best = int(np.argmin(errors))
    return Polynomial(lowest, highest, solved(degrees[best], None)), errors[best]


def _left_out(found: LaggedFilter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the filter decodes of each training bin when it is fitted without its block, the target, and the block."""
    decoded, target, groups = [], [], []
    for block in found.rows():
        for group in np.unique(block.groups):
            of_group = block.groups == group
            decoded.append(found.without[int(group)].predict(block.features[of_group]))
            target.append(block.target[of_group].astype(np.float64))
            groups.append(block.groups[of_group])
    return np.concatenate(decoded), np.concatenate(target), np.concatenate(groups)


def _on_unit_range(values: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Values from -1, at the lowest, to 1, at the highest and beyond; 0 where both are the same."""
    half = (highest - lowest) / 2
    return np.clip((values - (lowest + highest) / 2) / (half if half > 0 else 1.0), -1.0, 1.0)


def _degrees(given: Any) -> tuple[int, ...]:
    return parse_sequence(given, count, f"degrees are a list of whole numbers of 1 or more, got {given!r}")
