"""Frozen, validated settings of a network that is to emulate an HMM, and the scales it is trained at."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from neurodyn.errors import InputError, unknown_name
from neurodyn.given import count, keep_read
from neurodyn.kernels.recurrence import cell_named
from neurodyn.markov import HiddenMarkovModel


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a network.

    Parameters
    ----------
    hidden
        Units.
    inputs
        Dimensions of the Gaussian noise that comes in at every step.
    cell
        A row of `neurodyn.kernels.recurrence.CELLS`: 'relu' (the paper's: no biases), 'tanh', 'gru', 'lstm', ...
    readout_bias
        Whether the read-out has a bias; the paper's has none.

    Examples
    --------
    >>> from neurodyn.emulation import NetworkConfig
    >>> NetworkConfig(hidden=64, cell="gru").state_size, NetworkConfig(hidden=64, cell="lstm").state_size
    (64, 128)
    """

    hidden: int = 150
    inputs: int = 100
    cell: str = "relu"
    readout_bias: bool = False

    def __post_init__(self) -> None:
        cell_named(self.cell)
        keep_read(self, count, ["hidden", "inputs"])

    @property
    def state_size(self) -> int:
        """Entries of a state: one per unit, two where a cell keeps a memory beside its output."""
        return cell_named(self.cell).parts * self.hidden


class Objective(StrEnum):
    """What a gradient step makes smaller; README.md says why there are two.

    Examples
    --------
    >>> from neurodyn.emulation import Objective
    >>> [objective.value for objective in Objective]
    ['divergence', 'energy']
    """

    DIVERGENCE = "divergence"
    """Debiased Sinkhorn divergence of the two batches: the paper's."""

    ENERGY = "energy"
    """Energy distance between independent halves of the batches, and the frequencies of short stretches (``ngram``)."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained; as in the paper where nothing else is said.

    Parameters
    ----------
    objective
        What a gradient step makes smaller.
    sequences
        Drawn from the HMM; a third each to train on, to validate with and to test with.
    batch
        Sequences per gradient step, as many generated as drawn from the HMM.
    epochs
        Passes over the training sequences.
    every, shuffled
        Whether sequences that fill no batch are a smaller step at the end of an epoch, instead of being left for
        another one; whether every epoch has another order, instead of that in which they were drawn.
    ngram
        Steps of the short stretches whose frequencies are matched as well by the energy objective (0: none). Long
        sequences that differ in a step are close to each other, so their distance hardly feels a flicker of one step.
    ngram_smoothing
        Share of the mean frequency below which that of a stretch counts for less.
    learning_rate
        Of Adam, at the start.
    final_rate
        Share of it that is left at the end of a cosine; 1: it stays.
    betas
        Decay of Adam's first and second moment.
    clip
        Bound on the global gradient norm.
    average
        Decay per step of the running average of the parameters, which is validated and kept (0: none).
    temperature
        Temperature of the Gumbel softmax whose derivative the sampled symbols take.
    blur, scaling
        Last temperature of the Sinkhorn divergence is ``blur**2``; factor on its root from one to the next.
    validation, at_once
        Sequences of each kind in a validation, and how many of them are compared at once: the divergences of parts of
        so many, and of a smaller last one, are averaged (0: all at once). The divergence of a smaller part is larger.
    validate_every
        Epochs between validations.
    snapshot_every
        Epochs between the snapshots of the parameters that are kept for later analyses (0: none).
    seed
        Seed of the HMM's sequences, the initial weights, the order of the sequences and all noise.

    Examples
    --------
    >>> from neurodyn.emulation import TrainingConfig
    >>> small = TrainingConfig(sequences=300, batch=32, validation=100, every=True, epochs=10)
    >>> small.steps_per_epoch, small.batches
    (4, (32, 32, 32, 4))
    """

    objective: Objective = Objective.DIVERGENCE
    sequences: int = 30_000
    batch: int = 4096
    epochs: int = 500
    every: bool = False
    shuffled: bool = True
    ngram: int = 0
    ngram_smoothing: float = 0.01
    learning_rate: float = 1e-3
    final_rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.9)
    clip: float = 0.9
    average: float = 0.0
    temperature: float = 1.0
    blur: float = 0.2
    scaling: float = 0.5
    validation: int = 4096
    at_once: int = 0
    validate_every: int = 5
    snapshot_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        keep_read(self, count, ["sequences", "batch", "epochs", "validation", "validate_every"])
        for name in ("learning_rate", "clip", "temperature", "blur", "ngram_smoothing"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be greater than 0, got {getattr(self, name)}")
        if not 0 < self.scaling < 1 or not 0 < self.final_rate <= 1:
            raise InputError(f"expected scaling in (0, 1), final_rate in (0, 1], got {self.scaling}, {self.final_rate}")
        if not all(0 <= decay < 1 for decay in (*self.betas, self.average)):
            raise InputError(f"betas and average are decays in [0, 1), got {self.betas} and {self.average}")
        for name in ("snapshot_every", "ngram", "at_once"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("batch", "validation"):
            if getattr(self, name) > self.sequences // 3:
                raise InputError(
                    f"{name} is {getattr(self, name)}, more than the {self.sequences // 3} sequences there are (a "
                    f"third of {self.sequences}): use a smaller {name} or more sequences"
                )
        if self.objective is Objective.ENERGY and min(self.batches) < 2:
            raise InputError(
                f"the energy objective needs halves of a batch: each must have at least 2 sequences, got {self.batches}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps in one pass over the training sequences."""
        return len(self.batches)

    @property
    def batches(self) -> tuple[int, ...]:
        """Sequences of each gradient step of an epoch."""
        full, left = divmod(self.sequences // 3, self.batch)
        return (self.batch,) * full + ((left,) if self.every and left else ())


@dataclass(frozen=True)
class EmulationConfig:
    """Everything that makes a trained network reproducible from its HMM.

    Examples
    --------
    >>> import dataclasses
    >>> from neurodyn.emulation import EmulationConfig, NetworkConfig, TrainingConfig
    >>> config = EmulationConfig(NetworkConfig(hidden=64), TrainingConfig(epochs=10))
    >>> EmulationConfig.from_dict(dataclasses.asdict(config)) == config
    True
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "EmulationConfig":
        """Rebuild the settings from ``dataclasses.asdict``, also after a way through JSON."""
        training = dict(entries["training"])
        training["objective"] = Objective(training["objective"])
        training["betas"] = tuple(training["betas"])
        return cls(NetworkConfig(**entries["network"]), TrainingConfig(**training))


def paper(hmm: HiddenMarkovModel) -> TrainingConfig:
    """The paper's settings, which differ between its families (recognised by the name of the model)."""
    fully, ring = hmm.name.startswith("fully_connected"), hmm.name.startswith("cycle")
    return TrainingConfig(
        epochs=1000 if fully else 500, clip=0.3 if fully or ring else 0.9,
        every=True, shuffled=False, validation=10_000, at_once=4096, validate_every=1, snapshot_every=1,
    )  # fmt: skip


def laptop(hmm: HiddenMarkovModel) -> TrainingConfig:
    """As many sequences, small batches whose objective has no bias, fewer epochs; README.md says what was tried."""
    config = replace(
        TrainingConfig(clip=paper(hmm).clip),
        objective=Objective.ENERGY, ngram=4, batch=256, epochs=70,
        learning_rate=3e-3, final_rate=0.05, betas=(0.9, 0.99), average=0.998, snapshot_every=1,
    )  # fmt: skip
    if hmm.name.startswith("fully_connected"):  # a plateau first, as in the paper
        config = replace(config, epochs=140, average=0.999, snapshot_every=2)
    if hmm.name.startswith("cycle"):  # states share symbols: longer stretches distinguish them
        config = replace(config, ngram=6)
    return config


def smoke(hmm: HiddenMarkovModel) -> TrainingConfig:
    """Shows in seconds that everything works, and trains nothing worth keeping."""
    return replace(laptop(hmm), sequences=768, batch=64, validation=128, epochs=2, validate_every=1)


SCALES: dict[str, Callable[[HiddenMarkovModel], TrainingConfig]] = {"paper": paper, "laptop": laptop, "smoke": smoke}
"""The scales by name."""


def training_at(scale: str, hmm: HiddenMarkovModel) -> TrainingConfig:
    """Settings of a scale for an HMM.

    Raises
    ------
    InputError
        If there is no scale of that name.

    Examples
    --------
    >>> import neurodyn as nd
    >>> hmm = nd.markov.linear_chain(2)
    >>> [nd.emulation.training_at(scale, hmm).objective.value for scale in ("smoke", "laptop", "paper")]
    ['energy', 'energy', 'divergence']
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    return SCALES[scale](hmm)
