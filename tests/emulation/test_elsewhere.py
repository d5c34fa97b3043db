"""Networks trained elsewhere step as they did there, and are matched, searched, explained and saved like our own.

Two oracles: the published equations of each cell in plain NumPy, and, where PyTorch is installed, its own forward pass.
"""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.emulation import DrivenNetwork, HmmEmulator, MatchConfig, TrainingConfig, Weights, match, read_torch
from neurodyn.emulation.torch_file import weights_of
from neurodyn.errors import InputError, MissingExtraError
from neurodyn.fixed_points import find
from neurodyn.kernels.recurrence import CELLS, initialise, read_out, unroll
from neurodyn.markov import fully_connected, linear_chain
from neurodyn.mechanism import RecordConfig, explain, network_of, quick_config, record, untrained_of

HIDDEN, INPUTS, SYMBOLS, STEPS = 6, 4, 3, 9


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain(phi):
    """Elman (1990)."""

    def run(state, x, p):
        return phi(p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state[0] + p["bias_hh"]), None

    return run


def gru(state, x, p):
    """Cho et al. (2014), the reset gate after the product."""
    into, back = p["weight_ih"] @ x + p["bias_ih"], p["weight_hh"] @ state[0] + p["bias_hh"]
    reset, update = (sigmoid(into[k * HIDDEN : (k + 1) * HIDDEN] + back[k * HIDDEN : (k + 1) * HIDDEN]) for k in (0, 1))
    new = np.tanh(into[2 * HIDDEN :] + reset * back[2 * HIDDEN :])
    return (1 - update) * new + update * state[0], None


def lstm(state, x, p):
    """Gers, Schmidhuber & Cummins (2000): input, forget, cell and output gate."""
    gates = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state[0] + p["bias_hh"]
    taken, kept, new, shown = np.split(gates, 4)
    memory = sigmoid(kept) * state[1] + sigmoid(taken) * np.tanh(new)
    return sigmoid(shown) * np.tanh(memory), memory


EQUATIONS = {"tanh": plain(np.tanh), "relu": plain(lambda x: np.maximum(x, 0)), "gru": gru, "lstm": lstm}
GATES = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}


def state_dict(kind, *, seed=0, bias=True, layer="rnn."):
    random, gates = np.random.default_rng(seed), GATES[kind]
    shapes = {"weight_ih": (gates * HIDDEN, INPUTS), "weight_hh": (gates * HIDDEN, HIDDEN)}
    if bias:
        shapes |= {"bias_ih": (gates * HIDDEN,), "bias_hh": (gates * HIDDEN,)}
    arrays = {f"{layer}{name}_l0": 0.7 * random.normal(size=size) for name, size in shapes.items()}
    arrays["out.weight"] = random.normal(size=(SYMBOLS, HIDDEN))
    return arrays | ({"out.bias": random.normal(size=SYMBOLS)} if bias else {})


def by_equations(kind, arrays, inputs):
    """States h and logits after each step, one trial and one step at a time."""
    p = {key.split(".")[1].removesuffix("_l0"): value for key, value in arrays.items() if key.startswith("rnn")}
    p = {name: np.zeros(GATES[kind] * HIDDEN) for name in ("bias_ih", "bias_hh")} | p
    states = np.zeros((*inputs.shape[:2], HIDDEN))
    for trial in range(len(inputs)):
        state = (np.zeros(HIDDEN), np.zeros(HIDDEN))
        for time in range(inputs.shape[1]):
            output, memory = EQUATIONS[kind](state, inputs[trial, time], p)
            state = (output, state[1] if memory is None else memory)
            states[trial, time] = output
    return states, states @ arrays["out.weight"].T + arrays.get("out.bias", 0)


def by_ours(emulator, inputs):
    """The same by the emulator's step."""
    state, outputs, logits = jnp.zeros((len(inputs), emulator.config.network.state_size)), [], []
    for time in range(inputs.shape[1]):
        state = emulator.step(state, jnp.asarray(inputs[:, time]))
        outputs.append(state[:, :HIDDEN])
        logits.append(emulator.readout(state))
    return np.stack(outputs, axis=1), np.stack(logits, axis=1)


def draw(trials=3):
    return np.random.default_rng(9).normal(size=(trials, STEPS, INPUTS))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", EQUATIONS)
def test_a_state_dictionary_steps_by_the_published_equations(kind, bias):
    arrays = state_dict(kind, bias=bias)
    cell = kind if GATES[kind] == 1 else None
    emulator = HmmEmulator.from_weights(weights_of(arrays, cell=cell), fully_connected(SYMBOLS))
    for found, expected in zip(by_ours(emulator, draw()), by_equations(kind, arrays, draw()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    generated = emulator.generate(4, STEPS, seed=0)
    _, logits = by_equations(kind, arrays, generated.inputs)
    np.testing.assert_allclose(generated.logits, logits, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cell", ["leaky", "leaky_rectifier"])
def test_leaky_cells_go_a_share_of_the_way(cell):
    phi = {"leaky": np.tanh, "leaky_rectifier": lambda x: np.maximum(x, 0)}[cell]
    parameters = initialise(CELLS[cell], jax.random.key(0), hidden=5, inputs=2)
    p = {name: np.asarray(array) for name, array in parameters.items()}
    share, state, inputs = sigmoid(p["leak"]), np.ones(5), np.array([[0.3, -1.0], [2.0, 0.1]])
    expected = []
    for x in inputs:
        state = (1 - share) * state + share * phi(p["recurrent"] @ state + p["input"] @ x + p["bias"])
        expected.append(state)
    np.testing.assert_allclose(unroll(CELLS[cell], parameters, jnp.ones(5), jnp.asarray(inputs)), expected, rtol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "leaky", "relu_bias"])
def test_derivatives_are_those_of_finite_differences(cell):
    parameters = initialise(CELLS[cell], jax.random.key(1), hidden=4, inputs=3)
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)))
    readout = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4)))
    start = jnp.zeros((2, CELLS[cell].parts * 4))

    def loss(p):
        return jnp.sum(jnp.sin(read_out(CELLS[cell], p, readout, start, inputs)))

    gradient = jax.grad(loss)(parameters)
    for name, array in parameters.items():
        along = np.random.default_rng(2).normal(size=array.shape)
        ahead, behind = (loss({**parameters, name: array + sign * 1e-6 * along}) for sign in (1, -1))
        np.testing.assert_allclose(np.sum(gradient[name] * along), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-8)


def make_torch(kind, torch):
    torch.manual_seed(0)
    options = {"nonlinearity": kind} if GATES[kind] == 1 else {}
    make = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}.get(kind, torch.nn.RNN)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = make(INPUTS, HIDDEN, batch_first=True, **options)
            self.out = torch.nn.Linear(HIDDEN, SYMBOLS)

    return Net()


@pytest.mark.parametrize("kind", EQUATIONS)
def test_the_forward_pass_of_pytorch_is_ours(kind, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the published equations stand in for it")
    net = make_torch(kind, torch)
    torch.save(net.state_dict(), tmp_path / "model.pth")
    weights = read_torch(tmp_path / "model.pth", cell=kind if GATES[kind] == 1 else None)
    emulator = HmmEmulator.from_weights(weights, fully_connected(SYMBOLS))
    inputs = draw().astype(np.float32)
    with torch.no_grad():
        states = net.rnn(torch.from_numpy(inputs))[0]
        expected = [states.numpy(), net.out(states).numpy()]
    for found, wanted in zip(by_ours(emulator, inputs.astype(np.float64)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "checkpoint.pth")
    again = read_torch(tmp_path / "checkpoint.pth", cell=kind if GATES[kind] == 1 else None)
    np.testing.assert_array_equal(again.parameters["recurrent"], weights.parameters["recurrent"])


def test_files_that_would_be_executed_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing reads its files")
    torch.save({"a": SimpleNamespace(b=1)}, tmp_path / "object.pth")
    with pytest.raises(InputError, match=r"save model.state_dict\(\)"):
        read_torch(tmp_path / "object.pth")
    (tmp_path / "text.pth").write_text("no")
    with pytest.raises(InputError, match=r"text\.pth"):
        read_torch(tmp_path / "text.pth")
    with pytest.raises(InputError, match=r"none\.pth"):
        read_torch(tmp_path / "none.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(InputError, match="holds a Tensor"):
        read_torch(tmp_path / "tensor.pth")


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"'torch'.*torch"):
        read_torch("model.pth")


def test_cells_and_layers_of_other_names_are_understood():
    arrays = state_dict("gru")
    cell = {key.replace("rnn.", "cell.").removesuffix("_l0"): value for key, value in arrays.items()}
    expected = weights_of(arrays)
    for found in (
        weights_of(cell),
        weights_of(
            {"W": arrays["rnn.weight_hh_l0"], "U": arrays["rnn.weight_ih_l0"], "V": arrays["out.weight"],
             "b": arrays["rnn.bias_ih_l0"], "c": arrays["rnn.bias_hh_l0"], "d": arrays["out.bias"]},
            names={"recurrent": "W", "input": "U", "readout": "V", "input_bias": "b", "recurrent_bias": "c",
                   "readout_bias": "d"},
        ),
    ):  # fmt: skip
        assert found.cell == "gru"
        for name, array in expected.parameters.items():
            np.testing.assert_array_equal(found.parameters[name], array)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {}, "does not say its nonlinearity: give cell="),
        ({}, {"cell": "gru"}, "cell has to be 'tanh' or 'relu', got 'gru'"),
        ({"rnn.weight_hh_l1": np.zeros((6, 6))}, {"cell": "tanh"}, "several recurrent layers"),
        ({"rnn.weight_hh_l0_reverse": np.zeros((6, 6))}, {"cell": "tanh"}, "bidirectional"),
        ({"rnn.weight_hr_l0": np.zeros((2, 6))}, {"cell": "tanh"}, "proj_size"),
        ({"b.weight_hh_l0": np.zeros((6, 6))}, {"cell": "tanh"}, "holds several recurrent layers"),
        ({"more.weight": np.zeros((2, 6))}, {"cell": "tanh"}, "more than one matrix"),
        ({"rnn.bias_ih_l0": np.zeros(5)}, {"cell": "tanh"}, "biases of the recurrent layer"),
        ({"rnn.weight_hh_l0": np.full((6, 6), np.nan)}, {"cell": "tanh"}, "NaN or infinity"),
        ({}, {"cell": "tanh", "names": {"recurrent": "W"}}, "the file has no 'W'"),
        ({}, {"cell": "tanh", "names": {"weights": "W"}}, "unknown array 'weights'"),
    ],
)
def test_what_is_not_understood_is_named(change, options, message):
    with pytest.raises(InputError, match=message):
        weights_of(state_dict("tanh") | change, **options)


def test_weights_of_other_shapes_are_refused():
    good = {"recurrent": np.eye(4), "input": np.ones((4, 2)), "readout": np.ones((3, 4))}
    for change, message in (
        ({"input": np.ones((5, 2))}, r"'input' of a tanh network of 4 units has to be \(4, 2\)"),
        ({"bais": np.ones(4)}, "has no 'bais'"),
        ({"readout": np.ones(4)}, "have to be matrices"),
    ):
        with pytest.raises(InputError, match=message):
            Weights("tanh", {**good, **change})
    with pytest.raises(InputError, match="lack 'input'"):
        Weights("tanh", {"recurrent": np.eye(4), "readout": np.ones((3, 4))})
    with pytest.raises(InputError, match="lack 'leak'"):
        Weights("leaky", good)
    with pytest.raises(InputError, match="unknown cell"):
        Weights("tahn", good)
    with pytest.raises(InputError, match="reads out 4 symbols"):
        HmmEmulator.from_weights(Weights("tanh", {**good, "readout": np.ones((4, 4))}), linear_chain(2))


CONFIG = MatchConfig(resamples=5, matched_trials=16, tested_trials=24)


def test_a_network_from_elsewhere_goes_the_whole_way(tmp_path):
    """An LSTM with a bias in its read-out: matched, searched, recorded, saved; explained in the slow tests."""
    hmm = fully_connected(SYMBOLS, trial_steps=8)
    emulator = HmmEmulator.from_weights(weights_of(state_dict("lstm")), hmm)
    assert "elsewhere" in repr(emulator)
    assert "epochs" not in repr(emulator)
    assert match(emulator, hmm, trials=48, seed=0, config=CONFIG)["volatility_ratio"].value >= 0
    points = find(emulator.step, emulator.generate(2, 8, seed=0).states.reshape(16, -1), jnp.zeros(INPUTS)).fixed
    assert points.vectors.shape[1] == 2 * HIDDEN
    activity = record(emulator, RecordConfig(trials=3, steps=5, burn_in=1), seed=0)
    assert activity.states.shape == (3, 5, 2 * HIDDEN)
    np.testing.assert_allclose(activity.logits, emulator.readout(jnp.asarray(activity.states)), rtol=1e-9)
    assert untrained_of(emulator) is None
    emulator.save(tmp_path)
    again = HmmEmulator.load(tmp_path)
    np.testing.assert_array_equal(again.generate(4, 8, seed=1).symbols, emulator.generate(4, 8, seed=1).symbols)
    assert (again.status, again.cell) == ("elsewhere", "lstm")
    with pytest.raises(InputError, match="another run"):
        HmmEmulator.from_weights(weights_of(state_dict("lstm", seed=1)), hmm).save(tmp_path)


def test_anything_with_a_step_and_a_readout_is_matched_and_recorded():
    hmm = fully_connected(SYMBOLS, trial_steps=8)
    emulator = HmmEmulator.from_weights(weights_of(state_dict("gru")), hmm)
    bare = SimpleNamespace(step=emulator.step, readout=emulator.readout, hidden=HIDDEN, inputs=INPUTS)
    wrapped = DrivenNetwork(emulator.step, emulator.readout, HIDDEN, INPUTS)
    sizes = RecordConfig(trials=3, steps=5, burn_in=1)
    expected = record(network_of(emulator), sizes, seed=0)
    for each in (bare, wrapped):
        np.testing.assert_allclose(record(each, sizes, seed=0).states, expected.states, rtol=1e-9)
    found = [match(each, hmm, trials=48, seed=0, config=CONFIG) for each in (bare, wrapped, network_of(emulator))]
    values = [[statistic.value for statistic in one.statistics] for one in found]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    own = emulator.generate_symbols(3000, 8, seed=0).symbols
    symbols = wrapped.generate(3000, 8, seed=1).symbols
    shares = [np.bincount(each.ravel(), minlength=SYMBOLS) / each.size for each in (own, symbols)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)  # other draws of the same network
    for bad in (SimpleNamespace(step=emulator.step), 3):
        with pytest.raises(InputError, match=r"step\(state, input\), readout\(state\)"):
            match(bad, hmm, trials=48, seed=0)
        with pytest.raises(InputError, match=r"step\(state, input\), readout\(state\)"):
            record(bad, seed=0)
    with pytest.raises(InputError, match="step has to return a state"):
        DrivenNetwork(lambda h, x: x, emulator.readout, HIDDEN, INPUTS)


@pytest.mark.parametrize("cell", ["lstm", "leaky", "relu_bias"])
def test_the_new_cells_are_trained_saved_and_resumed(cell, tmp_path):
    hmm = linear_chain(2, trial_steps=6)
    training = TrainingConfig(sequences=96, batch=16, epochs=2, validation=16, validate_every=1)
    emulator = HmmEmulator(5, 3, cell, training, progress=False).fit(hmm, directory=tmp_path)
    again = HmmEmulator.load(tmp_path)
    np.testing.assert_array_equal(again.generate(4, 6, seed=1).states, emulator.generate(4, 6, seed=1).states)
    assert untrained_of(again) is not None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "tanh"])
def test_networks_from_elsewhere_are_explained(kind):
    cell = kind if GATES[kind] == 1 else None
    emulator = HmmEmulator.from_weights(weights_of(state_dict(kind), cell=cell), fully_connected(SYMBOLS))
    assert len(explain(emulator, config=quick_config(), seed=0).findings) == 9
    bare = SimpleNamespace(
        step=emulator.step, readout=emulator.readout, hidden=emulator.config.network.state_size, inputs=INPUTS
    )
    assert len(explain(bare, emulator.hmm, config=quick_config(), seed=0).findings) == 9
