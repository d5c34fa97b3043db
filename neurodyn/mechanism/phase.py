r"""Claim 3: the phase on the orbit sets the emission probabilities, and the readout lies near the plane of the orbit.

The emission probabilities p are regressed on harmonics of the phase :math:`\theta` in the leading plane,

.. math:: \hat p(\theta) = c_0 + \sum_{k=1}^{K} a_k \cos k\theta + b_k \sin k\theta,

fitted on half of the trials and scored on the other half (:math:`R^2`); the control gives every state the phase of
another one.

A system without any orbit passes that: where two states lie at two ends of one axis, the phase is hardly more than the
sign of the coordinate. Unlike any coordinate, a phase determines which way round the activity is going, and with it
the emission probabilities to come. So their course :math:`p_t, \ldots, p_{t+L}` is regressed on the phase and, with
the same regression by constant pieces, on each of some coordinates in the plane: along the first and the second
principal component, and along the axes in which the readout changes most. The phase has to explain more than the best
of them, which is chosen on the fitted half.

Adding the same number to all logits changes no probability, so the readout's axes are the rows of :math:`W_o` minus
their mean; their share in the plane is compared with that of random directions.
"""

from dataclasses import dataclass

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float

from neurodyn.mechanism.activity import Activity, Plane, leading_plane
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.regression import fit_pieces
from neurodyn.mechanism.statistics import bootstrap, control_range, excess_over_control, not_measured, principal_cosines

CLAIM = "The phase on the orbit sets the emission probabilities, and the readout axes lie near the plane of the orbit."

CONSTANT = 1e-6
"""Emission probabilities whose standard deviation is not above this are constant: that is rounding."""


@dataclass(frozen=True)
class PhaseConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_explained
        Share of the variance of the emission probabilities that the phase has to explain in new trials.
    least_gain
        What the phase has to explain of the course of the emission probabilities more than the best coordinate does;
        above zero because regressions on equally informative variables still differ by about 0.001.
    harmonics
        K.
    ahead
        L: steps of the course.
    pieces, least_in_piece
        Of the two regressions that are compared: most pieces, and least states in each.
    permutations, planes
        Repeats of the two controls. Null hypothesis of the permutation test: the emission probabilities are independent
        of the phase; statistic: the share of their variance that a regression on the phase explains. Random planes:
        the readout is not aligned with the plane of the activity; statistic: the largest principal cosine.
    bins
        Bins of the phase, for the figure and for the information.
    """

    least_explained: float = 0.5
    least_gain: float = 0.003
    harmonics: int = 3
    ahead: int = 8
    pieces: int = 16
    least_in_piece: int = 100
    permutations: int = 40
    planes: int = 200
    bins: int = 24


def examine(evidence: Evidence, config: PhaseConfig | None = None, *, seed: int) -> Finding:
    """Regress emission probabilities on the phase, and measure how the readout lies to the plane.

    Supported if the phase explains ``least_explained`` of the probabilities in new trials and more than 95 % of the
    permutations, if it explains their course by more than ``least_gain`` better than the best coordinate of the plane,
    and if the largest principal cosine between readout and plane exceeds that of 95 % of random planes.

    Parameters
    ----------
    evidence
        Network and recording; the readout is linearised at the mean activity, which is exact for a linear one.
    config
        Thresholds.
    seed
        Seed of the controls and of the bootstrap.
    """
    config = config or PhaseConfig()
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), evidence.most_times, "trials")


def _examine(evidence: Evidence, times: int, config: PhaseConfig, seed: int) -> Finding:
    activity, rng = evidence.recorded(times), np.random.default_rng(seed)
    plane, probabilities = leading_plane(activity.states), activity.probabilities
    if (idle := _nothing_to_explain(probabilities)) is not None:
        return idle
    phases = plane.phase(activity.states)
    explained = _explained(phases, probabilities, config, rng)
    shuffled = _permuted(phases, probabilities, config, rng)
    control = control_range("the same, phases permuted", shuffled)
    alignment, random = _alignment(evidence.network, plane, config, rng)
    gain, first_axis = _gain(plane.coordinates(activity.states), activity, config, rng)
    criteria = (
        Criterion(explained, least=config.least_explained),
        Criterion(gain, least=config.least_gain),
        Criterion(
            excess_over_control("explained beyond 95 % of the permutations", explained, _top(shuffled)), least=0.0
        ),
        Criterion(
            excess_over_control(
                "cosine of the readout to the plane beyond 95 % of random planes", alignment, _top(random)
            ),
            least=0.0,
        ),
    )
    return Finding(
        number=3, name="phase", claim=CLAIM, estimate=explained, control=control, criteria=criteria,
        data=_data(phases, activity, config.bins, shuffled, alignment.value, random),
        notes=(
            f"{first_axis.name}: {first_axis}",
            f"phase and likeliest symbol share {_information(phases, activity, config.bins):.2f} bits",
            f"largest principal cosine between readout and plane {alignment}, of random planes {random.mean():.2f}",
            f"the plane carries {_logit_share(activity, plane):.0%} of the variance of the logits' differences",
        ),
    )  # fmt: skip


def _harmonics(phases: np.ndarray, count: int) -> np.ndarray:
    turns = phases.reshape(-1, 1) * np.arange(1, count + 1)
    return np.concatenate([np.ones((phases.size, 1)), np.cos(turns), np.sin(turns)], axis=1)


def _residuals(phases, probabilities, config: PhaseConfig) -> Float[np.ndarray, "trials 2"]:
    """Squared error and squared deviation of each test trial, the fit made on the other half."""
    half = len(phases) // 2
    symbols = probabilities.shape[-1]
    fit = np.linalg.lstsq(
        _harmonics(phases[:half], config.harmonics), probabilities[:half].reshape(-1, symbols), rcond=None
    )[0]
    tested = probabilities[half:]
    predicted = (_harmonics(phases[half:], config.harmonics) @ fit).reshape(tested.shape)
    mean = probabilities[:half].mean(axis=(0, 1))
    return np.stack([((tested - other) ** 2).sum(axis=(1, 2)) for other in (predicted, mean)], axis=1)


def _r2(residuals: np.ndarray) -> float:
    total = float(residuals[:, 1].sum())
    return 1 - float(residuals[:, 0].sum()) / total if total else float("nan")


def _explained(phases, probabilities, config: PhaseConfig, rng) -> Estimate:
    residuals = _residuals(phases, probabilities, config)
    return bootstrap("variance of the emission probabilities that the phase explains", residuals, _r2, rng)


def _gain(
    places: Float[np.ndarray, "trials time 2"], activity: Activity, config: PhaseConfig, rng: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """What the phase explains of the course beyond the best coordinate, and beyond that of the first component."""
    names = [
        f"what the phase adds to {what}, of the variance of the emission probabilities of the next {config.ahead} steps"
        for what in ("the best coordinate in its plane", "the first principal component")
    ]
    probabilities, half, last = activity.probabilities, len(places) // 2, places.shape[1] - config.ahead
    if half < 1 or last < 1:
        return not_measured(names[0]), not_measured(names[1])
    course = np.concatenate([probabilities[:, lag : last + lag] for lag in range(config.ahead + 1)], axis=-1)
    axes = np.concatenate([np.eye(2), _axes_of_the_readout(places, activity)])
    here = places[:, :last]
    numbers = [np.arctan2(here[..., 1], here[..., 0]), *(here @ axis for axis in axes)]
    fitted, tested = zip(*(_piecewise_errors(number, course, half, config) for number in numbers), strict=True)
    best = 1 + int(np.argmin(fitted[1:]))
    mean = course[:half].mean(axis=(0, 1))
    total = ((course[half:] - mean) ** 2).sum(axis=(1, 2))
    gains = [
        bootstrap(name, np.stack([tested[other] - tested[0], total], axis=1), _ratio, rng)
        for name, other in zip(names, (best, 1), strict=True)
    ]
    return gains[0], gains[1]


def _axes_of_the_readout(places: Float[np.ndarray, "trials time 2"], activity: Activity) -> Float[np.ndarray, "2 2"]:
    """Directions of the plane in which the emission probabilities change most and least, by linear regression."""
    flat = activity.probabilities.reshape(-1, activity.logits.shape[-1])
    slopes = np.linalg.lstsq(places.reshape(-1, 2), flat - flat.mean(axis=0), rcond=None)[0]
    return np.linalg.svd(slopes)[0].T


def _piecewise_errors(
    number: Float[np.ndarray, "trials time"],
    course: Float[np.ndarray, "trials time outputs"],
    half: int,
    config: PhaseConfig,
) -> tuple[float, Float[np.ndarray, " tested"]]:
    """Squared error of the regression of a course on a number: in the fitted half, and of each trial of the other."""
    fit = fit_pieces(
        number[:half].ravel(), course[:half].reshape(-1, course.shape[-1]), most=config.pieces,
        least=config.least_in_piece,
    )  # fmt: skip
    errors = [(course[part] - fit(number[part].ravel()).reshape(course[part].shape)) ** 2 for part in _halves(half)]
    return float(errors[0].sum()), errors[1].sum(axis=(1, 2))


def _halves(half: int) -> tuple[slice, slice]:
    return slice(None, half), slice(half, None)


def _ratio(sums: np.ndarray) -> float:
    gained, total = sums.sum(axis=0)
    return float(gained / total) if total else float("nan")


def _nothing_to_explain(probabilities: Float[np.ndarray, "trials time symbols"]) -> Finding | None:
    """What is found where the emission probabilities do not change; None where they do."""
    if probabilities.std(axis=(0, 1)).max() > CONSTANT:
        return None
    nothing = not_measured("variance of the emission probabilities that the phase explains")
    return Finding(
        number=3, name="phase", claim=CLAIM, estimate=nothing, control=nothing, criteria=(), data=xr.Dataset(),
        not_applicable_because="the emission probabilities are the same in every state",
    )  # fmt: skip


def _permuted(phases, probabilities, config: PhaseConfig, rng) -> Float[np.ndarray, " repeats"]:
    drawn = (rng.permutation(phases.ravel()).reshape(phases.shape) for _ in range(config.permutations))
    return np.array([_r2(_residuals(other, probabilities, config)) for other in drawn])


def _top(control: np.ndarray) -> float:
    return float(np.quantile(control, 0.95))


def _alignment(network: Network, plane: Plane, config: PhaseConfig, rng) -> tuple[Estimate, np.ndarray]:
    """Largest principal cosine of readout and plane; the same of random planes of the same space."""
    weights = np.asarray(jax.jacfwd(network.logits)(jax.numpy.asarray(plane.centre)))
    axes = weights - weights.mean(axis=0)
    cosine = float(principal_cosines(axes, plane.axes).max())
    drawn = rng.normal(size=(config.planes, 2, network.hidden))
    random = np.array([principal_cosines(axes, other).max() for other in drawn])
    return Estimate("largest principal cosine", cosine, cosine, cosine), random


def _logit_share(activity: Activity, plane: Plane) -> float:
    """Variance of the centred logits that a regression on the plane's two coordinates explains."""
    logits = activity.logits - activity.logits.mean(axis=-1, keepdims=True)
    flat = logits.reshape(-1, logits.shape[-1])
    places = plane.coordinates(activity.states).reshape(-1, 2)
    design = np.concatenate([np.ones((len(places), 1)), places], axis=1)
    rest = flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0]
    return 1 - float(rest.var(axis=0).sum() / flat.var(axis=0).sum())


def _information(phases: np.ndarray, activity: Activity, bins: int) -> float:
    """Mutual information between binned phase and likeliest symbol, bits."""
    symbols = activity.logits.shape[-1]
    edges = (np.linspace(-np.pi, np.pi, bins + 1), np.arange(symbols + 1) - 0.5)
    joint = np.histogram2d(phases.ravel(), activity.likeliest.ravel(), edges)[0] / phases.size
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())


def _data(phases, activity: Activity, bins: int, shuffled, cosine: float, random) -> xr.Dataset:
    middle, mean, occupancy = mean_by_phase(phases, activity.probabilities, bins)
    return xr.Dataset(
        {
            "probability": (("phase", "symbol"), mean),
            "occupancy": ("phase", occupancy),
            "permuted": ("permutation", shuffled),
            "random_cosine": ("direction", random),
        },
        coords={"phase": middle},
        attrs={"readout_cosine": cosine},
    )


def mean_by_phase(
    phases: Float[np.ndarray, "trials time"], values: Float[np.ndarray, "trials time columns"], bins: int
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, "bins columns"], Float[np.ndarray, " bins"]]:
    """Middles of as many bins of the phase, the mean of each column in each (NaN in an empty one), and their shares."""
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    place = np.clip(np.digitize(phases.ravel(), edges) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    flat = values.reshape(len(place), -1)
    total = np.stack([np.bincount(place, weights=column, minlength=bins) for column in flat.T], axis=1)
    mean = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    return (edges[1:] + edges[:-1]) / 2, mean, count / len(place)
