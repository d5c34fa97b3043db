"""The modes of linear dynamics: how fast each decays, how fast it turns, and how sure that is over several fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.optimize import linear_sum_assignment

from neurodyn.errors import InputError
from neurodyn.fixed_points.spectrum import decay_seconds, eigen, frequency_hertz
from neurodyn.resampling import percentile_interval
from neurodyn.resampling import resamples as draw_resamples

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of a transition matrix, the slowest first; a pair of conjugate eigenvalues is one mode.

    Parameters
    ----------
    eigenvalues
        (fits, modes) each mode's eigenvalue in each fit.
    decay
        (modes,) seconds in which it decays to 1/e: from the mean decay rate over the fits.
    frequency
        (modes,) hertz: the mean over the fits.
    decay_interval, frequency_interval
        (modes, 2) lower and upper bound, by a bootstrap over the fits; NaN with a single fit.
    level
        Share of the bootstrap that lies between them.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import modes
    >>> fits = [np.diag([0.95, 0.5]), np.diag([0.96, 0.52]), np.diag([0.94, 0.48])]
    >>> found = modes(fits, width=0.01)
    >>> found.decay.round(3).tolist(), bool((np.diff(found.decay_interval) > 0).all())
    ([0.195, 0.014], True)
    """

    eigenvalues: Complex[np.ndarray, "fits modes"]
    decay: Float[np.ndarray, " modes"]
    frequency: Float[np.ndarray, " modes"]
    decay_interval: Float[np.ndarray, "modes 2"]
    frequency_interval: Float[np.ndarray, "modes 2"]
    level: float

    def table(self) -> str:
        """One line per mode."""
        rows = [f"{'mode':>4}  {'decay (s)':>10}  {'interval':>22}  {'hertz':>8}  {'interval':>20}"]
        for i, (decay, frequency) in enumerate(zip(self.decay, self.frequency, strict=True)):
            seconds, hertz = self.decay_interval[i], self.frequency_interval[i]
            rows.append(
                f"{i:>4}  {decay:>10.4g}  {seconds[0]:>10.4g} {seconds[1]:>11.4g}  "
                f"{frequency:>8.4g}  {hertz[0]:>9.4g} {hertz[1]:>10.4g}"
            )
        return "\n".join(rows)

    def to_xarray(self) -> "xr.Dataset":
        """The same as labelled data."""
        import xarray as xr

        return xr.Dataset(
            {
                "eigenvalue": (("fit", "mode"), self.eigenvalues),
                "decay": ("mode", self.decay, {"units": "s"}),
                "frequency": ("mode", self.frequency, {"units": "Hz"}),
                "decay_interval": (("mode", "bound"), self.decay_interval, {"units": "s"}),
                "frequency_interval": (("mode", "bound"), self.frequency_interval, {"units": "Hz"}),
            },
            coords={"bound": ["lower", "upper"]},
            attrs={"level": self.level},
        )


def modes(
    transitions: np.ndarray | Sequence[np.ndarray],
    width: float,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Modes:
    """Decay times and frequencies of ``x[t+1] = A x[t]``, with their spread over fits of the same model.

    The latent axes of two fits have nothing to do with each other, but eigenvalues do not depend on axes: those of
    every fit are matched one to one to those of a reference fit by the distance of their logarithms (rate and angle
    per step). The reference is the fit that is closest to all others.

    Parameters
    ----------
    transitions
        (latent, latent) A, or one per fit, for example per fold of a cross-validation.
    width
        Seconds per step.
    resamples
        Resamples of the bootstrap.
    level
        Level of the intervals.
    seed
        Seed of the bootstrap.

    Raises
    ------
    InputError
        If matrices are not square, not of one size or not finite, or ``width`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import modes
    >>> turn = 0.95 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    >>> found = modes(turn, width=0.01)
    >>> found.decay.round(3).tolist(), found.frequency.round(2).tolist()
    ([0.195], [7.96])
    """
    matrices = _matrices(transitions)
    if not width > 0 or not 0 < level < 1 or resamples < 1:
        raise InputError(
            f"width and resamples have to be positive and level a share, got {width}, {resamples} and {level}"
        )
    values = _matched(eigen(matrices, vectors=False)[0])
    rate, frequency = 1 / decay_seconds(values, width), frequency_hertz(values, width)
    mean_rate = rate.mean(axis=0)
    order = np.argsort(mean_rate, kind="stable")
    drawn = np.stack(list(draw_resamples(len(values), resamples, np.random.default_rng(seed))))
    with np.errstate(divide="ignore"):
        decay, bounds = 1 / mean_rate, 1 / _interval(rate, drawn, level)[:, ::-1]
    return Modes(
        eigenvalues=values[:, order],
        decay=decay[order],
        frequency=frequency.mean(axis=0)[order],
        decay_interval=bounds[order],
        frequency_interval=_interval(frequency, drawn, level)[order],
        level=level,
    )


def _matrices(transitions: np.ndarray | Sequence[np.ndarray]) -> Float[np.ndarray, "fits latent latent"]:
    single = isinstance(transitions, np.ndarray) and transitions.ndim == 2
    given = [np.asarray(matrix) for matrix in ([transitions] if single else transitions)]
    shapes = {matrix.shape for matrix in given}
    if len(shapes) != 1 or any(len(shape) != 2 or shape[0] != shape[1] for shape in shapes):
        raise InputError(f"transitions have to be square matrices of one size, got shapes {sorted(shapes)}")
    matrices = np.stack(given).astype(np.float64)
    if not np.isfinite(matrices).all():
        raise InputError("transitions hold NaN or infinity: leave the fits that failed out")
    return matrices


def _matched(values: Complex[np.ndarray, "fits latent"]) -> Complex[np.ndarray, "fits modes"]:
    """Eigenvalues of each fit in the order of the reference, one column per real or conjugate pair of it."""
    logs = np.log(np.maximum(np.abs(values), 1e-12)) + 1j * np.angle(values)
    costs = np.abs(logs[:, None, :, None] - logs[None, :, None, :])
    pairs = [[linear_sum_assignment(cost) for cost in row] for row in costs]
    total = [sum(c[p].sum() for c, p in zip(cost, row, strict=True)) for cost, row in zip(costs, pairs, strict=True)]
    reference = int(np.argmin(total))
    ordered = np.stack([row[columns] for row, (_, columns) in zip(values, pairs[reference], strict=True)])
    return ordered[:, values[reference].imag >= 0]


def _interval(
    samples: Float[np.ndarray, "fits modes"], drawn: Int[np.ndarray, "resamples fits"], level: float
) -> Float[np.ndarray, "modes 2"]:
    """Percentiles of the mean over fits drawn with replacement."""
    if len(samples) == 1:
        return np.full((samples.shape[1], 2), np.nan)
    means = samples[drawn].mean(axis=1)
    return np.stack(percentile_interval(means, level), axis=1)
