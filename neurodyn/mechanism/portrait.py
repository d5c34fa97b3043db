r"""What a network looks like: the pictures of Torre and others (2025), drawn from the evidence of the claims.

Nothing here has a verdict. In the plane of the two leading principal components: trajectories under noise and without
it, coloured by the likeliest symbol, and where the activity stays at several levels of noise. Along the orbit: what the
kick neurons receive. Of the weights: the matrix with kick neurons first and the units that drive them next. Of the
dynamics: the eigenvalues as the kick neurons are scaled. Of the output: the transitions of the symbols.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.display import symbol_name
from neurodyn.markov import HiddenMarkovModel
from neurodyn.markov.statistics import Counting, expect_counts, rates_of
from neurodyn.mechanism.activity import Activity, Plane, RecordConfig, cells, record, run
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.measured import Kick
from neurodyn.mechanism.network import Network, jacobians, recurrent_weights
from neurodyn.mechanism.phase import mean_by_phase

OTHERS, KICK_NEURONS, INTEGRATING = 0, 1, 2
"""Values of ``unit_kind``: none of both, in the group of a transition, or beyond chance in what it gives to a group."""


@dataclass(frozen=True)
class PortraitConfig:
    """Sizes.

    Parameters
    ----------
    trials
        Trajectories that are shown.
    quiet_steps
        Steps without input from the states in which these begin.
    levels
        Levels of the noise at which occupancy is shown, relative to that of the recording.
    bins
        Bins of the grid of the plane, per axis, and of the phase.
    factors
        By which kick neurons are scaled.
    jacobians
        States in which the Jacobian is taken.

    Examples
    --------
    >>> from neurodyn.mechanism import PortraitConfig
    >>> PortraitConfig(trials=3, bins=12).levels
    (0.5, 1.0, 2.0)
    """

    trials: int = 6
    quiet_steps: int = 80
    levels: tuple[float, ...] = (0.5, 1.0, 2.0)
    bins: int = 24
    factors: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    jacobians: int = 4


def portrait(
    evidence: Evidence, kicks: Sequence[Kick] = (), config: PortraitConfig | None = None, *, seed: int = 0
) -> xr.Dataset:
    """What the pictures of a network show.

    Parameters
    ----------
    evidence
        Network, recording and model.
    kicks
        Kick neurons of its transitions; pictures of them are left out where there are none.
    config
        Sizes.
    seed
        Seed of further runs.

    Returns
    -------
    ``place`` (trial, time, axis) and ``symbol`` (trial, time) of trajectories under noise; ``quiet_place`` and
    ``quiet_symbol`` (trial, quiet_step) of runs without input from where these begin; ``occupancy`` (level, x, y) with
    the edges of its cells ``x_edge`` and ``y_edge``; ``emitted`` and ``expected`` (from_symbol, to_symbol),
    transition matrices of the network's symbols and of the model's. With kick neurons also ``received``
    (transition, phase), ``largest_eigenvalue`` (transition, factor) and, of a cell with one recurrent matrix,
    ``weight`` (to_unit, from_unit), sorted, with ``unit_kind``.

    Reference
    ---------
    Torre and others (2025), arXiv 2510.25674.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> network, short = nd.mechanism.network_of(rnn), nd.mechanism.RecordConfig(trials=4, steps=20, burn_in=5)
    >>> activity, hmm = nd.mechanism.record(network, short, seed=0), nd.markov.fully_connected(2)
    >>> small = nd.mechanism.PortraitConfig(quiet_steps=10, bins=4)
    >>> data = nd.mechanism.portrait(nd.mechanism.Evidence(network, activity, hmm), config=small)
    >>> dict(data["occupancy"].sizes), data["expected"].shape
    ({'level': 3, 'x': 4, 'y': 4}, (2, 2))
    """
    config = config or PortraitConfig()
    network, activity, plane = evidence.network, evidence.activity, evidence.plane
    parts = [
        _trajectories(network, activity, plane, config),
        _occupancy(evidence, plane, config, seed),
        _transitions(activity, evidence.model),
    ]
    kicks = [kick for kick in kicks if len(kick.group)]
    if kicks:
        parts += [_along_the_orbit(network, activity, plane, kicks, config), _scaled(network, activity, kicks, config)]
        weights = recurrent_weights(network)
        if weights is not None:
            parts.append(_sorted(weights, kicks))
    merged: xr.Dataset = xr.merge(parts, join="exact", compat="no_conflicts", combine_attrs="no_conflicts")
    return merged


def _trajectories(network: Network, activity: Activity, plane: Plane, config: PortraitConfig) -> xr.Dataset:
    states = activity.states[: config.trials]
    still = jnp.zeros((config.quiet_steps, len(states), network.inputs))
    quiet, logits = run(network, jnp.asarray(states[:, 0]), still)
    quiet = np.concatenate([states[:, :1], np.moveaxis(np.asarray(quiet), 0, 1)], axis=1)
    symbols = np.concatenate([activity.likeliest[: len(states), :1], np.asarray(logits.argmax(axis=-1)).T], axis=1)
    return xr.Dataset(
        {
            "place": (("trial", "time", "axis"), plane.coordinates(states)),
            "symbol": (("trial", "time"), activity.likeliest[: len(states)]),
            "quiet_place": (("trial", "quiet_step", "axis"), plane.coordinates(quiet)),
            "quiet_symbol": (("trial", "quiet_step"), symbols),
        }
    )


def _occupancy(evidence: Evidence, plane: Plane, config: PortraitConfig, seed: int) -> xr.Dataset:
    """Share of the time in each cell of the plane, at each level of noise; the grid holds nearly all of every one."""
    trials, steps, _ = evidence.activity.states.shape
    usual = evidence.recording or RecordConfig()
    recordings = [
        evidence.activity
        if factor == 1.0
        else record(
            evidence.network, replace(usual, trials=trials, steps=steps, level=factor * evidence.level), seed=seed
        )
        for factor in config.levels
    ]
    places = [plane.coordinates(each.states).reshape(-1, 2) for each in recordings]
    ends = np.stack([np.quantile(each, [0.005, 0.995], axis=0) for each in places])
    edges = cells(ends[:, 0].min(axis=0), ends[:, 1].max(axis=0), config.bins)
    shares = [np.histogramdd(each, edges)[0] / len(each) for each in places]
    return xr.Dataset(
        {
            "occupancy": (("level", "x", "y"), np.stack(shares)),
            "x_edge": ("edge", edges[0]),
            "y_edge": ("edge", edges[1]),
        },
        coords={"level": [factor * evidence.level for factor in config.levels]},
    )


def _transitions(activity: Activity, model: HiddenMarkovModel) -> xr.Dataset:
    """Symbols are drawn independently given the states, so that pairs of probabilities say more than drawn symbols."""
    now, after = activity.probabilities[:, :-1], activity.probabilities[:, 1:]
    pairs = np.einsum("nta,ntb->ab", now, after)
    steps, symbols = activity.states.shape[1], model.symbols
    expected = rates_of(expect_counts(model, steps, Counting(symbols, 1, 1)), 1, steps).transitions
    axes, names = ("from_symbol", "to_symbol"), [symbol_name(symbol) for symbol in range(symbols)]
    return xr.Dataset(
        {"emitted": (axes, pairs / pairs.sum(axis=1, keepdims=True)), "expected": (axes, expected)},
        coords=dict.fromkeys(axes, names),
    )


def _along_the_orbit(
    network: Network, activity: Activity, plane: Plane, kicks: Sequence[Kick], config: PortraitConfig
) -> xr.Dataset:
    """Mean of what the kick neurons receive at each phase: weighted activity, or their own activity in other cells."""
    weights, states = recurrent_weights(network), activity.states
    every = [states[..., kick.group] if weights is None else states @ weights[kick.group].T for kick in kicks]
    means = np.stack([units.mean(axis=-1) for units in every], axis=-1)
    middle, received, _ = mean_by_phase(plane.phase(states), means, config.bins)
    words = "activity of the kick neurons" if weights is None else "recurrent input to the kick neurons"
    return xr.Dataset(
        {"received": (("transition", "phase"), received.T)},
        coords={"transition": [kick.name for kick in kicks], "phase": middle},
        attrs={"received_is": words},
    )


def _scaled(network: Network, activity: Activity, kicks: Sequence[Kick], config: PortraitConfig) -> xr.Dataset:
    """Largest modulus of the Jacobian's eigenvalues with the kick neurons' output scaled, mean over recorded states.

    With S = diag(1, or the factor for a kick neuron) the network steps from h to F(S h): its Jacobian is J(S h) S.
    """
    flat = activity.states[:, :-1].reshape(-1, network.hidden), activity.inputs[:, 1:].reshape(-1, network.inputs)
    rows = np.linspace(0, len(flat[0]) - 1, config.jacobians).round().astype(int)
    states, inputs = (jnp.asarray(part[rows]) for part in flat)
    largest = np.empty((len(kicks), len(config.factors)))
    for place, factor in np.ndindex(*largest.shape):
        scale = np.ones(network.hidden)
        scale[kicks[place].group] = config.factors[factor]
        matrices = np.asarray(jacobians(network, states * scale, inputs)) * scale
        largest[place, factor] = np.abs(np.linalg.eigvals(matrices)).max(axis=1).mean()
    return xr.Dataset(
        {"largest_eigenvalue": (("transition", "factor"), largest)},
        coords={"transition": [kick.name for kick in kicks], "factor": list(config.factors)},
    )


def _sorted(weights: Float[np.ndarray, "to hidden"], kicks: Sequence[Kick]) -> xr.Dataset:
    """Recurrent weights with the kick neurons of each transition first, then those that drive them, then the others."""
    order, kind = _order(len(weights), kicks)
    return xr.Dataset(
        {"weight": (("to_unit", "from_unit"), weights[np.ix_(order, order)]), "unit_kind": ("to_unit", kind[order])},
        coords={"to_unit": order, "from_unit": order},
    )


def _order(units: int, kicks: Sequence[Kick]) -> tuple[Int[np.ndarray, " units"], Int[np.ndarray, " units"]]:
    kind = np.full(units, OTHERS)
    for kick in kicks:
        kind[kick.integrating] = INTEGRATING
    for kick in kicks:
        kind[kick.group] = KICK_NEURONS
    ranked: list[int] = []
    for groups, wanted in (("group", KICK_NEURONS), ("integrating", INTEGRATING)):
        for kick in kicks:
            ranked += [int(unit) for unit in getattr(kick, groups) if kind[unit] == wanted and unit not in ranked]
    return np.array([*ranked, *np.flatnonzero(kind == OTHERS)]), kind
