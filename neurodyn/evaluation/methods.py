"""What is compared: a decoder, and what it may offer beside fit and predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


@runtime_checkable
class Decoder(Protocol):
    """What a method has to offer to be compared: the model and every baseline do.

    A decoder that only reads the target out, of what it learned without, says so by an attribute ``supervised`` that is
    False.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.evaluation import Decoder
    >>> isinstance(nd.CausalRidge(), Decoder), isinstance(nd.MultiscaleDecoder(), Decoder)
    (True, True)
    """

    def fit(self, batch: MultimodalBatch) -> "Decoder":
        """Return a decoder fitted on the batch."""
        ...

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False) -> "xr.Dataset":
        """Return ``target`` and ``deviation`` (trial x time x dim) in the unit of the target.

        A decoder without smoothed estimates says so by an attribute ``smooths`` that is False.
        """
        ...


SUPERVISED, UNSUPERVISED = "supervised", "unsupervised"
"""Whether the target is in the objective of what is trained, or only read out of what was learned without it."""


def training_of(decoder: Decoder) -> str:
    """Say whether a decoder learns from the target: 'supervised' unless it says otherwise.

    Examples
    --------
    >>> import neurodyn as nd
    >>> training_of(nd.baselines.CausalRidge()), training_of(nd.MultiscaleDecoder.published())
    ('supervised', 'unsupervised')
    """
    return SUPERVISED if getattr(decoder, "supervised", True) else UNSUPERVISED


@runtime_checkable
class FitsMany(Protocol):
    """What a method can offer beside: fits on several batches at once, each as it would be alone.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.evaluation import FitsMany
    >>> isinstance(nd.MultiscaleDecoder(), FitsMany), isinstance(nd.CausalRidge(), FitsMany)
    (True, False)
    """

    def fit_many(self, batches: Sequence[MultimodalBatch], *, together: bool | None = None) -> Sequence[Decoder]:
        """Return a decoder fitted on each batch; ``together=True`` refuses batches that differ in shape."""
        ...

    def faster_together(self, batches: Sequence[MultimodalBatch]) -> bool:
        """Whether that is faster than one fit after the other, on the device that there is."""
        ...


@dataclass(frozen=True, eq=False)
class Method:
    """One row of the comparison.

    Parameters
    ----------
    name
        What it is called in the results.
    decoder
        Not fitted; must pickle if fits run in worker processes.
    modalities
        What it sees.
    stream
        Whether held-out trials are also streamed through ``decoder.realtime()`` and compared, and latents kept.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.CausalRidge()
    >>> methods = [nd.Method("spikes", ridge, ("spikes",)), nd.Method("both", ridge, ("spikes", "field"))]
    >>> result = nd.cross_validate(methods, nd.trial_folds(batch, 3, seed=0))
    >>> result.methods, len(result.results)
    (('spikes', 'both'), 6)
    """

    name: str
    decoder: Decoder
    modalities: tuple[str, ...]
    stream: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError(
                f'the first argument of Method is its name, as in Method("ridge", CausalRidge(), batch.names); got a '
                f"{type(self.name).__name__}"
            )
        if isinstance(self.decoder, type) or not hasattr(self.decoder, "fit") or not hasattr(self.decoder, "predict"):
            kind = self.decoder.__name__ if isinstance(self.decoder, type) else type(self.decoder).__name__
            made = f": make one with {kind}()" if isinstance(self.decoder, type) else ""
            raise InputError(f"method '{self.name}' needs a decoder that fits and predicts, got {kind}{made}")
        names = (self.modalities,) if isinstance(self.modalities, str) else tuple(self.modalities)
        object.__setattr__(self, "modalities", names)
