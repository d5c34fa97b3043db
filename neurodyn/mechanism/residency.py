r"""Claim 4: slow regions joined by fast transitions.

From each of many recorded states the network is run with fresh noise; its **residency** is the mean number of steps
to the first change of the likeliest symbol. States with a residency below 2 steps are in a transition: they change in
the next step as likely as not. What is slow depends on the model: states that stay for more than half of what the
model's own states do are in a cluster (about 8 steps for the chain of two states, the authors' bound), those between
are in a kick zone. The shares of states in the bands are measured by the model as well.

Two more numbers describe a state: how often the slope of the leading logit changes its sign in the next steps, and how
many directions of the step's Jacobian are unstable. An eigenvalue z of a map corresponds to :math:`(z - 1)/(z + 1)` of
a flow; the direction is unstable if its real part is positive.

The claim does not apply where the model's symbols are over so soon that slow and fast cannot be distinguished, and
where the symbol changes in a single step: a network that jumps from state to state as the model itself does has no
states in between.

The control deals the draws out again among all states: the mean residency then knows nothing of the state.
"""

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Int

from neurodyn.mechanism.activity import Activity, Plane
from neurodyn.mechanism.dwell import jump_share, settling_changes
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Finding
from neurodyn.mechanism.measured import BANDS, Residency, ResidencyConfig
from neurodyn.mechanism.network import Network, jacobians
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.statistics import (
    bootstrap,
    control_range,
    difference_of_means,
    excess_over_control,
    not_measured,
    share,
)

CLAIM = "The orbit has slow regions (clusters), joined by fast transitions."


FEWEST_CHANGES = 10
"""With fewer changes of the likeliest symbol in a recording the claim does not apply."""


def examine(evidence: Evidence, config: ResidencyConfig | None = None, *, seed: int) -> Finding:
    """Sort states into bands of residency, and compare the bands.

    Supported if both outer bands hold their least share of the states, in proportion to the model, if changes lead to
    symbols that last as they do in the model, and if the residency differs between states more than when the draws are
    dealt out among them. Slopes and unstable directions are
    described, not judged.

    Parameters
    ----------
    evidence
        Network, recording and residency.
    config
        Thresholds; those of the measurement if None.
    seed
        Seed of the controls.
    """
    config = config or evidence.residency_config
    reason = why_no_transition_states(evidence, config)
    if reason:
        nothing = not_measured("share of the residency's variance between states")
        return Finding(
            number=4, name="residency", claim=CLAIM, estimate=nothing, control=nothing, criteria=(), data=xr.Dataset(),
            not_applicable_because=reason,
        )  # fmt: skip
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), evidence.most_states, "states")


def why_no_transition_states(evidence: Evidence, config: ResidencyConfig) -> str:
    """Reason why slow regions and fast transitions cannot be distinguished; empty if they can."""
    dwell, activity = evidence.dwell, evidence.activity
    if dwell is None:
        return "no state has a symbol of its own that lasts and changes"
    if len(activity.changes()) < FEWEST_CHANGES:
        return f"the likeliest symbol changes fewer than {FEWEST_CHANGES} times in the recording"
    if config.cluster_of_dwell * dwell.steps <= config.transition_below:
        return (
            f"symbols of the {dwell.whose} last {dwell.steps:.1f} steps from a random moment: too short to tell a slow "
            f"region from a transition of {config.transition_below:g}"
        )
    jump = jump_share(activity)
    if jump >= config.most_jump * dwell.jump:
        return f"the likeliest symbol changes in a single step ({jump:.0%} of the way): there are no states on it"
    return ""


def _examine(evidence: Evidence, times: int, config: ResidencyConfig, seed: int) -> Finding:
    rng, dwell = np.random.default_rng(seed), evidence.dwell
    assert dwell is not None
    network, activity, found = evidence.network, evidence.activity, evidence.residencies(times)
    band, draws = found.band[found.anywhere], found.draws[found.anywhere]
    shares = [share(f"share of states in a {name}", int((band == i).sum()), len(band)) for i, name in enumerate(BANDS)]
    dealt = np.array([_between(rng.permutation(draws.ravel()).reshape(draws.shape)) for _ in range(100)])
    control = control_range("the same, draws dealt out among the states", dealt)
    between = bootstrap("share of the residency's variance between states", draws, _between, rng, resamples=200)
    excess = excess_over_control("the same beyond 95 % of the deals", between, float(np.quantile(dealt, 0.95)))
    slopes = difference_of_means(
        "changes of the slope's sign in a cluster more than in a transition",
        found.slope_changes[found.band == 2], found.slope_changes[found.band == 0], rng,
    )  # fmt: skip
    longer = evidence.recorded(min(times, evidence.most_times))
    settling = share("share of changes after which the new symbol lasts for three steps", *settling_changes(longer))
    unstable, chosen = unstable_directions(network, activity, found, config.jacobians)
    criteria = (
        Criterion(shares[0], least=config.least_per_change * dwell.rate),
        Criterion(shares[2], least=config.least_in_cluster),
        Criterion(settling, least=config.least_settling * dwell.settles),
        Criterion(excess, least=0.0),
    )
    bands = (
        f"symbols of the {dwell.whose} last {dwell.steps:.1f} steps from a random moment (at most "
        f"{evidence.residency_config.horizon}): below {config.transition_below:g} steps is a transition, above "
        f"{found.cluster_above:.1f} a cluster"
    )
    notes = (bands, *_notes(found, unstable, chosen), f"{slopes.name}: {slopes}")
    return Finding(
        number=4, name="residency", claim=CLAIM, estimate=between, control=control, criteria=criteria,
        data=_data(activity, evidence.plane, found, unstable, chosen), notes=notes,
    )  # fmt: skip


def unstable_directions(
    network: Network, activity: Activity, residency: Residency, count: int
) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " chosen"]]:
    """Unstable directions of the step's Jacobian at some states of every band, with the noise that came next.

    Returns
    -------
    The number of eigenvalues z with ``Re((z - 1) / (z + 1)) > 0``, and the states (indices into the residency).
    """
    chosen = np.concatenate([np.flatnonzero(residency.band == band)[: max(count // 3, 1)] for band in range(3)])
    trial, time = residency.trial[chosen], residency.time[chosen]
    after = np.minimum(time + 1, activity.inputs.shape[1] - 1)
    matrices = np.asarray(
        jacobians(network, jnp.asarray(activity.states[trial, time]), jnp.asarray(activity.inputs[trial, after]))
    )
    values = np.linalg.eigvals(matrices)
    with np.errstate(divide="ignore", invalid="ignore"):
        flow = (values - 1) / (values + 1)
    return (flow.real > 0).sum(axis=1), chosen


def _between(draws: np.ndarray) -> float:
    """Variance of the states' means over the variance of all draws."""
    total = draws.var()
    return float(draws.mean(axis=1).var() / total) if total else 0.0


def _data(activity: Activity, plane: Plane, found: Residency, unstable: np.ndarray, chosen: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {
            "steps": ("state", found.steps),
            "band": ("state", found.band),
            "place": (("state", "axis"), plane.coordinates(activity.states[found.trial, found.time])),
            "slope_changes": ("state", found.slope_changes),
            "unstable": ("chosen", unstable),
            "unstable_band": ("chosen", found.band[chosen]),
        }
    )


def _notes(found: Residency, unstable: np.ndarray, chosen: np.ndarray) -> tuple[str, ...]:
    notes = []
    for number, name in enumerate(BANDS):
        inside = found.band == number
        here = unstable[found.band[chosen] == number]
        directions = f"{here.mean():.1f} unstable directions" if len(here) else "no Jacobians"
        changes = f"{found.slope_changes[inside].mean():.1f} slope changes" if inside.any() else "no slopes"
        notes.append(f"{name}: {inside[found.anywhere].mean():.0%} of the states, {directions}, {changes}")
    return tuple(notes)
