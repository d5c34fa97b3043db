"""Results in a copy of the recording: valid NWB, the numbers that were decoded, the source untouched."""

import hashlib

import numpy as np
import pynwb
import pytest
import xarray as xr
from recording.make_nwb import write_nwb

from neurodyn.errors import InputError
from neurodyn.recording import differences, read_nwb, write_results


def decoded(starts=(0.0, 5.0), bins=40, width=0.05, padded=3):
    """What transform and predict return: two trials, the second shorter, with two bins of context each."""
    random = np.random.default_rng(0)
    seconds = np.stack([start + width * (1 + np.arange(bins)) for start in starts])
    seconds[1, bins - padded :] = np.nan
    context = np.zeros(seconds.shape, bool)
    context[:, :2] = True
    values = {"latent": ("component", ["x0", "x1", "x2"]), "target": ("dim", ["x", "y"])}
    variables = {
        name: xr.DataArray(
            np.where(np.isnan(seconds)[..., None], np.nan, random.normal(size=(*seconds.shape, len(labels)))),
            dims=("trial", "time", axis),
            coords={axis: labels},
        )
        for name, (axis, labels) in values.items()
    }
    data = xr.Dataset(variables, attrs={"bin_width_seconds": width})
    return data.assign_coords(seconds=(("trial", "time"), seconds), context=(("trial", "time"), context))


@pytest.fixture
def source(tmp_path):
    return write_nwb(tmp_path / "session.nwb", trials=2)


def test_results_are_in_a_valid_copy(source, tmp_path):
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    results = decoded()
    path = write_results(source, tmp_path / "out.nwb", {"": results}, units={"target": "m"})
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        module = io.read().processing["neurodyn"]
        target, latent = module["target"], module["latent"]
        assert (target.unit, latent.unit) == ("m", "a.u.")
        assert target.comments == "components: x, y"
        kept = np.isfinite(results["seconds"].to_numpy()) & ~results["context"].to_numpy()
        assert kept.sum() == 38 + 35
        np.testing.assert_array_equal(target.data[:], results["target"].to_numpy()[kept])
        np.testing.assert_array_equal(target.timestamps[:], results["seconds"].to_numpy()[kept])
        np.testing.assert_array_equal(latent.data[:], results["latent"].to_numpy()[kept])


def test_the_rest_of_the_recording_is_what_it_was(source, tmp_path):
    path = write_results(source, tmp_path / "out.nwb", {"multiscale": decoded()})
    found, original = read_nwb(path), read_nwb(source)
    extra = {"multiscale_latent", "multiscale_target"}
    assert set(found.behaviour) - set(original.behaviour) == extra
    assert differences(original, read_nwb(path, skip=extra)) == []


def test_a_regular_clock_is_a_rate(source, tmp_path):
    path = write_results(source, tmp_path / "out.nwb", {"": decoded(starts=(0.0, 1.9), padded=0)})
    target = read_nwb(path).behaviour["target"]
    assert target.rate == pytest.approx(20.0, rel=1e-12)
    assert target.start == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({}, "nothing to write"),
        ({"a": decoded().drop_vars("seconds")}, "'a' have no coordinate 'seconds'"),
        ({"a": decoded(starts=(0.0, 1.0))}, "trials that do not overlap"),
    ],
)
def test_results_that_cannot_be_written(source, tmp_path, results, words):
    with pytest.raises(InputError, match=words):
        write_results(source, tmp_path / "out.nwb", results)
    assert [path.name for path in tmp_path.iterdir()] == ["session.nwb"]


def test_the_source_is_never_replaced_nor_written_twice(source, tmp_path):
    with pytest.raises(InputError, match="is the recording itself"):
        write_results(source, source, {"": decoded()})
    path = write_results(source, tmp_path / "out.nwb", {"": decoded()})
    with pytest.raises(InputError, match="already has a processing module 'neurodyn'"):
        write_results(path, tmp_path / "again.nwb", {"": decoded()})
