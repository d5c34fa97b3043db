"""Small networks of which it is known, by construction, whether a claim is true."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.mechanism.network import Network, linear_readout

SYMBOLS = 2


def linear_step(parameters, state, inputs):
    """``W h + U x``."""
    return parameters["recurrent"] @ state + parameters["input"] @ inputs


def tanh_step(parameters, state, inputs):
    """``tanh(W h + U x)``."""
    return jnp.tanh(parameters["recurrent"] @ state + parameters["input"] @ inputs)


def relu_step(parameters, state, inputs):
    """``max(W h + U x, 0)``."""
    return jax.nn.relu(parameters["recurrent"] @ state + parameters["input"] @ inputs)


def clipped_step(parameters, state, inputs):
    """``W h + U x + b``, clipped to 0 to 1."""
    drive = parameters["recurrent"] @ state + parameters["input"] @ inputs + parameters["bias"]
    return jnp.clip(drive, 0.0, 1.0)


def ring_step(parameters, state, inputs):
    """A phase that rests at 0 and at pi, and runs on to the other once the noise has pushed it over a threshold."""
    phase = jnp.arctan2(state[1], state[0] + 1e-12)
    speed = parameters["speed"] * (1.0 - parameters["rest"] * jnp.cos(2 * (phase - parameters["shift"])))
    phase = phase + speed + parameters["noise"] * inputs[0]
    return jnp.stack([jnp.cos(phase), jnp.sin(phase)])


def network(step, hidden, inputs=None, symbols=SYMBOLS, **parameters):
    """A network of a step with a linear readout and these parameters."""
    inputs = hidden if inputs is None else inputs
    arrays = {name: jnp.asarray(value, jnp.result_type(float)) for name, value in parameters.items()}
    return Network(step, linear_readout, arrays, hidden, inputs, symbols)


def linear(recurrent, readout=None, noise=1.0):
    """A linear map, each of its units with noise of its own."""
    hidden = len(recurrent)
    weights = np.array([np.ones(hidden), -np.ones(hidden)]) if readout is None else readout
    return network(linear_step, hidden, recurrent=recurrent, input=noise * np.eye(hidden), readout=weights)


def spiral(radius=0.95, angle=0.5, others=4):
    """Rotation in the plane of the first two units; the others forget at once. The readout lies in the plane."""
    recurrent = np.zeros((2 + others, 2 + others))
    recurrent[:2, :2] = radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    readout = np.zeros((SYMBOLS, 2 + others))
    readout[:, 0] = 1.0, -1.0
    return linear(recurrent, readout)


def gradient_system(others=4):
    """A symmetric linear map: it looks the same backwards in time."""
    return linear(np.diag([0.95, 0.9] + [0.1] * others))


def bistable(hidden=4):
    """Units that each rest at one of two values."""
    return network(
        tanh_step, hidden, recurrent=2.0 * np.eye(hidden), input=np.eye(hidden), readout=np.eye(hidden)[:SYMBOLS]
    )


def random_relu(hidden=12, inputs=5, symbols=3, seed=0):
    """Rectified units with random weights."""
    rng = np.random.default_rng(seed)
    bound = hidden**-0.5
    shapes = {"recurrent": (hidden, hidden), "input": (hidden, inputs), "readout": (symbols, hidden)}
    weights = {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}
    return network(relu_step, hidden, inputs, symbols, **weights)


def ring(noise=0.12, speed=0.35, rest=1.03):
    """Symbol 0 around phase 0, symbol 1 around pi; the resting phases are 0 and pi exactly."""
    shift = 0.5 * np.arccos(1 / rest)
    return network(ring_step, 2, 1, speed=speed, rest=rest, shift=shift, noise=noise, readout=[[6.0, 0.0], [-6.0, 0.0]])


def exact_emulator(model):
    """A hidden Markov model as a network: its states are units, and noise draws the next state by its own transitions.

    From one step to the next it jumps from state to state: there is no state on the way, and nothing in a state says
    when it will end.
    """
    states = len(model.transitions)
    readout = np.log(np.maximum(model.emissions.T, 1e-6))
    start, transitions = model.initial, model.transitions
    return network(jump_step, states, 1, len(readout), transitions=transitions, start=start, readout=readout)


def jump_step(parameters, state, inputs):
    """The next state of a Markov chain, drawn by the first input; from the empty state, a first one."""
    chances = state @ parameters["transitions"] + (1 - state.sum()) * parameters["start"]
    drawn = jax.scipy.special.ndtr(inputs[0])
    place = jnp.minimum((drawn > jnp.cumsum(chances)).sum(), len(state) - 1)
    return (jnp.arange(len(state)) == place).astype(state.dtype)


def integrator():
    """Noise that is added up and forgotten slowly; the symbol is its sign. Nothing is faster than anything else."""
    return linear(np.diag([0.97, 0.0]), readout=np.array([[1.0, 0.0], [-1.0, 0.0]]))


def flicker(noise=0.21, width=0.6):
    """Two wells; between them the symbol is drawn anew at each step, and the noise decides on the well as well."""
    network_of_wells = network(wells_step, 4, 4, 3, noise=noise, width=width, readout=np.zeros((3, 4)))
    return replace(network_of_wells, readout=flicker_readout)


def wells_step(parameters, state, inputs):
    """Downhill in two wells at -1 and 1, pushed by noise; the other units are the noise of the step."""
    place = jnp.clip(state[0], -1.5, 1.5)
    place = place + 0.15 * (place - place**3) + parameters["noise"] * inputs[0]
    return jnp.concatenate([place[None], inputs[1:]])


def flicker_readout(parameters, state):
    """The well, or between the wells the largest of the noises."""
    between = jnp.exp(-((state[0] / parameters["width"]) ** 8))
    wells = 10 * state[0] * jnp.array([1.0, -1.0, 0.0], state.dtype)
    return (1 - between) * wells + between * 20 * state[1:]


def independent_units(hidden=16):
    """Every unit remembers its own noise, the readout adds them up: no unit does anything to another one."""
    return linear(0.9 * np.eye(hidden), noise=0.5)


def only_read_out(hidden=16):
    """As `independent_units`, but a unit of its own adds them up and is all that the readout sees."""
    weights, noise = np.zeros((hidden + 1, hidden + 1)), np.zeros((hidden + 1, hidden + 1))
    weights[:hidden, :hidden], noise[:hidden, :hidden] = 0.9 * np.eye(hidden), 0.5 * np.eye(hidden)
    weights[hidden, :hidden] = 1.0
    readout = np.zeros((SYMBOLS, hidden + 1))
    readout[:, hidden] = 1.0, -1.0
    return network(linear_step, hidden + 1, recurrent=weights, input=noise, readout=readout)


def ray(rng, hidden=6, factor=1.0):
    """Rectified units with positive weights: all activity comes to one ray, whose points grow by a factor per step."""
    weights = rng.uniform(0.5, 1.5, (hidden, hidden))
    weights *= factor / np.abs(np.linalg.eigvals(weights)).max()
    return network(relu_step, hidden, recurrent=weights, input=np.eye(hidden), readout=np.eye(hidden)[:SYMBOLS])


def turning_relu(radius, hidden=12, inputs=5, seed=0):
    """Rectified units in pairs, each pair turned by the recurrent weights and shrunk to a radius."""
    turn = radius * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    plain = random_relu(hidden, inputs, SYMBOLS, seed)
    return plain.with_parameters({**plain.parameters, "recurrent": np.kron(np.eye(hidden // 2), turn)})


LATCH = (tuple(range(6)), tuple(range(6, 12)))
COPY, KICK = (12, 13), (14, 15)
INTEGRATORS = ((16, 17, 18), (19, 20, 21))
DISTRACTORS = tuple(range(22, 38))


def gated():
    """Two states that hold themselves; one unit each ends them, driven by three units that add up noise.

    Units: two groups of six that keep each other up and the other group down, so that none of them matters alone; a
    copy of each, which alone are read out; one kick unit for each direction with three integrators; distractors that
    listen to noise and to a state, and that nobody listens to.
    """
    hidden = len(DISTRACTORS) + 22
    weights, noise, bias = np.zeros((hidden, hidden)), np.zeros((hidden, hidden)), np.zeros(hidden)
    for i in range(2):
        latch, other = list(LATCH[i]), list(LATCH[1 - i])
        weights[np.ix_(latch, latch)] = 1.5 / 6
        weights[np.ix_(latch, other)] = -1.0 / 6
        weights[latch, KICK[i]] = -4.0
        weights[other, KICK[i]] = 4.0
        weights[COPY[i], latch] = 1.0 / 6
        weights[KICK[i], other] = -1.0
        bias[KICK[i]] = -2.3
        for unit in INTEGRATORS[i]:
            weights[KICK[i], unit] = 2.0
            weights[unit, unit] = 0.6
            noise[unit, unit] = 0.3
    bias[list(LATCH[0])] = 0.02  # from the empty state into the first
    for unit in DISTRACTORS:
        weights[unit, unit], weights[unit, LATCH[unit % 2][0]], noise[unit, unit] = 0.4, 0.3, 0.3
    readout = np.zeros((SYMBOLS, hidden))
    readout[0, COPY[0]], readout[1, COPY[1]] = 5.0, 5.0
    return network(clipped_step, hidden, recurrent=weights, input=noise, bias=bias, readout=readout)
