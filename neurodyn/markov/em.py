"""The model under which sequences are most probable, by expectation maximisation from several starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from neurodyn.errors import InputError, NumericalError
from neurodyn.markov.config import EmConfig
from neurodyn.markov.emissions.base import Emission, Parameters, Prepared
from neurodyn.markov.emissions.categorical import Categorical
from neurodyn.markov.emissions.table import make_emission
from neurodyn.markov.general import GeneralHmm, as_general, as_symbols
from neurodyn.markov.inference import (
    Expectation,
    along_time,
    expect,
    log_path,
    natural_on_device,
    on_device,
    prepared_for,
)
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.rows import most_probable_rows
from neurodyn.training.progress import NoProgress, Progress

__all__ = ["EmConfig", "EmFit", "EmRun", "fit_em", "fit_hmm", "run_em"]

Model = TypeVar("Model", HiddenMarkovModel, GeneralHmm)


@dataclass(frozen=True)
class EmRun(Generic[Model]):
    """One start: where it ended and how.

    Parameters
    ----------
    hmm
        The model it ended with.
    log_likelihood
        (iterations,) of all sequences before each step, then at the end; never falls unless there is a prior.
    status
        'converged', or 'iterations' if there were too few of them.
    log_posterior
        (iterations,) the same with the log of the prior, up to a constant; never falls.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import fit_hmm
    >>> counts = [np.repeat([1, 9, 1], 20), np.repeat([9, 1], 30)]
    >>> best = fit_hmm(counts, 2, emission="poisson", seed=0).runs[0]
    >>> best.status, bool((np.diff(best.log_likelihood) > -1e-6).all())
    ('converged', True)
    """

    hmm: Model
    log_likelihood: Float[np.ndarray, " iterations"]
    status: str
    log_posterior: Float[np.ndarray, " iterations"]


@dataclass(frozen=True)
class EmFit(Generic[Model]):
    """The best of all starts.

    Parameters
    ----------
    hmm, log_likelihood, status
        Model, final log-likelihood of all sequences, and status of the best start; the status is 'interrupted' if
        Ctrl-C ended the search.
    runs
        All starts, the best one first. That several end at the same likelihood is the sign that it is the highest.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import fit_hmm
    >>> counts = [np.repeat([1, 9, 1], 20), np.repeat([9, 1], 30)]
    >>> fit = fit_hmm(counts, 2, emission="poisson", seed=0)
    >>> fit.status, fit.hmm.states, len(fit.runs)
    ('converged', 2, 10)
    """

    hmm: Model
    log_likelihood: float
    status: str
    runs: tuple[EmRun[Model], ...] = field(repr=False)


def fit_em(
    symbols: ArrayLike | Sequence[Any],
    states: int,
    *,
    symbol_count: int,
    seed: int,
    config: EmConfig | None = None,
    progress: Progress | None = None,
) -> EmFit[HiddenMarkovModel]:
    """Fit a model with this many states to sequences of symbols, from random starts.

    Parameters
    ----------
    symbols
        (trials, time), -1 where missing; or a list of sequences of any lengths.
    states, symbol_count
        Numbers of states and of symbols of the model.
    seed
        Seed of the starts.
    config
        Starts, steps and prior.
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

    Examples
    --------
    >>> from neurodyn.markov import EmConfig, fit_em, fully_connected, sample
    >>> symbols = sample(fully_connected(2), trials=20, steps=100, seed=0).symbols
    >>> fit = fit_em(symbols, states=2, symbol_count=2, seed=0, config=EmConfig(restarts=3))
    >>> fit.status, (fit.hmm.emissions.max(axis=1) > 0.9).tolist()
    ('converged', [True, True])
    """
    config = config or EmConfig()
    if states < 1 or symbol_count < 1:
        raise InputError(f"a model needs at least one state and one symbol, got {states} and {symbol_count}")
    emission = Categorical(symbol_count, config.emissions)
    prepared = checked(emission.to_arrays(symbols), "symbol")
    found = best_of_starts(emission, prepared, states, seed, config, progress)
    steps = prepared.seen.shape[0]
    runs = tuple(cast(EmRun[HiddenMarkovModel], replace(run, hmm=as_symbols(run.hmm, steps))) for run in found.runs)
    return EmFit(runs[0].hmm, found.log_likelihood, found.status, runs)


def fit_hmm(
    observations: ArrayLike | Sequence[Any],
    states: int,
    *,
    emission: Emission | str,
    seed: int,
    config: EmConfig | None = None,
    progress: Progress | None = None,
) -> EmFit[GeneralHmm]:
    """Fit a model with this many states and any emission of the table to sequences, from random starts.

    Parameters
    ----------
    observations
        Sequences of what the emission is of, of any lengths: (trials, time, channels), or a list of (time, channels) or
        (time,); NaN, or a masked entry, where missing. Symbols as `fit_em` takes them.
    states
        Number of states.
    emission
        What the states emit: an emission, or the name of one that needs no settings, as ``"gaussian"``.
    seed
        Seed of the starts.
    config
        Starts, steps and the prior of the hidden path; the emission has its own prior.
    progress
        Shows the steps; silent if None.

    Returns
    -------
    The best model. Ctrl-C ends the search with the best start that had ended by then.

    Raises
    ------
    InputError
        If the sequences are invalid for the emission, nothing is observed at all, or there is no state.
    NumericalError
        If a state collapses where the emission has no prior, or the likelihood falls by more than rounding.
    KeyboardInterrupt
        If Ctrl-C comes before any start has ended.

    Examples
    --------
    >>> import numpy as np
    >>> counts = [np.repeat([1, 9, 1], 20), np.repeat([9, 1], 30)]
    >>> fit = fit_hmm(counts, 2, emission="poisson", seed=0)
    >>> np.sort(fit.hmm.parameters["rate"].ravel()).round(1)
    array([1., 9.])
    """
    kind = make_emission(emission)
    return best_of_starts(kind, checked(kind.to_arrays(observations), "step"), states, seed, config, progress)


def run_em(start: Model, observations: ArrayLike | Sequence[Any], *, config: EmConfig | None = None) -> EmRun[Model]:
    r"""Climb from one start.

    Each step replaces every probability by its expected share, given the observations and the model before the step:
    ``A_ij ∝ E[transitions i → j]``, ``B_is ∝ E[s emitted in i]``, ``pi_i ∝ E[starts in i]``, to which a prior adds its
    counts; parameters of other emissions likewise follow from expected statistics. That cannot lower the likelihood
    (with a prior: the posterior). What is zero at the start stays zero, unless the prior adds to it.

    Parameters
    ----------
    start
        Model to start from.
    observations
        Sequences of the kind that it emits, see `log_likelihood`.
    config
        Steps and prior; there is one start.

    Raises
    ------
    InputError
        If a symbol is out of range or the start cannot emit a trial.
    NumericalError
        If the likelihood falls by more than the tolerance.

    Reference
    ---------
    Baum, Petrie, Soules & Weiss (1970), Annals of Mathematical Statistics 41(1).

    Examples
    --------
    >>> from neurodyn.markov import fully_connected, run_em, sample
    >>> symbols = sample(fully_connected(2), trials=20, steps=100, seed=0).symbols
    >>> run = run_em(fully_connected(2, stay=0.6, symbol_probability=0.7), symbols)
    >>> run.status, bool(run.log_likelihood[-1] > run.log_likelihood[0])
    ('converged', True)
    """
    config = config or EmConfig()
    general = as_general(start)
    emission = general.emission
    if isinstance(start, HiddenMarkovModel):
        emission = Categorical(start.symbols, config.emissions)
        general = GeneralHmm(start.initial, start.transitions, emission, general.parameters, start.name)
    what = "symbol" if isinstance(emission, Categorical) else "step"
    prepared = checked(prepared_for(general, observations), what)
    run = climb(general, prepared, config, NoProgress(), 0)
    if isinstance(start, HiddenMarkovModel):
        return cast(EmRun[Model], replace(run, hmm=as_symbols(run.hmm, start.trial_steps)))
    return cast(EmRun[Model], run)


def best_of_starts(
    emission: Emission,
    prepared: Prepared,
    states: int,
    seed: int,
    config: EmConfig | None = None,
    progress: Progress | None = None,
) -> EmFit[GeneralHmm]:
    """`fit_hmm` of sequences that are prepared."""
    if states < 1:
        raise InputError(f"a model needs at least one state, got {states}")
    config, rng = config or EmConfig(), np.random.default_rng(seed)
    progress, runs, status = progress or NoProgress(), [], ""
    try:
        for number in range(config.restarts):
            start = _random_model(emission, prepared, states, rng)
            run = climb(start, prepared, config, progress, number)
            runs.append(run)
    except KeyboardInterrupt:
        if not runs:
            raise
        status = "interrupted"
    finally:
        progress.finish(status or "finished")
    ranked = sorted(runs, key=lambda run: -run.log_posterior[-1])
    best = ranked[0]
    return EmFit(best.hmm, float(best.log_likelihood[-1]), status or best.status, tuple(ranked))


def climb(hmm: GeneralHmm, prepared: Prepared, config: EmConfig, progress: Progress, number: int) -> EmRun[GeneralHmm]:
    """`run_em` of sequences that are prepared; ``number`` is that of the start, for the progress."""
    emission, observed, prior = hmm.emission, on_device(prepared), hmm.emission.prior(prepared)
    seen, trials = int(prepared.seen.sum()), prepared.seen.shape[1]
    ends = jnp.asarray(prepared.seen.shape[0] - np.argmax(prepared.seen[::-1], axis=0))
    likelihoods: list[float] = []
    curve: list[float] = []

    def result(status: str) -> EmRun[GeneralHmm]:
        return EmRun(hmm, np.array(likelihoods), status, np.array(curve))

    for iteration in range(config.iterations + 1):
        found, steps = expect(
            emission,
            log_path(hmm.initial, hmm.transitions),
            natural_on_device(emission, hmm.parameters),
            observed,
            ends,
        )
        likelihoods.append(_total(along_time(steps)))
        log_prior = config.log_prior(hmm.initial, hmm.transitions) + emission.log_prior(hmm.parameters, prior)
        curve.append(likelihoods[-1] + log_prior)
        if iteration and _converged(curve, seen * config.tolerance, trials):
            return result("converged")
        if iteration == config.iterations:
            break
        hmm = _maximised(hmm, found, prior, config)
        done = number * config.iterations + iteration + 1
        progress.update(done, config.restarts * config.iterations, -curve[-1] / seen, -max(curve) / seen)
    return result("iterations")


def _random_model(emission: Emission, prepared: Prepared, states: int, rng: np.random.Generator) -> GeneralHmm:
    """Draw every row uniformly from all probabilities, and parameters as the emission does."""
    initial, transitions = rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), states)
    return GeneralHmm(initial, transitions, emission, emission.start(prepared, states, rng), f"fit{states}")


def _total(log_likelihood: Float[np.ndarray, " trials"]) -> float:
    if not np.isfinite(log_likelihood).all():
        trial = np.flatnonzero(~np.isfinite(log_likelihood))[0]
        raise InputError(f"the start cannot emit trial {trial}: give it no zeros there")
    return float(log_likelihood.sum())


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


def _maximised(hmm: GeneralHmm, found: Expectation, prior: Parameters, config: EmConfig) -> GeneralHmm:
    """The next model; sums over trials are in double precision."""

    def total(part: Any) -> np.ndarray:
        return np.asarray(part, np.float64).sum(axis=0)

    statistics = {name: total(part) for name, part in found.statistics.items()}
    return GeneralHmm(
        most_probable_rows(total(found.starts), config.initial - 1, hmm.initial),
        most_probable_rows(total(found.transitions), config.added(hmm.states), hmm.transitions),
        hmm.emission,
        hmm.emission.maximise(statistics, hmm.parameters, prior),
        hmm.name,
    )


def checked(prepared: Prepared, what: str) -> Prepared:
    """Refuse sequences of which nothing is seen.

    Raises
    ------
    InputError
        That says so of every ``what``.
    """
    if not prepared.seen.any():
        raise InputError(f"there is nothing to fit: every {what} is missing")
    return prepared
