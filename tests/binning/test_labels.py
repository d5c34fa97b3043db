"""Channels and targets go by label, never by place: permuted and wider batches give what the fitted one gives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.binning import Modality, MultimodalBatch
from neurodyn.binning.labels import are_numbered, places_of
from neurodyn.errors import InputError


@st.composite
def lists_of_labels(draw):
    """Labels that are there, and some of them in another order."""
    given = draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=8, unique=True))
    wanted = draw(st.permutations(given))[: draw(st.integers(1, len(given)))]
    return tuple(wanted), tuple(given)


@settings(deadline=None)
@given(lists_of_labels())
def test_every_label_is_found_where_it_stands(lists):
    wanted, there = lists
    places = places_of(wanted, there, what="modality 's'", other="the batch")
    assert tuple(there[place] for place in places) == wanted


@settings(deadline=None)
@given(lists_of_labels(), st.data())
def test_a_batch_is_aligned_column_by_column(lists, data):
    wanted, there = lists
    rng = np.random.default_rng(len(there))
    columns = {label: rng.poisson(3, 6) for label in there}
    dims = data.draw(st.permutations(["x", "y", "z"]))
    target = {name: rng.normal(size=6) for name in dims}
    batch = MultimodalBatch.from_arrays(
        {"s": np.stack([columns[label] for label in there], axis=1)[None], "f": rng.normal(size=(1, 6, 2))},
        width=0.1, likelihoods={"s": "poisson", "f": "gaussian"}, channels={"s": there},
        target=np.stack([target[name] for name in dims], axis=1)[None], target_names=dims,
    )  # fmt: skip
    aligned = batch.aligned_to([Modality("s", "poisson", wanted)], ("z", "x"))
    assert aligned.names == ("s",)
    assert aligned.modalities[0].channels == wanted
    assert aligned.target_names == ("z", "x")
    for column, label in enumerate(wanted):
        np.testing.assert_array_equal(aligned.observations["s"][:, column], columns[label])
    np.testing.assert_array_equal(aligned.target, np.stack([target["z"], target["x"]], axis=1).astype(np.float32))


def test_what_is_missing_goes_with_its_channel():
    values = np.array([[[1.0, np.nan], [2.0, 5.0]]])
    batch = MultimodalBatch.from_arrays(
        {"f": values}, width=0.1, likelihoods={"f": "gaussian"}, channels={"f": ("a", "b")}
    )
    aligned = batch.aligned_to([Modality("f", "gaussian", ("b", "a"))])
    np.testing.assert_array_equal(aligned.observed["f"], [[False, True], [True, True]])
    assert batch.aligned_to(batch.modalities) is batch


def test_a_batch_keeps_the_units_of_its_target():
    batch = MultimodalBatch.from_arrays(
        {"f": np.ones((1, 2, 1))}, width=0.1, likelihoods={"f": "gaussian"}, target=np.arange(4.0).reshape(1, 2, 2),
        target_names=("x", "speed"),
    )  # fmt: skip
    batch = replace(batch, target_units=("m", "m/s"))
    assert batch.aligned_to(batch.modalities, ("speed", "x")).target_units == ("m/s", "m")


@pytest.mark.parametrize(
    ("wanted", "there", "message"),
    [
        (("7", "15"), ("3", "7"), r"2 channels \(7, 15\), the batch has 2 \(3, 7\): it lacks 15\. They are matched"),
        (("a",), ("a", "b", "a"), r"the batch has 3 \(a, b, a\): there a comes more than once"),
        (tuple(map(str, range(20))), ("x",), r"20 channels \(0, 1, .*, 11, \.\.\. 20 in all\), the batch has 1 \(x\)"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_both_lists(wanted, there, message):
    with pytest.raises(InputError, match=message):
        places_of(wanted, there, what="modality 's'", other="the batch")


def test_a_missing_target_or_modality_is_refused():
    batch = MultimodalBatch.from_arrays(
        {"f": np.ones((1, 2, 1))}, width=0.1, likelihoods={"f": "gaussian"}, target=np.arange(2.0).reshape(1, 2, 1)
    )
    with pytest.raises(InputError, match=r"the target was fitted on 1 dimensions \(x\), the batch has 1 \(target0\)"):
        batch.aligned_to(batch.modalities, ("x",))
    with pytest.raises(InputError, match="the batch has f, the model was fitted on g"):
        batch.aligned_to([Modality("g", "gaussian", ("f0",))])


def test_numbered_labels_say_no_more_than_the_place():
    assert are_numbered(("lfp_0", "lfp_1", "lfp_2"))
    assert are_numbered(("spikes0",))
    assert not are_numbered(("0", "1"))  # these may be units' own numbers
    assert not are_numbered(("lfp_1", "lfp_0"))
    assert not are_numbered(())
