"""One fit of a decoder: the state-space model, then the read-outs of the target."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.folds import held_out_seconds
from neurodyn.binning.scaling import Scaling
from neurodyn.memory import give_back_memory, share_memory
from neurodyn.multiscale.fitted import Fitted
from neurodyn.multiscale.fitting import Training, prepare
from neurodyn.multiscale.inference import Network
from neurodyn.multiscale.readouts import fit_plain_readouts, fit_readouts
from neurodyn.multiscale.settings import config_of
from neurodyn.multiscale.storage import provenance
from neurodyn.recurrent import InputScaling, fit_members, held_out_of, hold_out_in_turn, sequences_of
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.training import Outcome, ProgressBar, TrainState

if TYPE_CHECKING:
    from neurodyn.multiscale.estimator import MultiscaleDecoder


def prepare_run(decoder: "MultiscaleDecoder", batch: MultimodalBatch) -> Training:
    """What the training of a decoder on a batch needs."""
    check_usable(batch)
    share_memory()
    run = prepare(batch, Scaling.fit(batch), config_of(decoder, batch))
    give_back_memory()
    return run


def fitted_on(
    decoder: "MultiscaleDecoder",
    batch: MultimodalBatch,
    run: Training,
    outcome: Outcome[TrainState],
    checkpoint: Path | None,
) -> Fitted:
    """What a decoder found: the trained model, and its read-outs of the target, which are fitted here."""
    give_back_memory()
    network = Network(run.graph, outcome.parameters, run.constants)
    recurrent, held_of, status = None, None, outcome.status
    if status != "interrupted":  # who asks for the best so far does not want another training to begin
        recurrent, held_of, ended = _recurrent_network(decoder, batch, run, checkpoint)
        status = ended if ended in ("interrupted", "not finite") else status
    run.release()
    give_back_memory()
    config = run.config if recurrent is not None else replace(run.config, recurrent=None)
    if decoder.readout == "backbone":
        filtered, smoothed = fit_plain_readouts(network, batch)
    else:
        filtered, smoothed = fit_readouts(
            network, recurrent, run.scaling, batch, run.held_out, held_of=held_of, seed=decoder.training.seed
        )
    return Fitted(
        config=config, network=network, scaling=run.scaling, modalities=batch.modalities,
        target_names=batch.target_names, width=batch.width, filtered=filtered, smoothed=smoothed,
        history=outcome.history, status=status, provenance=provenance(batch),
        target_units=batch.target_units, recurrent=recurrent, bounds=_bounds(batch) if decoder.bounded else None,
    )  # fmt: skip


def _recurrent_network(
    decoder: "MultiscaleDecoder", batch: MultimodalBatch, run: Training, checkpoint: Path | None
) -> tuple[RecurrentNetwork | None, Bool[np.ndarray, "run member"] | None, str]:
    """The recurrent read-out, which members each held-out run is held out of, and how its training ended.

    What is held out of the model is held out of two members too, which stop by it; the others hold out other blocks.
    """
    config = run.config.recurrent
    if config is None or batch.n_dims == 0:
        return None, None, "finished"
    scaling = InputScaling.fit(batch)
    on_device = {"values": run.timeline.values, "observed": run.timeline.observed}
    sequences = sequences_of(batch, scaling, run.scaling.target_mean, run.scaling.target_scale, **on_device)
    parts, blocks = [run.trained_on], [run.held_out]
    if share := run.config.training.validation:
        seconds = held_out_seconds(batch, share, run.config.training.segment)
        parts, blocks = hold_out_in_turn(batch, share, seconds, config.members)
    inner, held = ([sequences.runs_of(part) for part in some] for some in (parts, blocks))
    path = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.recurrent")
    progress = ProgressBar(f"fit recurrent {'+'.join(batch.names)}") if decoder.progress else None
    outcome = fit_members(inner, held, config, checkpoint=path, progress=progress, data=run.identity["data"])
    held_of = held_out_of(run.held_out, blocks, config.members) if len(blocks) > 1 else None
    return RecurrentNetwork(outcome.parameters, scaling), held_of, outcome.status


def _bounds(batch: MultimodalBatch) -> np.ndarray | None:
    """Least and greatest target in the bins that may be fitted on."""
    seen = batch.target[batch.in_trials() & batch.target_observed]
    return np.stack([seen.min(axis=0), seen.max(axis=0)]) if batch.n_dims else None
