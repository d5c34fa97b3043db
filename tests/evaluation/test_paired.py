"""Differences of methods against the ordinary paired t-test, and against what cross-validation says of each method."""

import json

import numpy as np
import pytest
from evaluation.stubs import Leaky
from scipy.stats import ttest_1samp, ttest_rel

from neurodyn.baselines import CausalRidge
from neurodyn.binning import MultimodalBatch, time_folds
from neurodyn.errors import InputError
from neurodyn.evaluation import Method, cross_validate, paired_difference
from neurodyn.evaluation.paired import p_text


class Causal(CausalRidge):
    """A method that says it has no smoothed estimates."""

    smooths = False


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(3)
    slow = np.stack([np.sin(0.1 * np.arange(400)), np.cos(0.05 * np.arange(400))], axis=1)
    target = slow[None].copy()
    target[0, 50:60] = np.nan
    return MultimodalBatch.from_arrays(
        {"a": slow[None, :, :1] + rng.normal(size=(1, 400, 1)), "b": slow[None] + rng.normal(size=(1, 400, 2))},
        width=0.1, likelihoods={"a": "gaussian", "b": "gaussian"}, target=target, target_names=("x", "y"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(batch):
    methods = [Method("both", Leaky(), ("a", "b")), Method("a", Leaky(), ("a",))]
    ridge = Method("ridge", Causal(), ("a", "b"))
    return cross_validate([*methods, ridge], time_folds(batch, 4, gap=1.0))


def test_with_much_training_data_it_is_the_ordinary_test():
    values = np.random.default_rng(0).normal(0.3, 1.0, (6, 3))
    mean, low, high, p_value = paired_difference(values, 1e-12)
    for column in range(3):
        ordinary = ttest_1samp(values[:, column], 0.0)
        interval = ordinary.confidence_interval(0.95)
        assert p_value[column] == pytest.approx(ordinary.pvalue)
        assert (low[column], high[column]) == pytest.approx((interval.low, interval.high))
    np.testing.assert_allclose(mean, values.mean(axis=0))


def test_the_correction_is_that_of_nadeau_and_bengio():
    """Five folds of equal size: the variance of the mean is 1/5 + 1/4 in place of 1/5 of that of the differences."""
    values = np.random.default_rng(1).normal(0.5, 1.0, (5, 2))
    mean, low, high, _ = paired_difference(values, 0.25)
    ordinary = paired_difference(values, 1e-12)
    np.testing.assert_allclose((high - low) / (ordinary[2] - ordinary[1]), 1.5)  # sqrt(0.45 / 0.2)
    np.testing.assert_allclose(mean, (low + high) / 2)


def test_it_keeps_its_level_where_training_parts_overlap():
    """Differences that share what training parts share: the ordinary test finds far too many, the corrected one not."""
    rng, ratio, folds = np.random.default_rng(2), 0.25, 5
    shared = rng.normal(size=(1, 20_000)) * np.sqrt(ratio / (1 + ratio))  # correlation n_test / (n_test + n_train)
    values = shared + rng.normal(size=(folds, 20_000)) * np.sqrt(1 / (1 + ratio))
    false = [(paired_difference(values, given)[3] < 0.05).mean() for given in (ratio, 1e-12)]
    assert false[0] == pytest.approx(0.05, abs=0.01)
    assert false[1] > 0.12


def test_folds_that_all_differ_by_the_same():
    mean, low, high, p_value = paired_difference(np.tile([[0.5, 0.0]], (3, 1)), 0.5)
    assert mean.tolist() == low.tolist() == high.tolist() == [0.5, 0.0]
    assert p_value.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("folds", "ratio", "words"), [(1, 0.5, "at least 2 folds"), (3, 0.0, "must be positive")])
def test_what_has_no_interval(folds, ratio, words):
    with pytest.raises(InputError, match=words):
        paired_difference(np.zeros((folds, 1)), ratio)


def test_methods_are_paired_fold_by_fold(result):
    found = result.difference("both", "ridge", metric="correlation")
    scores = [np.stack([s.correlation for s in result.scores(name)]) for name in ("both", "ridge")]
    tables = [np.column_stack([table.mean(axis=1), table]) for table in scores]
    np.testing.assert_allclose(found.per_fold, tables[0] - tables[1])
    assert found.dims == ("mean", "x", "y")
    # 390 bins have a target; a fold trains on what is neither tested nor within a second of it.
    tested = [s.n_bins for s in result.scores("both")]
    trained = [390 - n - 10 * sides for n, sides in zip(tested, (1, 2, 2, 1), strict=True)]
    assert [one.train_bins for one in result.of("both")] == pytest.approx(trained, abs=1)
    ordinary = ttest_rel(*tables)
    factor = np.sqrt(0.25 / (0.25 + sum(tested) / sum(one.train_bins for one in result.of("both"))))
    t_value = found.difference / ((found.high - found.low) / 2 / 3.182446305284263)  # t(3) at 97.5 %
    np.testing.assert_allclose(t_value, ordinary.statistic * factor, rtol=1e-9)
    back = result.difference("ridge", "both", metric="correlation")
    np.testing.assert_allclose(
        [back.difference, back.low, back.p_value], [-found.difference, -found.high, found.p_value]
    )


def test_what_it_says_is_json_and_cells(result):
    found = result.difference("both", "a")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["y"]["per_fold"] == pytest.approx(found.per_fold[:, 2].tolist())
    assert plain["mean"]["low"] <= plain["mean"]["difference"] <= plain["mean"]["high"]
    cell = f"{found.difference[1]:+.3f} [{found.low[1]:+.3f}, {found.high[1]:+.3f}] {p_text(found.p_value[1])}"
    assert found.cells()[1] == cell
    assert repr(found).splitlines()[0] == "PairedDifference: R² of both minus a, filtered, 4 folds"
    assert [p_text(p) for p in (0.0004, 0.0123, 1.0)] == ["p < 0.001", "p = 0.012", "p = 1"]


def test_what_cannot_be_compared(result):
    with pytest.raises(InputError, match="method 'ridge' has no smoothed estimates"):
        result.difference("both", "ridge", smoothed=True)
    with pytest.raises(InputError, match="unknown metric 'r3': did you mean 'r2'"):
        result.difference("both", "a", metric="r3")
    with pytest.raises(InputError, match="unknown method 'ridg': did you mean 'ridge'"):
        result.difference("both", "ridg")
