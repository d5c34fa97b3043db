"""Corrections for many comparisons, effect sizes and the bootstrap over sessions, against their definitions."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from neurodyn.errors import InputError
from neurodyn.evaluation import (
    PairedDifference,
    compare,
    corrected,
    effect_size,
    hierarchical_bootstrap,
    holm,
    paired_difference,
)


def closed_testing(p_values):
    """Holm by what it is a short cut of: a hypothesis falls if Bonferroni refuses every set that holds it."""
    numbers = range(len(p_values))
    sets = [one for size in range(1, len(p_values) + 1) for one in combinations(numbers, size)]
    return [min(1.0, max(len(s) * min(p_values[i] for i in s) for s in sets if one in s)) for one in numbers]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    p_values = np.random.default_rng(seed).uniform(size=6) ** 3
    p_values[3] = p_values[1]
    np.testing.assert_allclose(holm(p_values), closed_testing(p_values))
    table = np.random.default_rng(seed).uniform(size=(4, 3)) ** 4
    np.testing.assert_allclose(holm(table).T, [closed_testing(column) for column in table.T])


def below(statistic, freedom, shift):
    """Probability that a noncentral t variable is below a value: over the chi variable that it is divided by."""
    chi = stats.chi(freedom, scale=1 / np.sqrt(freedom))
    return quad(lambda s: stats.norm.cdf(statistic * s - shift) * chi.pdf(s), 0, chi.isf(1e-13), limit=400)[0]


@pytest.mark.parametrize(("folds", "ratio"), [(5, 0.25), (3, 0.5), (4, 0.0)])
@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.6, 4.0])
def test_the_interval_of_an_effect_holds_what_the_statistic_does_not_contradict(folds, ratio, mean):
    values = np.random.default_rng(folds).normal(size=(folds, 1))
    values = (values - values.mean()) / values.std(ddof=1) + mean
    effect, low, high = effect_size(values, ratio)
    scale = np.sqrt(1 / folds + ratio)
    assert effect[0] == pytest.approx(mean, abs=1e-12)
    assert below(mean / scale, folds - 1, low[0] / scale) == pytest.approx(0.975, abs=1e-6)
    assert below(mean / scale, folds - 1, high[0] / scale) == pytest.approx(0.025, abs=1e-6)
    p_value = paired_difference(values, max(ratio, 1e-12))[3][0]
    assert (p_value < 0.05) == (low[0] > 0 or high[0] < 0)


@pytest.mark.parametrize("freedom", [4, 14, 19, 29, 49])
def test_intervals_of_effects_of_many_folds(freedom):
    """SciPy's noncentral t is not a number far from its argument, where a bracket must not go."""
    for statistic in (0.3, 2.0, 5.0, 11.0, 23.0, 40.0):
        values = np.linspace(-1, 1, freedom + 1)[:, None]
        values = values / values.std(ddof=1) + statistic / np.sqrt(freedom + 1)
        _, low, high = effect_size(values, 0.0)
        for bound, share in ((low[0], 0.975), (high[0], 0.025)):
            assert below(statistic, freedom, bound * np.sqrt(freedom + 1)) == pytest.approx(share, abs=1e-4)


def test_effects_of_folds_that_hardly_differ():
    values = np.array([[1.0, 1.0, -1.0, 0.0], [1.0, 1.001, -1.0, 0.0], [1.0, 1.002, -1.0, 0.0]])
    effect, low, high = effect_size(values, 0.5)
    assert effect[1] == pytest.approx(1001.0)
    for bound, share in ((low[1], 0.975), (high[1], 0.025)):
        # So far out only the spread is uncertain: the share of estimated spreads that are at least as large.
        assert stats.chi2.sf(2 * (bound / effect[1]) ** 2, 2) == pytest.approx(share, rel=1e-3)
    assert effect[[0, 2, 3]].tolist() == low[[0, 2, 3]].tolist() == high[[0, 2, 3]].tolist() == [np.inf, -np.inf, 0.0]


def test_one_session_is_the_corrected_test_of_its_folds():
    table = np.random.default_rng(0).normal(0.2, 1.0, (3, 5))
    found = compare([table], 0.25)
    by_fold = table.mean(axis=0)
    statistic = by_fold.mean() / (by_fold.std(ddof=1) * np.sqrt(1 / 5 + 0.25))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(statistic), 4))
    assert (found.difference, found.effect) == pytest.approx((by_fold.mean(), by_fold.mean() / by_fold.std(ddof=1)))
    assert (found.sessions, found.folds) == (1, 5)


def drawn_variance(tables):
    """Variance of the drawn mean in closed form: weights of seeds and of folds are independent multinomial shares."""
    moments = {n: (np.eye(n) - 1 / n + 1) / n**2 for table in tables for n in table.shape}
    means = [table.mean() for table in tables]
    squares = [np.trace(moments[t.shape[0]] @ t @ moments[t.shape[1]] @ t.T) for t in tables]
    return (np.mean(squares) - np.mean(means) ** 2) / len(tables)


def test_the_bootstrap_draws_sessions_seeds_and_folds():
    rng = np.random.default_rng(3)
    tables = [rng.normal(size=1) + rng.normal(size=(2, 1)) + rng.normal(size=(2, k)) for k in (3, 5, 4)]
    draws = hierarchical_bootstrap(tables, draws=20_000, seed=1)
    assert draws.mean() == pytest.approx(np.mean([table.mean() for table in tables]), abs=0.02)
    assert draws.var() == pytest.approx(drawn_variance(tables), rel=0.04)
    found = compare(tables, 0.25, draws=20_000, seed=1)
    half = stats.t.ppf(0.975, 2) * np.sqrt(1.5 * drawn_variance(tables))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.02)
    assert found.difference == pytest.approx((found.low + found.high) / 2)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
    assert (found.sessions, found.folds) == (3, 12)


def test_few_sessions_keep_the_level_where_percentiles_of_the_draws_do_not():
    rng, count = np.random.default_rng(4), 400
    sessions = rng.normal(size=(count, 5, 1, 1)) + 0.7 * rng.normal(size=(count, 5, 1, 3))
    ours = np.mean([compare(list(one), 0.5, draws=300).p_value < 0.05 for one in sessions])
    bounds = [np.percentile(hierarchical_bootstrap(list(one), draws=300), [2.5, 97.5]) for one in sessions]
    assert ours < 0.06
    shifted = [list(one + 4.0) for one in sessions[:100]]  # that is told, by almost all
    assert np.mean([compare(one, 0.5, draws=300).p_value < 0.05 for one in shifted]) > 0.9
    assert np.mean([low > 0 or high < 0 for low, high in bounds]) > 0.09


def test_sessions_that_all_differ_by_the_same():
    same = compare([np.full((1, 2), 0.1), np.full((2, 3), 0.1)], 0.5)
    assert (same.low, same.high, same.p_value, same.verdict()) == (same.difference, same.difference, 0.0, "better")
    assert compare([np.zeros((1, 2))] * 2, 0.5).verdict() == "not distinguishable"


def test_a_table_is_corrected_for_its_comparisons():
    rng = np.random.default_rng(5)
    table = [compare([shift + 0.05 * rng.normal(size=(1, 2)) for _ in range(5)], 1.0) for shift in (0.1, -0.1, 0.0)]
    found = corrected(table)
    assert [one.p_corrected for one in found] == pytest.approx(closed_testing([one.p_value for one in table]))
    assert [one.verdict() for one in found] == ["better", "worse", "not distinguishable"]
    # What is below 0.05 alone, and above it in a table, is not called a difference.
    close = replace(table[0], p_value=0.02)
    assert close.verdict() == "better"
    assert [one.verdict() for one in corrected([close] * 3)] == ["not distinguishable"] * 3
    assert "p = 0.06" in corrected([close] * 3)[0].cell()
    assert corrected([]) == []


def test_differences_are_corrected_dimension_by_dimension():
    rows = []
    for p_values in ([0.001, 0.04], [0.03, 0.5]):
        zeros = np.zeros(2)
        row = PairedDifference(
            method="a", other="b", metric="r2", estimate="filtered", dims=("mean", "x"), per_fold=np.zeros((3, 2)),
            difference=zeros - 0.1, low=zeros, high=zeros, p_value=np.asarray(p_values),
        )  # fmt: skip
        rows.append(row)
    found = corrected(rows)
    np.testing.assert_allclose([row.p_corrected for row in found], [[0.002, 0.08], [0.03, 0.5]])
    assert [row.verdicts() for row in found] == [("worse", "not distinguishable"), ("worse", "not distinguishable")]
    assert rows[0].verdicts() == ("worse", "worse")


@pytest.mark.parametrize(
    ("given", "words"),
    [([], "one array"), ([np.zeros((1, 0))], "one array"), ([np.array([[np.nan, 1.0]])], "must be finite"),
     ([np.zeros((3, 1))], "at least 2 folds")],
)  # fmt: skip
def test_what_cannot_be_compared(given, words):
    with pytest.raises(InputError, match=words):
        compare(given, 0.25)
