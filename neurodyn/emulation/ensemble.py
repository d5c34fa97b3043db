"""Several networks trained together: the same gradient steps as each alone, one compiled call per epoch for all."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neurodyn.emulation.config import EmulationConfig, NetworkConfig, TrainingConfig, laptop
from neurodyn.emulation.emulator import HmmEmulator, fitted_from, make_folder
from neurodyn.emulation.fitting import Data, Trained, draw_data, identity_of, run_of
from neurodyn.emulation.storage import Snapshots, check_folder, save_fitted
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.training import Placement, Progress, ProgressBar, fit_together


@dataclass(frozen=True)
class Member:
    """One network of an ensemble: the model it is to emulate and its settings, seed included."""

    hmm: HiddenMarkovModel
    config: EmulationConfig

    @property
    def name(self) -> str:
        """Name in messages, and of its folder."""
        return f"{self.hmm.name}_seed{self.config.training.seed}"


def fit_ensemble(
    hmms: HiddenMarkovModel | Sequence[HiddenMarkovModel],
    *,
    seeds: Sequence[int],
    hidden: int = 150,
    inputs: int = 100,
    cell: str = "relu",
    training: TrainingConfig | None = None,
    directory: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> list[HmmEmulator]:
    """Train a network for every model and every seed, all in the same compiled calls.

    Each network is the one that :meth:`HmmEmulator.fit` trains alone, to rounding, whoever its neighbours are. Memory
    grows with the number of networks. For accelerators: on a processor one after the other is faster (README.md).

    Parameters
    ----------
    hmms
        One model, or several with as many symbols and steps per trial, and different names.
    seeds
        Seeds of each model's networks; they replace the seed of ``training``.
    hidden, inputs, cell
        Of every network, see :class:`HmmEmulator`.
    training
        Of every network; the laptop scale of the models if None, which has to be the same for all of them.
    directory
        Folder with one folder per network, ``<model>_seed<seed>``, which ``HmmEmulator.load`` reads and from which an
        interrupted training is resumed, exactly; None: not saved.
    progress
        Whether to show a bar, or what is called after every epoch (mean loss, mean of the best validations).

    Returns
    -------
    Fitted emulators, model by model, the seeds of each in order. Ctrl-C ends the training with what validated best.

    Raises
    ------
    InputError
        If models or seeds are missing, appear twice or do not fit together, or a folder holds another run.
    NumericalError
        If the loss of a network stops being finite before anything of it could be kept.

    Examples
    --------
    >>> import neurodyn as nd
    >>> models = [nd.markov.linear_chain(2), nd.markov.fully_connected(2)]  # of other symbols and trials
    >>> try:
    ...     nd.emulation.fit_ensemble(models, seeds=[0, 1])
    ... except nd.InputError as error:
    ...     print(str(error)[:42])
    models trained together need equal shapes:
    """
    chosen = [hmms] if isinstance(hmms, HiddenMarkovModel) else list(hmms)
    members = members_of(chosen, seeds, NetworkConfig(hidden, inputs, cell), training)
    folders = [_folder_of(member, directory) for member in members]
    data = [draw_data(member.hmm, member.config.training) for member in members]
    identities = [identity_of(m.hmm, m.config, drawn) for m, drawn in zip(members, data, strict=True)]
    _prepare(folders, identities)
    shown = (
        progress if isinstance(progress, Progress) else ProgressBar(f"emulate {_title(members)}") if progress else None
    )
    fitted = []
    for member, trained, identity, folder in zip(
        members, fit_members(members, data, identities, folders, shown), identities, folders, strict=True
    ):
        found = fitted_from(member.hmm, member.config, trained, identity)
        if folder is not None:
            save_fitted(folder, found)
        fitted.append(HmmEmulator(hidden, inputs, cell, member.config.training, bool(progress), fitted_=found))
    return fitted


def members_of(
    hmms: Sequence[HiddenMarkovModel], seeds: Sequence[int], network: NetworkConfig, training: TrainingConfig | None
) -> list[Member]:
    """Every model with every seed, if they can be trained together.

    Raises
    ------
    InputError
        If there is nothing to train, something would be trained twice, or shapes or settings differ.
    """
    if not hmms or not len(seeds):
        raise InputError(f"an ensemble needs at least one model and one seed, got {len(hmms)} and {len(seeds)}")
    _refuse_repeats("models are distinguished by their names", [hmm.name for hmm in hmms])
    _refuse_repeats("networks of one model are distinguished by their seeds", list(seeds))
    if min(seeds) < 0:
        raise InputError(f"seeds must be 0 or more, got {min(seeds)}")
    first, settings = hmms[0], training or laptop(hmms[0])
    for hmm in hmms:
        if (hmm.symbols, hmm.trial_steps) != (first.symbols, first.trial_steps):
            raise InputError(
                f"models trained together need equal shapes: '{first.name}' has {first.symbols} symbols and trials of "
                f"{first.trial_steps} steps, '{hmm.name}' {hmm.symbols} and {hmm.trial_steps}; train them apart"
            )
        _refuse_other_settings(first, settings, hmm, training or laptop(hmm))
    return [Member(hmm, EmulationConfig(network, replace(settings, seed=int(seed)))) for hmm in hmms for seed in seeds]


def fit_members(
    members: Sequence[Member],
    data: Sequence[Data],
    identities: Sequence[dict[str, Any]],
    folders: Sequence[Path | None],
    progress: Progress | None,
) -> list[Trained]:
    """Train the networks; settings agree but for the seed, and shapes are equal."""
    snapshots = [
        Snapshots(folder, member.config.training.snapshot_every)
        for member, folder in zip(members, folders, strict=True)
    ]
    runs = [
        run_of(member.hmm, member.config, drawn, identity, folder, kept)
        for member, drawn, identity, folder, kept in zip(members, data, identities, folders, snapshots, strict=True)
    ]
    names = [member.name for member in members]
    outcomes = fit_together(runs, names, placement=Placement.for_trials(len(members)), progress=progress)
    return [Trained(outcome, kept.all()) for outcome, kept in zip(outcomes, snapshots, strict=True)]


def _folder_of(member: Member, directory: str | os.PathLike[str] | None) -> Path | None:
    if directory is None:
        return None
    if Path(member.name).name != member.name:
        raise InputError(
            f"a network's folder is named after its model, and '{member.hmm.name}' is not a valid name of a folder"
        )
    return Path(directory) / member.name


def _prepare(folders: Sequence[Path | None], identities: Sequence[dict[str, Any]]) -> None:
    """Refuse folders of other runs before any folder is made."""
    pairs = [(folder, identity) for folder, identity in zip(folders, identities, strict=True) if folder is not None]
    for folder, identity in pairs:
        check_folder(folder, identity)
    for folder, _ in pairs:
        make_folder(folder)


def _refuse_repeats(why: str, given: Sequence[Any]) -> None:
    twice = [value for position, value in enumerate(given) if value in given[:position]]
    if twice:
        raise InputError(f"{why}, and {twice[0]!r} comes more than once: leave it out, or give it another")


def _refuse_other_settings(
    first: HiddenMarkovModel, settings: TrainingConfig, hmm: HiddenMarkovModel, other_settings: TrainingConfig
) -> None:
    wanted, found = asdict(settings), asdict(other_settings)
    differing = [name for name in wanted if found[name] != wanted[name]]
    if differing:
        name = differing[0]
        raise InputError(
            f"networks trained together need equal settings: by default {name} is {wanted[name]} for '{first.name}' "
            f"and {found[name]} for '{hmm.name}'; give training= for all of them"
        )


def _title(members: Sequence[Member]) -> str:
    return members[0].name if len(members) == 1 else f"{len(members)} networks"
