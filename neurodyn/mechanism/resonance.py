r"""Claim 8: training brings the network into a regime of stochastic resonance at the noise it is trained with.

What shows that is the course of a training. For every saved epoch there are the second-order effect of the noise, the
rate at which the likeliest symbol changes, and of the Jacobian at states under noise the number of complex pairs of
eigenvalues and of unstable ones; and for each of these the epoch at which it turns (``course.py``). A training that was
not followed has no course: the claim does not apply.

For every saved epoch and a range of noise levels :math:`\sigma` the network emits symbols. Two numbers say how good
they are: their **coherence**, the mutual information between one symbol and the next in bits, and their **match**,
one minus the total-variation distance between their pairs of consecutive symbols and the pairs of the hidden Markov
model. Resonance means that both peak inside the range, near the level of training.

A bias-free ReLU network that starts at zero is positively homogeneous, :math:`F(c h, c x) = c F(h, x)`: its likeliest
symbols do not depend on the level at all, and the level only sets how sharply the symbols are drawn. Its coherence
then grows with the level and cannot peak inside; for such a network only the course is judged.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, Key

from neurodyn.emulation.network import sample_symbols
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism.activity import draw_noise, run
from neurodyn.mechanism.course import CourseSizes, follow
from neurodyn.mechanism.dwell import stationary
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.network import Network, is_homogeneous
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.statistics import control_range, known_value, not_measured
from neurodyn.resampling import resamples

CLAIM = (
    "Training shifts what the noise does to the network, and how often it changes its symbol; where the level of the "
    "noise matters, the network works best near the level it was trained with."
)


@dataclass(frozen=True)
class ResonanceConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    levels
        Standard deviations of the input noise, in rising order.
    training_level
        That of the training.
    near
        A peak is near if it lies between the training level divided by this factor and times it.
    least_shift
        Change of the second-order effect from the first epoch to the last, either way, as a share of the larger one.
    least_closer
        By how much the rate of changes of the likeliest symbol has to come closer to the model's, as a share of that.
    least_epochs
        With fewer saved epochs, the course of training is not examined.
    trials, steps, burn_in
        Of each run.
    effect_states, effect_draws
        Size of the measurement of the second-order effect.
    jacobians
        States per epoch whose Jacobian is taken apart.
    resamples
        Resamples of the bootstrap over trials.
    most_times
        How many times these trials and states are taken at most, while an interval straddles its bound.
    """

    levels: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
    training_level: float = 1.0
    near: float = 2.0
    least_shift: float = 0.1
    least_closer: float = 0.1
    least_epochs: int = 3
    trials: int = 128
    steps: int = 60
    burn_in: int = 20
    effect_states: int = 64
    effect_draws: int = 256
    jacobians: int = 16
    resamples: int = 200
    most_times: int = 4

    def __post_init__(self) -> None:
        if (
            not self.levels[0] < self.training_level / self.near
            or not self.levels[-1] > self.training_level * self.near
        ):
            raise InputError(
                f"levels have to reach below {self.training_level / self.near:g} and above "
                f"{self.training_level * self.near:g}, or a peak at their edge would pass for one near training; got "
                f"{self.levels[0]:g} to {self.levels[-1]:g}"
            )


def examine(evidence: Evidence, config: ResonanceConfig | None = None, *, seed: int) -> Finding:
    """Follow the network along its training: course of the noise's effect, coherence and match by level of the noise.

    Supported if, from the first saved epoch to the last, the second-order effect of the noise changes by
    ``least_shift`` and the rate of changes of the likeliest symbol comes closer to the model's by ``least_closer``;
    and, unless the step is homogeneous, if match and coherence peak near the training level in the last epoch, in
    95 % of the resamples.

    Parameters
    ----------
    evidence
        Networks along the training, and the model they were trained on.
    config
        Thresholds.
    seed
        Seed of noise, symbols and resamples.
    """
    config = config or ResonanceConfig()
    if len(evidence.epochs) < config.least_epochs:
        return _not_followed(len(evidence.epochs), config)
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), config.most_times, "trials")


def _examine(evidence: Evidence, times: int, usual: ResonanceConfig, seed: int) -> Finding:
    config = replace(usual, trials=times * usual.trials, effect_states=times * usual.effect_states)
    epochs, rng, key = evidence.epochs, np.random.default_rng(seed), jax.random.key(seed)
    counts = np.stack([_counts(epoch.network, config, key) for epoch in epochs])  # epoch, level, trial, symbol, symbol
    target, last = _pairs_of(evidence.model), epochs[-1].network
    course = follow(
        epochs, trials=config.trials, steps=config.steps, burn_in=config.burn_in, level=config.training_level,
        sizes=CourseSizes(config.effect_states, config.effect_draws, config.jacobians), key=key,
    )  # fmt: skip
    coherence, match = _coherence(counts.sum(axis=2)), _match(counts.sum(axis=2), target)
    peaks = [
        _peak("level at which the match peaks", counts[-1], lambda c: _match(c, target), config, rng),
        _peak("level at which the coherence peaks", counts[-1], _coherence, config, rng),
    ]
    change = course.change_of_effect(rng)
    rate = evidence.dwell.flips if evidence.dwell else float("nan")
    closer = course.closer_to(rate, rng)
    criteria = [Criterion(change, least=config.least_shift), Criterion(closer, least=config.least_closer * rate)]
    if not is_homogeneous(last):
        bounds = (config.training_level / config.near, config.training_level * config.near)
        criteria += [Criterion(peak, *bounds) for peak in peaks]
    control = _peak("level at which the coherence peaks in the first saved epoch", counts[0], _coherence, config, rng)
    notes = (
        *course.notes,
        _scaling(last),
        *(f"{peak.name}: {peak}" for peak in (*peaks, control)),
        f"coherence at the training level {_at(coherence[-1], config):.3f} bits, at most {coherence[-1].max():.3f}; "
        f"match {_at(match[-1], config):.3f}",
    )
    data = course.to_dataset().assign(
        coherence=(("epoch", "level"), coherence), match=(("epoch", "level"), match)
    ).assign_coords(level=list(config.levels))  # fmt: skip
    data.attrs["training_level"] = config.training_level
    return Finding(
        number=8, name="resonance", claim=CLAIM, estimate=change, control=known_value("the same without training", 0.0),
        criteria=tuple(criteria), data=data, notes=notes,
    )  # fmt: skip


def _not_followed(epochs: int, config: ResonanceConfig) -> Finding:
    nothing = not_measured(
        "second-order effect of the noise: how far the last epoch differs from the first, of the larger"
    )
    return Finding(
        number=8, name="resonance", claim=CLAIM, estimate=nothing, control=nothing, criteria=(), data=xr.Dataset(),
        not_applicable_because=f"{epochs} networks along the training are known, not {config.least_epochs} or more: "
        "keep snapshots",
    )  # fmt: skip


def _counts(
    network: Network, config: ResonanceConfig, key: Key[Array, ""]
) -> Int[np.ndarray, "levels trials symbols symbols"]:
    """Pairs of consecutive symbols that each trial emits, at every level, with the same noise and the same draws."""
    noise = draw_noise(network, config.burn_in + config.steps, config.trials, 1.0, key)
    rows = []
    for level in config.levels:
        logits = run(network, jnp.zeros((config.trials, network.hidden)), level * noise)[1][config.burn_in :]
        rows.append(np.asarray(_symbols(logits, jax.random.fold_in(key, 2))))
    emitted = np.stack(rows)  # level, time, trial
    pair = emitted[:, :-1] * network.symbols + emitted[:, 1:]
    every = np.arange(network.symbols**2)
    counts = (pair[..., None] == every).sum(axis=1)
    return counts.reshape(*counts.shape[:2], network.symbols, network.symbols)


_symbols = jax.jit(sample_symbols)


def _pairs_of(hmm: HiddenMarkovModel) -> Float[np.ndarray, "symbols symbols"]:
    """Probability of each pair of consecutive symbols of the model in its stationary state."""
    return hmm.emissions.T @ (stationary(hmm)[:, None] * hmm.transitions) @ hmm.emissions


def _probabilities(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=(-2, -1), keepdims=True)


def _match(counts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """One minus the total-variation distance of the pairs."""
    return 1 - 0.5 * np.abs(_probabilities(counts) - target).sum(axis=(-2, -1))


def _coherence(counts: np.ndarray) -> np.ndarray:
    """Mutual information between a symbol and the next, bits."""
    joint = _probabilities(counts)
    product = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)
    terms = joint * np.log2(np.where(joint > 0, joint, 1.0) / np.where(product > 0, product, 1.0))
    return np.where(joint > 0, terms, 0.0).sum(axis=(-2, -1))


def _peak(name: str, counts: np.ndarray, quality, config: ResonanceConfig, rng: np.random.Generator) -> Estimate:
    """Level at which a quality peaks, trials resampled alike for all levels."""
    trials, levels = counts.shape[1], np.array(config.levels)
    peaks = []
    for rows in resamples(trials, config.resamples, rng):
        weight = np.bincount(rows, minlength=trials)
        peaks.append(levels[np.argmax(quality(np.tensordot(weight, counts, (0, 1))))])
    best = control_range(name, np.array(peaks))
    return Estimate(name, float(levels[np.argmax(quality(counts.sum(axis=1)))]), best.low, best.high)


def _at(values: np.ndarray, config: ResonanceConfig) -> float:
    return float(values[np.argmin(np.abs(np.array(config.levels) - config.training_level))])


def _scaling(network: Network) -> str:
    if is_homogeneous(network):
        return "the step is positively homogeneous: the likeliest symbols do not depend on the level of the noise"
    return "the step is not homogeneous: the level of the noise shapes the activity"
