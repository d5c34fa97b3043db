"""Does one time-dropout mask per batch decode as well as one per trial?"""

from dataclasses import replace
from pathlib import Path

from experiments.collect import read_runs, write_results
from experiments.command import arguments, configuration
from neurodyn.cli.demo import SIZES, build_study
from neurodyn.cli.study import MULTIMODAL, Study, run_study
from neurodyn.evaluation import Method
from neurodyn.multiscale import MultiscaleDecoder

FOLDER = Path(__file__).parent


def main(argv: list[str] | None = None) -> None:
    """Run the study of `neurodyn demo` with both kinds of masks for each seed, and put the summaries together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    folders = {f"seed {seed}": given.out / f"seed{seed}" for seed in config["seeds"]}
    for seed, folder in zip(config["seeds"], folders.values(), strict=True):
        sizes = replace(SIZES, **config["sizes"])
        run_study(both_kinds(build_study(sizes, folds=config["folds"], seed=seed, jobs=config["jobs"])), folder)
    write_results(read_runs(folders), given.out, readme=given.readme, metric="correlation", title="Time dropout")


def both_kinds(study: Study) -> Study:
    """The study with the multimodal decoder trained in both ways, and the baseline."""
    # Without the GRU, which has no such masks, and without single modalities.
    multimodal, ridge = (next(m for m in study.methods if m.name == name) for name in (MULTIMODAL, "ridge"))
    model = multimodal.decoder
    assert isinstance(model, MultiscaleDecoder)
    per_trial = replace(model, objective=replace(model.objective, time_dropout_per_trial=True))
    methods = (
        Method("mask per batch", model, multimodal.modalities, stream=True),
        Method("mask per trial", per_trial, multimodal.modalities),
        ridge,
    )
    return replace(study, methods=methods, title="One time-dropout mask per batch, or one per trial")


if __name__ == "__main__":
    main()
