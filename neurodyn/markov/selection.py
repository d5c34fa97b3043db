"""How well a model describes sequences, and how many states it should have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.markov.config import EmConfig
from neurodyn.markov.em import best_of_starts
from neurodyn.markov.emissions.base import Emission, Prepared
from neurodyn.markov.emissions.table import make_emission
from neurodyn.markov.general import as_general
from neurodyn.markov.inference import Hmm, prepared_for, prepared_log_likelihood
from neurodyn.training.progress import NoProgress, Progress


def score(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> float:
    """Log-likelihood of all sequences per step at which something was seen, in nats.

    That of symbols is at most 0; a density can be higher. It can be compared between data sets of different sizes, and
    between models of the same data and the same kind of emission.

    Parameters
    ----------
    hmm
        The model.
    observations
        Sequences of the kind that it emits, see `log_likelihood`.

    Raises
    ------
    InputError
        If the sequences have the wrong form, or nothing is observed at all.

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel
    >>> coin = HiddenMarkovModel([1.0], [[1.0]], [[0.5, 0.5]], "coin", trial_steps=10)
    >>> round(score(coin, [[0, 1, 1], [1, -1]]), 4)
    -0.6931
    """
    total, steps = _total(hmm, observations)
    return total / steps


def parameter_count(hmm: Hmm) -> int:
    """Free parameters of a model: ``states - 1`` initial, ``states (states - 1)`` transitions, and its emission's.

    Examples
    --------
    >>> from neurodyn.markov import linear_chain
    >>> parameter_count(linear_chain(3))
    14
    """
    general = as_general(hmm)
    return general.states**2 - 1 + general.emission.count(general.parameters)


def aic(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> float:
    """Akaike's information criterion, ``-2 log L + 2 p``; lower is better. Arguments as `score`.

    Reference
    ---------
    Akaike (1974), IEEE Transactions on Automatic Control 19(6).

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel, aic
    >>> coin = HiddenMarkovModel([1.0], [[1.0]], [[0.5, 0.5]], "coin", trial_steps=10)
    >>> round(aic(coin, [[0, 1, 1], [1, 0, 0]]), 3)
    10.318
    """
    return -2 * _total(hmm, observations)[0] + 2 * parameter_count(hmm)


def bic(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> float:
    """Bayesian information criterion, ``-2 log L + p log n``; lower is better. Arguments as `score`.

    n is the number of steps at which something was seen, over all sequences.

    Reference
    ---------
    Schwarz (1978), Annals of Statistics 6(2).

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel, bic
    >>> coin = HiddenMarkovModel([1.0], [[1.0]], [[0.5, 0.5]], "coin", trial_steps=10)
    >>> round(bic(coin, [[0, 1, 1], [1, 0, 0]]), 3)
    10.11
    """
    total, steps = _total(hmm, observations)
    return -2 * total + parameter_count(hmm) * float(np.log(steps))


@dataclass(frozen=True)
class StateChoice:
    """Held-out scores of models with different numbers of states, and the number they speak for.

    Parameters
    ----------
    candidates
        (candidates,) numbers of states, ascending.
    scores
        (candidates, folds) log-likelihood of held-out sequences per step seen, in nats; minus infinity where a model
        cannot emit them.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import StateChoice  # choose_states returns one
    >>> scores = np.array([[-2.1, -2.0, -2.2], [-1.1, -1.0, -1.2], [-1.1, -0.98, -1.2]])
    >>> choice = StateChoice(np.array([1, 2, 3]), scores)
    >>> choice.best, choice.chosen, choice.mean.round(2).tolist()
    (3, 2, [-2.1, -1.1, -1.09])
    """

    candidates: Int[np.ndarray, " candidates"]
    scores: Float[np.ndarray, "candidates folds"]

    @property
    def mean(self) -> Float[np.ndarray, " candidates"]:
        """Mean score over the folds."""
        return self.scores.mean(axis=1)

    @property
    def standard_error(self) -> Float[np.ndarray, " candidates"]:
        """Standard error of the mean over the folds, as if these were independent."""
        return _standard_error(self.scores)

    @property
    def below_best(self) -> Float[np.ndarray, " candidates"]:
        """How much lower than the best the mean is."""
        return self.mean.max() - self.mean

    @property
    def below_best_error(self) -> Float[np.ndarray, " candidates"]:
        """Standard error of ``below_best``, paired: what makes a fold easy or hard for every model is not in it."""
        return _standard_error(self.scores - self.scores[self.mean.argmax()])

    @property
    def best(self) -> int:
        """Number of states with the highest mean."""
        return int(self.candidates[self.mean.argmax()])

    @property
    def chosen(self) -> int:
        """Smallest number of states that is within one standard error of the best (`below_best_error`).

        Reference: Breiman et al. (1984), Classification and Regression Trees, chapter 3.4.3; with the error of the
        difference in place of that of the best.
        """
        with np.errstate(invalid="ignore"):  # minus infinity is below whatever its error is
            within = np.isfinite(self.mean) & (self.below_best <= self.below_best_error)
        return int(self.candidates[within.argmax()])


def choose_states(
    observations: ArrayLike | Sequence[Any],
    *,
    emission: Emission | str,
    candidates: Iterable[int] = (1, 2, 3, 4, 5, 6),
    folds: int = 5,
    seed: int,
    config: EmConfig | None = None,
    progress: Progress | None = None,
) -> StateChoice:
    """Choose the number of states by cross-validation over sequences.

    Sequences are dealt into folds at random; each candidate is fitted without a fold and scored on it. Sequences and
    not steps are held out, since steps of one sequence are not independent.

    Parameters
    ----------
    observations
        At least as many sequences as folds, see `fit_hmm`. Cut a long recording into pieces first.
    emission
        What the states emit; of symbols, `Categorical` with a concentration above 1, so that a symbol that a training
        part lacks is not impossible.
    candidates
        Numbers of states.
    folds
        How many parts.
    seed
        Seed of the parts and of the fits.
    config
        Starts, steps and prior of each fit.
    progress
        Shows the fits, with the negative score as loss; silent if None.

    Returns
    -------
    The scores; ``.chosen`` is the number of states, by the rule of one standard error. Figure:
    ``neurodyn.plotting.plot_state_choice``.

    Raises
    ------
    InputError
        If there are fewer sequences in which something is seen than folds, or no candidate, or a fold cannot be emitted
        by the fit of any candidate.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> counts = [rng.poisson(np.repeat(rng.permutation([1, 12]), 20)) for _ in range(8)]
    >>> choose_states(counts, emission="poisson", candidates=(1, 2), folds=4, seed=0).chosen
    2
    """
    kind, config, progress = make_emission(emission), config or EmConfig(), progress or NoProgress()
    numbers = sorted(set(candidates))
    if not numbers or numbers[0] < 1:
        raise InputError(f"candidates must be numbers of states from 1, got {numbers}")
    prepared = kind.to_arrays(observations)
    parts = _parts(prepared, folds, seed)
    scores, done = np.empty((len(numbers), folds)), 0
    for row, states in enumerate(numbers):
        for column, held in enumerate(parts):
            kept = np.concatenate([part for other, part in enumerate(parts) if other != column])
            fit = best_of_starts(kind, _take(prepared, kept), states, seed, config)
            test = _take(prepared, held)
            scores[row, column] = prepared_log_likelihood(fit.hmm, test).sum() / test.seen.sum()
            done += 1
            means = [one.mean() for one in scores[:row]] or [scores[0, : column + 1].mean()]
            progress.update(done, scores.size, -scores[row, column], -max(means))
    progress.finish("finished")
    if not np.isfinite(scores.mean(axis=1)).any():
        raise InputError(
            "no candidate can emit all held-out sequences: something that some training part lacks became impossible; "
            "give the emission a prior (Categorical: concentration above 1)"
        )
    return StateChoice(np.array(numbers), scores)


def _standard_error(scores: Float[np.ndarray, "candidates folds"]) -> Float[np.ndarray, " candidates"]:
    with np.errstate(invalid="ignore"):  # not a number where a score is minus infinity
        return scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])


def _total(hmm: Hmm, observations: Any) -> tuple[float, int]:
    general = as_general(hmm)
    prepared = prepared_for(general, observations)
    if not prepared.seen.any():
        raise InputError("there is nothing to score: every step is missing")
    return float(prepared_log_likelihood(general, prepared).sum()), int(prepared.seen.sum())


def _parts(prepared: Prepared, folds: int, seed: int) -> list[np.ndarray]:
    """Sequences of each fold: only those in which something is seen."""
    usable = np.flatnonzero(prepared.seen.any(axis=0))
    if folds < 2 or len(usable) < folds:
        raise InputError(
            f"expected 2 folds or more and at least one sequence for each, got {folds} folds and {len(usable)} "
            "sequences in which something is seen: use fewer folds, or cut long sequences into pieces"
        )
    return np.array_split(np.random.default_rng(seed).permutation(usable), folds)


def _take(prepared: Prepared, trials: Int[np.ndarray, " some"]) -> Prepared:
    data = jax.tree.map(lambda part: part[:, trials], prepared.data)
    return Prepared(data, prepared.seen[:, trials], prepared.lengths[trials], prepared.channels)
