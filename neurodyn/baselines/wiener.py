r"""The Wiener filter: linear regression of the target on the last bins of every channel.

.. math::
    \hat y_t = b + \sum_{k=0}^{K-1} W_k x_{t-k}

with the observations :math:`x`, their mean where they are missing, and masks beside them
(:mod:`neurodyn.baselines.lagged`). The number of lags and the penalties are chosen on blocks of time left out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from neurodyn.baselines.base import BaselineDecoder, Decoded, FittedOn, check_target, decoded_by, facts_of
from neurodyn.baselines.lagged import LaggedFilter, LaggedInputs, fit_filter, numbers_of_bins
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.display import listed, several
from neurodyn.targets.linear import DEFAULT_PENALTIES, LinearTarget

if TYPE_CHECKING:
    from neurodyn.baselines.live import LiveFilter

Filter = TypeVar("Filter", bound="WienerFilter")
Output = Callable[[Float[np.ndarray, "*bins dims"]], Float[np.ndarray, "*bins dims"]]
"""What becomes of the output of the linear filter, in the unit of the target."""


@dataclass(frozen=True, repr=False)
class LaggedFit(FittedOn):
    """A fitted filter.

    Attributes
    ----------
    inputs, linear
        What the filter is applied to, and its weights.
    output
        What follows it.
    deviation
        Root mean squared error of each dimension on the blocks left out.
    """

    inputs: LaggedInputs
    linear: LinearTarget
    output: Output
    deviation: Float[np.ndarray, " dims"]


@dataclass(frozen=True, repr=False)
class WienerFilter(BaselineDecoder[LaggedFit]):
    """Linear regression of the target on the samples of the last bins.

    It starts anew in every trial, at the first of its context bins; context bins are neither fitted nor scored. The
    deviation is the error on the blocks of the training data that were left out, the same for all bins.

    Parameters
    ----------
    lags
        Numbers of bins to choose from, the present one included.
    penalties
        Penalties to choose from, per target dimension.
    blocks
        Number of contiguous blocks of the training data; each is left out once to choose lags and penalties by.
    root_counts
        Take the square root of Poisson counts first, which evens out their variance (Anscombe 1948).
    fitted_
        What a fit found; None before.

    References
    ----------
    Wiener (1949), Extrapolation, interpolation, and smoothing of stationary time series. Carmena et al. (2003),
    Learning to control a brain-machine interface for reaching and grasping by primates, PLoS Biology 1(2). Glaser et
    al. (2020), Machine learning for neural decoding, eNeuro 7(4).

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=8, seconds=1.0), seed=0)
    >>> fitted = nd.baselines.WienerFilter((3, 10)).fit(batch)
    >>> fitted.lags_, fitted.predict(batch)["target"].dims
    (10, ('trial', 'time', 'dim'))
    """

    smooths: ClassVar[bool] = False
    lags: tuple[int, ...] = (5, 10, 20)
    penalties: tuple[float, ...] = field(default=DEFAULT_PENALTIES, kw_only=True)
    blocks: int = field(default=10, kw_only=True)
    root_counts: bool = field(default=True, kw_only=True)
    fitted_: LaggedFit | None = field(default=None, repr=False, kw_only=True)

    def fit(self: Filter, batch: MultimodalBatch) -> Filter:
        """Fit the filter to the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are left out of the regression, not of the lags.

        Returns
        -------
        A fitted copy; this estimator stays as it is.

        Raises
        ------
        InputError
            If there is no target, a dimension is constant, there are too few bins, or lags or penalties cannot be used.
        """
        check_target(check_batch(batch))
        found = fit_filter(
            batch, numbers_of_bins(self.lags), penalties=self.penalties, blocks=self.blocks,
            root_counts=self.root_counts,
        )  # fmt: skip
        output, deviation = self._fit_output(found)
        fitted = LaggedFit(
            **facts_of(batch), inputs=found.inputs, linear=found.linear, output=output, deviation=deviation
        )
        return replace(self, fitted_=fitted)

    def decode_batch(self, fitted: LaggedFit, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        decoded = decoded_by(fitted.linear.predict, len(fitted.dims), fitted.inputs.features(batch), batch)
        return fitted.output(decoded), fitted.deviation

    def realtime(self) -> "LiveFilter":
        """A decoder that takes one bin at a time, equal to :meth:`predict`.

        Raises
        ------
        InputError
            If not fitted.

        Examples
        --------
        >>> import neurodyn as nd
        >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=8, seconds=1.0), seed=0)
        >>> live = nd.baselines.WienerFilter((3,)).fit(batch).realtime()
        >>> live.step({name: values[0] for name, values in batch.observations.items()}, t=0.01).target.shape
        (3,)
        """
        from neurodyn.baselines.live import LiveFilter

        return LiveFilter(self._require())

    @property
    def lags_(self) -> int:
        """Number of bins, as chosen."""
        return self._require().inputs.lags

    def _fit_output(self, found: LaggedFilter) -> tuple[Output, Float[np.ndarray, " dims"]]:
        """What follows the linear filter, and the root mean squared error on the blocks left out."""
        return _as_it_is, np.sqrt(np.diag(found.linear.residual_covariance))

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            yield "weights", f"{fitted.linear.weights.shape[0]:,} inputs per dimension"
            yield "lags", f"{fitted.inputs.lags} bins, chosen from {several(self.lags)}"
            yield "masks", listed(fitted.inputs.masked) or "none: no modality is missing often"
        else:
            yield "lags", f"{several(self.lags)} bins"
        yield "penalties", f"{len(self.penalties)}, chosen over {self.blocks} blocks of the training data"


def _as_it_is(decoded: Float[np.ndarray, "*bins dims"]) -> Float[np.ndarray, "*bins dims"]:
    return decoded
