"""``neurodyn demo``: the whole flow on a simulated recording, in a few minutes."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from neurodyn.binning import trial_folds
from neurodyn.cli import COMMANDS
from neurodyn.cli.decode import comparison
from neurodyn.cli.parsers import Subparsers, argument, count, seed
from neurodyn.cli.study import Study, run_study


@dataclass(frozen=True)
class DemoSizes:
    """How much is simulated and how large the model is: as much as fits into a few minutes on two cores.

    Parameters
    ----------
    trials, seconds
        Number of trials and their length in seconds.
    field_sample_every
        Bins of 10 ms from one sample of the field to the next.
    missing
        Share of samples lost at random.
    latent, modality_state
        Dimensions of the latent state and of each modality's own.
    encoder, decoder, fusion
        Widths of hidden layers.
    memory
        Shortest and longest starting time constant of the latent modes, seconds.
    epochs
        Passes over the training trials.
    hidden, steps
        Units of each member of the recurrent read-out, and steps of its training; fewer epochs are fewer steps.
    trace_seconds
        Time constants of the baseline's filters, and of the fading memory that the model reads out beside its states:
        the attractor turns in less than a second.
    """

    trials: int = 150
    seconds: float = 1.0
    field_sample_every: int = 5
    missing: float = 0.2
    latent: int = 16
    modality_state: int = 16
    encoder: tuple[int, ...] = (64,)
    decoder: tuple[int, ...] = (32,)
    fusion: tuple[int, ...] = (64,)
    memory: tuple[float, float] = (0.02, 1.0)
    epochs: int = 40
    hidden: int = 64
    steps: int = 600
    trace_seconds: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5)


SIZES = DemoSizes()


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("demo", help=COMMANDS["demo"])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for report.html, summary.json")
    whole = argument(count)
    parser.add_argument("--seed", metavar="N", type=argument(seed), default=0, help="of all randomness (0)")
    parser.add_argument("--folds", metavar="N", type=whole, default=3, help="of the cross-validation (3)")
    parser.add_argument("--trials", metavar="N", type=whole, default=SIZES.trials, help=f"({SIZES.trials})")
    parser.add_argument("--epochs", metavar="N", type=whole, default=SIZES.epochs, help=f"({SIZES.epochs})")
    parser.add_argument("--jobs", metavar="N", type=whole, default=None, help="fits at a time (one per core)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, fit, report and print."""
    sizes = replace(SIZES, trials=arguments.trials, epochs=arguments.epochs)
    study = build_study(sizes, folds=arguments.folds, seed=arguments.seed, jobs=arguments.jobs)
    run_study(study, arguments.out)
    return 0


def build_study(sizes: DemoSizes, *, folds: int, seed: int, jobs: int | None = None) -> Study:
    """Simulated trials, folds of them and the methods; nothing is fitted."""
    from neurodyn.baselines import CausalGru, CausalRidge, ExponentialFilters
    from neurodyn.multiscale import MultiscaleDecoder, TrainingConfig
    from neurodyn.recurrent import RecurrentConfig
    from neurodyn.simulation import LorenzSettings, simulate_lorenz

    settings = LorenzSettings(
        sizes.trials, sizes.seconds, field_sample_every=sizes.field_sample_every, missing=sizes.missing
    )
    batch = simulate_lorenz(settings, seed=seed)
    steps = max(1, min(sizes.steps, sizes.steps * sizes.epochs // SIZES.epochs))
    network = RecurrentConfig(hidden=sizes.hidden, steps=steps, validate_every=min(100, steps), seed=seed)
    model = MultiscaleDecoder(
        latent=sizes.latent, modality_state=sizes.modality_state, encoder=sizes.encoder, decoder=sizes.decoder,
        fusion=sizes.fusion, memory=sizes.memory, traces=sizes.trace_seconds, recurrent=network,
        training=TrainingConfig(epochs=sizes.epochs, seed=seed), progress=False,
    )  # fmt: skip
    return Study(
        title="Simulated recording of a stochastic Lorenz attractor",
        batch=batch,
        folds=tuple(trial_folds(batch, folds, seed=seed)),
        methods=comparison(
            batch.names,
            model,
            {"gru": CausalGru.beside(network), "ridge": CausalRidge(ExponentialFilters(sizes.trace_seconds))},
        ),
        seed=seed,
        jobs=jobs,
        settings={
            "data": f"simulated, {sizes.trials} trials of {sizes.seconds:g} s",
            "field sample": f"one in {sizes.field_sample_every} bins",
            "missing": f"{sizes.missing:.0%} of samples, at random",
            "latent": str(sizes.latent),
            "epochs": str(sizes.epochs),
            "folds": f"{folds} of whole trials",
        },
    )
