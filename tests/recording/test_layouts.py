"""Files in the shapes in which labs write them, described by a layout: against what was put in, by hand."""

import numpy as np
import pytest
import scipy.io
from recording.make_matlab import write_v73

from neurodyn.binning import Field, Spikes, holdout, to_bins
from neurodyn.binning.targets import TargetOptions
from neurodyn.errors import InputError
from neurodyn.recording import read_recording, read_variables
from neurodyn.recording.layout import Layout, SignalLayout
from neurodyn.recording.layout_file import layout_of, layout_text
from neurodyn.recording.propose import propose_layout

pytestmark = pytest.mark.usefixtures("annotations_unchecked")


def cell(items):
    array = np.empty((1, len(items)), object)
    for index, item in enumerate(items):
        array[0, index] = item
    return array


def structs(rows):
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


@pytest.fixture(params=["5", "7.3"])
def write(request, tmp_path):
    """Write variables in either version; lists of dictionaries are struct arrays."""

    def written(variables):
        path = tmp_path / "lab.mat"
        if request.param == "7.3":
            return write_v73(path, variables)
        scipy.io.savemat(path, {k: structs(v) if isinstance(v, list) else v for k, v in variables.items()})
        return path

    return written


def described(path, **layout):
    return read_recording(path, layout=layout_of(layout))


RANDOM = np.random.default_rng(0)
TRAINS = [np.sort(RANDOM.uniform(0, 20, size)) for size in (30, 5, 12)]


# Spike times -----------------------------------------------------------------------------------------------


def test_one_unit_as_a_vector(write):
    path = write({"spiketimes": TRAINS[0][:, None], "t": np.arange(50.0), "X": np.arange(50.0)[:, None]})
    found = described(path, spikes="spiketimes", behaviour=[{"variable": "X", "name": "position", "time": "t"}])
    (train,) = found.spike_trains().times
    np.testing.assert_array_equal(train, TRAINS[0])
    assert found.behaviour["position"].values.shape == (50, 1)


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("samples", 24_414.0625)])
def test_all_times_in_one_vector_with_the_unit_of_each(write, unit, per_second):
    ids = np.repeat([7, 2, 11], [len(train) for train in TRAINS])
    times = np.concatenate(TRAINS)
    order = np.argsort(times)
    path = write({"ts": np.round(times[order] * per_second)[None], "unit": ids[order][:, None], "fs": 24_414.0625})
    spikes = {"variable": "ts", "cluster": "unit", "time_unit": unit}
    found = described(path, spikes=spikes | ({"rate": "fs"} if unit == "samples" else {})).spike_trains()
    assert found.units == ("2", "7", "11")
    for label, train in (("7", TRAINS[0]), ("2", TRAINS[1]), ("11", TRAINS[2])):
        np.testing.assert_allclose(
            found.select([label]).times[0], np.round(train * per_second) / per_second, rtol=1e-15
        )


def test_samples_need_their_rate(write):
    path = write({"ts": np.arange(50.0)[:, None] ** 2})
    with pytest.raises(InputError, match="times in samples need their 'rate'"):
        described(path, spikes={"variable": "ts", "time_unit": "samples"})


def test_cells_in_cells_of_structs(write):
    unit = [{"data": np.c_[train, np.zeros((len(train), 3))], "descript": "spikes"} for train in TRAINS]
    path = write({"spikes": cell([cell([cell([cell([unit[0], np.zeros((0, 0)), unit[1]]), cell([unit[2]])])])])})
    found = described(path, spikes="spikes{1}{1}{:}{:}.data(:,1)").spike_trains()
    assert found.units == ("1/1", "1/3", "2/1")
    for train, own in zip(found.times, TRAINS, strict=True):
        np.testing.assert_array_equal(train, own)
    assert described(path, spikes="spikes{1}{1}{2}{1}.data(:,1)").spike_trains().n_spikes == 12
    with pytest.raises(InputError, match=r"is a cell array of 1 x 1, .* name a path into it, like  spikes\{1\}\{1\}"):
        described(path, spikes="spikes")
    with pytest.raises(InputError, match=r"is a struct with the members data, descript: name the member"):
        described(path, spikes="spikes{1}{1}{1}{:}")
    with pytest.raises(InputError, match="'spikes' has 1 elements there, index 3 is not among them"):
        described(path, spikes="spikes{3}")


def test_a_matrix_is_no_spike_train(write):
    with pytest.raises(InputError, match=r"matrix of 60 x 3 .* describe it under  counts:"):
        described(write({"Y": np.ones((60, 3))}), spikes="Y")


# Counts in bins --------------------------------------------------------------------------------------------

COUNTS = RANDOM.poisson(0.7, (60, 5))


@pytest.mark.parametrize(
    ("values", "layout"),
    [
        (COUNTS, {"width": 0.05}),
        (COUNTS.T, {"width": 0.05, "axes": "channel time"}),
        (COUNTS / 0.05, {"width": 0.05, "rates": True}),
        ((COUNTS / 0.05).astype(np.float32), {"time": "t", "rates": True}),
        (COUNTS, {"time": "t"}),
        (COUNTS, {"time": "t", "stamp": "end", "time_unit": "s"}),
        (COUNTS, {"time": "ms", "time_unit": "ms", "stamp": "middle"}),
        (COUNTS, {"width": "dt", "start": 2.0}),
    ],
)
def test_counts_or_rates_of_either_orientation(write, values, layout):
    clock = 2.0 + 0.05 * np.arange(60)
    shift = {"end": 0.05, "middle": 0.025}.get(layout.get("stamp", ""), 0.0)
    path = write({"Y": values, "t": clock + shift, "ms": 1e3 * (clock + shift), "dt": 0.05})
    found = described(path, counts={"variable": "Y", **layout}).counts["spikes"]
    np.testing.assert_array_equal(found.values, COUNTS)
    assert found.width == pytest.approx(0.05, rel=1e-12)
    assert found.start == pytest.approx(2.0 if "time" in layout or "start" in layout else 0.0, abs=1e-12)


def test_bins_that_are_left_out_are_missing(write):
    kept = np.r_[0:20, 35:60]
    path = write({"Y": COUNTS[kept], "t": (0.05 * np.arange(60))[kept]})
    found = described(path, counts={"variable": "Y", "time": "t"}).counts["spikes"].values
    np.testing.assert_array_equal(found[kept], COUNTS[kept])
    assert np.isnan(found[20:35]).all()


@pytest.mark.parametrize(
    ("variables", "layout", "words"),
    [
        ({"Y": COUNTS / 0.05 / 3}, {"width": 0.05, "rates": True}, "smoothed rates are read as a field"),
        ({"Y": COUNTS + 0.5}, {"width": 0.05}, "not whole numbers"),
        ({"Y": COUNTS - 3}, {"width": 0.05}, "must be 0 or more"),
        ({"Y": COUNTS}, {}, "need the 'width' of their bins in seconds, or the 'time'"),
        ({"Y": COUNTS.T, "t": 0.05 * np.arange(60)}, {"time": "t"}, "has 5 bins and 't' 60 times.*channel time"),
        ({"Y": COUNTS, "t": np.sort(RANDOM.uniform(0, 3, 60))}, {"time": "t"}, "are not regular"),
        ({"Y": COUNTS}, {"width": 0.05, "units": "nams"}, "unknown variable 'nams'"),
    ],
)
def test_counts_that_cannot_be_read(write, variables, layout, words):
    with pytest.raises(InputError, match=words):
        described(write(variables), counts={"variable": "Y", **layout})


# Trials ----------------------------------------------------------------------------------------------------

LENGTHS = (60, 61, 45)


def trials():
    random = np.random.default_rng(1)
    return [
        {
            "bin_size": np.array([[0.05]]),
            "target": np.array([[float(k)]]),
            "result": "R" if k else "F",
            "pos": random.normal(size=(n, 2)),
            "M1_spikes": random.poisson(0.5, (n, 8)).astype("u1"),
            "lfp": random.normal(size=(n * 5, 1)),
        }
        for k, n in enumerate(LENGTHS)
    ]


LAYOUT = {
    "trials": "trial_data",
    "gap": 0.5,
    "counts": {"variable": "trial_data.M1_spikes", "width": "trial_data.bin_size"},
    "fields": [{"variable": "trial_data.lfp", "name": "lfp", "rate": 100}],
    "behaviour": [{"variable": "trial_data.pos", "name": "position", "binned": True}],
}


def test_struct_arrays_are_trials_one_after_the_other(write):
    rows = trials()
    found = described(write({"trial_data": rows}), **LAYOUT)
    table = found.intervals["trials"]
    starts = np.cumsum([0, *(n + 10 for n in LENGTHS)])[:-1]
    np.testing.assert_allclose(table.starts, 0.05 * starts, atol=1e-12)
    np.testing.assert_allclose(table.stops, 0.05 * (starts + LENGTHS), atol=1e-12)
    assert table.columns["result"].tolist() == ["F", "R", "R"]
    assert table.columns["target"].tolist() == [0, 1, 2]
    counts = found.counts["spikes"]
    for row, start in zip(rows, starts, strict=True):
        np.testing.assert_array_equal(counts.values[start : start + len(row["pos"])], row["M1_spikes"])
        lfp = found.fields["lfp"].values[5 * start : 5 * (start + len(row["pos"]))]
        np.testing.assert_array_equal(lfp, row["lfp"])
    assert np.isnan(counts.values[LENGTHS[0] : starts[1]]).all()


def test_each_trial_is_decoded_row_by_row(write):
    """The target of each bin is the position of its own row, and no trial sees another."""
    rows = trials()
    found = described(write({"trial_data": rows}), **LAYOUT)
    batch = to_bins(
        found, width=0.05, target="position", interval=found.intervals["trials"].where("result == 'R'"),
        modalities=[Spikes(), Field("lfp", bands=None)], target_options=TargetOptions(smoothing=0, max_gap=0.0),
    )  # fmt: skip
    assert batch.lengths.tolist() == list(LENGTHS[1:])
    first = 0
    for row in rows[1:]:
        part = slice(first, first + len(row["pos"]))
        np.testing.assert_array_equal(batch.observations["spikes"][part], row["M1_spikes"])
        np.testing.assert_allclose(
            batch.observations["lfp"][part, 0], row["lfp"].reshape(-1, 5).mean(axis=1), atol=1e-6
        )
        known = batch.target_observed[part]
        assert known[:-1].all()
        np.testing.assert_allclose(batch.target[part][known], row["pos"][known], atol=1e-6)
        first = part.stop


def test_trials_by_time_matrices(write):
    matrix = RANDOM.normal(size=(4, 30))
    found = described(write({"lfp": matrix}), gap=1.0, fields=[{"variable": "lfp", "axes": "trial time", "rate": 10}])
    assert len(found.intervals["trials"]) == 4
    for trial in range(4):
        np.testing.assert_array_equal(found.fields["lfp"].values[40 * trial : 40 * trial + 30, 0], matrix[trial])


def test_three_axes_in_any_order(write):
    cube = RANDOM.normal(size=(3, 4, 30))  # channel x trial x time
    layout = {"variable": "lfp", "axes": "channel trial time", "rate": 10}
    found = described(write({"lfp": cube}), gap=0, fields=[layout]).fields["lfp"]
    np.testing.assert_array_equal(found.values, cube.transpose(1, 2, 0).reshape(120, 3))


def test_trials_with_times_of_one_clock_stay_where_they_are(write):
    rows = [{"t": 10.0 * k + 0.1 * np.arange(8)[:, None], "x": np.full((8, 1), float(k))} for k in range(3)]
    found = described(write({"d": rows}), behaviour=[{"variable": "d.x", "name": "x", "time": "d.t"}])
    np.testing.assert_allclose(found.behaviour["x"].times, np.concatenate([row["t"][:, 0] for row in rows]))
    np.testing.assert_allclose(found.intervals["trials"].starts, [0, 10, 20])


def test_spike_times_from_the_start_of_each_trial(write):
    rows = [
        {"units": cell([np.array([[0.1, 0.4 + k]]), np.zeros((0, 0))]), "x": np.zeros((20 + 10 * k, 1))}
        for k in range(2)
    ]
    found = described(
        write({"d": rows}), trials="d", gap=1.0, spikes="d.units",
        behaviour=[{"variable": "d.x", "name": "x", "rate": 10}],
    )  # fmt: skip
    trains = found.spike_trains()
    np.testing.assert_allclose(trains.times[0], [0.1, 0.4, 3.1, 4.4])
    assert trains.times[1].size == 0


# Signals and intervals -------------------------------------------------------------------------------------


def test_time_as_a_column_and_channels_from_several_variables(write):
    matrix = np.c_[0.1 * np.arange(40), RANDOM.normal(size=(40, 3))]
    path = write({"M": matrix, "z": RANDOM.normal(size=(40, 1))})
    row = {"variable": ["M(:,2:3)", "z"], "name": "position", "time": "M(:,1)", "channels": ["x", "y", "z"]}
    found = described(path, behaviour=[row]).behaviour["position"]
    np.testing.assert_array_equal(found.values[:, :2], matrix[:, 1:3])
    np.testing.assert_array_equal(found.times, matrix[:, 0])
    assert found.channels == ("x", "y", "z")


def test_binned_signals_belong_to_their_own_row(write):
    emg, place = RANDOM.normal(size=(60, 2)), RANDOM.normal(size=(60, 2))
    path = write({"d": {"Y": COUNTS, "t": 0.05 * np.arange(60), "emg": emg, "p": place}})
    found = described(
        path, counts={"variable": "d.Y", "time": "d.t"}, fields=[{"variable": "d.emg", "name": "emg", "binned": True}],
        behaviour=[{"variable": "d.p", "name": "position", "binned": True}],
    )  # fmt: skip
    batch = to_bins(
        found, width=0.05, modalities=[Spikes(), Field("emg", bands=None)], target="position",
        target_options=TargetOptions(smoothing=0.0), interval=(0.0, 3.0),
    )  # fmt: skip
    np.testing.assert_array_equal(batch.observations["spikes"], COUNTS)
    np.testing.assert_allclose(batch.observations["emg"], emg, atol=1e-6)
    np.testing.assert_allclose(batch.target, place, atol=1e-5)


def test_tables_of_intervals(write):
    table = np.array([[1.0, 2.0, 82], [3.0, 3.5, 70]])
    path = write({"tt": table, "who": cell(["a", "b"])})
    layout = {"name": "trials", "starts": "tt(:,1)", "stops": "tt(:,2)", "columns": {"result": "tt(:,3)", "who": "who"}}
    found = described(path, intervals=[layout]).intervals["trials"]
    assert found.where("result == 82").columns["who"].tolist() == ["a"]


# What is not there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("train_data.spikerate", "'train_data' has no member 'spikerate': did you mean 'spikeratedata'"),
        ("train_dat.x", "unknown variable 'train_dat': did you mean 'train_data'"),
        ("train_data.spikeratedata.x", "has no member 'x': it is a matrix of 20 x 4"),
        ("train_data{1}", "is a struct with the members .*, no cell array"),
        ("train_data.spikeratedata(:,9)", "has 4 elements there, index 9 is not among them"),
        ("train_data.spikeratedata(:,:,1)", "has 2 axes"),
        ("train_data.spikeratedata(:,0)", "counted from 1"),
        ("train_data.spikeratedata(:,end)", "cannot understand the index 'end'"),
        ("train_data..x", "cannot understand"),
        ("(1)", "cannot understand the path"),
        ("a.b" * 500, "cannot understand the path"),
    ],
)
def test_wrong_paths_name_the_nearest(write, path, words):
    file = write({"train_data": {"spikeratedata": np.ones((20, 4)), "timeframe": np.arange(20.0)}})
    with pytest.raises(InputError, match=words):
        described(file, fields=[{"variable": path, "time": "train_data.timeframe"}])


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"counts": {"varible": "x"}}, "unknown key .* 'varible': did you mean 'variable'"),
        ({"counts": {}}, "has no 'variable': say which variable holds its counts"),
        ({"fields": [{"variable": "x", "axes": "time tim"}]}, "'axes' in .* must be names of axes"),
        ({"fields": [{"variable": "x", "stamp": "begin"}]}, "must be one of start, middle, end"),
        ({"counts": {"variable": "x", "time_unit": "samples"}}, "must be one of s, ms, us"),
        ({"intervals": [{"name": "x", "starts": "y"}]}, "has no 'stops'"),
        ({"gap": -1}, "must be 0 seconds or more"),
        ({"fields": [{"variable": []}]}, "'variable' in .* must be text, or a list of variables"),
        ({"counts": {"variable": "x", "width": 0}}, "'x' needs a width above 0, got 0"),
        ({"fields": [{"variable": "x", "rate": float("inf")}]}, "'x' needs a rate above 0, got inf"),
        ({"spikes": "a", "counts": "b"}, "spikes and counts of one name"),
        ({"fields": [{"variable": "x"}, {"variable": "x"}]}, "two fields called 'x'"),
    ],
)
def test_layouts_that_cannot_be(tmp_path, layout, words):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.ones((5, 2))})
    with pytest.raises(InputError, match=words):
        described(tmp_path / "a.mat", **layout)


# Proposals -------------------------------------------------------------------------------------------------


def test_a_layout_is_proposed_that_reads_the_file(write):
    path = write({
        "train_data": {
            "timeframe": 0.05 * np.arange(60), "spikeratedata": (COUNTS * 20).astype("u2"),
            "emgdatabin": RANDOM.normal(size=(60, 2)), "cursorposbin": RANDOM.normal(size=(60, 2)),
        }
    })  # fmt: skip
    layout = propose_layout(read_variables(path))
    assert layout.counts.variable == "train_data.spikeratedata"
    assert layout.counts.rates
    assert [row.name for row in layout.behaviour] == ["position"]
    found = read_recording(path, layout=layout)
    np.testing.assert_array_equal(found.counts["spikes"].values, COUNTS)
    assert set(found.fields) == {"emgdatabin"}


def test_a_layout_is_proposed_for_trials(write):
    path = write({"trial_data": trials()})
    layout = propose_layout(read_variables(path))
    assert (layout.trials, layout.counts.variable, layout.counts.width) == (
        "trial_data", "trial_data.M1_spikes", "trial_data.bin_size",
    )  # fmt: skip
    assert read_recording(path, layout=layout).counts["spikes"].n_spikes == sum(r["M1_spikes"].sum() for r in trials())


def test_nothing_is_proposed_for_nothing(write):
    assert propose_layout(read_variables(write({"a": np.ones((2, 2)), "b": "text", "c": cell(["x", 3.0])}))) is None


def test_a_layout_as_text_is_the_layout():
    layout = layout_of({**LAYOUT, "spikes": {"variable": "s", "cluster": "c"}, "intervals": []})
    import yaml

    assert layout_of(yaml.safe_load(layout_text(layout))) == layout
    assert layout_text(Layout(behaviour=(SignalLayout("x", rate=2.0),))) == "behaviour:\n- {variable: x, rate: 2.0}\n"


def test_real_binned_data_of_a_lab(real_data):
    """The tree proposes a layout; counts, EMG and cursor are those of the file, row by row; ridge decodes them."""
    from neurodyn.baselines import CausalRidge

    path = real_data / "m1_emg_wrist.mat"
    found = read_recording(path, layout=propose_layout(read_variables(path)))
    raw = scipy.io.loadmat(path)["train_data"][0, 0]
    batch = to_bins(
        found, width=0.05, modalities=[Spikes(), Field("emg", "emgdatabin", bands=None)], target="position",
        target_options=TargetOptions(smoothing=0.0), interval=(0.0, 1200.0),
    )  # fmt: skip
    np.testing.assert_array_equal(batch.observations["spikes"], raw["spikeratedata"] / 20)
    np.testing.assert_allclose(batch.observations["emg"], raw["emgdatabin"], atol=1e-5)
    np.testing.assert_allclose(batch.target, raw["cursorposbin"], atol=1e-5)
    assert [m.likelihood for m in batch.modalities] == ["poisson", "gaussian"]
    assert found.intervals["trials"].where("Result_R_A_I_orN == 82").columns["tgt_id"].size > 100
    parts = holdout(batch.with_modalities(["emg"]))
    score = CausalRidge().fit(parts.train).score(parts.test)
    np.testing.assert_allclose(score.r2, [0.863, 0.859], atol=0.003)
