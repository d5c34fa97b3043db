"""The multiscale model: encoders, fusion, linear backbone, decoders; one file per box of the drawing."""

from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.estimator import MultiscaleDecoder

__all__ = [
    "DecoderConfig",
    "ModalityConfig",
    "ModelConfig",
    "MultiscaleDecoder",
    "ObjectiveConfig",
    "TrainingConfig",
]
