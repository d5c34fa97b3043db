"""From seconds to arrays: time grid, counts, features, masks, batches, folds and scaling."""

from neurodyn.binning.batch import Modality, MultimodalBatch, Stacked, check_usable
from neurodyn.binning.build import Field, Spikes, to_bins
from neurodyn.binning.features import DEFAULT_BANDS, BandPower, bin_band_power, bin_raw
from neurodyn.binning.folds import Fold, holdout, time_folds, trial_folds
from neurodyn.binning.grid import TimeGrid, count_spikes
from neurodyn.binning.scaling import Scaling
from neurodyn.binning.targets import DERIVED_TARGETS, TargetOptions, make_targets

__all__ = [
    "DEFAULT_BANDS",
    "DERIVED_TARGETS",
    "BandPower",
    "Field",
    "Fold",
    "Modality",
    "MultimodalBatch",
    "Scaling",
    "Spikes",
    "Stacked",
    "TargetOptions",
    "TimeGrid",
    "bin_band_power",
    "bin_raw",
    "check_usable",
    "count_spikes",
    "holdout",
    "make_targets",
    "time_folds",
    "to_bins",
    "trial_folds",
]
