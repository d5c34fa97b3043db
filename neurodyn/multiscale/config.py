"""Frozen, validated settings of the model, its objective and its training; saved with every model."""

from dataclasses import dataclass, field

from neurodyn.binning.likelihoods import likelihood
from neurodyn.errors import InputError
from neurodyn.given import any_number, count, duration, integer, keep_read, parse_sequence, real
from neurodyn.recurrent.config import RecurrentConfig

STARTS = ("modes", "paper")
READOUTS = ("states", "backbone")


@dataclass(frozen=True)
class ModalityConfig:
    """One row of the modality table.

    Parameters
    ----------
    name
        Key of the modality in every dictionary of observations.
    channels
        Number of channels.
    likelihood
        Name of a likelihood in the table: 'poisson' (counts), 'gaussian' (field features) or one added.
    encoder, decoder
        Widths of the hidden layers.
    smoothness
        Weight of the divergence between consecutive smoothed outputs.
    raw
        Whether counts enter the encoder as they are, as in the paper; if not, z-scored.
    learned_variance
        Whether each channel of a field has a variance that is learned, instead of one (z-scored).

    Examples
    --------
    >>> from neurodyn.multiscale.config import ModalityConfig
    >>> lfp = ModalityConfig("lfp", channels=32, likelihood="gaussian", encoder=(64,), decoder=(64,))
    >>> lfp.name, lfp.encoder, lfp.smoothness
    ('lfp', (64,), 0.0)
    """

    name: str
    channels: int
    likelihood: str
    encoder: tuple[int, ...] = (128, 128, 128)
    decoder: tuple[int, ...] = (128, 128, 128)
    smoothness: float = 0.0
    raw: bool = False
    learned_variance: bool = False

    def __post_init__(self) -> None:
        if likelihood(self.likelihood).scaled and self.raw:
            raise InputError(f"only counts can enter raw, modality {self.name} is {self.likelihood}")
        if self.learned_variance and not likelihood(self.likelihood).scaled:
            raise InputError(
                f"counts have no variance of their own to learn, modality {self.name} is {self.likelihood}"
            )
        _at_least_zero("smoothness of modality " + self.name, self.smoothness)
        _positive("channels of modality " + self.name, self.channels)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and starting point of the model.

    Parameters
    ----------
    latent
        Dimensions of the backbone's state.
    modality_state
        Dimensions of each modality's own state.
    embedding
        Dimensions of each modality's embedding and of the fused one.
    target
        Dimensions of the behavioural target (0: none).
    fusion
        Widths of the hidden layers of the fusion network.
    memory
        Shortest and longest starting time constant of the latent modes, in bins, spaced geometrically.
    traces
        Time constants of the fading memory of the observations that the target is also read out from, in bins.
    skip
        Whether encoders and fusion carry a linear path around the hidden layers.
    start
        How the dynamics begin: "modes" of many time constants, or the "paper"'s matrices
        (:class:`neurodyn.multiscale.dynamics.LinearDynamics`).
    readout
        What the target is read out from: all "states", or the "backbone"'s alone by plain regression, as in the paper.

    Examples
    --------
    >>> from neurodyn.multiscale.config import ModalityConfig, ModelConfig
    >>> tables = (ModalityConfig("spikes", 10, "poisson"), ModalityConfig("lfp", 32, "gaussian"))
    >>> model = ModelConfig(tables, latent=8, modality_state=4, traces=(10.0, 50.0))
    >>> model.states, model.n_traces
    ((8, 4, 4), 84)
    """

    modalities: tuple[ModalityConfig, ...]
    latent: int = 32
    modality_state: int = 64
    embedding: int = 32
    target: int = 0
    fusion: tuple[int, ...] = (128,)
    memory: tuple[float, float] = (2.0, 200.0)
    skip: bool = True
    traces: tuple[float, ...] = ()
    start: str = "modes"
    readout: str = "states"

    @property
    def n_traces(self) -> int:
        """Number of traces of the past: time constants times channels of all modalities."""
        return len(self.traces) * sum(m.channels for m in self.modalities)

    @property
    def states(self) -> tuple[int, ...]:
        """Dimensions of each state the model keeps: the backbone's, then each modality's own where there are many."""
        return (self.latent, *((self.modality_state,) * len(self.modalities) if len(self.modalities) > 1 else ()))

    def __post_init__(self) -> None:
        if not self.modalities:
            raise InputError("a model needs at least one modality, got none")
        names = [m.name for m in self.modalities]
        if len(set(names)) < len(names):
            raise InputError(f"modality names must differ, got {', '.join(names)}")
        _positive("latent", self.latent)
        _positive("modality_state", self.modality_state)
        _positive("embedding", self.embedding)
        _one_of("start", self.start, STARTS)
        _one_of("readout", self.readout, READOUTS)
        if self.readout == "backbone" and self.traces:
            raise InputError("a read-out from the backbone alone has no traces: leave them out with traces=()")
        if not all(0 < seconds < float("inf") for seconds in self.traces):
            raise InputError(f"the time constants of the traces must be positive, got {self.traces}")
        if not 0 < self.memory[0] <= self.memory[1]:
            raise InputError(f"memory must be 0 < shortest <= longest (bins), got {self.memory}")


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms of the training objective (spec of MRINE, section Objective; ours: target).

    Parameters
    ----------
    horizons
        Bins ahead that the decoders are scored at; 0 is the smoothed estimate.
    latent_smoothness
        Weight of the divergence between consecutive smoothed latents (first half of dimensions).
    weight_penalty
        Weight of the summed Frobenius norms of the network weights.
    target
        Weight of the squared error of a linear read-out of the target from the filtered latent.
    time_dropout
        Probability that a bin of a modality is hidden during training.
    time_dropout_per_trial
        Whether each trial of a step has its own hidden bins; if not, all share them, so that their covariances are
        computed once: several times faster, and as good (experiments/time_dropout).
    dropout
        Probability that an input channel, or an entry of the fused embedding, is dropped in training.
    score_hidden
        Whether bins hidden by time dropout are scored too (the authors score the visible ones only).
    rescale
        Whether inputs that channel dropout leaves are scaled up by the share that it left of their bin, as those beside
        missing channels are; if not, by 1 / (1 - dropout), as in the paper.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.multiscale.config import ObjectiveConfig
    >>> decoder = nd.MultiscaleDecoder(objective=ObjectiveConfig(target=0.0))  # the target is not learned from
    >>> decoder.objective.horizons
    (0, 1, 2, 3, 4)
    """

    horizons: tuple[int, ...] = (0, 1, 2, 3, 4)
    latent_smoothness: float = 30.0
    weight_penalty: float = 1e-3
    target: float = 10.0
    time_dropout: float = 0.3
    time_dropout_per_trial: bool = False
    dropout: float = 0.25
    score_hidden: bool = True
    rescale: bool = True

    def __post_init__(self) -> None:
        told = f"horizons must be bins >= 0 and at least one, got {self.horizons!r}"
        horizons = parse_sequence(self.horizons, integer, told)
        if min(horizons) < 0:
            raise InputError(told)
        object.__setattr__(self, "horizons", horizons)
        keep_read(self, any_number, ["latent_smoothness", "weight_penalty", "target", "time_dropout", "dropout"])
        for name in ("latent_smoothness", "weight_penalty", "target"):
            _at_least_zero(name, getattr(self, name))
        for name in ("time_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is a probability in [0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train.

    Parameters
    ----------
    epochs
        Passes over the training bins.
    batch
        Trials or segments per step.
    segment
        Longest stretch trained on at once, seconds; longer trials are cut at random places.
    learning_rate
        Low and high end of the triangular cycle.
    half_cycle
        Epochs from the low to the high end.
    decay
        Factor per epoch on the high end.
    stepwise
        Whether the rate moves once per epoch and the decay is that of the cycle's height above the low end, as in the
        paper; if not, it moves with every step.
    clip
        Bound on the global gradient norm.
    validation
        Share of the training bins kept out of the gradient to choose the best parameters by; 0 trains on all of them
        and keeps the last ones.
    average
        Decay per step of the running average of the parameters that is validated and kept (0: none).
    validate_every
        Epochs between validations.
    patience
        Validations without improvement before training stops.
    seed
        Of the initial weights, the order of segments and the dropout masks.
    parallel
        Recursion of logarithmic depth over time, in training and after; None: on accelerators only.

    Examples
    --------
    >>> import neurodyn as nd
    >>> short = nd.TrainingConfig(epochs=5, segment=2.0, seed=1)
    >>> decoder = nd.MultiscaleDecoder(training=short)
    >>> decoder.training.epochs, nd.TrainingConfig().epochs
    (5, 20)
    """

    epochs: int = 20
    batch: int = 16
    segment: float = 10.0
    learning_rate: tuple[float, float] = (1e-3, 1e-2)
    half_cycle: int = 10
    decay: float = 0.99
    stepwise: bool = False
    clip: float = 0.1
    validation: float = 0.15
    average: float = 0.98
    validate_every: int = 5
    patience: int = 10
    seed: int = 0
    parallel: bool | None = None

    def __post_init__(self) -> None:
        keep_read(self, count, ["epochs", "batch", "half_cycle", "validate_every", "patience"])
        keep_read(self, integer, ["seed"])
        keep_read(self, duration, ["segment"])
        keep_read(self, any_number, ["clip", "decay", "validation", "average"])
        for name in ("segment", "clip", "decay"):
            _positive(name, getattr(self, name))
        rates, message = self.learning_rate, f"learning_rate must be 0 < low <= high, got {self.learning_rate!r}"
        if not isinstance(rates, tuple | list) or len(rates) != 2:
            raise InputError(message)
        low, high = (real(rate, message) for rate in rates)
        if not 0 < low <= high:
            raise InputError(message)
        object.__setattr__(self, "learning_rate", (low, high))
        if not 0 <= self.validation < 0.9:
            raise InputError(f"validation is a share of the training data in [0, 0.9), got {self.validation}")
        if not 0 <= self.average < 1:
            raise InputError(f"average is a decay in [0, 1), got {self.average}")


@dataclass(frozen=True)
class DecoderConfig:
    """Everything that makes a fitted model reproducible from its data.

    Examples
    --------
    >>> import dataclasses
    >>> from neurodyn.multiscale.config import DecoderConfig, ModalityConfig, ModelConfig
    >>> config = DecoderConfig(ModelConfig((ModalityConfig("spikes", 10, "poisson"),), latent=8))
    >>> config.training.epochs, dataclasses.asdict(config)["model"]["latent"]
    (20, 8)
    """

    model: ModelConfig
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    recurrent: RecurrentConfig | None = None

    def __post_init__(self) -> None:
        if self.model.readout == "backbone" and self.recurrent is not None:
            raise InputError(
                "a read-out from the backbone alone has no recurrent network: leave it out with recurrent=None"
            )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")


def _positive(name: str, value: int | float) -> None:
    if not value > 0:
        raise InputError(f"{name} must be greater than 0, got {value}")


def _at_least_zero(name: str, value: int | float) -> None:
    if not value >= 0:
        raise InputError(f"{name} must be 0 or more, got {value}")
