"""A Wiener filter or cascade that takes one bin at a time, in NumPy alone."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import Modality
from neurodyn.display import Shown, listed
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import real
from neurodyn.realtime.runner import NORMAL_95

if TYPE_CHECKING:
    from neurodyn.baselines.wiener import LaggedFit


class FilterEstimate(NamedTuple):
    """What a filter says at the end of one bin.

    Attributes
    ----------
    time
        Of the bin's end, seconds, as given to the step.
    target, lower, upper
        (dim,), the decoded target, and the bounds of its central 95 %, in the unit of the target.
    seen
        Modalities of which at least one channel was observed.
    microseconds
        How long the step took.
    """

    time: float
    target: Float[np.ndarray, " dims"]
    lower: Float[np.ndarray, " dims"]
    upper: Float[np.ndarray, " dims"]
    seen: tuple[str, ...]
    microseconds: float


class LiveFilter(Shown):
    """A fitted filter that takes one bin at a time, equal to its ``predict``; made by ``WienerFilter.realtime()``.

    Parameters
    ----------
    fitted
        What the fit of a `WienerFilter` or a `WienerCascade` found.

    Attributes
    ----------
    channel_names
        Labels of the channels of each modality, in their order.
    target_names
        Dimensions of the target.
    width
        Of a bin, seconds.
    """

    def __init__(self, fitted: "LaggedFit") -> None:
        self._fitted = fitted
        self.width, self.target_names = fitted.width, fitted.dims
        self.channel_names = {row.name: row.channels for row in fitted.modalities}
        self._limits = {name: np.asarray(rows) for name, rows in fitted.limits.items()}
        inputs = fitted.inputs
        sizes = [*(row.n_channels for row in fitted.modalities), *(1 for _ in inputs.masked)]
        # Weights stand modality by modality, and lag by lag within each: here lag by lag, modalities side by side.
        edges = np.cumsum([inputs.lags * size for size in sizes])[:-1]
        parts = np.split(fitted.linear.weights, edges)
        stacked = [part.reshape(inputs.lags, size, -1) for part, size in zip(parts, sizes, strict=True)]
        self._weights = np.concatenate(stacked, axis=1).reshape(-1, len(fitted.dims))
        self._lagged = np.zeros((inputs.lags, sum(sizes)))

    def reset(self) -> None:
        """Forget everything seen: the next bin is the first of a trial."""
        self._lagged[:] = 0.0

    def step(self, observations: Mapping[str, Any], t: float) -> FilterEstimate:
        """Take in one bin and return what is known at its end.

        Parameters
        ----------
        observations
            Array (channel) per modality, in the unit of the training data; a modality that is None or left out is
            missing in this bin, and so is a single channel whose value is not finite.
        t
            Time of the bin's end, seconds; passed through.

        Raises
        ------
        InputError
            If a modality is unknown or has another number of channels, or a count is below 0; nothing was taken in.
        """
        if not isinstance(observations, Mapping):
            kind, first = type(observations).__name__, next(iter(self.channel_names))
            raise InputError(f'a bin is a dictionary of modalities, such as {{"{first}": counts}}, got a {kind}')
        real(None if isinstance(t, str) else t, f"t is the time of the bin's end in seconds, a number, got {t!r}")
        begin = time.perf_counter()
        for name in observations:
            if name not in self.channel_names:
                raise unknown_name("modality", name, self.channel_names)
        fitted = self._fitted
        arrays = {row.name: self._values(row, observations.get(row.name)) for row in fitted.modalities}
        seen = tuple(name for name, values in arrays.items() if np.isfinite(values).any())
        lost = [np.asarray([name not in seen], np.float64) for name in fitted.inputs.masked]
        scaled = [np.nan_to_num(self._scaled(row, arrays[row.name]), nan=0.0) for row in fitted.modalities]
        self._lagged[1:] = self._lagged[:-1]
        self._lagged[0] = np.concatenate([*scaled, *lost])
        linear = self._lagged.reshape(1, -1) @ self._weights + fitted.linear.intercept
        target = fitted.output(linear)[0]
        margin = NORMAL_95 * fitted.deviation
        elapsed = 1e6 * (time.perf_counter() - begin)
        return FilterEstimate(t, target, target - margin, target + margin, seen, elapsed)

    def _values(self, row: Modality, given: Any) -> Float[np.ndarray, " channels"]:
        """Values of a modality's channels in single precision, NaN where one is missing.

        Raises
        ------
        InputError
            If they are no numbers, there are more or fewer, or a count is below 0.
        """
        if given is None:
            return np.full(row.n_channels, np.nan, np.float32)
        try:
            with np.errstate(over="ignore"):  # what is beyond single precision is beyond any limit
                values = np.asarray(given, np.float32)
        except (TypeError, ValueError):
            raise InputError(f"expected {row.n_channels} numbers for '{row.name}', got {given!r}") from None
        if values.shape != (row.n_channels,):
            raise InputError(f"expected {row.n_channels} channels of '{row.name}', got shape {values.shape}")
        values = np.where(np.isfinite(values), values, np.float32(np.nan))
        if row.counts and (values < 0).any():
            raise InputError(f"counts of '{row.name}' must be 0 or more, got {np.nanmin(values):g}")
        low, high = self._limits[row.name]
        return np.where((values < low) | (values > high), np.float32(np.nan), values)

    def _scaled(self, row: Modality, values: Float[np.ndarray, " channels"]) -> Float[np.ndarray, " channels"]:
        inputs = self._fitted.inputs
        rooted = np.sqrt(values) if row.counts and inputs.root_counts else values
        return (rooted - inputs.scaling.mean[row.name]) / inputs.scaling.scale[row.name]

    def _facts(self) -> Any:
        yield "bins", f"{1e3 * self.width:g} ms, {self._fitted.inputs.lags} of them seen at a time"
        yield from ((row.name, row.in_short()) for row in self._fitted.modalities)
        yield "target", listed(self.target_names)
