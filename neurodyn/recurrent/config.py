"""Settings of a gated recurrent read-out: sizes, what training hides, and how long it trains."""

from dataclasses import dataclass

from neurodyn.errors import InputError
from neurodyn.given import any_number, count, integer, keep_read


@dataclass(frozen=True)
class RecurrentConfig:
    """A gated recurrent network with several members, and the course of its training.

    Parameters
    ----------
    hidden
        Units of each member.
    members
        Networks that are trained together, each from its own start on its own order of the data and, in the multiscale
        decoder, with its own held-out part (:func:`neurodyn.recurrent.hold_out_in_turn`). Their outputs are averaged,
        and how far they lie apart is part of the variance.
    embedding
        Units of a linear layer between the observations and the gates, which keeps the number of weights proportional
        to the number of channels; None: as many as there are inputs, at most 64.
    dropout
        Probability with which an input, and a unit in front of the read-out, is set to zero in training.
    hidden_probability
        Probability with which a modality is hidden in a bin, in windows in which bins are hidden at random.
    hidden_windows
        Share of a modality's windows in which bins are hidden: in half of them at random, in the other half one burst
        that is between one bin and the whole window long.
    windows_without_channels
        Share of a modality's windows in which channels are hidden throughout: each with a probability that is drawn
        evenly between zero and nine tenths for the window, so that all of a few channels may go.
    window
        Bins of a training window; gradients do not reach further back.
    batch
        Windows of each member per step.
    learning_rate
        Of Adam.
    steps
        Most steps.
    validate_every
        Steps between two validations.
    patience
        Validations without improvement before training stops.
    average
        Decay per step of the running average of the weights, which is what is validated and kept.
    clip
        Bound on the norm of the gradient of each member.
    seed
        Of weights, windows and dropout.

    Examples
    --------
    >>> import neurodyn as nd
    >>> small = nd.recurrent.RecurrentConfig(hidden=32, members=1, steps=200)
    >>> small.embedded(10), small.embedded(200)
    (10, 64)
    """

    hidden: int = 128
    members: int = 4
    embedding: int | None = None
    dropout: float = 0.3
    hidden_probability: float = 0.3
    hidden_windows: float = 0.25
    windows_without_channels: float = 0.1
    window: int = 100
    batch: int = 32
    learning_rate: float = 2e-3
    steps: int = 1500
    validate_every: int = 100
    patience: int = 4
    average: float = 0.99
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        keep_read(self, count, ["hidden", "members", "window", "batch", "steps", "validate_every", "patience"])
        if self.embedding is not None:
            keep_read(self, count, ["embedding"])
        keep_read(self, integer, ["seed"])
        shares = ["dropout", "hidden_probability", "hidden_windows", "windows_without_channels", "average"]
        keep_read(self, any_number, [*shares, "learning_rate", "clip"])
        for name in shares:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be greater than 0, got {getattr(self, name)}")

    def embedded(self, inputs: int) -> int:
        """Units of the linear layer for so many inputs."""
        return self.embedding or min(inputs, 64)
