"""One engine for every model that is trained by gradient steps: state, step, compiled epochs, one run or several.

A model hands over a :class:`Task` (optimizer, what a step sees, loss, validation) and, for each run, a :class:`Run`
with its data and its start. All gradient steps of an epoch are one compiled call. Several runs of one task are trained
in the same call with a member axis in front of every array; each is then the one it would be alone, to rounding.

What is compiled depends on the task and on shapes: two runs whose tasks are equal share one compiled program. A task is
therefore made of the settings that the steps depend on and of nothing else (each model's ``compile_key``).
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from neurodyn.memory import compile_first
from neurodyn.training.average import running_average
from neurodyn.training.devices import Placement
from neurodyn.training.loop import LoopConfig, Outcome, select_trained, train, train_together
from neurodyn.training.progress import Progress

Sample = TypeVar("Sample")


class TrainState(NamedTuple):
    """What a gradient step changes.

    parameters: after the last step.
    optimizer: state of the optimizer.
    average: running average of the parameters, which is what is validated and kept; without one, the parameters.
    step: how many steps were taken.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from neurodyn.training import initial_state
    >>> state = initial_state({"gain": jnp.ones(3)}, optax.adam(0.01))
    >>> int(state.step), state.average["gain"].tolist()
    (0, [1.0, 1.0, 1.0])
    """

    parameters: Any
    optimizer: Any
    average: Any
    step: Int[Array, ""]


@runtime_checkable
class Task(Protocol):
    """What is trained, as the compiled steps know it: hashable, equal where the same program serves, without arrays.

    Examples
    --------
    >>> from neurodyn.training import Task
    >>> from neurodyn.training.least_squares import LeastSquares  # the shortest there is, to copy from
    >>> task = LeastSquares(rate=0.5)
    >>> isinstance(task, Task), task == LeastSquares(rate=0.5)  # equal: one compiled program serves both
    (True, True)
    """

    @property
    def average(self) -> float:
        """Decay of the running average of the parameters, per step; 0 for none."""
        ...

    def optimizer(self) -> optax.GradientTransformation:
        """Make the optimizer, inside the compiled step."""
        ...

    def sample(self, data: Any, chosen: Array, key: Key[Array, ""]) -> Any:
        """What a step sees: data gathered as ``chosen`` says, and everything random, drawn from ``key``."""
        ...

    def loss(self, parameters: Any, sample: Any) -> Float[Array, ""]:
        """Number whose gradient by the parameters is followed."""
        ...

    def loss_or_nan(self, loss: Float[Array, ""], gradient: Any) -> Float[Array, ""]:
        """What a step reports: its loss, or NaN where only the gradient shows that numbers have left the finite."""
        ...

    def score(self, parameters: Any, held: Any) -> Float[Array, ""]:
        """Number that chooses the parameters which are kept, on held-out data."""
        ...

    def scores(self, parameters: Any, held: Any) -> Float[Array, " member"]:
        """Scores of several runs, with a member axis in front of every array."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """One training run.

    Parameters
    ----------
    task
        What is trained.
    start
        State before the first step.
    data, held
        What steps and validations see, on the device.
    draw
        From the number of an epoch to what :meth:`Task.sample` receives in each of its steps (step x ...): a list, an
        entry for the steps of each size, since the steps of a size are one compiled call.
    seed
        Seed of everything random in the steps.
    loop
        When to validate, when to stop, where to save.
    trial_axis
        Axis of what is drawn that several devices share.
    on_epoch
        Called after each epoch with the number of epochs and the running average of the parameters; nothing if None.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.training import LoopConfig, Run, initial_state
    >>> from neurodyn.training.least_squares import LeastSquares
    >>> task, data = LeastSquares(), (jnp.eye(2), jnp.asarray([1.0, -2.0]))  # inputs, outputs
    >>> start, rows = initial_state(jnp.zeros(2), task.optimizer()), np.tile([0, 1], (20, 1))  # both rows, in 20 steps
    >>> run = Run(task, start, data, held=data, draw=lambda epoch: [rows], seed=0, loop=LoopConfig(epochs=2))
    >>> run.loop.epochs, [steps.shape for steps in run.draw(0)]
    (2, [(20, 2)])
    """

    task: Task
    start: TrainState
    data: Any
    held: Any
    draw: Callable[[int], Sequence[np.ndarray]]
    seed: int
    loop: LoopConfig
    trial_axis: int = 1
    on_epoch: Callable[[int, Any], None] | None = None


def initial_state(parameters: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """State before the first step.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from neurodyn.training import initial_state
    >>> state = initial_state({"gain": jnp.ones(3)}, optax.sgd(0.1))
    >>> int(state.step), state.parameters["gain"].tolist()
    (0, [1.0, 1.0, 1.0])
    """
    return TrainState(
        parameters, optimizer.init(parameters), jax.tree.map(jnp.copy, parameters), jnp.zeros((), jnp.int32)
    )


def gradient_step(
    state: TrainState,
    sample: Sample,
    *,
    loss: Callable[[Any, Sample], Float[Array, ""]],
    optimizer: optax.GradientTransformation,
    average: float,
) -> tuple[TrainState, Float[Array, ""], Any]:
    """One step of the optimizer.

    Parameters
    ----------
    state
        Before the step.
    sample
        What the loss is computed from.
    loss
        From parameters and sample to the number to minimise.
    optimizer
        The one that ``state`` was made with.
    average
        Decay of the running average.

    Returns
    -------
    The state after the step, the loss before it, and the gradient.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from neurodyn.training import gradient_step, initial_state
    >>> optimizer, loss = optax.sgd(0.5), lambda parameters, sample: ((parameters - sample) ** 2).sum()
    >>> state, before, gradient = gradient_step(
    ...     initial_state(jnp.zeros(2), optimizer), jnp.asarray([1.0, 2.0]), loss=loss, optimizer=optimizer, average=0.0
    ... )
    >>> state.parameters.tolist(), float(before), gradient.tolist()
    ([1.0, 2.0], 5.0, [-2.0, -4.0])
    """
    value, gradient = jax.value_and_grad(loss)(state.parameters, sample)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes floats and an integer count in Adam's correction
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.parameters)
    parameters = optax.apply_updates(state.parameters, updates)
    mean = running_average(state.average, parameters, state.step, average)
    return TrainState(parameters, optimizer_state, mean, state.step + 1), value, gradient


@partial(jax.jit, static_argnames="task", donate_argnames="state")
def run_epoch(
    state: TrainState, data: Any, drawn: Int[Array, "step ..."], seed: Int[Array, ""], *, task: Task
) -> tuple[TrainState, Float[Array, " step"]]:
    """All gradient steps of one epoch in one compiled call; returns the state and each step's loss."""
    optimizer = task.optimizer()

    def step(state: TrainState, chosen: Array) -> tuple[TrainState, Array]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        sample = task.sample(data, chosen, key)
        state, value, gradient = gradient_step(state, sample, loss=task.loss, optimizer=optimizer, average=task.average)
        return state, task.loss_or_nan(value, gradient)

    return jax.lax.scan(step, state, drawn)


@partial(jax.jit, static_argnames="task", donate_argnames="states")
def run_epochs(
    states: TrainState,
    data: Any,
    drawn: Int[Array, "member step ..."],
    seeds: Int[Array, " member"],
    turn: Bool[Array, " member"],
    *,
    task: Task,
) -> tuple[TrainState, Float[Array, "member step"]]:
    """:func:`run_epoch` of every member; members whose turn it is not keep their state."""

    def one_member(state: TrainState, turn: Array, *given: Any) -> tuple[TrainState, Array]:
        after, losses = run_epoch(state, *given, task=task)
        return select_trained(turn, after, state), losses

    return jax.vmap(one_member)(states, turn, data, drawn, seeds)


def fit(run: Run, *, placement: Placement | None = None, progress: Progress | None = None) -> Outcome[TrainState]:
    """Train one run; several devices share the trials of each step.

    Raises
    ------
    InputError, NumericalError, KeyboardInterrupt
        As :func:`neurodyn.training.train`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.training import LoopConfig, Run, fit, initial_state
    >>> from neurodyn.training.least_squares import LeastSquares
    >>> task, data = LeastSquares(), (jnp.eye(2), jnp.asarray([1.0, -2.0]))  # inputs, outputs
    >>> start, rows = initial_state(jnp.zeros(2), task.optimizer()), np.tile([0, 1], (20, 1))  # both rows, in 20 steps
    >>> run = Run(task, start, data, held=data, draw=lambda epoch: [rows], seed=0, loop=LoopConfig(epochs=2))
    >>> fit(run).parameters.round(3).tolist()
    [1.0, -2.0]
    """
    placement = placement or Placement()
    start = placement.everywhere(jax.tree.map(jnp.copy, run.start))  # an epoch uses its state up
    data, held, seed = placement.everywhere((run.data, run.held, jnp.asarray(run.seed)))

    compiled: set[tuple[int, ...]] = set()

    def epoch(state: TrainState, number: int) -> tuple[TrainState, Array]:
        losses = []
        for steps in run.draw(number):
            drawn = placement.split(jnp.asarray(steps), run.trial_axis)
            if drawn.shape not in compiled:
                compile_first(run_epoch, state, data, drawn, seed, task=run.task)
                compiled.add(drawn.shape)
            state, found = run_epoch(state, data, drawn, seed, task=run.task)
            losses.append(found)
        if run.on_epoch is not None:
            run.on_epoch(number + 1, state.average)
        return state, _together(losses, 0)

    def validate(state: TrainState) -> tuple[Array, Any]:
        return run.task.score(state.average, held), state.average

    return train(start, epoch, validate, run.loop, progress)


def fit_together(
    runs: Sequence[Run],
    labels: Sequence[str],
    *,
    placement: Placement | None = None,
    progress: Progress | None = None,
) -> list[Outcome[TrainState]]:
    """Train runs of one task and of equal shapes in the same compiled calls; several devices share the runs.

    Parameters
    ----------
    runs
        Their loops differ in checkpoint and identity only.
    labels
        What each run is called in messages.
    placement
        Where the stacked arrays lie; on the default device if None.
    progress
        Called with the mean loss and the mean of the best scores.

    Raises
    ------
    InputError, NumericalError, KeyboardInterrupt
        As :func:`neurodyn.training.train_together`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.training import LoopConfig, Run, fit_together, initial_state
    >>> from neurodyn.training.least_squares import LeastSquares
    >>> task, rows = LeastSquares(), np.tile([0, 1], (20, 1))  # both rows in each of 20 steps
    >>> start = initial_state(jnp.zeros(2), task.optimizer())
    >>> both = [(jnp.eye(2), jnp.asarray(outputs)) for outputs in ([1.0, -2.0], [3.0, 4.0])]
    >>> every = {"draw": lambda epoch: [rows], "seed": 0, "loop": LoopConfig(epochs=2)}
    >>> outcomes = fit_together([Run(task, start, data, held=data, **every) for data in both], labels=["one", "two"])
    >>> [outcome.parameters.round(3).tolist() for outcome in outcomes]
    [[1.0, -2.0], [3.0, 4.0]]
    """
    task, placement = runs[0].task, placement or Placement()
    data, held, seeds = jax.tree.map(
        lambda *leaves: placement.split(jnp.stack(leaves), 0),
        *((run.data, run.held, jnp.asarray(run.seed)) for run in runs),
    )

    def epoch(states: TrainState, number: int, turn: Array) -> tuple[TrainState, Array]:
        found, turns = [], placement.split(turn, 0)
        for steps in zip(*(run.draw(number) for run in runs), strict=True):
            drawn = placement.split(jnp.asarray(np.stack(steps)), 0)
            states, losses = run_epochs(states, data, drawn, seeds, turns, task=task)
            found.append(losses)
        for position, (run, here) in enumerate(zip(runs, np.asarray(turn), strict=True)):
            if here and run.on_epoch is not None:
                run.on_epoch(number + 1, jax.tree.map(lambda leaf, p=position: leaf[p], states.average))
        return states, _together(found, 1)

    def validate(states: TrainState) -> tuple[Array, Any]:
        return task.scores(states.average, held), states.average

    return train_together(
        [run.start for run in runs],
        epoch,
        validate,
        [run.loop for run in runs],
        labels,
        placement=placement,
        progress=progress,
    )


def _together(losses: Sequence[Array], axis: int) -> Array:
    """Losses of the steps of each size as those of one epoch."""
    return losses[0] if len(losses) == 1 else jnp.concatenate(losses, axis)


def fingerprint(arrays: Iterable[np.ndarray]) -> int:
    """Checksum of training data: a checkpoint is not to be resumed on another fold or recording.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.training import fingerprint
    >>> [fingerprint([np.arange(4)]) == fingerprint([other]) for other in (np.arange(4), np.zeros(4))]
    [True, False]
    """
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum
