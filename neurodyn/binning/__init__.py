"""From seconds to arrays: time grid, counts, features, masks, batches, folds and scaling."""

from neurodyn.binning.band_power import DEFAULT_BANDS, BandPower
from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.build import to_bins
from neurodyn.binning.features import FEATURES, bin_feature
from neurodyn.binning.field_feature import FieldFeature
from neurodyn.binning.folds import Fold, holdout, time_folds, trial_folds
from neurodyn.binning.grid import TimeGrid, count_spikes
from neurodyn.binning.modality import Modality
from neurodyn.binning.scaling import Scaling
from neurodyn.binning.signal_mean import SignalMean
from neurodyn.binning.sources import Field, Spikes
from neurodyn.binning.stacked import Stacked
from neurodyn.binning.targets import DERIVED_TARGETS, TargetOptions, make_targets

__all__ = [
    "DEFAULT_BANDS",
    "DERIVED_TARGETS",
    "FEATURES",
    "BandPower",
    "Field",
    "FieldFeature",
    "Fold",
    "Modality",
    "MultimodalBatch",
    "Scaling",
    "SignalMean",
    "Spikes",
    "Stacked",
    "TargetOptions",
    "TimeGrid",
    "bin_feature",
    "check_usable",
    "count_spikes",
    "holdout",
    "make_targets",
    "time_folds",
    "to_bins",
    "trial_folds",
]
