"""A small causal transformer on the binned observations, trained as the recurrent baseline is.

It reads what `CausalGru` reads: all modalities side by side, zero where a sample is missing, with the share of channels
observed and the age of the last sample. Blocks of self-attention over the last bins stand where the gated unit stands
(:mod:`neurodyn.recurrent.attention`); windows, hidden samples, clipped gradients, early stopping on blocks of time kept
out, and the read-out of mean and variance are the same (:mod:`neurodyn.recurrent`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from neurodyn.baselines.trained import TrainedNetwork
from neurodyn.given import argument_named, count

if TYPE_CHECKING:
    from neurodyn.recurrent import Attention, RecurrentConfig

UNITS = 64
"""Of the state where no configuration is given: half of the gated unit's, since a block has eight matrices of them."""


@dataclass(frozen=True, repr=False)
class CausalTransformer(TrainedNetwork):
    """Blocks of causal self-attention from the observations to the target, which says of itself how far it may be off.

    An estimate depends on the values of the last ``blocks * (reach - 1) + 1`` bins (99 as usual), on those before it
    through the age of the last sample alone. It starts anew in every trial, at the first of its context bins, and has
    no smoothed estimate.

    Parameters
    ----------
    config
        Sizes and course of the training; its ``hidden`` are the units of the embedding and of all states, its
        ``embedding`` has no part. None: one member of 64 units.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.
    steps, seed
        Instead of those of ``config``, or of its defaults.
    blocks
        Of attention and two layers each.
    heads
        Of each block, a divisor of the units.
    reach
        Bins that a head sees, the present one included.

    References
    ----------
    Vaswani et al. (2017), Attention is all you need, NeurIPS. Ye & Pandarinath (2021), Representation learning for
    neural population activity with neural data transformers, Neurons, Behavior, Data analysis, and Theory 5(3).

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=1.0), seed=0)
    >>> from neurodyn.recurrent import RecurrentConfig
    >>> config = RecurrentConfig(hidden=8, members=1, steps=4)
    >>> fitted = nd.baselines.CausalTransformer(config, progress=False, heads=2, reach=10).fit(batch)
    >>> fitted.predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    label: ClassVar[str] = "transformer"
    blocks: int = field(default=2, kw_only=True)
    heads: int = field(default=4, kw_only=True)
    reach: int = field(default=50, kw_only=True)

    @classmethod
    def beside(cls, config: "RecurrentConfig | None") -> "CausalTransformer":
        """The baseline of a decoder with a recurrent network: its course and seed, one member, units as usual."""
        given = None if config is None else replace(config, members=1, hidden=UNITS)
        return cls(given, progress=False)

    def _usual(self) -> "RecurrentConfig":
        from neurodyn.recurrent import RecurrentConfig

        return RecurrentConfig(hidden=UNITS, members=1)

    def _body(self) -> "Attention":
        from neurodyn.recurrent import Attention

        names = ("blocks", "heads", "reach")
        return Attention(**{name: argument_named(name, count, getattr(self, name)) for name in names})

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield from super()._facts()
        yield "attention", f"{self.blocks} blocks of {self.heads} heads, each over {self.reach} bins"
