r"""What noise does to a network, epoch by epoch of its training, and when that turns.

Per epoch: the second-order effect of the noise, how far it moves the mean of the next state,
:math:`\| E_x F(h, x) - F(h, 0) \| \,/\, \| F(h, 0) \|` (to second order one half of the trace of the Hessian times the
covariance), averaged over states under noise; the rate at which the likeliest symbol changes; and of the step's
Jacobian at such states, with the noise that came next, the number of complex pairs of eigenvalues and of unstable
eigenvalues (those outside the unit circle).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Key

from neurodyn.mechanism.activity import draw_noise, run
from neurodyn.mechanism.finding import Estimate
from neurodyn.mechanism.network import Epoch, Network, jacobians
from neurodyn.mechanism.statistics import bootstrap, not_measured

QUANTITIES = {
    "effect": "second-order effect of the noise",
    "rate": "changes of the likeliest symbol per step",
    "complex_pairs": "complex pairs of eigenvalues",
    "unstable": "unstable eigenvalues",
}


@dataclass(frozen=True)
class CourseSizes:
    """States and draws of noise of the second-order effect, and states whose Jacobian is taken apart."""

    states: int = 64
    draws: int = 256
    jacobians: int = 16


@dataclass(frozen=True, eq=False)
class Course:
    """What was measured, epoch by epoch.

    Parameters
    ----------
    epochs
        (epoch,) numbers.
    effects
        (epoch, state) second-order effect of the noise.
    rates
        (epoch, trial) changes of the likeliest symbol per step.
    complex_pairs, unstable
        (epoch, state) numbers of eigenvalues.
    """

    epochs: tuple[int, ...]
    effects: Float[np.ndarray, "epochs states"]
    rates: Float[np.ndarray, "epochs trials"]
    complex_pairs: Float[np.ndarray, "epochs jacobians"]
    unstable: Float[np.ndarray, "epochs jacobians"]

    @property
    def means(self) -> dict[str, Float[np.ndarray, " epochs"]]:
        """Mean of each quantity per epoch."""
        samples = (self.effects, self.rates, self.complex_pairs, self.unstable)
        return {name: values.mean(axis=1) for name, values in zip(QUANTITIES, samples, strict=True)}

    @property
    def turns(self) -> dict[str, int | None]:
        """Epoch at which each quantity turns, see `turning_epoch`."""
        samples = (self.effects, self.rates, self.complex_pairs, self.unstable)
        return {name: turning_epoch(self.epochs, each) for name, each in zip(QUANTITIES, samples, strict=True)}

    @property
    def notes(self) -> tuple[str, ...]:
        """First and last value of each quantity, and when it turns."""
        notes = []
        for name, words in QUANTITIES.items():
            first, last, turn = self.means[name][0], self.means[name][-1], self.turns[name]
            when = "does not turn" if turn is None else f"turns at epoch {turn}"
            notes.append(f"{words}: {first:.3g} at first, {last:.3g} at the end, {when}")
        return tuple(notes)

    def change_of_effect(self, rng: np.random.Generator) -> Estimate:
        """How far the second-order effect of the last epoch differs from that of the first, as a share of the larger.

        Either way: 0 is none, 1 that it has come from nothing or gone.
        """
        name = "second-order effect of the noise: how far the last epoch differs from the first, of the larger"
        both = np.stack([self.effects[0], self.effects[-1]], axis=1)  # states under the same noise
        sign = 1.0 if both[:, 1].mean() >= both[:, 0].mean() else -1.0

        def share(drawn: np.ndarray) -> float:
            first, last = drawn.mean(axis=0)
            larger = max(first, last)
            return sign * float(last - first) / larger if larger > 0 else 0.0

        return bootstrap(name, both, share, rng)

    def closer_to(self, rate: float, rng: np.random.Generator) -> Estimate:
        """By how much the rate of changes of the likeliest symbol has come closer to a rate; NaN if that is unknown."""
        name = "changes of the likeliest symbol per step: how much closer to the model's than at first"
        if np.isnan(rate):
            return not_measured(name)
        both = np.stack([self.rates[0], self.rates[-1]], axis=1)
        return bootstrap(
            name, both, lambda drawn: float(-np.diff(np.abs(drawn.mean(axis=0) - rate))[0]), rng, resamples=200
        )

    def to_dataset(self) -> xr.Dataset:
        """Means per epoch, and the turning epochs as attributes (-1: none)."""
        data = xr.Dataset({name: ("epoch", values) for name, values in self.means.items()})
        data = data.assign_coords(epoch=list(self.epochs))
        data.attrs = {f"{name}_turns": -1 if turn is None else turn for name, turn in self.turns.items()}
        return data


def follow(
    epochs: Sequence[Epoch],
    *,
    trials: int,
    steps: int,
    burn_in: int,
    level: float,
    sizes: CourseSizes,
    key: Key[Array, ""],
) -> Course:
    """Measure every quantity in every epoch, on the same noise.

    Parameters
    ----------
    epochs
        Networks along the training, the earliest first.
    trials, steps, burn_in
        Of the runs in which changes of the likeliest symbol are counted.
    level
        Standard deviation of the noise.
    sizes
        Of the other measurements.
    key
        Key of the noise.
    """
    runs = trials, steps, burn_in
    eigenvalues = [_eigenvalues(epoch.network, burn_in, level, sizes.jacobians, key) for epoch in epochs]
    return Course(
        epochs=tuple(epoch.epoch for epoch in epochs),
        effects=np.stack([second_order_effect(e.network, burn_in, level, sizes, key) for e in epochs]),
        rates=np.stack([_change_rates(epoch.network, *runs, level, key) for epoch in epochs]),
        complex_pairs=np.stack([(np.imag(values) > ROUNDING).sum(axis=1) for values in eigenvalues]).astype(float),
        unstable=np.stack([(np.abs(values) > 1 + ROUNDING).sum(axis=1) for values in eigenvalues]).astype(float),
    )


ROUNDING = 1e-5
"""Eigenvalues of matrices in single precision are real, or on the unit circle, up to this."""


def turning_epoch(epochs: Sequence[int], samples: Float[np.ndarray, "epochs n"]) -> int | None:
    """First epoch at which a quantity has gone half of its way from the first epoch to the last.

    None if the way is no longer than three standard errors: then it does not turn.

    Examples
    --------
    >>> turning_epoch([0, 5, 10], np.array([[0.0, 0.1], [0.9, 1.0], [1.0, 1.1]]))
    5
    """
    means = samples.mean(axis=1)
    way = means[-1] - means[0]
    error = float(np.sqrt((samples[[0, -1]].var(axis=1) / max(samples.shape[1] - 1, 1)).sum()))
    if abs(way) <= 3 * error:
        return None
    gone = (means - means[0]) / way
    return int(epochs[int(np.argmax(gone >= 0.5))])


def second_order_effect(
    network: Network, burn_in: int, level: float, sizes: CourseSizes, key: Key[Array, ""]
) -> Float[np.ndarray, " states"]:
    """How far the noise moves the mean of the next state, relative to the next state without noise."""
    noise = draw_noise(network, burn_in, sizes.states, level, key)
    states = run(network, jnp.zeros((sizes.states, network.hidden)), noise)[0][-1]
    half = draw_noise(network, -(-sizes.draws // 2), 1, level, jax.random.fold_in(key, 1))[:, 0]
    draws = jnp.concatenate([half, -half])  # in pairs of opposites: what is of first order cancels, draw by draw
    return np.asarray(_effect(network, states, draws))


def _change_rates(
    network: Network, trials: int, steps: int, burn_in: int, level: float, key: Key[Array, ""]
) -> Float[np.ndarray, " trials"]:
    """Changes of the likeliest symbol per step, of each trial."""
    noise = draw_noise(network, burn_in + steps, trials, level, key)
    likeliest = np.asarray(run(network, jnp.zeros((trials, network.hidden)), noise)[1][burn_in:].argmax(axis=-1))
    return (likeliest[1:] != likeliest[:-1]).mean(axis=0)


def _eigenvalues(network: Network, burn_in: int, level: float, count: int, key: Key[Array, ""]) -> np.ndarray:
    """Eigenvalues of the Jacobian at states under noise, with the noise that comes next."""
    noise = draw_noise(network, burn_in + 1, count, level, jax.random.fold_in(key, 3))
    states = run(network, jnp.zeros((count, network.hidden)), noise[:-1])[0][-1]
    return np.linalg.eigvals(np.asarray(jacobians(network, states, noise[-1])))


@jax.jit
def _effect(network: Network, states, draws):
    mean = jax.vmap(lambda state: jax.vmap(lambda x: network.advance(state, x))(draws).mean(axis=0))(states)
    still = network.advance(states, jnp.zeros((len(states), network.inputs)))
    size = jnp.linalg.norm(still, axis=-1)
    return jnp.linalg.norm(mean - still, axis=-1) / jnp.maximum(size, jnp.finfo(states.dtype).tiny)
