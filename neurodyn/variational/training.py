"""Training of a generative model of sequences: windows in which samples are hidden, validation on blocks kept out.

Windows, and what is hidden from encoders in them, are those of :mod:`neurodyn.recurrent`; the gradient steps are the
engine's (:mod:`neurodyn.training`). What is hidden from an encoder is decoded all the same: the bound holds for any
posterior, and a model learns by it to carry its state through losses.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.likelihood import LEAST_COUNT
from neurodyn.errors import InputError
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import InputScaling, Sequences, sequences_of
from neurodyn.recurrent.network import standardised
from neurodyn.recurrent.training import Timeline, after_lead, compile_key, on_device, padded
from neurodyn.recurrent.windows import Windows, hidden_bins
from neurodyn.training import LoopConfig, Outcome, Progress, Run, TrainState, fit, initial_state
from neurodyn.variational.model import Parameters, SequenceModel, Window

WHOLE = 1000
"""What stands for a weight of 1 beside windows, which are whole numbers."""
VALIDATION_KEY = 0
"""Seed of the latents that a validation draws: the same in all of them."""


class HeldOut(NamedTuple):
    """What a validation sees: the timeline, bins side by side, and which of them count."""

    timeline: Timeline
    index: Int[Array, "time run"]
    scored: Bool[Array, "time run"]


@dataclass(frozen=True)
class ElboTask:
    """The training of a model as the engine knows it (:class:`neurodyn.training.Task`).

    Parameters
    ----------
    model
        What is trained.
    config
        Course of the training, without its seed (:func:`neurodyn.recurrent.training.compile_key`).
    bins
        Of a window.
    """

    model: SequenceModel
    config: RecurrentConfig
    bins: int

    @property
    def average(self) -> float:
        """Decay of the running average of the parameters."""
        return self.config.average

    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        return optax.flatten(
            optax.chain(optax.clip_by_global_norm(self.config.clip), optax.adam(self.config.learning_rate))
        )

    def sample(self, data: Timeline, chosen: Int[Array, "3 batch"], key: Key[Array, ""]) -> tuple[Window, Array]:
        """Windows with some of their samples hidden from the encoders, and the key of their latents."""
        starts, lengths, weight = chosen
        offset = jnp.arange(self.bins)[:, None]
        index, inside = jnp.minimum(starts + offset, len(data.scored) - 1), offset < lengths
        hide, draw = jax.random.split(key)
        hidden = hidden_bins(hide, (self.bins, len(starts)), self.model.n_modalities, self.config) | ~inside[..., None]
        window = window_of(self.model, data, index, data.scored[index] & inside, hidden)
        return window._replace(weight=weight[0].astype(data.target.dtype) / WHOLE), draw

    def loss(self, parameters: Parameters, sample: tuple[Window, Array]) -> Float[Array, ""]:
        """That of the model."""
        return self.model.loss(parameters, *sample)

    def loss_or_nan(self, loss: Float[Array, ""], gradient: Parameters) -> Float[Array, ""]:
        """The loss."""
        return loss

    def score(self, parameters: Parameters, held: HeldOut) -> Float[Array, ""]:
        """The loss of what is kept out, nothing hidden."""
        return _score(parameters, held, model=self.model)

    def scores(self, parameters: Parameters, held: HeldOut) -> Float[Array, " member"]:
        """Those of several runs."""
        return jax.vmap(self.score)(parameters, held)


def window_of(
    model: SequenceModel,
    timeline: Timeline,
    index: Int[Array, "time trial"],
    scored: Bool[Array, "time trial"],
    hidden: Bool[Array, "time trial modality"] | None = None,
) -> Window:
    """Bins of a timeline as a loss takes them.

    Parameters
    ----------
    scored
        Bins that may be fitted on.
    hidden
        True where a modality is hidden from the encoders; None hides nothing.
    """
    values, observed = [], []
    for counts, array, mask, how in zip(
        model.counts, timeline.values, timeline.observed, timeline.scaling, strict=True
    ):
        there = mask[index] & scored[..., None]
        values.append(jnp.where(there, array[index], 0) if counts else standardised(array[index], there, *how))
        observed.append(there)
    return Window(timeline.inputs(index, hidden), tuple(values), tuple(observed), scored)


def fit_model(
    model: SequenceModel,
    sequences: Sequences,
    held: Sequences,
    config: RecurrentConfig,
    progress: Progress | None = None,
) -> Outcome[TrainState]:
    """Train a model on the runs of ``sequences``; the runs of ``held`` choose when to stop.

    Parameters
    ----------
    sequences, held
        Two sets of runs on one timeline (:func:`observed_sequences`).
    config
        Course of the training; its sizes are the model's.
    progress
        Told the loss after each validation.

    Returns
    -------
    Outcome whose ``parameters`` are those that were best on ``held``, averaged over the last steps.

    Raises
    ------
    InputError
        If no run has two bins, or there is nothing to validate on.
    NumericalError
        If the loss stops being finite before anything could be kept.
    """
    windows = Windows.of(sequences, config.window)
    index, scored = padded(held)
    counts_for_all = after_lead(sequences) & sequences.scored
    if not (counts_for_all.any() and bool(scored.any())):
        raise InputError("there are no bins left to validate on: give a longer recording, or more trials")
    task = ElboTask(model, compile_key(config), windows.bins)
    timeline = on_device(sequences._replace(scored=counts_for_all))
    warm_up = min(model.warm_up, config.steps // 3)
    patience = config.patience + -(-warm_up // config.validate_every)  # until then scores may get worse

    def draw(epoch: int) -> list[Int[np.ndarray, "step 3 batch"]]:
        """First bin and length of the windows of each step of an epoch, and the weight of the divergence."""
        starts, lengths = windows.draw(config, epoch)[:, :, 0]
        number = epoch * len(starts) + np.arange(1, len(starts) + 1)
        weight = np.minimum(WHOLE, WHOLE * number // max(1, warm_up))
        return [np.stack([starts, lengths, np.broadcast_to(weight[:, None], starts.shape)], axis=1)]

    run = Run(
        task, _draw(jnp.asarray(config.seed), _mean_outputs(sequences.scaling), task=task), timeline,
        HeldOut(timeline, index, scored), draw, config.seed,
        loop=LoopConfig(-(-config.steps // config.validate_every), 1, patience), trial_axis=2,
    )  # fmt: skip
    return fit(run, progress=progress)


def observed_sequences(batch: MultimodalBatch, scaling: InputScaling) -> Sequences:
    """The timeline of a batch without its target: every bin counts, whether it has a target or not."""
    bins, dims = batch.target.shape
    sequences = sequences_of(batch, scaling, np.zeros(dims), np.ones(dims))
    return sequences._replace(target=np.zeros((bins, 0), np.float32), scored=np.ones(bins, np.bool_))


@partial(jax.jit, static_argnames="task")
def _draw(seed: Array, outputs: tuple[Array, ...], *, task: ElboTask) -> TrainState:
    return initial_state(task.model.draw(jax.random.key(seed), outputs), task.optimizer())


@partial(jax.jit, static_argnames="model")
def _score(parameters: Parameters, held: HeldOut, *, model: SequenceModel) -> Float[Array, ""]:
    window = window_of(model, held.timeline, held.index, held.scored)
    return model.loss(parameters, window, jax.random.key(VALIDATION_KEY))


def _mean_outputs(scaling: InputScaling) -> tuple[Array, ...]:
    """Outputs of decoders that give each channel its mean: log of the mean count, which is that of its square root
    squared plus a variance, or 0."""
    dtype = jnp.result_type(float)
    return tuple(
        jnp.asarray(np.log(np.maximum(centre**2 + scale**2, LEAST_COUNT)) if counts else np.zeros_like(centre), dtype)
        for counts, centre, scale in zip(scaling.counts, scaling.centre, scaling.scale, strict=True)
    )
