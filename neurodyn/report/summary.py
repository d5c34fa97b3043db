"""The numbers of a study under stable keys, and its finding in one sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodyn.baselines import BASELINES
from neurodyn.binning.batch import MultimodalBatch
from neurodyn.evaluation import Calibration, ClassScore, CountScore, CrossValidation, PairedDifference, corrected
from neurodyn.evaluation.paired import p_text
from neurodyn.versions import versions

WITHOUT_TARGET = "multiscale-unsupervised"
"""The model trained without the target, on all modalities, as ``--methods`` and results call it."""


def summary_of(
    result: CrossValidation, batch: MultimodalBatch, *, title: str, seed: int, settings: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that ``summary.json`` holds, as plain numbers, text, lists and dictionaries.

    Parameters
    ----------
    result
        All methods on all folds.
    batch
        What was decoded.
    title, seed, settings
        Name of the study, seed of everything random, and options as a reader wants to see them.

    Returns
    -------
    dict with ``methods.<name>.<filtered|smoothed>.<correlation|r2>.{mean, per_dimension, per_fold,
    per_fold_per_dimension}``; ``training.<name>``, 'supervised' or 'unsupervised';
    ``differences.<name> minus <other>.<filtered|smoothed>.<correlation|r2>.<dimension or "mean">.{difference, low,
    high, p_value, p_corrected, effect_size, effect_low, effect_high, verdict, per_fold}`` of the pairs that
    `comparisons` lists, corrected for their number; ``latency_us.{p50, p95, p99}`` per step;
    ``online_offline_max_abs_difference`` of the latents and ``online_offline_target_max_abs_difference`` in standard
    deviations of the target; ``fit_seconds`` of all fits together and ``fit_seconds_per_method`` on average;
    ``intervals.<name>.{coverage, width_95, crps, log_score}`` of the filtered estimate, over the bins of all folds and
    on average over dimensions; for a decoded direction
    ``angle_error_degrees.<method>.<filtered|smoothed>.{mean, median}``; for decoded classes
    ``classes.<target>.<method>.<filtered|smoothed>.{accuracy, balanced_accuracy, log_loss, chance,
    chance_log_loss}``; for numbers of events ``counts.<dimension>.<method>.<filtered|smoothed>.{deviance_explained,
    log_loss, mean_log_loss}``; ``sizes``; ``versions``; ``seed``; ``settings``; ``title``.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> result = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0))
    >>> summary = nd.report.summary_of(result, batch, title="Lorenz", seed=0, settings={})
    >>> sorted(summary["methods"]["ridge"]), summary["seed"]
    (['filtered', 'smoothed'], 0)
    """
    online = result.online()
    return {
        "title": title,
        "methods": result.summary(),
        "training": {method: result.training(method) for method in result.methods},
        "intervals": {method: _intervals(one) for method in result.methods if (one := result.calibration(method))},
        "differences": _differences(result),
        **({"angle_error_degrees": angles} if (angles := result.angle_errors()) else {}),
        **({"classes": classes} if (classes := _plain(result.class_scores())) else {}),
        **({"counts": counts} if (counts := _plain(result.count_scores())) else {}),
        **_online_part(result),
        "fit_seconds": float(sum(r.fit_seconds for r in result.results)),
        "fit_seconds_per_method": {m: float(np.mean([r.fit_seconds for r in result.of(m)])) for m in result.methods},
        "sizes": {**sizes_of(batch), "folds": result.n_folds, "streamed_bins": sum(o.n_bins for o in online)},
        "versions": versions(),
        "seed": seed,
        "settings": dict(settings),
    }


def _intervals(found: Calibration) -> dict[str, Any]:
    """Coverage by level, width and scores of predictive intervals."""
    return {
        "coverage": {
            f"{level:.0%}": float(row.mean()) for level, row in zip(found.levels, found.coverage, strict=True)
        },
        "width_95": float(found.width.mean()),
        "crps": float(found.crps.mean()),
        "log_score": float(found.log_score.mean()),
    }


def sizes_of(batch: MultimodalBatch) -> dict[str, Any]:
    """How much data there is."""
    return {
        "trials": batch.n_trials,
        "bins": batch.n_bins,
        "bin_width_seconds": batch.width,
        "target": list(batch.target_names),
        "channels": {m.name: m.n_channels for m in batch.modalities},
        "sample_every_bins": {m.name: m.sample_every for m in batch.modalities},
    }


def on_one(baseline: str, modality: str) -> str:
    """Name of a baseline that sees one modality alone, where another one sees all.

    Examples
    --------
    >>> from neurodyn.report import on_one
    >>> on_one("ridge", "spikes")
    'ridge spikes'
    """
    return f"{baseline} {modality}"


def main_methods(result: CrossValidation) -> tuple[str, ...]:
    """Methods without the baselines that see one modality alone: what a figure has room for."""
    single = {on_one(baseline, method) for baseline in BASELINES for method in result.methods}
    return tuple(method for method in result.methods if method not in single)


def comparisons(result: CrossValidation) -> tuple[tuple[str, str], ...]:
    """Pairs whose difference is shown: the first method and every other, a baseline and itself on one modality.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> methods = [nd.Method(name, nd.CausalRidge(), (name,)) for name in ("spikes", "field")]
    >>> nd.report.comparisons(nd.cross_validate(methods, nd.trial_folds(batch, 3, seed=0)))
    (('spikes', 'field'),)
    """
    hero, *others = main_methods(result)
    single = [(y, on_one(y, m)) for y in BASELINES for m in others if on_one(y, m) in result.methods]
    return (*((hero, other) for other in others), *single)


def differences(result: CrossValidation, metric: str = "r2", *, smoothed: bool = False) -> list[PairedDifference]:
    """Difference of each pair of `comparisons` that has the estimate, their p values corrected for each other.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> methods = [nd.Method(name, nd.CausalRidge(), (name,)) for name in ("spikes", "field")]
    >>> (found,) = nd.report.differences(nd.cross_validate(methods, nd.trial_folds(batch, 3, seed=0)))
    >>> found.method, found.other, found.dims
    ('spikes', 'field', ('mean', 'x', 'y', 'z'))
    """
    return corrected(
        [
            result.difference(method, other, metric=metric, smoothed=smoothed)
            for method, other in comparisons(result)
            if all(result.scores(name, smoothed=smoothed) for name in (method, other))
        ]
    )


def _differences(result: CrossValidation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for smoothed in (False, True):
        for metric in ("correlation", "r2"):
            for one in differences(result, metric, smoothed=smoothed):
                part = found.setdefault(f"{one.method} minus {one.other}", {}).setdefault(one.estimate, {})
                part[metric] = one.to_dict()
    return found


def finding(result: CrossValidation) -> str:
    """Say in one sentence how well the first method decodes live, and what the others reach.

    Parameters
    ----------
    result
        All methods on all folds.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> nd.report.finding(nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0)))[:40]
    'Live (causal) decoding of x, y, z from r'
    """
    hero, *others = main_methods(result)
    words = {name: row.description for name, row in BASELINES.items()}
    words[WITHOUT_TARGET] = "the model trained without the target"
    means = {m: float(np.mean([s.r2.mean() for s in result.scores(m)])) for m in result.methods}
    dims = ", ".join(result.dims)
    sentence = f"Live (causal) decoding of {dims} from {_described(hero)} reaches a held-out R² of {means[hero]:.2f}"
    parts = [f"{means[m]:.2f} from {m} alone" for m in others if m not in words]
    parts += [f"{means[m]:.2f} by {text}" for m, text in words.items() if m in others]
    head = f"{sentence}, against {_joined(parts)}." if parts else f"{sentence}."
    return head + _added(result) + _angle(result) + _right(result) + _explained(result)


def _added(result: CrossValidation) -> str:
    """What all modalities together add to each alone, in a sentence; nothing where there is one modality."""
    hero, *others = main_methods(result)
    alone = [m for m in others if m not in (WITHOUT_TARGET, *BASELINES)]
    if not alone:
        return ""
    # As the table has them: corrected for every comparison in it.
    table = {(one.method, one.other): one for one in differences(result)}
    parts = []
    for other in alone:
        found = table[hero, other]
        interval = f"95 % interval {found.low[0]:+.2f} to {found.high[0]:+.2f}, {p_text(float(found.decisive[0]))}"
        parts.append(f"{found.difference[0]:+.2f} to {other} alone ({interval}: {found.verdicts()[0]})")
    return f" Together they add {_joined(parts)}, paired over {result.n_folds} folds."


def _angle(result: CrossValidation) -> str:
    """How far off the decoded direction is, in a sentence; nothing if none was decoded."""
    medians = {method: found["filtered"]["median"] for method, found in result.angle_errors().items()}
    if not medians:
        return ""
    hero, *others = main_methods(result)
    rest = ", ".join(f"{medians[method]:.0f}° by {method}" for method in others)
    return f" The direction is off by {medians[hero]:.0f}° (median){', ' + rest if rest else ''}; chance is 90°."


def _right(result: CrossValidation) -> str:
    """How often each decoded class is right, a sentence each; nothing if none was decoded."""
    hero, *others = main_methods(result)
    sentences = []
    for name, found in result.class_scores().items():
        live = {method: estimates["filtered"] for method, estimates in found.items()}
        rest = ", ".join(f"{live[method].accuracy:.0%} by {method}" for method in others)
        chance = f"naming the most frequent label is in {live[hero].chance:.0%}"
        sentences.append(
            f" {name} is right in {live[hero].accuracy:.0%} of the bins{f' ({rest})' if rest else ''}; {chance}."
        )
    return "".join(sentences)


def _explained(result: CrossValidation) -> str:
    """How much of the deviance of numbers of events is explained, in a sentence; nothing if none was decoded."""
    scores = result.count_scores()
    if not scores:
        return ""
    hero, *others = main_methods(result)
    live = {
        m: float(np.mean([one[m]["filtered"].deviance_explained for one in scores.values()])) for m in (hero, *others)
    }
    what = next(iter(scores)) if len(scores) == 1 else f"{len(scores)} numbers of events"
    rest = ", ".join(f"{100 * live[method]:z.0f}% by {method}" for method in others)
    return f" Of the deviance of {what} {100 * live[hero]:z.0f}% is explained{f' ({rest})' if rest else ''}."


def _plain(scores: dict[str, dict[str, dict[str, ClassScore]]] | dict[str, dict[str, dict[str, CountScore]]]) -> Any:
    """Scores of classes or of counts as plain numbers."""
    return {
        name: {method: {e: one._asdict() for e, one in found.items()} for method, found in methods.items()}
        for name, methods in scores.items()
    }


def _described(hero: str) -> str:
    return "all modalities together" if hero == "multimodal" else hero


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _online_part(result: CrossValidation) -> dict[str, Any]:
    online = result.online()
    if not online:
        return {}
    p50, p95, p99 = np.percentile(np.concatenate([o.microseconds for o in online]), [50, 95, 99])
    return {
        "latency_us": {"p50": float(p50), "p95": float(p95), "p99": float(p99)},
        "online_offline_max_abs_difference": max(o.latent_difference for o in online),
        "online_offline_target_max_abs_difference": max(o.target_difference for o in online),
    }
