"""Numbers, sentence, tables and pictures of a study against the cross-validation they come from."""

import json
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from evaluation.stubs import Leaky
from scipy import stats

from neurodyn.baselines import CausalRidge
from neurodyn.binning import MultimodalBatch, time_folds
from neurodyn.cli.study import difference_table, score_table
from neurodyn.components import principal_scores
from neurodyn.evaluation import Method, cross_validate
from neurodyn.report import (
    WITHOUT_TARGET,
    comparisons,
    differences,
    finding,
    render_page,
    save_drawings,
    score_rows,
    study_pictures,
    summary_of,
)
from neurodyn.report.figures import middle_fold, window
from neurodyn.report.page import ScoreTable


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    time = 0.1 * np.arange(600)
    slow = np.stack([np.sin(time), np.cos(time / 2)], axis=1)
    target = slow[None].copy()
    target[0, 100:130] = np.nan
    spikes = rng.poisson(np.exp(slow[None, :, :1])).astype(float)
    field = slow[None] + rng.normal(size=(1, 600, 2))
    field[0, ::3] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field}, width=0.1, likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=target, target_names=("left", "log_right"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(batch):
    both = ("spikes", "field")
    methods = [Method("multimodal", Leaky(), both, stream=True), Method("field", Leaky(), ("field",))]
    return cross_validate([*methods, Method("ridge", CausalRidge(), both)], time_folds(batch, 3, gap=1.0, lead_in=2.0))


def test_summary_has_the_stable_keys_and_the_numbers(batch, result):
    summary = summary_of(result, batch, title="t", seed=3, settings={"a": "b"})
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for method in ("multimodal", "field", "ridge"):
        for estimate, smoothed in (("filtered", False), ("smoothed", True)):
            scores = result.scores(method, smoothed=smoothed)
            for metric in ("correlation", "r2"):
                part = summary["methods"][method][estimate][metric]
                table = np.stack([getattr(s, metric) for s in scores])
                assert set(part) == {"mean", "per_dimension", "per_fold", "per_fold_per_dimension"}
                np.testing.assert_allclose(part["per_fold_per_dimension"], table)
                assert part["mean"] == pytest.approx(table.mean())
                assert list(part["per_dimension"].values()) == pytest.approx(table.mean(0).tolist())
                assert part["per_fold"] == pytest.approx(table.mean(1).tolist())
    steps = np.concatenate([o.microseconds for o in result.online()])
    assert list(summary["latency_us"]) == ["p50", "p95", "p99"]
    assert summary["latency_us"]["p95"] == pytest.approx(np.percentile(steps, 95))
    assert summary["online_offline_max_abs_difference"] < 1e-10
    assert summary["fit_seconds"] == pytest.approx(sum(r.fit_seconds for r in result.results))
    assert summary["training"] == dict.fromkeys(("multimodal", "field", "ridge"), "supervised")
    assert (summary["seed"], summary["sizes"]["bins"], summary["sizes"]["streamed_bins"]) == (3, 600, 640)


def test_finding_names_every_method(result):
    means = {m: np.mean([s.r2.mean() for s in result.scores(m)]) for m in result.methods}
    assert finding(result) == (
        "Live (causal) decoding of left, log_right from all modalities together reaches a held-out R² of "
        f"{means['multimodal']:.2f}, against {means['field']:.2f} from field alone and {means['ridge']:.2f} by causal "
        f"ridge regression. Together they add {_added(result)}, paired over 3 folds."
    )


def _added(result):
    """Difference to the field alone, by hand: t distribution with two degrees of freedom, folds of equal size."""
    scores = {name: np.asarray([s.r2.mean() for s in result.scores(name)]) for name in result.methods}
    ratio = sum(s.n_bins for s in result.scores("field")) / sum(one.train_bins for one in result.of("field"))
    p_values = {}
    for other in ("ridge", "field"):
        difference = scores["multimodal"] - scores[other]
        error = difference.std(ddof=1) * np.sqrt(1 / 3 + ratio)
        p_values[other] = 2 * stats.t.sf(abs(difference.mean()) / error, 2)
    low, high = difference.mean() + np.array([-1, 1]) * 4.302652729911275 * error
    # Holm, of two comparisons: the smaller p value counts twice, the larger one at least as much.
    smaller = min(p_values.values())
    p_value = min(1.0, 2 * smaller if p_values["field"] == smaller else max(p_values["field"], 2 * smaller))
    said = "not distinguishable" if p_value >= 0.05 else "better" if difference.mean() > 0 else "worse"
    told = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    return f"{difference.mean():+.2f} to field alone (95 % interval {low:+.2f} to {high:+.2f}, {told}: {said})"


def test_whether_a_method_learned_from_the_target_stands_beside_every_number(batch, result):
    blind = replace(result, methods=("multimodal", WITHOUT_TARGET, "ridge"), results=tuple(
        replace(one, method=WITHOUT_TARGET, training="unsupervised") if one.method == "field" else one
        for one in result.results))  # fmt: skip
    kinds = {"multimodal": "supervised", WITHOUT_TARGET: "unsupervised", "ridge": "supervised"}
    rows = score_rows(blind, "r2")
    assert len(rows) == 6
    assert all(row.training == kinds[row.method] for row in rows)
    assert summary_of(blind, batch, title="t", seed=0, settings={})["training"] == kinds
    assert [row.trainings() for row in differences(blind)] == ["supervised minus unsupervised", "both supervised"]
    tables = [score_table(blind, "r2"), difference_table(differences(blind))]
    page = render_page(
        title="t", sentence="s", dims=blind.dims, tables=[ScoreTable("R²", rows)], differences=differences(blind),
        pictures=[], facts={}, settings={}, versions={},
    )  # fmt: skip
    assert [column.header for column in tables[0].columns][:3] == ["method", "training", "estimate"]
    assert list(tables[0].columns[1].cells) == [kinds[row.method] for row in rows]
    assert list(tables[1].columns[2].cells) == ["supervised minus unsupervised", "both supervised"]
    assert page.count(f"<td>{WITHOUT_TARGET}</td><td>unsupervised</td><td>") == 2
    assert page.count("<td>multimodal</td><td>supervised</td>") == page.count("<td>ridge</td><td>supervised</td>") == 2
    assert "<td>supervised minus unsupervised</td>" in page
    mean = np.mean([score.r2.mean() for score in blind.scores(WITHOUT_TARGET)])
    assert f" and {mean:.2f} by the model trained without the target." in finding(blind)
    assert f"{WITHOUT_TARGET} alone" not in finding(blind)
    assert "unsupervised" in repr(blind)


def test_differences_are_under_stable_keys(batch, result):
    found = summary_of(result, batch, title="t", seed=0, settings={})["differences"]
    assert set(found) == {"multimodal minus field", "multimodal minus ridge"}
    values = [
        np.stack([s.correlation[1] for s in result.scores(name, smoothed=True)]) for name in ("multimodal", "ridge")
    ]
    part = found["multimodal minus ridge"]["smoothed"]["correlation"]["log_right"]
    assert part["difference"] == pytest.approx((values[0] - values[1]).mean())
    assert part["per_fold"] == pytest.approx((values[0] - values[1]).tolist())
    effects = {"effect_size", "effect_low", "effect_high"}
    assert set(part) == {"difference", "low", "high", "p_value", "p_corrected", "verdict", "per_fold"} | effects
    # Holm over the two comparisons of the table: the larger p value is at least the smaller one twice.
    both = [found[pair]["smoothed"]["correlation"]["log_right"] for pair in found]
    assert max(one["p_corrected"] for one in both) == pytest.approx(
        max(max(one["p_value"] for one in both), min(1.0, 2 * min(one["p_value"] for one in both)))
    )


def test_a_baseline_on_one_modality_is_compared_with_itself(result):
    alone = replace(result, methods=(*result.methods, "ridge field"), results=(
        *result.results, *(replace(one, method="ridge field") for one in result.of("ridge"))))  # fmt: skip
    assert comparisons(alone) == (("multimodal", "field"), ("multimodal", "ridge"), ("ridge", "ridge field"))
    assert "ridge field" not in finding(alone)


def test_a_direction_is_scored_in_degrees(batch, result):
    assert "angle_error_degrees" not in summary_of(result, batch, title="t", seed=0, settings={})
    turned = replace(result, dims=("cos", "sin"))
    found = summary_of(turned, batch, title="t", seed=0, settings={})["angle_error_degrees"]
    for method in result.methods:
        for estimate in ("filtered", "smoothed"):
            angles = []
            for one in result.of(method):
                pair = one.decoded.true, getattr(one.decoded, estimate)
                true, decoded = (np.angle(v[one.decoded.scored] @ [1, 1j]) for v in pair)
                angles.append(np.degrees(np.abs(np.angle(np.exp(1j * (true - decoded))))))
            angles = np.concatenate(angles)
            assert found[method][estimate] == pytest.approx({"mean": angles.mean(), "median": np.median(angles)})
    assert f"The direction is off by {found['multimodal']['filtered']['median']:.0f}° (median), " in finding(turned)


def test_rows_are_means_and_spreads(result):
    rows = score_rows(result, "r2")
    assert [(r.method, r.estimate) for r in rows[2:5]] == [
        ("ridge", "filtered"), ("multimodal", "smoothed"), ("field", "smoothed"),
    ]  # fmt: skip
    table = np.stack([s.r2 for s in result.scores("ridge")])
    assert rows[2].mean == pytest.approx(table.mean())
    assert rows[2].spread == pytest.approx(table.mean(1).std())
    assert rows[2].spread_per_dimension == pytest.approx(tuple(table.std(0)))
    assert [r.best for r in rows[:3]] == [r.mean == max(r.mean for r in rows[:3]) for r in rows[:3]]
    assert rows[2].cells()[0] == f"{table.mean():.2f} ± {table.mean(1).std():.2f}"


def test_pictures_are_png_of_a_size_that_fits_a_page(batch, result):
    pictures = study_pictures(batch, result)
    assert [p.title for p in pictures] == [
        "How well each method decodes", "Decoded against true target", "Latent trajectories", "The recording",
        "Do the intervals hold?", "Learning curves", "Time per step",
    ]  # fmt: skip
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", picture.png[16:24])
        assert 400 <= width <= 2000
        assert 300 <= height <= 2000


def test_a_decoded_place_is_drawn_in_its_arena(batch, result):
    titles = [p.title for p in study_pictures(batch, replace(result, dims=("x", "y")))]
    assert titles.index("In the arena") == 2
    assert "In the arena" not in [p.title for p in study_pictures(batch, replace(result, dims=("x", "speed")))]


def test_each_picture_is_left_as_svg_and_pdf_that_say_the_same_again(batch, result, tmp_path):
    pictures = study_pictures(batch, result)[:2]
    paths = save_drawings(pictures, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "figures/01_how_well_each_method_decodes.svg", "figures/01_how_well_each_method_decodes.pdf",
        "figures/02_decoded_against_true_target.svg", "figures/02_decoded_against_true_target.pdf",
    ]  # fmt: skip
    texts = "".join(ElementTree.parse(paths[0]).getroot().itertext())
    assert "correlation" in texts  # text is text, not outlines
    assert paths[1].read_bytes().startswith(b"%PDF-")
    before = [path.read_bytes() for path in paths]
    again = save_drawings(study_pictures(batch, result)[:2], tmp_path)
    assert [path.read_bytes() for path in again] == before


def test_the_fold_shown_is_the_median(result):
    means = sorted(float(s.r2.mean()) for s in result.scores("ridge"))
    assert float(middle_fold(result, "ridge").filtered.r2.mean()) == means[1]


def test_the_window_shown_has_most_scored_bins(result):
    decoded = result.of("multimodal")[0].decoded
    assert not decoded.scored[100:130].any()
    part = window(decoded, 90)
    assert decoded.scored[part].all()
    assert window(decoded, 10_000) == slice(0, 200)


def test_principal_components_keep_the_distances():
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 7)) + 3.0
    scores = principal_scores(plane, 2)
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(scores[3] - scores[9]), np.linalg.norm(plane[3] - plane[9]))
    assert scores[:, 0].var() >= scores[:, 1].var()
    assert principal_scores(plane[:, :2], 3).shape == (50, 2)
