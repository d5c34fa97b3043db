r"""Claim 9: larger models reuse the same motif for each pair of symbols, in a subspace of its own.

Around every change between two symbols the states are cut out. Per pair, their leading principal components span the
pair's subspace, and their mean course in each direction (from the one symbol to the other) is the pair's motif. Two
numbers:

- *own*: overlap of the subspaces of two pairs, the mean squared cosine of their principal angles, against the overlap
  of the subspaces of two halves of the trials of one pair;
- *same*: how well the motif of one pair becomes that of another by a rotation and a scale (orthogonal Procrustes,
  :math:`R^2`), against motifs whose steps are shuffled.

With two symbols there is one pair and nothing to compare: the claim does not apply.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.components import principal_axes
from neurodyn.display import symbol_name
from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.statistics import control_range, excess_over_control, not_measured, principal_cosines
from neurodyn.resampling import resamples

CLAIM = "Larger models reuse the same motif for each pair of symbols, in a subspace of its own."


@dataclass(frozen=True)
class SubspaceConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    before, after
        Steps kept before and after a change.
    dimensions
        Dimensions of a pair's subspace.
    least_changes
        Of a pair, in each direction.
    least_gap
        By how much subspaces have to overlap more within a pair than between pairs.
    least_similarity
        R2 that the motifs of two pairs have to reach.
    splits, permutations
        Repeats of the halving, and of the control.
    """

    before: int = 5
    after: int = 5
    dimensions: int = 2
    least_changes: int = 20
    least_gap: float = 0.05
    least_similarity: float = 0.7
    splits: int = 60
    permutations: int = 200


@dataclass(frozen=True, eq=False)
class _Pair:
    """Cut-outs around the changes of one pair: trial of each, and its states for either direction."""

    name: str
    trials: tuple[Int[np.ndarray, " _"], ...]
    windows: tuple[Float[np.ndarray, "_ steps hidden"], ...]


def examine(evidence: Evidence, config: SubspaceConfig | None = None, *, seed: int) -> Finding:
    """Compare the subspaces and the motifs of all pairs of symbols.

    Supported if the subspaces of different pairs overlap by ``least_gap`` less than those of two halves of one pair,
    and the motifs of different pairs are alike up to rotation and scale: R2 of at least ``least_similarity`` and above
    95 % of shuffled motifs.

    Parameters
    ----------
    evidence
        Recording.
    config
        Thresholds.
    seed
        Seed of the halves and of the controls.
    """
    config = config or SubspaceConfig()
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), evidence.most_times, "trials")


def _examine(evidence: Evidence, times: int, config: SubspaceConfig, seed: int) -> Finding:
    activity, rng = evidence.recorded(times), np.random.default_rng(seed)
    pairs = _pairs(activity, config)
    if len(pairs) < 2:
        found = f"{len(pairs)} pair of symbols changes often enough: there is nothing to compare"
        nothing = not_measured("similarity of the motifs")
        return Finding(
            number=9, name="subspaces", claim=CLAIM, estimate=nothing, control=nothing, criteria=(),
            data=_data(pairs, activity, config), not_applicable_because=found,
        )  # fmt: skip
    gap = _gap(pairs, config, rng)
    same, control = _same(pairs, config, rng)
    criteria = (
        Criterion(gap, least=config.least_gap),
        Criterion(same, least=config.least_similarity),
        Criterion(excess_over_control("the same beyond 95 % of shuffled motifs", same, control.high), least=0.0),
    )
    notes = (f"pairs: {', '.join(pair.name for pair in pairs)}", f"{gap.name}: {gap}")
    return Finding(
        number=9, name="subspaces", claim=CLAIM, estimate=same, control=control, criteria=criteria,
        data=_data(pairs, activity, config), notes=notes,
    )  # fmt: skip


def _pairs(activity: Activity, config: SubspaceConfig) -> list[_Pair]:
    changes, steps = activity.changes(), activity.states.shape[1]
    inside = (changes[:, 1] >= config.before) & (changes[:, 1] + config.after <= steps)
    changes = changes[inside]
    pairs = []
    for a, b in itertools.combinations(range(activity.logits.shape[-1]), 2):
        ways = [changes[(changes[:, 2] == i) & (changes[:, 3] == j)] for i, j in ((a, b), (b, a))]
        if min(len(way) for way in ways) >= config.least_changes:
            windows = tuple(_cut(activity, way, config) for way in ways)
            pairs.append(_Pair(f"{symbol_name(a)}-{symbol_name(b)}", tuple(way[:, 0] for way in ways), windows))
    return pairs


def _cut(activity: Activity, changes: np.ndarray, config: SubspaceConfig) -> np.ndarray:
    time = changes[:, 1:2] + np.arange(-config.before, config.after)
    return activity.states[changes[:, :1], time]


def _subspace(pair: _Pair, trials: np.ndarray, dimensions: int) -> Float[np.ndarray, "dimensions hidden"]:
    """Leading components of the mean courses in both directions, over the events of some trials."""
    return principal_axes(_motif(pair, trials), dimensions).directions


def _motif(pair: _Pair, trials: np.ndarray) -> Float[np.ndarray, "steps hidden"]:
    """Mean course there, then mean course back."""
    courses = []
    for where, windows in zip(pair.trials, pair.windows, strict=True):
        weight = np.bincount(trials, minlength=where.max() + 1)[where].astype(float)
        weight = weight if weight.any() else np.ones(len(where))
        courses.append(np.tensordot(weight / weight.sum(), windows, 1))
    return np.concatenate(courses)


def _gap(pairs: list[_Pair], config: SubspaceConfig, rng: np.random.Generator) -> Estimate:
    """Overlap within pairs minus overlap between pairs, trials halved again and again."""
    trials = max(int(where.max()) for pair in pairs for where in pair.trials) + 1
    gaps = []
    for _ in range(config.splits):
        order = rng.permutation(trials)
        halves = order[: trials // 2], order[trials // 2 :]
        spaces = [[_subspace(pair, half, config.dimensions) for half in halves] for pair in pairs]
        within = np.mean([_overlap(*both) for both in spaces])
        between = np.mean([_overlap(one[0], other[1]) for one, other in itertools.permutations(spaces, 2)])
        gaps.append(within - between)
    return control_range("overlap of subspaces: within a pair more than between pairs", np.array(gaps))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((principal_cosines(first, second) ** 2).mean())


def _same(pairs: list[_Pair], config: SubspaceConfig, rng: np.random.Generator) -> tuple[Estimate, Estimate]:
    """Similarity of the motifs, events resampled by trial; and that of shuffled ones."""
    trials = max(int(where.max()) for pair in pairs for where in pair.trials) + 1

    def mean_similarity(drawn: np.ndarray, order: np.ndarray | None = None) -> float:
        motifs = [_motif(pair, drawn) for pair in pairs]
        values = []
        for one, other in itertools.combinations(motifs, 2):
            aligned = [_similarity(one, turned if order is None else turned[order]) for turned in _both_ways(other)]
            values.append(max(aligned))
        return float(np.mean(values))

    name = "similarity of the motifs of two pairs up to rotation and scale"
    everyone = np.arange(trials)
    resampled = np.array([mean_similarity(drawn) for drawn in resamples(trials, config.splits, rng)])
    found = control_range(name, resampled)
    steps = 2 * (config.before + config.after)
    shuffled = np.array([mean_similarity(everyone, rng.permutation(steps)) for _ in range(config.permutations)])
    return Estimate(name, mean_similarity(everyone), found.low, found.high), control_range(
        "the same, steps shuffled", shuffled
    )


def _both_ways(motif: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A motif, and the same with the two directions exchanged: which symbol of a pair comes first is arbitrary."""
    half = len(motif) // 2
    return motif, np.concatenate([motif[half:], motif[:half]])


def _similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the variance of one course that another explains after the best rotation and scale."""
    one, other = (course - course.mean(axis=0) for course in (first, second))
    common = np.linalg.svd(one.T @ other, compute_uv=False).sum()
    return float(common**2 / ((one**2).sum() * (other**2).sum()))


def _data(pairs: list[_Pair], activity: Activity, config: SubspaceConfig) -> xr.Dataset:
    if not pairs:
        return xr.Dataset()
    everyone = np.arange(len(activity.states))
    motifs = [_motif(pair, everyone) for pair in pairs]
    spaces = [_subspace(pair, everyone, config.dimensions) for pair in pairs]
    overlap = np.array([[_overlap(one, other) for other in spaces] for one in spaces])
    places = [(motif - motif.mean(axis=0)) @ space.T for motif, space in zip(motifs, spaces, strict=True)]
    steps = np.arange(-config.before, config.after)
    return xr.Dataset(
        {
            "overlap": (("pair", "other"), overlap),
            "motif": (("pair", "way", "step", "axis"), np.stack(places).reshape(len(pairs), 2, len(steps), -1)),
        },
        coords={"pair": [pair.name for pair in pairs], "step": steps},
    )
