"""One row of the table of modalities."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from neurodyn.binning.likelihoods import LIKELIHOODS
from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError, unknown_name


@dataclass(frozen=True, repr=False)
class Modality(Shown):
    """One row of the table of modalities.

    Parameters
    ----------
    name
        Key of the modality in `MultimodalBatch.observations`.
    likelihood
        Name of one in :data:`neurodyn.binning.likelihoods.LIKELIHOODS`: ``"poisson"`` for counts, ``"gaussian"`` for
        real values, or one that was added.
    channels
        One label per channel.
    sample_every
        Bins from one sample to the next: 1 is observed in every bin, 5 in one bin of five.
    unit
        Of the values, for display and to tell recordings apart; empty if not known.
    rate
        Hertz of the signal that features were made from; None for counts, or if not known. Rates of two recordings
        differ in the last digits, so that it is not compared here but, with a tolerance, where a stream is opened.

    Raises
    ------
    InputError
        For an unknown likelihood, no channels or a `sample_every` below 1.

    Examples
    --------
    >>> import neurodyn as nd
    >>> lfp = nd.Modality("lfp", likelihood="gaussian", channels=("CA1", "CA3"), sample_every=5, unit="V")
    >>> lfp.n_channels, lfp.counts
    (2, False)
    """

    name: str
    likelihood: str
    channels: tuple[str, ...]
    sample_every: int = 1
    unit: str = ""
    rate: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(str(channel) for channel in self.channels))
        if self.likelihood not in LIKELIHOODS:
            raise unknown_name(f"likelihood of modality '{self.name}'", str(self.likelihood), LIKELIHOODS)
        if not self.channels:
            raise InputError(f"modality '{self.name}' has no channels: give it at least one or leave it out")
        if self.sample_every < 1:
            raise InputError(f"modality '{self.name}': sample_every must be at least 1 bin, got {self.sample_every}")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def counts(self) -> bool:
        """Whether the observations are counts of events per bin; if not, they are real values."""
        return LIKELIHOODS[self.likelihood].counts

    def _title(self) -> str:
        return f"Modality '{self.name}': {self.in_short()}"

    def in_short(self) -> str:
        """Channels, likelihood, sampling and unit."""
        sampling = f", a sample every {self.sample_every} bins" if self.sample_every > 1 else ""
        unit = f", {self.unit}" if self.unit else ""
        return f"{pluralised(self.n_channels, 'channel')}, {self.likelihood}{sampling}{unit}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "channels", listed(self.channels)
