"""Runs in step on a small regression: each ends as it would have alone, whatever becomes of the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.errors import InputError, NumericalError
from neurodyn.training import LoopConfig, select_trained, train, train_together

TRUE = np.array([1.0, -2.0, 0.5])
SEEDS = (3, 8, 5)


def inputs_of(seed, epoch):
    return jnp.asarray(np.random.default_rng([seed, epoch]).normal(size=(20, 3)))


def one_epoch(weights, inputs, factor):
    value, gradient = jax.value_and_grad(lambda w: jnp.mean((inputs @ (w - TRUE)) ** 2))(weights)
    return weights - 0.1 * gradient, factor * value[None]


@jax.jit
def all_epochs(weights, inputs, factors, turn):
    def one(weights, inputs, factor, turn):
        after, losses = one_epoch(weights, inputs, factor)
        return select_trained(turn, after, weights), losses

    return jax.vmap(one)(weights, inputs, factors, turn)


class Task:
    """Members whose scores can be prescribed, and whose losses can be spoilt, by (seed, epoch)."""

    def __init__(self, seeds=SEEDS, scores=None, factors=None):
        self.seeds, self.scores, self.factors, self.epoch, self.turns = seeds, scores or {}, factors or {}, -1, []

    def factor(self, seed, epoch):
        return float(self.factors.get((seed, epoch), 1.0))

    def run_epoch(self, state, epoch, turn):
        self.epoch = epoch
        self.turns.append(np.asarray(turn).tolist())
        if self.factors.get("interrupt") == epoch:
            raise KeyboardInterrupt
        inputs = jnp.stack([inputs_of(seed, epoch) for seed in self.seeds])
        return all_epochs(state, inputs, jnp.asarray([self.factor(seed, epoch) for seed in self.seeds]), turn)

    def score(self, seed, weights):
        return self.scores.get((seed, self.epoch), jnp.sum((weights - TRUE) ** 2))

    def validate(self, state):
        return jnp.asarray([self.score(seed, w) for seed, w in zip(self.seeds, state, strict=True)]), state

    def together(self, folder=None, **settings):
        configs = [
            LoopConfig(**settings, checkpoint=folder and folder / f"{s}.h5", identity={"seed": s}) for s in self.seeds
        ]
        return train_together(
            [jnp.zeros(3)] * len(self.seeds), self.run_epoch, self.validate, configs, [f"seed {s}" for s in self.seeds]
        )

    def alone(self, seed, folder=None, **settings):
        def run_epoch(state, epoch):
            self.epoch = epoch
            return one_epoch(state, inputs_of(seed, epoch), self.factor(seed, epoch))

        config = LoopConfig(**settings, checkpoint=folder and folder / f"{seed}.h5", identity={"seed": seed})
        return train(jnp.zeros(3), run_epoch, lambda w: (self.score(seed, w), w), config)


def equal(found, expected, *, state=True):
    assert found.status == expected.status
    np.testing.assert_allclose(found.parameters, expected.parameters, atol=1e-12)
    assert found.history.validation_epoch == expected.history.validation_epoch
    np.testing.assert_allclose(found.history.loss, expected.history.loss, rtol=1e-12)
    np.testing.assert_allclose(found.history.validation, expected.history.validation, rtol=1e-12)
    if state:
        np.testing.assert_allclose(found.state, expected.state, atol=1e-12)


def test_members_are_the_runs_alone():
    for found, seed in zip(Task().together(epochs=7, validate_every=3), SEEDS, strict=True):
        equal(found, Task().alone(seed, epochs=7, validate_every=3))


def test_each_has_its_own_patience_and_the_others_go_on():
    scores = {(8, epoch): float(epoch) for epoch in range(9)}
    task = Task(scores=scores)
    found = task.together(epochs=9, patience=2)
    assert [one.status for one in found] == ["finished", "patience", "finished"]
    for one, seed in zip(found, SEEDS, strict=True):
        equal(one, Task(scores=scores).alone(seed, epochs=9, patience=2))
    assert [turn[1] for turn in task.turns] == [True] * 3 + [False] * 6


def test_a_member_that_fails_keeps_its_best_and_does_not_touch_the_others():
    factors = {(5, 4): np.nan}
    with pytest.warns(RuntimeWarning, match=r"^seed 5: the training loss stopped being finite in epoch 5; the param"):
        found = Task(factors=factors).together(epochs=6)
    assert [one.status for one in found] == ["finished", "finished", "not finite"]
    for one, seed in zip(found[:2], SEEDS[:2], strict=True):
        equal(one, Task().alone(seed, epochs=6))
    with pytest.warns(RuntimeWarning):
        equal(found[2], Task(factors=factors).alone(5, epochs=6), state=False)
    np.testing.assert_array_equal(found[2].state, found[2].parameters)


def test_a_member_with_nothing_to_keep_is_an_error_at_once():
    task = Task(factors={(8, 0): np.inf})
    with pytest.raises(NumericalError, match=r"^seed 8: the training loss stopped being finite by epoch 1"):
        task.together(epochs=5)
    assert len(task.turns) == 1


def test_scores_that_are_never_finite_are_an_error_at_the_end():
    with pytest.raises(NumericalError, match=r"^seed 3: the validation score stopped being finite"):
        Task(scores={(3, epoch): np.nan for epoch in range(2)}).together(epochs=2)


def test_a_run_that_was_stopped_goes_on_alone_or_together(tmp_path):
    stopped = Task(factors={"interrupt": 3}).together(tmp_path, epochs=6, validate_every=2)
    assert {one.status for one in stopped} == {"interrupted"}
    assert [len(one.history.loss) for one in stopped] == [3] * 3
    whole = [Task().alone(seed, epochs=6, validate_every=2) for seed in SEEDS]
    equal(Task().alone(3, tmp_path, epochs=6, validate_every=2), whole[0])  # ahead of the others from here on
    task = Task()
    for one, expected in zip(task.together(tmp_path, epochs=6, validate_every=2), whole, strict=True):
        equal(one, expected)
    assert task.turns == [[False, True, True]] * 4
    for one, expected in zip(Task().together(tmp_path, epochs=6, validate_every=2), whole, strict=True):
        equal(one, expected)


def test_members_at_different_epochs_meet(tmp_path):
    Task(seeds=(8,), factors={"interrupt": 2}).together(tmp_path, epochs=4)
    task = Task()
    for one, seed in zip(task.together(tmp_path, epochs=4), SEEDS, strict=True):
        equal(one, Task().alone(seed, epochs=4))
    assert task.turns == [[True, False, True]] * 2 + [[True] * 3] * 2


def test_ctrl_c_before_anything_is_kept_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt):
        Task(factors={"interrupt": 1}).together(epochs=6, validate_every=2)


def test_checkpoints_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        Task().together(tmp_path / "missing", epochs=2)
    Task().together(tmp_path, epochs=2)
    (tmp_path / "3.h5").rename(tmp_path / "8.h5")
    with pytest.raises(InputError, match=r"8\.h5 belongs to a run with other settings"):
        Task().together(tmp_path, epochs=2)
