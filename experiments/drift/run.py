"""What does it cost when channels drift after training, and does putting them back help?"""

import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import neurodyn as nd
from experiments.command import arguments, configuration, fill_readme, table_file
from experiments.decoders.data import FILES, load
from neurodyn.evaluation import r2
from neurodyn.realtime import DriftPolicy
from neurodyn.realtime.drift import ChannelDrift
from neurodyn.simulation import ForagingSettings, simulate_foraging
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
SIMULATED = "simulated"
LOUDER, MOVED, KEPT = 0.7, 1.0, 0.3
"""Largest change of a field's gain (logarithm), deviation of its shift (standard deviations), and the least share of a
unit's spikes that are still there."""


def main(argv: list[str] | None = None) -> None:
    """Decode the later part of each session bin by bin: as it is and drifted, as it comes and put back."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    rows = [row for name, batch in sessions(config) for row in decoded(name, batch, config)]
    given.out.mkdir(parents=True, exist_ok=True)
    with table_file(given.out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table = markdown(rows)
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)


def sessions(config: dict[str, Any]) -> Iterator[tuple[str, nd.MultimodalBatch]]:
    """The recordings that are there, then a simulated session."""
    folder = os.environ.get("NEURODYN_DATA")
    for name in config["recordings"]:
        if folder and (Path(folder) / FILES[name]).is_file():
            yield name, load(name, Path(folder))
        else:
            print(f"{name} is left out: {FILES[name]} is not in the folder NEURODYN_DATA", file=sys.stderr)
    session = simulate_foraging(ForagingSettings(seconds=config["simulated"]), seed=0)
    yield SIMULATED, nd.to_bins(session, width=0.05, modalities=[nd.Spikes(), nd.Field()], target="position")


def decoded(name: str, batch: nd.MultimodalBatch, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each seed, way to drift and way to decode."""
    fold = nd.binning.holdout(batch, 1 - config["trained"])
    model = nd.MultiscaleDecoder(progress=False)
    if config["epochs"] is not None:
        model = replace(model, training=replace(model.training, epochs=config["epochs"]))
    model = model.fit(fold.train)
    told = DriftPolicy(memory=config["memory"])
    for seed in config["seeds"]:
        for what, test in (("as recorded", fold.test), ("drifted", drifted(fold, seed))):
            if what == "as recorded" and seed != config["seeds"][0]:
                continue  # nothing is drawn in it
            for way, policy in (("as it comes", told), ("put back", replace(told, adapt=True))):
                score, channels = stepped(model, test, policy)
                print(f"{name}, seed {seed}, {what}, {way}: R2 {score:.3f}", file=sys.stderr, flush=True)
                yield {"session": name, "seed": seed, "channels": what, "decoded": way, "r2": score, "told": channels}


def drifted(fold: nd.binning.Fold, seed: int) -> nd.MultimodalBatch:
    """The test part with other gains and shifts of its fields, and units that have lost a share of their spikes."""
    rng, test, observations = np.random.default_rng(seed), fold.test, dict(fold.test.observations)
    for row in test.modalities:
        values, kept = test.observations[row.name], test.observed[row.name]
        if row.counts:
            share = rng.uniform(KEPT, 1.0, row.n_channels)
            changed = rng.binomial(values.astype(np.int64), share)
        else:
            inside = fold.train.in_trials()
            seen = np.where(kept[inside], values[inside].astype(np.float64), np.nan)
            mean, spread = np.nanmean(seen, axis=0), np.nanstd(seen, axis=0)
            gain = np.exp(rng.uniform(-LOUDER, LOUDER, row.n_channels))
            changed = mean + gain * (values - mean) + spread * rng.normal(0, MOVED, row.n_channels)
        observations[row.name] = np.where(kept, changed, 0.0).astype(values.dtype)
    return replace(test, observations=observations)


def stepped(model: Any, test: nd.MultimodalBatch, policy: DriftPolicy) -> tuple[float, int]:
    """Mean R2 of a live decoder over the test part, and how many channels were told to have drifted."""
    live, events = model.realtime(), list[str]()
    drift = ChannelDrift(live, lambda kind, name, text: events.append(text), policy)
    first, last = int((test.starts).min()), int((test.starts + test.lengths).max())
    seen = {name: np.where(test.observed[name], test.observations[name], np.nan) for name in test.names}
    target = np.full((len(test.time), test.n_dims), np.nan)
    for at in range(first, last):
        values = {name: rows[at] for name, rows in seen.items()}
        target[at] = live.step(drift.adapted(values), float(test.time[at])).target
        drift.learn(values)
    scored = np.zeros(len(test.time), bool)
    for start, bins, lead in zip(test.starts, test.lengths, test.lead, strict=True):
        scored[start + lead : start + bins] = True
    scored &= test.target_observed
    return float(np.mean(r2(test.target[scored].astype(np.float64), target[scored]))), drift.told


def markdown(rows: list[dict[str, Any]]) -> str:
    """Means over seeds."""
    ways = [
        ("as recorded", "as it comes"),
        ("as recorded", "put back"),
        ("drifted", "as it comes"),
        ("drifted", "put back"),
    ]
    lines = [
        "| session | as recorded | as recorded, put back | drifted | drifted, put back | "
        "told, as recorded | told, drifted |",
        "|---" * 7 + "|",
    ]
    for name in dict.fromkeys(row["session"] for row in rows):
        found = {way: [r for r in rows if (r["session"], r["channels"], r["decoded"]) == (name, *way)] for way in ways}
        scores = [f"{np.mean([r['r2'] for r in each]):.3f}" for each in found.values()]
        told = [f"{np.mean([r['told'] for r in found[way]]):.0f}" for way in ways[::2]]
        lines.append(f"| {name} | {' | '.join(scores + told)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
