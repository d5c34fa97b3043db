"""Metrics, cross-validation and the comparison of online with offline: see README.md."""

from neurodyn.evaluation.crossvalidation import (
    CrossValidation,
    Decoded,
    Decoder,
    FitsMany,
    FoldResult,
    LearningCurve,
    Method,
    check_folds,
    cross_validate,
)
from neurodyn.evaluation.labelled import labelled_target
from neurodyn.evaluation.metrics import Score, angle_error, bits_per_spike, correlation, r2, score, summarise
from neurodyn.evaluation.paired import PairedDifference, paired_difference
from neurodyn.evaluation.streaming import OnlineCheck, Streamed, check_online, stream

__all__ = [
    "CrossValidation",
    "Decoded",
    "Decoder",
    "FitsMany",
    "FoldResult",
    "LearningCurve",
    "Method",
    "OnlineCheck",
    "PairedDifference",
    "Score",
    "Streamed",
    "angle_error",
    "bits_per_spike",
    "check_folds",
    "check_online",
    "correlation",
    "cross_validate",
    "labelled_target",
    "paired_difference",
    "r2",
    "score",
    "stream",
    "summarise",
]
