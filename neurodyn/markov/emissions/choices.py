r"""Choices that depend on what came before them or was shown: a logistic regression per state (GLM-HMM).

.. math::
    p(c_t = i \mid k) \propto \exp(w_{ki}^\top \phi_t), \qquad w_{k0} = 0

with terms :math:`\phi_t` that are one and the inputs of the step. The regression has no closed form, so that a step of
the fit climbs instead of jumping: the log-likelihood lies above a parabola through the weights of before, whose
curvature is Böhning's bound, and the top of that parabola plus the prior is taken. No step can lead down, and weights
converge together with everything else.

References: Ashwood et al. (2022), Mice alternate between discrete strategies during perceptual decision-making, Nature
Neuroscience 25; Böhning (1992), Multinomial logistic regression algorithm, Annals of the Institute of Statistical
Mathematics 44.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import softmax

from neurodyn.errors import InputError
from neurodyn.markov.emissions.base import (
    Emission,
    Parameters,
    Prepared,
    check_strength,
    checked_parameter,
    library,
    real_sequences,
    time_first,
)

START_STEPS = 100
"""Steps of the regression over all states that a fit starts around."""
START_DEVIATION = 1.0
"""How far the states start from it, for a term whose mean square is one."""
DRAWN_DEVIATION = 2.0
"""Standard deviation of the weights in the sampler's prior, likewise."""


class Trials(NamedTuple):
    """What was chosen, and what the choice may depend on."""

    choices: Any  # (time, trials), integers
    terms: Any  # (time, trials, 1 + inputs)


@dataclass(frozen=True)
class Choices(Emission):
    """One of a few choices per step: a logistic regression on the inputs of the step, with other weights in each state.

    A step of a sequence is ``[choice, input, ...]``: the choice counted from 0, NaN where there was none; inputs in any
    unit, such as the contrast on the right, the last choice, the last reward. A constant is added. Steps without a
    choice, or with an input that is NaN, say nothing of the state.

    Its parameter is ``weights`` (states, choices - 1, 1 + inputs), of the log odds against choice 0; the constant comes
    first.

    Parameters
    ----------
    choices
        How many there are.
    strength
        Of the prior, which pulls weights to zero: the inverse variance of a weight whose term has a mean square of one.
        0 is none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import Choices, GeneralHmm, sample
    >>> weights = [[[0.0, 4.0]], [[2.0, 0.0]]]  # one state follows the stimulus, one answers 1 whatever is shown
    >>> mouse = GeneralHmm([0.5, 0.5], [[0.98, 0.02], [0.02, 0.98]], Choices(choices=2), {"weights": weights})
    >>> drawn = sample(mouse, trials=3, steps=200, seed=0).observations
    >>> drawn.shape, np.unique(drawn[..., 0]).tolist()
    ((3, 200, 2), [0.0, 1.0])
    """

    choices: int = 2
    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)
        if self.choices < 2:
            raise InputError(f"choices must be at least 2, got {self.choices}")

    def to_arrays(self, observations: Any) -> Prepared:
        """Choices and terms."""
        values, lengths = real_sequences(observations)
        chosen = values[..., 0]
        wrong = np.argwhere(~np.isnan(chosen) & ~np.isin(chosen, np.arange(self.choices)))
        if len(wrong):
            sequence, step = wrong[0]
            raise InputError(
                f"choices, the first number of each step, must be from 0 to {self.choices - 1}, NaN where there is "
                f"none; sequence {sequence} has {chosen[sequence, step]:g} at step {step}"
            )
        numbers, observed = time_first(values)
        seen = np.asarray(observed.all(axis=-1))
        terms = np.concatenate([np.ones((*numbers.shape[:2], 1)), numbers[..., 1:]], axis=-1)
        return Prepared(Trials(numbers[..., 0].astype(np.int32), terms), seen, lengths, values.shape[-1])

    def prior(self, prepared: Prepared) -> Parameters:
        """Inverse variance of the weights of each term, which has the unit of its mean square."""
        return {"size": _size(prepared), "precision": self.strength * _size(prepared)}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Around the regression over all steps."""
        (choices, terms), seen = prepared.data, prepared.seen
        data = Trials(choices[seen][:, None], terms[seen][:, None])
        prior, ones = self.prior(prepared), np.ones((seen.sum(), 1, 1))
        weights = {"weights": np.zeros((1, self.choices - 1, terms.shape[-1]))}
        for _ in range(START_STEPS):
            sums = _sums(
                softmax(_logits(np, weights["weights"], data.terms), axis=-1), data, ones, np.eye(self.choices)
            )
            weights = self.maximise({name: part.sum(axis=0) for name, part in sums.items()}, weights, prior)
        spread = START_DEVIATION / np.sqrt(prior["size"])
        return {"weights": weights["weights"] + spread * rng.normal(size=(states, *weights["weights"].shape[1:]))}

    def natural(self, parameters: Parameters) -> Parameters:
        """The weights."""
        return {"weights": library(parameters).asarray(parameters["weights"])}

    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """Logarithm of the probability of what was chosen."""
        log = jax.nn.log_softmax(_logits(jnp, natural["weights"], data.terms), axis=-1)
        return jnp.take_along_axis(log, data.choices[..., None, None], axis=-1)[..., 0]

    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Slope of the log-likelihood, and products of terms, which bound its curvature."""
        expected = jax.nn.softmax(_logits(jnp, natural["weights"], data.terms), axis=-1)
        return _sums(expected, data, weights, jnp.eye(self.choices, dtype=weights.dtype))

    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """The top of the parabola below the log posterior."""
        weights, others = np.array(before["weights"], np.float64), self.choices - 1
        bound = 0.5 * (np.eye(others) - 1 / self.choices)
        pull = np.kron(np.eye(others), np.diag(prior["precision"]))
        for state, (slope, products) in enumerate(zip(statistics["slope"], statistics["terms"], strict=True)):
            curvature = np.kron(bound, products) + pull
            uphill = slope - prior["precision"] * weights[state]
            weights[state] += np.linalg.lstsq(curvature, uphill.ravel(), rcond=None)[0].reshape(uphill.shape)
        return {"weights": weights}

    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """``-1/2 sum precision w^2``."""
        return float(-0.5 * (prior["precision"] * parameters["weights"] ** 2).sum())

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Normal weights."""
        import numpyro
        import numpyro.distributions as dist

        scale = jnp.broadcast_to(
            DRAWN_DEVIATION / jnp.sqrt(jnp.asarray(prior["size"])), (states, self.choices - 1, len(prior["size"]))
        )
        return {"weights": numpyro.sample("weights", dist.Normal(jnp.zeros_like(scale), scale).to_event(3))}

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Float[np.ndarray, "trials time channels"]:
        """Choices, each beside inputs that are drawn from the standard normal distribution."""
        weights = np.asarray(parameters["weights"])
        inputs = rng.normal(size=(*states.shape, weights.shape[-1] - 1))
        terms = np.concatenate([np.ones((*states.shape, 1)), inputs], axis=-1)
        odds = np.einsum("ntcp,ntp->ntc", weights[states], terms)
        logits = np.concatenate([np.zeros((*states.shape, 1)), odds], axis=-1)
        chosen = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
        return np.concatenate([chosen[..., None], inputs], axis=-1)

    def check(self, parameters: Parameters, states: int) -> None:
        """Finite weights."""
        checked_parameter(parameters, "weights", (states, self.choices - 1, None), "(states, choices - 1, 1 + inputs)")

    def channels(self, parameters: Parameters) -> int:
        """The choice and the inputs; the constant takes the place of the choice."""
        return np.shape(parameters["weights"])[-1]

    def count(self, parameters: Parameters) -> int:
        """All weights."""
        return np.size(parameters["weights"])

    def describe(self, parameters: Parameters, state: int) -> str:
        """Weights of the log odds of the last choice."""
        constant, *inputs = np.asarray(parameters["weights"])[state, -1]
        listed = ", ".join(f"{weight:.2g}" for weight in inputs[:4]) + (", ..." if len(inputs) > 4 else "")
        return f"log odds of choice {self.choices - 1}: bias {constant:.2g}" + (f", weights {listed}" if inputs else "")


def _size(prepared: Prepared) -> Float[np.ndarray, " terms"]:
    """Mean square of each term, one where it is always zero."""
    terms = prepared.data.terms[prepared.seen]
    size = (terms**2).mean(axis=0) if len(terms) else np.ones(terms.shape[-1])
    return np.where(size > 0, size, 1.0)


def _logits(xp: Any, weights: Any, terms: Any) -> Any:
    """(time, trials, states, choices), zero for choice 0."""
    odds = xp.einsum("kcp,tnp->tnkc", weights, terms)
    return xp.concatenate([xp.zeros_like(odds[..., :1]), odds], axis=-1)


def _sums(expected: Any, data: Any, weights: Any, one_hot: Any) -> Parameters:
    """Statistics in the library of the arrays; ``expected`` are the probabilities of all choices."""
    xp = library({"weights": weights})
    surprise = weights[..., None] * (one_hot[data.choices][:, :, None] - expected)[..., 1:]
    return {
        "slope": xp.einsum("tnkc,tnp->nkcp", surprise, data.terms),
        "terms": xp.einsum("tnk,tnp,tnq->nkpq", weights, data.terms, data.terms),
    }
