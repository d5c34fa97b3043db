"""What a sweep says: a table of methods and sessions, paired tests, a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurodyn.errors import InputError
from neurodyn.evaluation import Comparison, compare, corrected
from neurodyn.plotting import plot_scores
from neurodyn.report.pictures import DPI, new_figure
from neurodyn.sweep.store import open_results
from neurodyn.writing import replace_atomically, write_text

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Comparisons:
    """The first method of a sweep beside each other one, in one setting.

    Parameters
    ----------
    setting, method
        What is compared with the others.
    others
        By name; p values are corrected for their number.
    left_out
        Sessions that lack a result of a method.

    Examples
    --------
    >>> from neurodyn.sweep import Comparisons
    >>> found = Comparisons("wide", "multiscale", others={}, left_out=("day 3",))  # as compare_methods returns them
    >>> found.method, found.left_out
    ('multiscale', ('day 3',))
    """

    setting: str
    method: str
    others: dict[str, Comparison]
    left_out: tuple[str, ...]


def compare_methods(results: "xr.Dataset") -> list[Comparisons]:
    """Compare the first method with each other one, over sessions, seeds and folds; one entry per setting.

    Only sessions count of which each method has all seeds and folds.

    Parameters
    ----------
    results
        Of `open_results`.

    Raises
    ------
    InputError
        If there is one method only, or no session is complete.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from neurodyn.sweep import compare_methods
    >>> axes, shape = ("session", "setting", "decoder", "seed", "fold"), (4, 1, 2, 1, 5)
    >>> score = np.random.default_rng(0).normal(0.5, 0.02, size=(*shape, 1, 1, 1))
    >>> score[:, :, 0] += 0.3
    >>> arrays = {"score": ((*axes, "estimate", "metric", "dim"), score), "test_bins": (axes, np.full(shape, 20.0))}
    >>> names = {"setting": ["wide"], "decoder": ["multiscale", "ridge"], "estimate": ["filtered"], "metric": ["r2"]}
    >>> results = xr.Dataset(arrays | {"train_bins": (axes, np.full(shape, 80.0))}, names | {"session": list("abcd")})
    >>> compare_methods(results)[0].others["ridge"].verdict()  # of what open_results reads
    'better'
    """
    methods = results["decoder"].to_numpy().tolist()
    if len(methods) < 2:
        raise InputError(f"there is one method, {methods[0]}: nothing to compare it with")
    return [_compared(results.sel(setting=setting), str(setting), methods) for setting in results["setting"].to_numpy()]


def write_report(out: Path) -> Path:
    """Write report.md, table.csv and figure.png into the folder of a sweep.

    Returns
    -------
    Path of report.md.

    Raises
    ------
    InputError
        If there is no sweep, or nothing in it is done.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.cli.options import DecodeOptions
    >>> from neurodyn.sweep import store
    >>> day = nd.sweep.Session("day1", "day1.nwb", digest="9f2c")
    >>> plan = nd.sweep.Plan((day,), {"wide": DecodeOptions(folds=2)}, methods=("ridge",), seeds=(0,))
    >>> found = {"dims": ["x"], "score": [[[0.8], [0.9]]] * 2, "train_bins": 80, "test_bins": 20}
    >>> found |= {"coverage": 0.95, "fit_seconds": 2.0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store.create(pathlib.Path(folder), plan, dims=("x",))
    ...     for task in plan.tasks():  # run_sweep has it done by workers
    ...         store.write(pathlib.Path(folder), [plan.place(task)], task, found)
    ...     print(nd.sweep.write_report(pathlib.Path(folder)).read_text().splitlines()[-1])
    | ridge | 0.800 | 0.800 | 95.0% | 2 |
    """
    results = open_results(out)
    done = np.isfinite(results["fit_seconds"].to_numpy())
    if not done.any():
        raise InputError(f"nothing of the sweep in '{out}' is done yet")
    lines = ["# What the sweep found", "", f"{done.sum()} of {done.size} tasks are done. What was held out is decoded"]
    lines += ["filtered (causally); R² is the mean over the dimensions of the target, folds and seeds."]
    for setting in results["setting"].to_numpy().tolist():
        lines += ["", f"## {setting}", "", *_table(results.sel(setting=setting))]
        lines += _tested(results.sel(setting=setting), setting)
    write_text(out / "report.md", "\n".join(lines) + "\n")
    with replace_atomically(out / "table.csv") as temporary:
        results["score"].to_dataframe().dropna().to_csv(temporary)
    _save_figure(results, out / "figure.png")
    return out / "report.md"


def r2(results: "xr.Dataset") -> "xr.DataArray":
    """Filtered R², mean over the dimensions of the target."""
    return results["score"].sel(estimate="filtered", metric="r2").mean("dim", skipna=False)


def _table(results: "xr.Dataset") -> list[str]:
    methods, sessions = (results[axis].to_numpy().tolist() for axis in ("decoder", "session"))
    score, seconds, covered = r2(results), results["fit_seconds"], results["coverage"]
    lines = [f"| method | {' | '.join(map(str, sessions))} | mean | 95 % interval holds | s per fit |"]
    lines.append("|---" * (len(sessions) + 4) + "|")
    for method in methods:
        scored = score.sel(decoder=method)
        cells = [_number(float(scored.sel(session=session).mean())) for session in sessions]
        holds, taken = (float(each.sel(decoder=method).mean()) for each in (covered, seconds))
        share = "" if np.isnan(holds) else f"{holds:.1%}"
        lines.append(
            f"| {method} | {' | '.join(cells)} | {_number(float(scored.mean()))} | {share} | {_number(taken, 0)} |"
        )
    return lines


def _compared(results: "xr.Dataset", setting: str, methods: Sequence[str]) -> Comparisons:
    score = r2(results).transpose("decoder", "session", "seed", "fold")
    whole = np.isfinite(score.to_numpy()).all(axis=(0, 2, 3))
    sessions = np.asarray(results["session"].to_numpy())
    if not whole.any():
        raise InputError(f"no session has results of every method in the setting '{setting}'")
    values = score.to_numpy()[:, whole]
    ratio = float((results["test_bins"] / results["train_bins"]).mean())
    found = [compare(list(values[0] - other), ratio) for other in values[1:]]
    return Comparisons(
        setting, methods[0], dict(zip(methods[1:], corrected(found), strict=True)), tuple(sessions[~whole].tolist())
    )


def _tested(results: "xr.Dataset", setting: str) -> list[str]:
    """Tests of one setting, or why there are none."""
    methods = results["decoder"].to_numpy().tolist()
    if len(methods) < 2:
        return []
    try:
        return ["", *_sentences(_compared(results, setting, methods))]
    except InputError as error:
        return ["", f"No tests: {error}."]


def _sentences(found: Comparisons) -> list[str]:
    lines = [f"{found.method} beside the others ({found.setting}): difference [95 % interval], p after Holm", ""]
    lines += ["| other method | difference | finding |", "|---|---|---|"]
    lines += [f"| {name} | {each.cell()} | {each.verdict()} |" for name, each in found.others.items()]
    if found.left_out:
        lines += ["", f"Left out, since results are missing: {', '.join(found.left_out)}."]
    return lines


def _save_figure(results: "xr.Dataset", path: Path) -> None:
    """One panel per setting: a dot for each session, seed and fold that is done."""
    settings, methods = (results[axis].to_numpy().tolist() for axis in ("setting", "decoder"))
    figure = new_figure((1.2 + 0.9 * len(methods) * len(settings), 3.6))
    panels = figure.subplots(1, len(settings), squeeze=False, sharey=True)[0]
    for setting, ax in zip(settings, panels, strict=True):
        every = {method: r2(results).sel(setting=setting, decoder=method).to_numpy().ravel() for method in methods}
        finite = {method: values[np.isfinite(values)] for method, values in every.items()}
        label = "R² (filtered, held out)" if ax is panels[0] else ""
        plot_scores({method: values for method, values in finite.items() if len(values)}, label=label, ax=ax)
        ax.set_title(setting, fontsize=9)
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def _number(value: float, places: int = 3) -> str:
    return "" if np.isnan(value) else f"{value:.{places}f}"
