"""From the summaries of the networks to one NetCDF file, two tables and two figures."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from experiments.command import fill_readme, save_png, table_file
from neurodyn.report.pictures import new_figure
from neurodyn.writing import replace_atomically, write_text

AUTHORS = {"chain2": 10.0, "chain3": 4.1, "chain4": 4.6, "chain5": 7.8, "fully_connected3": 1.9, "cycle4": 5.5}
"""Validation losses that the authors report for their networks: the mean of batches of 4096, 4096 and 1808 sequences,
at the best of all epochs (blur 0.2). Smaller batches are further apart, so that these numbers compare with
``sinkhorn_in_batches`` and its floor, not with the divergence of 4096 at once."""
LABELS = ("model", "hidden", "inputs", "seed", "cell", "scale", "verdict", "status", "objective")
LIMITS = {"transition_error_max": 0.02, "frequency_error_max": 0.01}
_GREY, _OURS, _FLOOR = "#6B6B6B", ("#D55E00", "#0072B2", "#009E73"), "#5A5A5A"

Summaries = Mapping[str, Mapping[str, Any]]


def write_results(summaries: Summaries, out: Path, *, readme: Path | None) -> None:
    """Write networks.nc, table.csv (everything), table.md (to read), divergence.png and statistics.png."""
    data = to_xarray(summaries)
    with replace_atomically(out / "networks.nc") as temporary:
        data.to_netcdf(temporary, engine="scipy")
    with table_file(out / "table.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["network", *data.data_vars])
        for place, name in enumerate(summaries):
            writer.writerow([name, *(_cell(data[key].values[place]) for key in data.data_vars)])
    table = markdown(data)
    write_text(out / "table.md", table)
    save_divergences(data, out / "divergence.png")
    save_statistics(data, out / "statistics.png")
    fill_readme(readme, table)


def to_xarray(summaries: Summaries) -> xr.Dataset:
    """Every label and number of the summaries along one axis of networks."""
    rows = list(summaries.values())
    numbers = [key for key, value in rows[0].items() if isinstance(value, int | float) and key not in LABELS]
    columns = {key: ("network", np.array([row[key] for row in rows])) for key in LABELS}
    columns |= {key: ("network", np.array([row[key] for row in rows], np.float64)) for key in numbers}
    authors = [AUTHORS.get(row["model"], np.nan) for row in rows]
    extra = {"sinkhorn_authors": authors, "transition_error_max_training": [training_error(row) for row in rows]}
    return xr.Dataset(
        {**columns, **{key: ("network", np.array(values)) for key, values in extra.items()}},
        coords={"network": list(summaries)},
    )


def training_error(row: Mapping[str, Any]) -> float:
    """Largest error of a symbol transition in the very sequences a network was trained on: they are a sample, too."""
    from neurodyn.emulation import TrainingConfig
    from neurodyn.emulation.fitting import draw_data
    from neurodyn.markov import FAMILIES
    from neurodyn.markov.statistics import Counting, count_trials, expect_counts, rates_of, total

    hmm = FAMILIES[row["model"].rstrip("0123456789")](row["states"])
    training = row["training"]
    config = TrainingConfig(
        sequences=training["sequences"], seed=row["seed"], batch=training["batch"], validation=training["validation"]
    )
    symbols = draw_data(hmm, config).train
    trials, steps = symbols.shape
    counting = Counting(hmm.symbols, 1, 1)
    expected = rates_of(expect_counts(hmm, steps, counting), 1, steps).transitions
    found = rates_of(total(count_trials(symbols, counting), np.ones(trials)), trials, steps).transitions
    return float(np.nanmax(np.abs(found - expected)))


def markdown(data: xr.Dataset) -> str:
    """A row for each HMM and size: divergences beside the authors', the worst errors of the seeds, time."""
    batch = int(data.sinkhorn_batch[0])
    columns = (
        "model", "hidden, inputs", "networks", f"Sinkhorn at {batch}: mean (worst)", "on test", "HMM itself",
        "in batches: ours", "HMM itself", "authors, best epoch",
        "transition error, worst (HMM itself; training sequences)", "frequency error, worst",
        "changes per trial, ratio", "verdicts", "s each",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for key, group in _groups(data):
        ours, floor = group.sinkhorn_validation.values, float(group.sinkhorn_floor.mean())
        ratio = group.volatility_ratio.values
        verdicts = [str(v) for v in group.verdict.values]
        told = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        authors = float(group.sinkhorn_authors[0])
        lines.append(
            f"| {key[0]} | {key[1]}, {key[2]} | {len(ours)} | {ours.mean():.2f} ({ours.max():.2f}) "
            f"| {float(group.sinkhorn_test.mean()):.2f} | {floor:.2f} "
            f"| {_told(group.sinkhorn_in_batches)} | {_told(group.sinkhorn_in_batches_floor)} | {authors:.1f} "
            f"| {float(group.transition_error_max.max()):.4f} ({float(group.transition_error_max_floor.max()):.4f}; "
            f"{float(group.transition_error_max_training.max()):.4f}) "
            f"| {float(group.frequency_error_max.max()):.4f} | {ratio.min():.3f} to {ratio.max():.3f} | {told} "
            f"| {float(group.seconds.mean()):.0f} |"
        )
    return "\n".join([*lines, "", *_findings(data)]) + "\n"


def _findings(data: xr.Dataset) -> list[str]:
    """How many networks are where they should be."""
    above = data.sinkhorn_validation - data.sinkhorn_floor
    near = (data.transition_error_max <= LIMITS["transition_error_max"]) & (
        data.frequency_error_max <= LIMITS["frequency_error_max"]
    )
    total = data.sizes["network"]
    return [
        f"- validation divergence above that of the HMM itself by {float(above.mean()):.2f} in the mean and "
        f"{float(above.max()):.2f} at most",
        f"- transitions within {LIMITS['transition_error_max']} and frequencies within "
        f"{LIMITS['frequency_error_max']} of the HMM's: {int(near.sum())} of {total} networks",
        f"- objective {', '.join(sorted(set(map(str, data.objective.values))))}, scale "
        f"{', '.join(sorted(set(map(str, data.scale.values))))}",
    ]


def _told(numbers: xr.DataArray) -> str:
    """Mean of the networks of which there is a number."""
    known = numbers.values[np.isfinite(numbers.values)]
    return f"{known.mean():.2f}" if known.size else "not measured"


def save_divergences(data: xr.Dataset, path: Path) -> None:
    """First figure: divergence of each network and of the HMM itself."""
    models = list(dict.fromkeys(map(str, data.model.values)))
    figure = new_figure((2.6 * len(models) + 0.8, 3.4))
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for model, ax in zip(models, panels, strict=True):
        part = data.isel(network=data.model.values == model)
        _draw_by_size(ax, part, "sinkhorn_validation")
        ax.axhline(float(part.sinkhorn_floor.mean()), color=_FLOOR, linewidth=1.2, label="HMM itself")
        ax.set_title(model, fontsize=10)
    panels[0].set_ylabel(f"Sinkhorn divergence at {int(data.sinkhorn_batch[0])}")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, fontsize=9
    )
    save_png(figure, path)


def save_statistics(data: xr.Dataset, path: Path) -> None:
    """Second figure: errors of transitions and frequencies, and changes per trial, with limits."""
    titles = {
        "transition_error_max": "largest error of a transition", "frequency_error_max": "largest error of a frequency",
        "volatility_ratio": "changes per trial / the HMM's",
    }  # fmt: skip
    models = list(dict.fromkeys(map(str, data.model.values)))
    figure = new_figure((11.0, 3.4))
    for ax, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for place, model in enumerate(models):
            part = data.isel(network=data.model.values == model)
            spread = np.linspace(-0.25, 0.25, part.sizes["network"]) if part.sizes["network"] > 1 else [0.0]
            ax.plot(place + np.asarray(spread), part[name], "o", color=_OURS[0], markersize=3.5)
            ax.plot([place - 0.35, place + 0.35], [part[f"{name}_floor"].mean()] * 2, color=_FLOOR, linewidth=1.5)
        ax.axhline(LIMITS.get(name, 1.0), color=_GREY, linestyle="--", linewidth=1)
        ax.set_xticks(range(len(models)), models, rotation=30, ha="right", fontsize=8)
        ax.set_title(title, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("dots: networks; line: the HMM itself; dashed: limit, or the HMM's value", fontsize=9)
    save_png(figure, path)


def _draw_by_size(ax: Any, part: xr.Dataset, name: str) -> None:
    inputs, hidden = (sorted({int(v) for v in part[key].values}) for key in ("inputs", "hidden"))
    for place, units in enumerate(hidden):
        some = part.isel(network=part.hidden.values == units)
        along = np.array([inputs.index(int(v)) for v in some.inputs.values]) + 0.12 * (place - (len(hidden) - 1) / 2)
        ax.plot(along, some[name], "o", color=_OURS[place % len(_OURS)], markersize=4, label=f"{units} units")
    ax.set_xticks(range(len(inputs)), [str(v) for v in inputs])
    ax.set_xlim(-0.6, len(inputs) - 0.4)
    ax.set_xlabel("inputs")
    ax.spines[["top", "right"]].set_visible(False)


def _groups(data: xr.Dataset) -> list[tuple[tuple[str, int, int], xr.Dataset]]:
    keys = [
        (str(m), int(h), int(i))
        for m, h, i in zip(data.model.values, data.hidden.values, data.inputs.values, strict=True)
    ]
    order = list(AUTHORS)
    unique = sorted(set(keys), key=lambda k: (order.index(k[0]) if k[0] in order else len(order), *k[1:]))
    return [(key, data.isel(network=[k == key for k in keys])) for key in unique]


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)
