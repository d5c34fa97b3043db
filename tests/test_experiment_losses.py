"""What the experiments on simulated systems share: losses as they were asked for, the same for all; gains corrected."""

import os

import numpy as np
import pytest
from oracles.sweep_work import where_it_runs

from experiments.collect import Run
from experiments.collect import markdown as markdown_of_runs
from experiments.comparisons import gain_cells, gains, markdown, scores_of, together
from experiments.fits import Task, alone, fit_all, with_channels
from experiments.lorenz_fusion.run import cells
from experiments.losses import bursts, lose
from experiments.missing_samples.run import r2_at
from neurodyn.simulation import LorenzSettings, simulate_lorenz

BOTH = ("spikes", "field")


@pytest.fixture(scope="module")
def batch():
    return simulate_lorenz(LorenzSettings(n_trials=40, seconds=3.0, missing=0.0, spike_channels=4), seed=0)


def runs(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_bursts_have_the_share_and_no_more_than_the_length(batch, share):
    flags = bursts(batch, share=share, longest=1.0, generator=np.random.default_rng(1))
    assert flags.shape == batch.time.shape
    assert flags[batch.in_trials()].mean() == pytest.approx(share, abs=0.02)
    lengths = runs(flags)
    assert lengths.max() <= 100
    assert lengths.max() > 90  # uniform lengths: among dozens of bursts the longest is nearly as long as it may be
    assert lengths.mean() == pytest.approx(50, rel=0.3)


@pytest.mark.parametrize("kind", ["at random", "in bursts"])
def test_a_modality_loses_the_same_whatever_else_is_lost(batch, kind):
    options = {"kind": kind, "share": 0.4, "longest": 0.5, "seed": (3, 1)}
    both, alone = lose(batch, BOTH, **options), lose(batch, ["field"], **options)
    assert np.array_equal(both.observed["field"], alone.observed["field"])
    assert np.array_equal(alone.observed["spikes"], batch.observed["spikes"])
    lost = {name: batch.observed[name].any(axis=1) & ~both.observed[name].any(axis=1) for name in BOTH}
    for name, flags in lost.items():
        assert flags.sum() / batch.observed[name].any(axis=1).sum() == pytest.approx(0.4, abs=0.03)
    field = batch.observed["field"].any(axis=1)
    # Chosen independently of each other: of the bins that the field loses, spikes lose their share as well.
    assert lost["spikes"][field & lost["field"]].mean() == pytest.approx(0.4, abs=0.15)
    again = lose(batch, BOTH, **options)
    assert all(np.array_equal(again.observed[name], both.observed[name]) for name in BOTH)
    other = lose(batch, BOTH, **{**options, "seed": (3, 2)})
    assert not np.array_equal(other.observed["spikes"], both.observed["spikes"])
    assert np.array_equal(both.target, batch.target)


def test_nothing_is_lost_at_a_share_of_nothing(batch):
    assert lose(batch, BOTH, kind="at random", share=0, longest=1.0, seed=(0,)) is batch


def test_cells_share_their_channels(batch):
    few = with_channels(batch, {"spikes": 2, "field": 0})
    assert few.names == ("spikes",)
    assert np.array_equal(few.observations["spikes"], batch.observations["spikes"][:, :2])
    assert few.modality("spikes").channels == batch.modality("spikes").channels[:2]
    assert list(cells([5, 10])) == [
        "5 spikes", "10 spikes", "5 field", "10 field", "5 spikes + 5 field", "5 spikes + 10 field",
        "10 spikes + 5 field", "10 spikes + 10 field",
    ]  # fmt: skip


def test_what_has_been_fitted_is_not_fitted_again(tmp_path):
    tasks, done = [Task(seed, fold, name) for seed in (0, 1) for fold in (0, 1) for name in ("one", "1 + 1")], []

    def work(task):
        done.append(task)
        return {"r2": task.seed + 0.1 * task.fold}

    config = {"share": 0.4, "seeds": [0, 1]}
    first = fit_all(tasks[:3], tmp_path, work, config)
    assert fit_all(tasks, tmp_path, work, config) | first == fit_all(tasks, tmp_path, work, {**config, "seeds": [0]})
    assert done == tasks
    fit_all(tasks[:1], tmp_path, work, {**config, "share": 0.5})  # what another configuration left does not count
    assert done == [*tasks, tasks[0]]
    tables = scores_of(fit_all(tasks, tmp_path, work, config), lambda left: left["r2"])
    assert {name: [one.tolist() for one in own] for name, own in tables.items()} == {
        name: [[[0.0, 0.1]], [[1.0, 1.1]]] for name in ("one", "1 + 1")
    }


def test_fits_run_on_workers_and_say_the_same(tmp_path):
    tasks = [Task(seed, 0, name) for seed in (0, 1) for name in ("one", "two")]
    config = {"share": 0.4, "jobs": 2}
    here = fit_all(tasks, tmp_path / "here", where_it_runs, {**config, "jobs": 1})
    there = fit_all(tasks, tmp_path / "there", where_it_runs, config)
    assert {task: left["score"] for task, left in there.items()} == {task: left["score"] for task, left in here.items()}
    assert list(there) == tasks
    assert {left["process"] for left in here.values()} == {os.getpid()}
    assert os.getpid() not in {left["process"] for left in there.values()}
    kept = fit_all(tasks, tmp_path / "there", where_it_runs, {**config, "jobs": 1})  # jobs are no part of a result
    assert kept == there


def test_a_name_says_what_is_seen():
    both = ("spikes", "field")
    assert [alone(name, both) for name in ("multiscale field", "lds", "a b")] == [
        ("multiscale", ("field",)), ("lds", both), ("a b", both),
    ]  # fmt: skip


def test_the_score_with_a_loss():
    rows = [{"kind": "", "losing": "", "share": 0.0, "r2": [0.8, 0.6]}]
    rows += [{"kind": "at random", "losing": "both", "share": s, "r2": [0.4, s]} for s in (0.2, 0.4)]
    assert r2_at({"rows": rows}, "at random", "both", 0.4) == pytest.approx(0.4)
    assert r2_at({"rows": rows}, "at random", "both", 0.0) == pytest.approx(0.7)


def test_gains_are_corrected_for_their_number():
    rng = np.random.default_rng(0)
    table = [rng.normal(size=(1, 2)) for _ in range(5)]
    scores = {"ours": table, **{n: [t - 0.1 + 0.1 * rng.normal(size=(1, 2)) for t in table] for n in ("a", "b", "c")}}
    found = gains(scores, "ours")
    assert list(found) == ["a", "b", "c"]
    p_values = sorted(one.p_value for one in found.values())
    assert min(one.p_corrected for one in found.values()) == pytest.approx(min(1.0, 3 * p_values[0]))
    assert found["a"].difference == pytest.approx(np.mean([x - y for x, y in zip(table, scores["a"], strict=True)]))
    assert together({"a": [x - y for x, y in zip(table, scores["a"], strict=True)]})["a"].p_corrected == pytest.approx(
        found["a"].p_value
    )
    lines = markdown("method | gain | effect | finding", [f"a | {gain_cells(found['a'])}"])
    assert [line.count("|") for line in lines[:3]] == [5, 5, 5]


def test_a_table_of_runs_says_in_words_what_was_found():
    score = {"mean": 0.5, "per_dimension": {"x": 0.5}, "per_fold": [0.5]}
    verdicts = {
        "ours minus a": "better",
        "ours minus b": "not distinguishable",
        "ours minus c": "better",
        "a minus d": "worse",
    }
    summary = {
        "methods": {name: {"filtered": {"r2": score, "correlation": score}} for name in ("ours", "a", "b", "c", "d")},
        "differences": {pair: {"filtered": {"r2": {"mean": {"verdict": said}}}} for pair, said in verdicts.items()},
        "latency_us": {"p50": 1.0, "p99": 2.0}, "sizes": {"folds": 2}, "fit_seconds": 1.0, "seed": 0,
        "online_offline_max_abs_difference": 0.0,
    }  # fmt: skip
    found = markdown_of_runs([Run("seed 0", summary)], metric="r2", title="t")
    assert "- seed 0: ours is better than a, c; not distinguishable from b (paired over folds" in found
    older = {**summary, "differences": {"ours minus a": {"filtered": {"r2": {"mean": {}}}}}}
    assert " is " not in markdown_of_runs([Run("seed 0", older)], metric="r2", title="t").split("|")[-1]
