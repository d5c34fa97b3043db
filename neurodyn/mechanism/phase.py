r"""Claim 3: the phase on the orbit sets the emission probabilities, and the readout lies near the plane of the orbit.

The emission probabilities p are regressed on harmonics of the phase :math:`\theta` in the leading plane,

.. math:: \hat p(\theta) = c_0 + \sum_{k=1}^{K} a_k \cos k\theta + b_k \sin k\theta,

fitted on half of the trials and scored on the other half (:math:`R^2`); the control gives every state the phase of
another one. Adding the same number to all logits changes no probability, so the readout's axes are the rows of
:math:`W_o` minus their mean; their share in the plane is compared with that of random directions.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from neurodyn.mechanism.activity import Activity, Plane
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.statistics import beyond, bootstrap, principal_cosines, spread

CLAIM = "The phase on the orbit sets the emission probabilities, and the readout axes lie near the plane of the orbit."


@dataclass(frozen=True)
class PhaseConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_explained
        Share of the variance of the emission probabilities that the phase has to explain in new trials.
    harmonics
        K.
    permutations, planes
        Repeats of the two controls; a permutation is a regression over the whole recording.
    bins
        Of the phase, for the figure and for the information.
    """

    least_explained: float = 0.5
    harmonics: int = 3
    permutations: int = 40
    planes: int = 200
    bins: int = 24


def examine(evidence: Evidence, config: PhaseConfig | None = None, *, seed: int) -> Finding:
    """Regress emission probabilities on the phase, and measure how the readout lies to the plane.

    Supported if the phase explains ``least_explained`` of the probabilities in new trials and more than 95 % of the
    permutations, and the largest principal cosine between readout and plane exceeds that of 95 % of random planes.

    Parameters
    ----------
    evidence
        Network and recording; the readout is linearised at the mean activity, which is exact for a linear one.
    config
        Thresholds.
    seed
        Of the controls and of the bootstrap.
    """
    config, activity, rng = config or PhaseConfig(), evidence.activity, np.random.default_rng(seed)
    plane = evidence.plane
    phases, probabilities = plane.phase(activity.states), activity.probabilities
    explained = _explained(phases, probabilities, config, rng)
    shuffled = _permuted(phases, probabilities, config, rng)
    control = spread("the same, phases permuted", shuffled)
    alignment, random = _alignment(evidence.network, plane, config, rng)
    criteria = (
        Criterion(explained, least=config.least_explained),
        Criterion(beyond("explained beyond 95 % of the permutations", explained, _top(shuffled)), least=0.0),
        Criterion(
            beyond("cosine of the readout to the plane beyond 95 % of random planes", alignment, _top(random)),
            least=0.0,
        ),
    )
    return Finding(
        number=3, name="phase", claim=CLAIM, estimate=explained, control=control, criteria=criteria,
        data=_data(phases, activity, config.bins, shuffled, alignment.value, random),
        notes=(
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


def _permuted(phases, probabilities, config: PhaseConfig, rng) -> Float[np.ndarray, " repeats"]:
    drawn = (rng.permutation(phases.ravel()).reshape(phases.shape) for _ in range(config.permutations))
    return np.array([_r2(_residuals(other, probabilities, config)) for other in drawn])


def _top(control: np.ndarray) -> float:
    return float(np.quantile(control, 0.95))


def _alignment(network: Network, plane: Plane, config: PhaseConfig, rng) -> tuple[Estimate, np.ndarray]:
    """Largest principal cosine of readout and plane; the same of random planes of the same space."""
    import jax

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
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    place = np.clip(np.digitize(phases.ravel(), edges) - 1, 0, bins - 1)
    flat = activity.probabilities.reshape(-1, activity.logits.shape[-1])
    count = np.bincount(place, minlength=bins)
    total = np.stack([np.bincount(place, weights=column, minlength=bins) for column in flat.T], axis=1)
    mean = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    return xr.Dataset(
        {
            "probability": (("phase", "symbol"), mean),
            "occupancy": ("phase", count / len(place)),
            "permuted": ("permutation", shuffled),
            "random_cosine": ("direction", random),
        },
        coords={"phase": (edges[1:] + edges[:-1]) / 2},
        attrs={"readout_cosine": cosine},
    )
