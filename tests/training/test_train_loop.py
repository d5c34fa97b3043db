"""The training loop on a small regression whose epochs are compiled and reuse the state's buffers, as real ones do."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.errors import InputError, NumericalError
from neurodyn.training import LoopConfig, load_settings, train

TRUE = np.array([1.0, -2.0, 0.5])


class State(NamedTuple):
    weights: jax.Array
    momentum: jax.Array


@partial(jax.jit, donate_argnums=0)
def compiled_epoch(state: State, inputs: jax.Array) -> tuple[State, jax.Array]:
    def loss(weights):
        return jnp.mean((inputs @ (weights - TRUE)) ** 2)

    value, gradient = jax.value_and_grad(loss)(state.weights)
    momentum = 0.5 * state.momentum + gradient
    return State(state.weights - 0.1 * momentum, momentum), value[None]


class Task:
    """A run whose validation scores can be prescribed and whose epochs can be made to fail."""

    def __init__(self, scores=None, fail=None):
        self.scores, self.fail, self.epochs, self.seen = scores, fail or {}, [], {}

    def start(self):
        return State(jnp.zeros(3), jnp.zeros(3))

    def run_epoch(self, state, epoch):
        self.epochs.append(epoch)
        if epoch in self.fail and self.fail[epoch] is KeyboardInterrupt:
            raise KeyboardInterrupt
        inputs = jnp.asarray(np.random.default_rng([3, epoch]).normal(size=(20, 3)))
        state, losses = compiled_epoch(state, inputs)
        if epoch in self.fail:
            losses = losses * self.fail[epoch]
        self.seen[epoch + 1] = np.array(state.weights)
        return state, losses

    def validate(self, state):
        error = jnp.sum((state.weights - TRUE) ** 2)
        if self.scores is None or not self.epochs:
            return error, state.weights
        return jnp.asarray(self.scores[self.epochs[-1]]), state.weights

    def train(self, **settings):
        return train(self.start(), self.run_epoch, self.validate, LoopConfig(**settings))


class Recorder:
    def __init__(self):
        self.updates, self.status = [], None

    def update(self, epoch, epochs, loss, best):
        self.updates.append((epoch, epochs, loss, best))

    def finish(self, status):
        self.status = status


def test_a_run_learns_and_reports():
    task, recorder = Task(), Recorder()
    outcome = train(task.start(), task.run_epoch, task.validate, LoopConfig(30), recorder)
    assert outcome.status == recorder.status == "finished"
    assert outcome.history.loss[-1] < 1e-2 * outcome.history.loss[0]
    np.testing.assert_allclose(outcome.parameters, TRUE, atol=0.05)
    assert [u[0] for u in recorder.updates] == list(range(1, 31))
    assert recorder.updates[-1][2:] == (outcome.history.loss[-1], outcome.history.best)


def test_the_best_parameters_are_kept_as_a_copy():
    task = Task(scores=[5.0, 2.0, 1.0, 3.0, 4.0, 6.0])
    outcome = task.train(epochs=6)
    assert isinstance(outcome.parameters, np.ndarray)
    assert outcome.parameters.base is None
    np.testing.assert_array_equal(outcome.parameters, task.seen[3])
    assert not np.array_equal(outcome.parameters, np.asarray(outcome.state.weights))
    assert outcome.history.validation == task.scores
    assert outcome.history.best == 1.0


def test_validation_happens_when_asked_and_at_the_end():
    outcome = Task().train(epochs=7, validate_every=3)
    assert outcome.history.validation_epoch == [3, 6, 7]
    assert len(outcome.history.loss) == 7


def test_patience_ends_a_run_that_gets_no_better():
    task = Task(scores=[3.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0])
    outcome = task.train(epochs=7, patience=3)
    assert outcome.status == "patience"
    assert task.epochs == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(outcome.parameters, task.seen[2])


def test_a_loss_that_is_not_finite_ends_with_the_last_good_parameters():
    task = Task(fail={4: np.nan})
    with pytest.warns(RuntimeWarning, match=r"epoch 5; the parameters of epoch 4 are kept.*lower the learning rate"):
        outcome = task.train(epochs=9)
    assert outcome.status == "not finite"
    assert len(outcome.history.loss) == 4
    np.testing.assert_array_equal(outcome.parameters, task.seen[4])


def test_a_loss_that_is_not_finite_from_the_start_is_an_error():
    with pytest.raises(NumericalError, match=r"training loss stopped being finite by epoch 1.*lower the learning rate"):
        Task(fail={0: np.inf}).train(epochs=3)


def test_a_score_that_is_never_finite_is_an_error():
    with pytest.raises(NumericalError, match="validation score stopped being finite"):
        Task(scores=[np.nan] * 3).train(epochs=3)


def test_a_single_score_that_is_not_finite_is_passed_over():
    task = Task(scores=[2.0, np.nan, 1.0, np.nan])
    outcome = task.train(epochs=4)
    assert outcome.history.validation == [2.0, np.inf, 1.0, np.inf]
    np.testing.assert_array_equal(outcome.parameters, task.seen[3])


def test_interrupting_keeps_the_best_so_far():
    task = Task(fail={5: KeyboardInterrupt})
    outcome = task.train(epochs=9, validate_every=2)
    assert outcome.status == "interrupted"
    assert outcome.history.validation_epoch == [2, 4]
    np.testing.assert_array_equal(outcome.parameters, task.seen[4])


def test_interrupting_before_anything_is_kept_is_a_real_interrupt():
    recorder, task = Recorder(), Task(fail={1: KeyboardInterrupt})
    with pytest.raises(KeyboardInterrupt):
        train(task.start(), task.run_epoch, task.validate, LoopConfig(9, validate_every=5), recorder)
    assert recorder.status == "interrupted"


@pytest.mark.parametrize("stop", [2, 3, 7])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, stop):
    whole = Task().train(epochs=9, validate_every=2)
    settings = {"epochs": 9, "validate_every": 2, "checkpoint": tmp_path / "run.h5", "identity": {"sizes": (1, 2)}}
    first = Task(fail={stop: KeyboardInterrupt})
    first.train(**settings)
    second = Task()
    resumed = second.train(**settings)
    assert second.epochs[0] == stop // 2 * 2
    assert resumed.status == whole.status
    assert resumed.history == whole.history
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    jax.tree.map(np.testing.assert_array_equal, resumed.state, whole.state)


def test_a_finished_run_is_not_run_again(tmp_path):
    settings = {"epochs": 4, "checkpoint": tmp_path / "run.h5"}
    first, again = Task().train(**settings), Task()
    outcome = again.train(**settings)
    assert not again.epochs
    np.testing.assert_array_equal(outcome.parameters, first.parameters)
    assert load_settings(tmp_path / "run.h5")["history"]["validation_epoch"] == [1, 2, 3, 4]


def test_the_best_survives_a_resume(tmp_path):
    scores = [5.0, 1.0, 3.0, 4.0, 6.0, 7.0]
    settings = {"epochs": 6, "checkpoint": tmp_path / "run.h5"}
    first = Task(scores, fail={4: KeyboardInterrupt})
    first.train(**settings)
    outcome = Task(scores).train(**settings)
    np.testing.assert_array_equal(outcome.parameters, first.seen[2])


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    Task().train(epochs=2, checkpoint=path, identity={"latent": 4})
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"run\.h5 belongs to a run with other settings"):
        Task().train(epochs=2, checkpoint=path, identity={"latent": 5})
    assert path.read_bytes() == before


def test_a_checkpoint_without_a_folder_is_refused_before_any_work(tmp_path):
    task = Task()
    with pytest.raises(InputError, match="there is no folder"):
        task.train(epochs=2, checkpoint=tmp_path / "absent" / "run.h5")
    assert not task.epochs
