"""The multiscale model: encoders, fusion, linear backbone, decoders; one file per box of the drawing."""

from neurodyn.multiscale.bayesian import BayesianReadout, fit_bayesian_readout
from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.estimator import MultiscaleDecoder

__all__ = [
    "BayesianReadout",
    "DecoderConfig",
    "ModalityConfig",
    "ModelConfig",
    "MultiscaleDecoder",
    "ObjectiveConfig",
    "TrainingConfig",
    "fit_bayesian_readout",
]
