"""How well is a reaching hand decoded from motor cortex, by the model and what a lab would use instead?

Simulated animals stand in for the monkeys of Erturk & Shanechi (2025): 20 units and 20 field channels, the field
sampled as often as the bins and five times more slowly, both modalities and each alone. Sessions are NWB files, and the
fits two sweeps, as a lab would do it with files of its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from experiments.command import arguments, configuration, fill_readme, save_png
from experiments.comparisons import GAIN_HEAD, gain_cells, markdown, mean_cell, minus, together
from neurodyn.plotting import plot_scores
from neurodyn.report.pictures import new_figure
from neurodyn.simulation import ReachingSettings, simulate_reaching, write_nwb
from neurodyn.sweep import Cluster, open_results, read_plan, run_sweep
from neurodyn.sweep.report import r2
from neurodyn.writing import replace_atomically, write_text

if TYPE_CHECKING:
    import xarray as xr

FOLDER = Path(__file__).parent
SPIKES, FIELD = "spikes alone", "alone"
"""What settings of one modality are called; those of the field have the name of its width before."""


def main(argv: list[str] | None = None) -> None:
    """Simulate the sessions, sweep over methods and over modalities, and put the scores together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    sessions = given.out / "sessions"
    for animal in config["animals"]:
        file = sessions / f"animal{animal}.nwb"
        if not file.exists():
            sessions.mkdir(parents=True, exist_ok=True)
            write_nwb(simulate_reaching(ReachingSettings(**config["session"]), seed=animal), file)
    widths, hero = config["field_widths"], config["methods"][:1]
    one = {f"{name} {FIELD}": {**width, "modalities": ["field"]} for name, width in widths.items()}
    compared = swept(config, config["methods"], widths, given.out / "methods")
    alone = swept(config, hero, {SPIKES: {"modalities": ["spikes"]}, **one}, given.out / "modalities")
    frames = [each["score"].sel(estimate="filtered").to_dataframe().dropna() for each in (compared, alone)]
    with replace_atomically(given.out / "table.csv") as temporary:
        pd.concat(frames).drop(columns="estimate").to_csv(temporary)
    table = "\n".join(table_of(compared, alone))
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(compared, alone, given.out / "figure.png")


def swept(config: Mapping[str, Any], methods: Sequence[str], settings: Mapping[str, Any], out: Path) -> "xr.Dataset":
    """The results of one sweep over all animals; what was done by an earlier run is kept."""
    files = [f"../sessions/animal{animal}.nwb" for animal in config["animals"]]
    out.mkdir(parents=True, exist_ok=True)
    asked = {"sessions": files, "methods": methods, "options": config["options"], "settings": settings}
    write_text(out / "config.yaml", yaml.safe_dump(asked, sort_keys=False))

    def told(done: int, total: int) -> None:
        print(f"{out.name}: {done} of {total} fits", flush=True)

    failed = run_sweep(read_plan(out / "config.yaml"), out, Cluster(workers=config["jobs"]), on_done=told)
    if failed:
        raise SystemExit("\n".join(f"{name}: {reason}" for name, reason in failed.items()))
    return open_results(out)


def sessions_of(results: "xr.Dataset", setting: str, method: str) -> list[np.ndarray]:
    """R² of every animal, (seeds, folds) each."""
    found = r2(results).sel(setting=setting, decoder=method).transpose("session", "seed", "fold")
    return list(found.to_numpy())


def table_of(compared: "xr.Dataset", alone: "xr.Dataset") -> list[str]:
    """R² and seconds of every method, what the first gains on the others, and what both modalities add to each."""
    settings, methods = (compared[axis].to_numpy().tolist() for axis in ("setting", "decoder"))
    lines = ["**Filtered R² of the hand's velocity** (mean ± half of the 95 % interval over animals)", ""]
    rows = []
    for method in methods:
        found = compared.sel(decoder=method)
        cells = [mean_cell(sessions_of(compared, setting, method)) for setting in settings]
        holds, seconds = float(found["coverage"].mean()), float(found["fit_seconds"].mean())
        rows.append(f"{method} | {' | '.join(cells)} | {'' if np.isnan(holds) else f'{holds:.1%}'} | {seconds:.0f}")
    for setting in alone["setting"].to_numpy().tolist():
        at = [
            "" if has_another_width(setting, other) else mean_cell(sessions_of(alone, setting, methods[0]))
            for other in settings
        ]
        rows.append(f"{methods[0]}, {setting} | {' | '.join(at)} |  |  ")
    lines += markdown(" | ".join(["method", *settings, "95 % interval holds", "s per fit"]), rows)
    for setting in settings:
        lines += [f"**{methods[0]} minus each other, {setting}**", ""]
        hero = sessions_of(compared, setting, methods[0])
        gained = {name: minus(hero, sessions_of(compared, setting, name)) for name in methods[1:]}
        gained |= {
            f"{methods[0]}, {one}": minus(hero, sessions_of(alone, one, methods[0]))
            for one in alone["setting"].to_numpy().tolist()
            if not has_another_width(one, setting)
        }
        rows = [f"{name} | {gain_cells(gain)}" for name, gain in together(gained).items()]
        lines += markdown(f"method | {GAIN_HEAD}", rows)
    return lines


def has_another_width(alone: str, setting: str) -> bool:
    """Whether a setting of one modality is that of the field at another width than a setting of both."""
    return alone != SPIKES and not alone.startswith(setting)


def save_figure(compared: "xr.Dataset", alone: "xr.Dataset", path: Path) -> None:
    """One panel for each width of the field: a dot for each animal and fold."""
    settings, methods = (compared[axis].to_numpy().tolist() for axis in ("setting", "decoder"))
    figure = new_figure((5.2 * len(settings), 3.8))
    panels = figure.subplots(1, len(settings), squeeze=False, sharey=True)[0]
    for setting, ax in zip(settings, panels, strict=True):
        scores = {method: np.concatenate(sessions_of(compared, setting, method), axis=1).ravel() for method in methods}
        for one in alone["setting"].to_numpy().tolist():
            if not has_another_width(one, setting):
                short = SPIKES if one == SPIKES else "field alone"
                scores[short] = np.concatenate(sessions_of(alone, one, methods[0]), axis=1).ravel()
        plot_scores(scores, label="R² (filtered, held out)" if ax is panels[0] else "", ax=ax)
        ax.set_title(setting, fontsize=9)
    save_png(figure, path)


if __name__ == "__main__":
    main()
