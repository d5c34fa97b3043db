"""The model under which sequences are most probable, by expectation maximisation from several starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError, NumericalError
from neurodyn.markov.inference import along_time, expected_counts, log_chain
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import check_symbols
from neurodyn.training.progress import Progress, Silent

Symbols: TypeAlias = Int32[np.ndarray, "trials time"]


@dataclass(frozen=True)
class EmConfig:
    """When a start is over, and how many there are.

    Parameters
    ----------
    restarts
        Random starts; the one that ends with the highest likelihood is kept.
    iterations
        The most steps of a start.
    tolerance
        A start has converged when a step adds less than this to the log-likelihood per symbol (nats).
    """

    restarts: int = 10
    iterations: int = 500
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("restarts", "iterations", "tolerance"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True)
class EmRun:
    """One start: where it ended and how.

    Parameters
    ----------
    hmm
        The model it ended with.
    log_likelihood
        (iterations,) of all sequences before each step, then at the end; never falls.
    status
        'converged', or 'iterations' if there were too few of them.
    """

    hmm: HiddenMarkovModel
    log_likelihood: Float[np.ndarray, " iterations"]
    status: str


@dataclass(frozen=True)
class EmFit:
    """The best of all starts.

    Parameters
    ----------
    hmm, log_likelihood, status
        Model, final log-likelihood of all sequences, and status of the best start; the status is 'interrupted' if
        Ctrl-C ended the search.
    runs
        All starts, the best one first. That several end at the same likelihood is the sign that it is the highest.
    """

    hmm: HiddenMarkovModel
    log_likelihood: float
    status: str
    runs: tuple[EmRun, ...] = field(repr=False)


def fit_em(
    symbols: ArrayLike | Sequence[Any],
    states: int,
    *,
    symbol_count: int,
    seed: int,
    config: EmConfig | None = None,
    progress: Progress | None = None,
) -> EmFit:
    """Fit a model with this many states to sequences, from random starts.

    Parameters
    ----------
    symbols
        (trials, time), -1 where missing; or a list of sequences of any lengths.
    states, symbol_count
        Numbers of states and of symbols of the model.
    seed
        Seed of the starts.
    config
        Starts and steps.
    progress
        Shows the steps; silent if None.

    Returns
    -------
    The best model. Ctrl-C ends the search with the best start that had ended by then.

    Raises
    ------
    InputError
        If a symbol is out of range, none is seen at all, or there is no state.
    KeyboardInterrupt
        If Ctrl-C comes before any start has ended.
    """
    config = config or EmConfig()
    checked = _checked(symbols, states, symbol_count)
    rng = np.random.default_rng(seed)
    progress, runs, status = progress or Silent(), [], ""
    try:
        for number in range(config.restarts):
            start = random_model(states, symbol_count, checked.shape[1], rng)
            runs.append(_run(start, checked, config, progress, number))
    except KeyboardInterrupt:
        if not runs:
            raise
        status = "interrupted"
    finally:
        progress.finish(status or "finished")
    ranked = sorted(runs, key=lambda run: -run.log_likelihood[-1])
    best = ranked[0]
    return EmFit(best.hmm, float(best.log_likelihood[-1]), status or best.status, tuple(ranked))


def run_em(start: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any], *, config: EmConfig | None = None) -> EmRun:
    r"""Climb from one start.

    Each step replaces every probability by its expected share, given the symbols and the model before the step:
    ``A_ij ∝ E[transitions i → j]``, ``B_is ∝ E[s emitted in i]``, ``pi_i ∝ E[starts in i]``. That cannot lower the
    likelihood. What is zero at the start stays zero.

    Raises
    ------
    InputError
        If a symbol is out of range or the start cannot emit a trial.
    NumericalError
        If the likelihood falls by more than the tolerance.

    Reference
    ---------
    Baum, Petrie, Soules & Weiss (1970), Annals of Mathematical Statistics 41(1).
    """
    return _run(start, _checked(symbols, start.states, start.symbols), config or EmConfig(), Silent(), 0)


def random_model(states: int, symbols: int, steps: int, rng: np.random.Generator) -> HiddenMarkovModel:
    """Draw every row uniformly from all probabilities."""
    return HiddenMarkovModel(
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states), states),
        rng.dirichlet(np.ones(symbols), states),
        name=f"fit{states}",
        trial_steps=steps,
    )


def _run(hmm: HiddenMarkovModel, symbols: Symbols, config: EmConfig, progress: Progress, number: int) -> EmRun:
    time_first, seen, curve = jnp.asarray(symbols.T), int((symbols >= 0).sum()), []
    ends = jnp.asarray(symbols.shape[1] - np.argmax(symbols[:, ::-1] >= 0, axis=1))
    for iteration in range(config.iterations + 1):
        counts, total = _expectation(hmm, time_first, ends)
        curve.append(total)
        if iteration and _converged(curve, seen * config.tolerance, len(symbols)):
            return EmRun(hmm, np.array(curve), "converged")
        if iteration == config.iterations:
            break
        hmm = _maximised(hmm, counts)
        done = number * config.iterations + iteration + 1
        progress.update(done, config.restarts * config.iterations, -total / seen, -max(curve) / seen)
    return EmRun(hmm, np.array(curve), "iterations")


def _converged(curve: list[float], enough: float, trials: int) -> bool:
    gain = curve[-1] - curve[-2]
    # Rounding alone may lower the sum over trials by this much where nothing is left to gain.
    rounding = float(jnp.finfo(jnp.result_type(float)).eps) * abs(curve[-1]) * 8
    if gain < -max(enough, rounding):
        raise NumericalError(
            f"the log-likelihood of {trials} trials fell by {-gain:.3g} in step {len(curve) - 1}, which a step of "
            "expectation maximisation cannot do: try double precision (jax_enable_x64)"
        )
    return gain < enough


def _expectation(hmm: HiddenMarkovModel, symbols: Array, ends: Array) -> tuple[dict[str, np.ndarray], float]:
    """Expected counts over all trials; sums over time are compensated, those over trials in double precision."""
    counts, log_probability = _expected_counts(log_chain(hmm), symbols, ends)
    total = along_time(log_probability)
    if not np.isfinite(total).all():
        raise InputError(
            f"the start cannot emit trial {np.flatnonzero(~np.isfinite(total))[0]}: give it no zeros there"
        )
    return {k: np.asarray(v, np.float64).sum(axis=0) for k, v in counts._asdict().items()}, float(total.sum())


_expected_counts = jax.jit(expected_counts)


def _maximised(hmm: HiddenMarkovModel, counts: dict[str, np.ndarray]) -> HiddenMarkovModel:
    return HiddenMarkovModel(
        _shares(counts["starts"], hmm.initial),
        _shares(counts["transitions"], hmm.transitions),
        _shares(counts["emissions"], hmm.emissions),
        hmm.name,
        hmm.trial_steps,
    )


def _shares(counts: Float[np.ndarray, "*rows n"], before: Float[np.ndarray, "*rows n"]) -> Float[np.ndarray, "*rows n"]:
    """Counts of each row over their total; a row that nothing is known about stays as it was."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), before)


def _checked(symbols: ArrayLike | Sequence[Any], states: int, symbol_count: int) -> Symbols:
    if states < 1 or symbol_count < 1:
        raise InputError(f"a model needs at least one state and one symbol, got {states} and {symbol_count}")
    checked = check_symbols(symbols, symbol_count)
    if (checked < 0).all():
        raise InputError("there is nothing to fit: every symbol is missing")
    return checked
