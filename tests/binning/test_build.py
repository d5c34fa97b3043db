from dataclasses import replace

import numpy as np
import pytest

from neurodyn.binning import Field, SignalMean, Spikes, TargetOptions, bin_feature, make_targets, to_bins
from neurodyn.errors import InputError
from neurodyn.recording import Recording, Signal

BANDS = ((4.0, 8.0), (20.0, 60.0))


def test_one_trial_over_the_common_time(recording):
    batch = to_bins(recording, width=0.05, modalities=[Spikes(), Field(bands=BANDS)], target="position")
    assert batch.names == ("spikes", "field")
    assert [m.likelihood for m in batch.modalities] == ["poisson", "gaussian"]
    assert batch.modality("spikes").channels == ("a", "b", "c", "d")
    assert batch.modality("field").channels == (
        "ca1 4-8 Hz", "ca1 20-60 Hz", "mec 4-8 Hz", "mec 20-60 Hz",
    )  # fmt: skip
    assert batch.target_names == ("x", "y")
    assert batch.n_trials == 1
    assert batch.n_bins >= 1195
    np.testing.assert_allclose(np.diff(batch.time), 0.05)
    total = sum(train.size for train in recording.spikes["spikes"].times)
    assert total - 4 <= batch.observations["spikes"].sum() <= total
    assert batch.observed["spikes"].all()


def test_the_target_belongs_to_the_end_of_a_bin(recording):
    options = TargetOptions(smoothing=0.0)
    batch = to_bins(recording, width=0.1, target="position", target_options=options)
    np.testing.assert_allclose(batch.target[:-1, 0], np.cos(batch.time[:-1]), atol=1e-3)
    expected, _, _ = make_targets(recording, ("position",), batch.time, options)
    np.testing.assert_array_equal(batch.target, expected.astype(np.float32))


def test_each_row_of_a_table_is_a_trial_in_order_of_time(recording):
    batch = to_bins(recording, width=0.1, modalities=[Spikes(), Field(bands=None)], interval="trials")
    np.testing.assert_array_equal(batch.lengths, [50, 90, 70])
    np.testing.assert_allclose([batch.time[batch.trial(i)][0] for i in range(3)], [5.1, 11.1, 30.1])
    for i, start in enumerate((5.0, 11.0, 30.0)):
        counts = batch.observations["spikes"][batch.trial(i)]
        train = recording.spikes["spikes"].times[1]
        edges = start + 0.1 * np.arange(batch.lengths[i] + 1)
        for k in range(int(batch.lengths[i])):
            assert counts[k, 1] == ((train >= edges[k]) & (train < edges[k + 1])).sum()


def test_filters_are_warm_at_the_start_of_a_trial(recording):
    field = Field(bands=BANDS)
    whole = to_bins(recording, width=0.1, modalities=[field], interval=(0.0, 60.0))
    part = to_bins(recording, width=0.1, modalities=[field], interval=(30.0, 37.0))
    assert part.observed["field"].all()
    np.testing.assert_allclose(part.observations["field"], whole.observations["field"][300:370], rtol=1e-5, atol=1e-5)


def test_label_and_bounds_select_the_same_time(recording):
    task = to_bins(recording, width=0.1, interval="task")
    bounds = to_bins(recording, width=0.1, interval=(20.0, 50.0))
    assert task.n_bins == 300
    np.testing.assert_array_equal(task.observations["spikes"], bounds.observations["spikes"])


def test_slower_sampling_is_observed_in_the_last_bin_of_its_window(recording):
    slow = Field("slow", source="lfp", bands=None, width=0.05)
    batch = to_bins(recording, width=0.01, modalities=[Spikes(), slow], interval="trials")
    assert batch.modality("slow").sample_every == 5
    for i in range(3):
        mask = batch.observed["slow"][batch.trial(i)]
        np.testing.assert_array_equal(mask[:, 0], np.arange(len(mask)) % 5 == 4)
    starts = 5.0 + 0.05 * np.arange(100)
    expected, _ = bin_feature(recording.fields["lfp"], SignalMean(), starts, starts + 0.05)
    first = batch.observations["slow"][batch.trial(0)]
    np.testing.assert_allclose(first[4::5], expected, rtol=1e-6)


def test_slow_window_is_causal(recording):
    """A change just after the end of a window leaves it; one just before its end does not."""
    field = Field(bands=BANDS, width=0.05)
    values = recording.fields["lfp"].values
    reference = to_bins(recording, width=0.01, modalities=[field], target=(), interval=(0.0, 20.0))
    for past, same in ((5025, True), (5024, False)):
        changed = values.copy()
        changed[past:] += 50.0
        signal = replace(recording.fields["lfp"], values=changed)
        other = to_bins(
            replace(recording, fields={"lfp": signal}),
            width=0.01,
            modalities=[field],
            target=(),
            interval=(0.0, 20.0),
        )
        known = slice(0, 1005)  # bins that end at or before 10.05 s, sample 5025
        equal = np.array_equal(reference.observations["field"][known], other.observations["field"][known])
        assert equal is same


def test_selected_units_and_channels(recording):
    batch = to_bins(
        recording,
        width=0.1,
        modalities=[Spikes(units=("c", "a")), Field(channels=("mec",), bands=None)],
        target=(),
    )
    assert batch.modality("spikes").channels == ("c", "a")
    assert batch.modality("field").channels == ("mec",)
    assert batch.n_dims == 0
    with pytest.raises(InputError, match="unknown channel of signal 'lfp' 'mecc': did you mean 'mec'"):
        to_bins(recording, width=0.1, modalities=[Field(channels=("mecc",))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 100.0}, "bin width of 100 s is longer than the 60 s between 0 and 60 s"),
        ({"interval": (10.0, 10.01)}, "longer than the 0.01 s between 10 and 10.01 s"),
        ({"interval": "tsk"}, "unknown interval 'tsk': did you mean 'task'"),
        ({"interval": (100.0, 200.0)}, "outside the recorded"),
        ({"modalities": []}, "at least one modality"),
        ({"modalities": [Spikes(source="spikez")]}, "did you mean 'spikes'"),
        ({"modalities": [Field(source="lpf")]}, "did you mean 'lfp'"),
        ({"modalities": [Field(width=0.25)]}, "0.25 s must be a multiple of the bin width of 0.1 s"),
        ({"modalities": [Field(width=0.01)]}, "must be a multiple"),
        ({"modalities": [Field(bands=((100.0, 300.0),))]}, "needs a sampling rate above 600 Hz"),
        ({"modalities": [Spikes(), Spikes()]}, "different names"),
        ({"target": "positon"}, "did you mean 'position'"),
    ],
)
def test_bad_options_are_refused(recording, options, message):
    with pytest.raises(InputError, match=message):
        to_bins(recording, **{"width": 0.1, **options})


def test_bad_data_is_refused(recording):
    lfp = recording.fields["lfp"]
    late = replace(recording, fields={"lfp": replace(lfp, start=100.0)})
    with pytest.raises(InputError, match=r"'field' .100 to 160 s. and .* do not overlap in time"):
        to_bins(late, width=0.1, modalities=[Spikes(), Field()])
    dead = replace(lfp, values=np.where([True, False], lfp.values, np.nan))
    with pytest.raises(InputError, match="modality 'field', channel 'mec 1-4 Hz' has no observed sample"):
        to_bins(replace(recording, fields={"lfp": dead}), width=0.1, modalities=[Field()])
    still = Signal("position", np.ones((3000, 2)), rate=50.0)
    with pytest.raises(InputError, match="target 'x' is constant"):
        to_bins(replace(recording, behaviour={"position": still}), width=0.1)
    with pytest.raises(InputError, match="no units table"):
        to_bins(replace(recording, spikes={}), width=0.1)
    with pytest.raises(InputError, match="needs one position series, the behaviour series are: none"):
        to_bins(Recording("none", spikes=recording.spikes), width=0.1)


def test_overlapping_trials_are_refused(recording):
    table = replace(recording.intervals["trials"], stops=np.array([37.0, 12.0, 20.0]))
    with pytest.raises(InputError, match=r"overlap \(5 to 12 s and 11 to 20 s\)"):
        to_bins(replace(recording, intervals={"trials": table}), width=0.1, interval="trials")


def test_trials_shorter_than_a_bin_are_left_out(recording):
    batch = to_bins(recording, width=6.0, interval="trials", target=())
    assert batch.n_trials == 2
