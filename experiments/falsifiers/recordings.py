"""Recordings of which it is known, by construction, whether a claim is true; no network made them."""

import numpy as np
from jaxtyping import Float

from experiments.falsifiers.networks import network
from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence

UNITS, TRIALS, STEPS = 50, 96, 120


def _stays(parameters, state, inputs):
    return state


def embedded(
    places: Float[np.ndarray, "trials time 2"], rng: np.random.Generator, *, readout: float = 0.0, noise: float = 0.1
) -> Evidence:
    """Places in a random plane of the space of `UNITS` units, under white noise; the readout lies in the plane.

    Parameters
    ----------
    places
        (trial, time, 2).
    rng
        Draws plane and noise.
    readout
        Angle of the readout's axis in the plane, radians; 0 is the first coordinate of the places.
    noise
        Standard deviation of the noise of every unit.
    """
    plane = np.linalg.qr(rng.normal(size=(UNITS, 2)))[0]
    states = places @ plane.T + noise * rng.normal(size=(*places.shape[:2], UNITS))
    axis = plane @ np.array([np.cos(readout), np.sin(readout)])
    weights, bias = np.stack([4 * axis, 0 * axis, -4 * axis]), np.array([0.0, -3.0, 0.0])
    still = network(_stays, UNITS, 2, 3, readout=weights, readout_bias=bias)
    return Evidence(still, Activity(states, np.zeros((*places.shape[:2], 2)), states @ weights.T + bias))


def telegraph(
    *, seed: int, readout: float = 0.0, change: float = 0.05, noise: float = 0.1, trials: int = TRIALS
) -> Evidence:
    """No orbit: a random telegraph along one axis, the same forwards and backwards in time, and noise elsewhere.

    Parameters
    ----------
    seed
        Of everything random.
    readout
        Angle between the axis that is read out and the axis of this telegraph. Where it is not 0, a second telegraph
        of its own, half as large, goes along the other axis.
    change
        Probability of a change per step.
    noise
        Standard deviation of the noise in the plane.
    trials
        How many.
    """
    rng = np.random.default_rng(seed)
    changes = rng.random((2, trials, STEPS)) < change
    ends = np.where(rng.random((2, trials, 1)) < 0.5, 1.0, -1.0) * np.where(np.cumsum(changes, axis=2) % 2, -1.0, 1.0)
    places = np.stack([ends[0], 0.5 * (readout != 0) * ends[1]], axis=-1) + noise * rng.normal(size=(trials, STEPS, 2))
    return embedded(places, rng, readout=readout)


def wells(*, seed: int, change: float = 0.1, trials: int = TRIALS) -> Evidence:
    """No current: a walk around four wells at the corners of a square, one way as often as the other.

    Parameters
    ----------
    seed
        Of everything random.
    change
        Probability per step of a move to a neighbouring well.
    trials
        How many.
    """
    rng = np.random.default_rng(seed)
    moves = np.where(rng.random((trials, STEPS)) < change, rng.choice([-1, 1], (trials, STEPS)), 0)
    angles = 0.5 * np.pi * (rng.integers(4, size=(trials, 1)) + np.cumsum(moves, axis=1))
    places = np.stack([np.cos(angles), np.sin(angles)], axis=-1) + 0.1 * rng.normal(size=(trials, STEPS, 2))
    return embedded(places, rng)


def orbit(*, seed: int, noise: float = 0.3, memory: float = 0.8, trials: int = TRIALS) -> Evidence:
    """An orbit: dwells at both ends of an axis, from one over the top and from the other under the bottom.

    Parameters
    ----------
    seed
        Of everything random.
    noise, memory
        Standard deviation of the noise in the plane, and its correlation from step to step.
    trials
        How many.
    """
    rng, going = np.random.default_rng(seed), 4
    angles = np.zeros((trials, STEPS))
    for row in angles:
        course: list[float] = []
        end = np.pi * rng.integers(2)
        while len(course) < 2 * STEPS:
            course += [end] * rng.geometric(0.05)
            course += list(end - np.pi * np.arange(1, going) / going)
            end -= np.pi
        row[:] = course[rng.integers(STEPS) :][:STEPS]
    places, wander = np.stack([np.cos(angles), np.sin(angles)], axis=-1), np.zeros((trials, 2))
    for t in range(STEPS):
        wander = memory * wander + np.sqrt(1 - memory**2) * noise * rng.normal(size=(trials, 2))
        places[:, t] += wander
    return embedded(places, rng)


def visits(*, shared: bool, alike: bool = True, trials: int = 60, seed: int = 0) -> Activity:
    """Activity that goes from symbol to symbol in a plane per pair of symbols, or all in one plane.

    Nine units; dwells of 8 steps at a corner, 6 steps on the way, a little noise.

    Parameters
    ----------
    shared
        Whether all pairs go in one plane.
    alike
        Whether all of them go on half circles; if not, one goes on a half circle, one straight on and one to and fro.
    trials, seed
        Size, and of everything random.
    """
    rng = np.random.default_rng(seed)
    pairs = {(0, 1): 0, (0, 2): 1, (1, 2): 2}
    way = np.linspace(0, np.pi, 7)[1:]
    circle = np.stack([np.cos(way), np.sin(way)], axis=1)
    straight = np.stack([1 - 2 * way / np.pi, 0 * way], axis=1)
    to_and_fro = np.stack([np.array([1.0, -1, 1, -1, 1, -1]), np.array([1.0, 1, -1, -1, 1, 1])], axis=1)
    courses = (circle, circle, circle) if alike else (circle, straight, to_and_fro)
    states, logits = [], []
    for _ in range(trials):
        symbol, rows, outputs = int(rng.integers(3)), [], []
        for _ in range(12):
            after = int(rng.choice([s for s in range(3) if s != symbol]))
            pair = pairs[min(symbol, after), max(symbol, after)]
            plane = 0 if shared else pair
            course = (1.0 if symbol < after else -1.0) * courses[pair]
            rows += [np.zeros(9)] * 8
            outputs += [np.eye(3)[symbol]] * 8
            for step, place in enumerate(course):
                row = np.zeros(9)
                row[2 * plane : 2 * plane + 2] = place
                rows.append(row)
                outputs.append(np.eye(3)[symbol if step < 3 else after])
            symbol = after
        states.append(np.stack(rows) + 0.05 * rng.normal(size=(len(rows), 9)))
        logits.append(4.0 * np.stack(outputs))
    stacked = np.stack(states)
    return Activity(stacked, np.zeros((*stacked.shape[:2], 1)), np.stack(logits))
