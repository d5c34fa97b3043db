"""Can the strategies that an animal changes between be found in its choices alone, and in how many sessions?"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, left, save_png, table_file
from neurodyn.markov import (
    Categorical,
    Choices,
    EmConfig,
    GeneralHmm,
    choose_states,
    fit_hmm,
    match_states,
    score,
    smooth_states,
)
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
TERMS = ("bias", "stimulus", "last choice", "last choice\nif rewarded")
WEIGHTS = np.array([[0.3, 5.0, 0.2, 0.1], [-1.8, 1.2, 0.3, 0.2], [2.0, 1.4, 0.3, 0.1]])
"""Of the log odds of choosing right: one strategy follows the stimulus, two prefer a side. As Ashwood et al. found."""
STAYS = 0.97
"""Probability of keeping a strategy from one trial to the next."""
CONTRASTS = np.array([-1.0, -0.5, -0.25, -0.125, 0.125, 0.25, 0.5, 1.0])
SHORTEST, LONGEST = 200, 500
"""Trials of a session."""
HELD_OUT = 20
"""Further sessions that everything is scored on."""
COLUMNS = ("sessions", "seed", "chosen", "gain", "gain_choices", "gain_truth", "named", "named_truth", "error")


@dataclass(frozen=True)
class Session:
    """The choices of a session with what they could depend on, and the strategy in each trial."""

    steps: np.ndarray  # (trials, 4): choice, stimulus, last choice, last choice if it was rewarded
    strategy: np.ndarray


def simulated(rng: np.random.Generator) -> Session:
    """One session: what is chosen depends on the last choice, so that it is made trial by trial."""
    trials = rng.integers(SHORTEST, LONGEST + 1)
    steps, strategy = np.zeros((trials, 4)), np.zeros(trials, int)
    state, last, rewarded = rng.integers(3), 0.0, 0.0
    for trial in range(trials):
        if trial and rng.random() > STAYS:
            state = (state + rng.integers(1, 3)) % 3
        stimulus = rng.choice(CONTRASTS)
        inputs = np.array([stimulus, last, rewarded])
        right = rng.random() < 1 / (1 + np.exp(-WEIGHTS[state] @ [1.0, *inputs]))
        steps[trial], strategy[trial] = [right, *inputs], state
        last = 1.0 if right else -1.0
        rewarded = last if right == (stimulus > 0) else 0.0
    return Session(steps, strategy)


def main(argv: list[str] | None = None) -> None:
    """Fit every number of sessions of every animal, and put what was found together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    rows = [
        left(
            given.out / "parts" / f"sessions{sessions}-seed{seed}.json",
            {**config, "sessions": sessions, "seed": seed},
            lambda sessions=sessions, seed=seed: studied(sessions, seed, config),
        )
        for seed in config["seeds"]
        for sessions in config["sessions"]
    ]
    with table_file(given.out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    table = markdown(rows)
    write_text(given.out / "table.md", table)
    fill_readme(given.readme, table)
    save_figure(rows, given.out / "figure.png")


def studied(sessions: int, seed: int, config: dict[str, Any]) -> dict[str, Any]:
    """Models of the choices of one animal: scores in bits per trial above one regression, and what they name."""
    rng = np.random.default_rng([seed, 17])
    test = [simulated(rng) for _ in range(HELD_OUT)]
    train = [simulated(rng).steps for _ in range(sessions)]
    held, choices = [one.steps for one in test], Choices(choices=2)
    em = EmConfig(**{name: config[name] for name in ("restarts", "tolerance", "stickiness")})
    picked = choose_states(
        train, emission=choices, candidates=config["candidates"], folds=config["folds"], seed=seed, config=em
    )
    truth = GeneralHmm(
        np.full(3, 1 / 3),
        np.where(np.eye(3, dtype=bool), STAYS, (1 - STAYS) / 2),
        choices,
        {"weights": WEIGHTS[:, None]},
    )
    one, three = (fit_hmm(train, states, emission=choices, seed=seed, config=em).hmm for states in (1, 3))
    blind = fit_hmm(choices_alone(train), 3, emission=Categorical(2, concentration=1.1), seed=seed, config=em).hmm
    order = match_states(three, truth, held)
    weights = three.parameters["weights"][order, 0]
    usual = score(one, held)
    return {
        "sessions": sessions,
        "seed": seed,
        "chosen": picked.chosen,
        "gain": in_bits(score(three, held) - usual),
        "gain_choices": in_bits(score(blind, choices_alone(held)) - usual),
        "gain_truth": in_bits(score(truth, held) - usual),
        "named": share_named(three, test, order),
        "named_truth": share_named(truth, test, np.arange(3)),
        "error": float(np.sqrt(np.mean((weights - WEIGHTS) ** 2))),
        "weights": weights.tolist(),
    }


def choices_alone(sessions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The choices of each session, as symbols."""
    return [steps[:, 0].astype(int) for steps in sessions]


def in_bits(nats: float) -> float:
    """Nats as bits."""
    return float(nats / np.log(2))


def share_named(hmm: GeneralHmm, test: Sequence[Session], order: np.ndarray) -> float:
    """Share of the held-out trials whose strategy is the most probable one, given the whole session."""
    found = smooth_states(hmm, [one.steps for one in test])[..., order].argmax(axis=-1)
    right = [row[: len(one.strategy)] == one.strategy for row, one in zip(found, test, strict=True)]
    return float(np.concatenate(right).mean())


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Means over animals by the number of sessions."""
    head = (
        "sessions | three states chosen | bits per trial above one regression: 3 states | "
        "same, states of choices alone | same, true model | trials named, % | by the true model, % | error of weights"
    )
    lines = [f"| {head} |", "|---" * 8 + "|"]
    for sessions in sorted({row["sessions"] for row in rows}):
        mine = [row for row in rows if row["sessions"] == sessions]
        mean = {name: float(np.mean([row[name] for row in mine])) for name in COLUMNS}
        right = sum(row["chosen"] == 3 for row in mine)
        bits = " | ".join(f"{mean[name]:+.3f}" for name in ("gain", "gain_choices", "gain_truth"))
        named = " | ".join(f"{100 * mean[name]:.1f}" for name in ("named", "named_truth"))
        lines.append(f"| {sessions} | {right} of {len(mine)} | {bits} | {named} | {mean['error']:.2f} |")
    return "\n".join(lines) + "\n"


def save_figure(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Weights of each strategy as they were found from the most sessions, a dot per animal, and as they are."""
    most = max(row["sessions"] for row in rows)
    found = np.asarray([row["weights"] for row in rows if row["sessions"] == most])
    figure = new_figure((7, 4))
    ax, place = figure.add_subplot(), np.arange(len(TERMS))
    for state, name in enumerate(("follows the stimulus", "prefers left", "prefers right")):
        shift = place + 0.2 * (state - 1)
        for animal in found:
            ax.plot(shift, animal[state], "o", color=f"C{state}", markersize=4, alpha=0.6)
        ax.plot(shift, WEIGHTS[state], "_", color="black", markersize=16, markeredgewidth=2)
        ax.plot([], [], "o", color=f"C{state}", label=name)
    ax.plot([], [], "_", color="black", label="true", markeredgewidth=2)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xticks(place, TERMS)
    ax.set_ylabel("weight (log odds of choosing right)")
    ax.set_title(f"{most} sessions each, {len(found)} animals")
    ax.legend(frameon=False)
    save_png(figure, path)


if __name__ == "__main__":
    main()
