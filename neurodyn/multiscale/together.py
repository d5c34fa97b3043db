"""Several models trained together: the same steps as each alone, one compiled call per epoch for all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.multiscale.config import DecoderConfig
from neurodyn.multiscale.fitting import Training, compile_key
from neurodyn.multiscale.segments import segments_of
from neurodyn.training import Outcome, Progress, TrainState, engine

SMALL = 2**15
"""Numbers in the widest layer of a step (segments x bins x units) up to which a processor is faster together.

Measured for four models on one core, time together over time one after the other: 0.62 at 2**10.6, 0.65 at 2**12.6,
0.76 and 0.90 at 2**14.6, 1.04 at 2**16.6, 1.18 at 2**18.6 (README.md, Many models).
"""


def faster_together(config: DecoderConfig, batch: MultimodalBatch) -> bool:
    """Whether models of equal shape are worth training together on the device that there is.

    On a processor they are if a step is :data:`SMALL`: what a step costs beside its arithmetic is then paid once for
    all of them. An accelerator is taken to be faster at it whatever the size, for a step of one model leaves most of it
    idle; that is an expectation, not a measurement.
    """
    return jax.default_backend() != "cpu" or widest_layer(config, batch) <= SMALL


def widest_layer(config: DecoderConfig, batch: MultimodalBatch) -> int:
    """Numbers in the widest layer of a step: segments x bins x units."""
    model, training = config.model, config.training
    segments = segments_of(batch, training.segment)
    layers = (width for row in model.modalities for width in (*row.encoder, *row.decoder))
    units = max(*layers, *model.fusion, *model.states, model.embedding)
    return min(training.batch, segments.per_epoch) * segments.bins * units


def shape_of(run: Training) -> dict[str, Any]:
    """What has to be equal for two models to be trained together, in words a user knows."""
    steps, _, trials = run.drawn(0).shape
    training = run.config.training
    return {
        "modalities": tuple((m.name, m.channels, m.likelihood) for m in run.config.model.modalities),
        "target dimensions": run.config.model.target,
        "bins of the timeline": run.timeline.target.shape[0],
        "bins per segment": run.segments.bins,
        "segments per step": trials,
        "steps per epoch": steps,
        "one mask for all segments": run.shared,
        "held-out pieces and their bins": run.held.target.shape[:2],
        "one mask for all held-out pieces": run.held_shared,
        "settings": compile_key(run.config),
        "epochs, validations and patience": (training.epochs, training.validate_every, training.patience),
        "graph of the model": run.graph,
    }


def check_equal_shapes(runs: Sequence[Training], labels: Sequence[str]) -> None:
    """Refuse models that cannot be trained together.

    Raises
    ------
    InputError
        If something differs from the first; the message names it.
    """
    first = shape_of(runs[0])
    for run, label in zip(runs, labels, strict=True):
        found = shape_of(run)
        differing = [name for name, value in first.items() if value != found[name]]
        if differing:
            name = differing[0]
            raise InputError(
                f"models trained together need equal shapes: {name} is {first[name]} for {labels[0]} and {found[name]} "
                f"for {label}; make the parts equally long, or train them one after the other (together=False)"
            )


def groups_of(runs: Sequence[Training]) -> list[list[int]]:
    """Positions of the runs that have equal shapes, in order."""
    groups: list[tuple[dict[str, Any], list[int]]] = []
    for position, run in enumerate(runs):
        shape = shape_of(run)
        for other, members in groups:
            if shape == other:
                members.append(position)
                break
        else:
            groups.append((shape, [position]))
    return [members for _, members in groups]


def fit_together(
    runs: Sequence[Training],
    labels: Sequence[str],
    *,
    checkpoints: Sequence[Path | None] | None = None,
    progress: Progress | None = None,
) -> list[Outcome[TrainState]]:
    """Train models of equal shape (:func:`check_equal_shapes`); each is the one it would be alone, to rounding.

    All of them are on one device.

    Parameters
    ----------
    labels
        What each model is called in messages.
    checkpoints
        File of each model, the same as it would write and resume from alone.
    """
    files = checkpoints or [None] * len(runs)
    return engine.fit_together(
        [run.run(file) for run, file in zip(runs, files, strict=True)], labels, progress=progress
    )
