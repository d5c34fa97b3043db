"""Metrics, cross-validation and the comparison of online with offline: see README.md."""

from neurodyn.evaluation.calibration import Calibration, calibrate
from neurodyn.evaluation.classes import ClassScore, class_groups, class_probabilities, class_score
from neurodyn.evaluation.comparison import Comparison, compare, corrected, hierarchical_bootstrap, holm
from neurodyn.evaluation.counts import CountScore, count_dimensions, count_score
from neurodyn.evaluation.crossvalidation import check_folds, cross_validate
from neurodyn.evaluation.estimators import OverTrials, Trial, cross_val_score, trials_of
from neurodyn.evaluation.labelled import labelled_target
from neurodyn.evaluation.methods import Decoder, FitsMany, Method, training_of
from neurodyn.evaluation.metrics import Score, angle_error, bits_per_spike, correlation, r2, score, summarise
from neurodyn.evaluation.paired import PairedDifference, effect_size, paired_difference, verdict
from neurodyn.evaluation.results import CrossValidation, Decoded, FoldResult, LearningCurve
from neurodyn.evaluation.streaming import OnlineCheck, Streamed, check_online, stream
from neurodyn.parameters import HasParameters

__all__ = [
    "Calibration",
    "ClassScore",
    "Comparison",
    "CountScore",
    "CrossValidation",
    "Decoded",
    "Decoder",
    "FitsMany",
    "FoldResult",
    "HasParameters",
    "LearningCurve",
    "Method",
    "OnlineCheck",
    "OverTrials",
    "PairedDifference",
    "Score",
    "Streamed",
    "Trial",
    "angle_error",
    "bits_per_spike",
    "calibrate",
    "check_folds",
    "check_online",
    "class_groups",
    "class_probabilities",
    "class_score",
    "compare",
    "corrected",
    "correlation",
    "count_dimensions",
    "count_score",
    "cross_val_score",
    "cross_validate",
    "effect_size",
    "hierarchical_bootstrap",
    "holm",
    "labelled_target",
    "paired_difference",
    "r2",
    "score",
    "stream",
    "summarise",
    "training_of",
    "trials_of",
    "verdict",
]
