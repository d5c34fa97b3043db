"""Between the settings of a decoder and the configuration of its model, which is saved with it."""

from typing import TYPE_CHECKING, Any

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.likelihoods import likelihood
from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
)
from neurodyn.multiscale.fitted import Fitted

if TYPE_CHECKING:
    from neurodyn.multiscale.estimator import MultiscaleDecoder


STEPS_PER_EPOCH = 75
"""Most steps of the recurrent read-out for each epoch that ``training`` allows: one setting bounds both trainings."""


def config_of(decoder: "MultiscaleDecoder", batch: MultimodalBatch) -> DecoderConfig:
    """Configuration of the model that a decoder fits on a batch: with its modalities, times in bins."""
    rows = tuple(
        ModalityConfig(
            name=m.name,
            channels=m.n_channels,
            likelihood=m.likelihood,
            encoder=decoder.encoder,
            decoder=decoder.decoder,
            smoothness=_smoothness(decoder, m.name, m.likelihood),
            raw=decoder.raw_counts and m.counts,
            learned_variance=decoder.learned_variance and not m.counts,
        )
        for m in batch.modalities
    )
    model = ModelConfig(
        modalities=rows,
        latent=decoder.latent,
        modality_state=decoder.modality_state or decoder.latent,
        embedding=decoder.embedding or decoder.latent,
        target=batch.n_dims,
        fusion=decoder.fusion,
        memory=(decoder.memory[0] / batch.width, decoder.memory[1] / batch.width),
        skip=decoder.linear_path,
        traces=tuple(seconds / batch.width for seconds in decoder.traces),
        start=decoder.start,
        readout=decoder.readout,
    )
    return DecoderConfig(model, decoder.objective, decoder.training, decoder.recurrent_config())


def _smoothness(decoder: "MultiscaleDecoder", name: str, kind: str) -> float:
    given = decoder.smoothness or {}
    return given.get(name, given.get(kind, likelihood(kind).smoothness))


def settings_of(fitted: Fitted) -> dict[str, Any]:
    """What `MultiscaleDecoder` takes to be the decoder that a model was fitted by, fitted."""
    model = fitted.config.model
    row = model.modalities[0]
    return {
        "latent": model.latent, "modality_state": model.modality_state, "embedding": model.embedding,
        "encoder": row.encoder, "decoder": row.decoder, "fusion": model.fusion, "linear_path": model.skip,
        "memory": (model.memory[0] * fitted.width, model.memory[1] * fitted.width),
        "traces": tuple(bins * fitted.width for bins in model.traces), "recurrent": fitted.config.recurrent,
        "objective": fitted.config.objective, "training": fitted.config.training,
        "start": model.start, "readout": model.readout, "raw_counts": any(m.raw for m in model.modalities),
        "smoothness": {m.name: m.smoothness for m in model.modalities},
        "learned_variance": any(m.learned_variance for m in model.modalities),
        "bounded": fitted.bounds is not None, "fitted_": fitted,
    }  # fmt: skip
