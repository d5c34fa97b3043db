"""What several claims measure on a network, and how much: the residency of states, and the kick neurons."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.display import symbol_name

BANDS = ("transition", "kick zone", "cluster")
"""Bands of residency, from the fastest to the slowest states."""


@dataclass(frozen=True)
class ResidencyConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    transition_below
        States with a shorter residency, in steps, are in a transition: at 2, as likely as not
        to change in the next.
    cluster_of_dwell
        States with a longer residency are in a cluster, as a share of the mean residency of the model itself: at 0.5,
        about the 8 steps of the authors for their chain of two states, which dwells for 17.4 (of at most 40).
    least_per_change, least_in_cluster
        States that have to be in a transition, per change of the model's likeliest symbol; and share of the states
        that have to be in a cluster.
    least_settling
        Changes after which the new symbol has to last for a few steps, as a share of those of the model after which it
        does: a fast transition leads on to another slow region.
    most_jump
        If a larger part of the way from one symbol's states to another's is gone in a single step than this share of
        what the model's own jumps go, there is nothing on the way to look at.
    states, draws
        How many states are looked at, with how many draws of noise each.
    near_changes
        How many more, drawn from the last two steps before a change of symbol: transitions are short, and other
        claims need enough of them. The shares of the bands do not count these.
    horizon
        Steps after which a draw is stopped; it then counts as this long.
    slope_steps
        Steps in which the changes of the slope's sign are counted.
    jacobians
        States whose Jacobian is taken apart.
    most_times
        Claims that so many states leave undecided look at more, up to this many times as many (a power of two).

    Examples
    --------
    >>> from neurodyn.mechanism import ExplainConfig, ResidencyConfig
    >>> ExplainConfig(residency=ResidencyConfig(states=100, draws=16)).residency.states
    100
    """

    transition_below: float = 2.0
    cluster_of_dwell: float = 0.5
    least_per_change: float = 0.2
    least_in_cluster: float = 0.25
    least_settling: float = 0.6
    most_jump: float = 0.9
    states: int = 400
    draws: int = 32
    near_changes: int = 200
    horizon: int = 40
    slope_steps: int = 8
    jacobians: int = 150
    most_times: int = 8


@dataclass(frozen=True, eq=False)
class Residency:
    """Residency of recorded states.

    Parameters
    ----------
    trial, time
        (state,) where each state was recorded.
    steps
        (state,) mean steps to a change of the likeliest symbol.
    band
        (state,) 0 transition, 1 kick zone, 2 cluster.
    draws
        (state, draw) steps of each draw.
    slope_changes
        (state,) mean number of sign changes of the slope of the leading logit.
    anywhere
        (state,) True where the state was drawn at random from the whole recording, False if from before a change.
    cluster_above
        Residency above which a state is in a cluster.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.mechanism import Residency
    >>> draws = np.array([[1, 2], [4, 5], [11, 13]])  # steps to a change of the symbol, from three states
    >>> residency = Residency(
    ...     trial=np.zeros(3, int), time=np.arange(3), steps=draws.mean(axis=1), band=np.arange(3), draws=draws,
    ...     slope_changes=np.zeros(3), anywhere=np.ones(3, bool), cluster_above=8.0,
    ... )
    >>> residency.steps[residency.band == 2].tolist(), len(residency.joined(residency).steps)
    ([12.0], 6)
    """

    trial: Int[np.ndarray, " states"]
    time: Int[np.ndarray, " states"]
    steps: Float[np.ndarray, " states"]
    band: Int[np.ndarray, " states"]
    draws: Int[np.ndarray, "states draws"]
    slope_changes: Float[np.ndarray, " states"]
    anywhere: Bool[np.ndarray, " states"]
    cluster_above: float

    def joined(self, other: "Residency") -> "Residency":
        """These states and those of another measurement."""
        both = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("trial", "time", "steps", "band", "draws", "slope_changes", "anywhere")
        }
        return Residency(**both, cluster_above=self.cluster_above)


@dataclass(frozen=True)
class KickConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_effect
        Share of the hazard that a unit has to cut on its own, and to add to a group.
    enough
        Share of the hazard at which a group is complete.
    most_units
        Units in a group at most.
    pool
        Units with the highest scores that may join a group.
    runs, horizon
        Starts per symbol and steps of a run.
    settled
        Steps for which a symbol has to have been the likeliest at a start.
    least_changes
        Transitions of a kind in the runs below which it is left out.
    permutations
        Permutations of the signs, and of the rows in the search for integrating populations.
    random_sets, neighbours
        Control sets, and how many of the units nearest in activity each unit's stand-in is drawn from.
    least_cut, most_random_cut, least_random_share
        Claim: the group cuts its hazard by at least the first, and at least the third of the random sets by less than
        the second.
    untrained
        Untrained networks in which the rule is applied as well; no group of theirs may do as much.
    most_times
        Transitions that so many runs leave undecided get more, up to this many times as many (a power of two).

    Examples
    --------
    >>> from neurodyn.mechanism import ExplainConfig, KickConfig
    >>> ExplainConfig(kick=KickConfig(runs=64, most_units=6)).kick.most_units
    6
    """

    least_effect: float = 0.1
    enough: float = 0.95
    most_units: int = 12
    pool: int = 24
    runs: int = 256
    horizon: int = 40
    settled: int = 5
    least_changes: int = 30
    permutations: int = 200
    random_sets: int = 200
    neighbours: int = 10
    least_cut: float = 0.8
    most_random_cut: float = 0.2
    least_random_share: float = 0.95
    untrained: int = 5
    most_times: int = 4


@dataclass(frozen=True, eq=False)
class Kick:
    """The kick neurons of one transition.

    Parameters
    ----------
    source, target
        Symbols.
    hazard
        Hazard of the intact network, per step.
    score
        (hidden,) causal score of every unit: relative change of the hazard.
    significance
        (hidden,) the score's sum over runs in units of its own spread, negative for a cut.
    threshold
        A unit passes if its significance is below minus this, and it cuts enough.
    passed
        Units that passed alone.
    group
        Units of the group, in the order they joined; empty if none passed.
    integrating
        Units whose weights onto the group are beyond chance.
    drive
        (hidden,) mean weight of every unit onto the group; zero without a group.
    found_cut
        Share of the hazard that the group cut in the runs in which it was found; 0 without a group.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.mechanism import Kick
    >>> score = np.array([-0.6, 0.0, -0.3, 0.1])
    >>> kick = Kick(0, 2, 0.05, score, 10 * score, threshold=2.5, passed=np.array([0]), group=np.array([0, 2]))
    >>> kick.name, kick.units.tolist()
    ('A→C', [0, 2])
    """

    source: int
    target: int
    hazard: float
    score: Float[np.ndarray, " hidden"]
    significance: Float[np.ndarray, " hidden"]
    threshold: float
    passed: Int[np.ndarray, " passed"]
    group: Int[np.ndarray, " group"]
    integrating: Int[np.ndarray, " integrating"] = field(default_factory=lambda: np.zeros(0, int))
    drive: Float[np.ndarray, " hidden"] = field(default_factory=lambda: np.zeros(0))
    found_cut: float = 0.0

    @property
    def name(self) -> str:
        """As ``A→C``."""
        return f"{symbol_name(self.source)}→{symbol_name(self.target)}"

    @property
    def units(self) -> Int[np.ndarray, " units"]:
        """Every kick neuron of the transition: those that passed alone, and those of the group."""
        return np.union1d(self.passed, self.group)
