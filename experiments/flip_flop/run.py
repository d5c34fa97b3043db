"""Does a network that holds three bits have eight stable fixed points, with saddles between them?"""

import csv
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command import arguments, configuration, fill_readme, save_png, table_file
from neurodyn.benchmarks.flip_flop import FlipFlopConfig, FlipFlopNetwork, draw_trials, train_flip_flop
from neurodyn.fixed_points import (
    FixedPoints,
    Linearisation,
    find,
    find_more,
    linearise,
    principal_axes,
    sample_starts,
)
from neurodyn.report.pictures import new_figure
from neurodyn.training import ProgressBar
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
STEP = 1.0
"""The task has no unit of time: seconds in the results are steps."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in one network, and how long each part took in seconds."""

    network: FlipFlopNetwork
    states: np.ndarray
    correct: float
    found: FixedPoints
    missed: int
    linear: Linearisation
    seconds: dict[str, float]

    @property
    def outputs(self) -> np.ndarray:
        """(points, bits) what the network says at each fixed point."""
        return np.asarray(self.network.output(jnp.asarray(self.found.fixed.vectors)))


def main(argv: list[str] | None = None) -> None:
    """Train, search, linearise, and write table.csv, table.md and figure.png."""
    given = arguments(__doc__, FOLDER, argv)
    findings = study(configuration(FOLDER, smoke=given.smoke))
    given.out.mkdir(parents=True, exist_ok=True)
    with table_file(given.out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows(findings)[0]))
        writer.writeheader()
        writer.writerows(rows(findings))
    table = markdown(findings)
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(findings, given.out / "figure.png")
    print(findings.found.table(), file=sys.stderr)


def study(config: dict[str, Any]) -> Findings:
    """Train one network and analyse it without input."""
    settings, clock = FlipFlopConfig(**config["network"]), [time.perf_counter()]
    network = train_flip_flop(settings, ProgressBar("flip-flop"))
    clock.append(time.perf_counter())
    trials = draw_trials(jax.random.key(settings.seed + 1), settings)
    states = np.asarray(network.run(trials.inputs))
    correct = np.mean(np.sign(network.output(jnp.asarray(states))) == np.asarray(trials.targets))
    starts = sample_starts(states, config["starts"], noise=config["noise"], seed=settings.seed, between=0.5)
    silence = jnp.zeros(settings.bits)
    found = find(network.step, starts, silence)
    clock.append(time.perf_counter())
    more = find_more(network.step, found, starts, silence)
    more = more.where(~more.outlier)
    clock.append(time.perf_counter())
    linear = linearise(network.step, found.fixed.states, silence, dt=STEP)
    clock.append(time.perf_counter())
    parts: list[str] = ["training", "search", "deflation", "linearisation"]
    seconds = dict(zip(parts, np.diff(clock).tolist(), strict=True))
    return Findings(
        network=network, states=states, correct=float(correct), found=found, missed=len(more), linear=linear,
        seconds=seconds,
    )  # fmt: skip


def rows(findings: Findings) -> list[dict[str, Any]]:
    """One row per fixed point."""
    found, linear = findings.found.fixed, findings.linear
    slowest = np.abs(linear.eigenvalues[:, 0])
    return [
        {
            "point": i,
            "class": linear.stability[i].value,
            "unstable": int(linear.unstable[i]),
            "largest_eigenvalue": f"{slowest[i]:.5f}",
            "residual": f"{found.residual[i]:.1e}",
            "starts": int(found.starts[i]),
            "output": " ".join(f"{value:+.2f}" for value in findings.outputs[i]),
        }
        for i in range(len(found))
    ]


def markdown(findings: Findings) -> str:
    """Points by class, the codes of the stable ones, and what it took."""
    kinds = [kind.value for kind in findings.linear.stability]
    groups = sorted(set(zip(findings.linear.unstable.tolist(), kinds, strict=True)))
    lines = ["| unstable directions | class | points | bits at 0 |", "|---|---|---|---|"]
    for unstable, kind in groups:
        mine = (findings.linear.unstable == unstable) & (np.array(kinds) == kind)
        undecided = np.mean(np.abs(findings.outputs[mine]) < 0.5, axis=0).sum()
        lines.append(f"| {unstable} | {kind} | {mine.sum()} | {undecided:.1f} |")
    stable = findings.outputs[[kind == "attractor" for kind in kinds]]
    codes = {tuple(np.sign(output).astype(int)) for output in stable}
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in findings.seconds.items())
    config, found = findings.network.config, findings.found
    name = f"{config.cell} {config.hidden}, {config.bits} bits"
    facts = [
        f"- {name}: output of the right sign in {findings.correct:.2%} of steps",
        f"- {len(codes)} of {2**config.bits} codes are held by {len(stable)} attractors, the least certain output "
        f"{np.abs(stable).min(initial=np.inf):.2f}",
        f"- {found.table().splitlines()[-1]}; largest residual of a fixed point {found.fixed.residual.max():.1e}",
        f"- deflation found {findings.missed} more",
        f"- {took}",
    ]
    return "\n".join(["**3-bit flip-flop**: fixed points without input", "", *lines, "", *facts]) + "\n"


def save_figure(findings: Findings, path: Path) -> None:
    """The points in the three main dimensions of the states, with what leaves them, and all eigenvalues."""
    from neurodyn.plotting import plot_eigenvalues, plot_fixed_points

    found, linear = findings.found.fixed, findings.linear
    view = principal_axes(findings.states.reshape(-1, findings.states.shape[-1]), 3)
    figure = new_figure((11, 5))
    ax = figure.add_subplot(1, 2, 1, projection="3d")
    plot_fixed_points(found, linear, trajectories=findings.states[:12], view=view, length=0.7, ax=ax)
    plot_eigenvalues(linear, ax=figure.add_subplot(1, 2, 2))
    figure.suptitle(f"3-bit flip-flop, {findings.network.config.cell} {findings.network.config.hidden}, without input")
    save_png(figure, path, dpi=110)


if __name__ == "__main__":
    main()
