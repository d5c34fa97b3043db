r"""Preferential subspace identification: a linear state-space model whose states are those that predict the target.

.. math::
    x_{t+1} = A x_t + w_t, \qquad y_t = C x_t + v_t, \qquad z_{t-1} = C_z x_t + \epsilon_t

with the observations :math:`y` (square roots of counts and field potentials, in standard deviations from their means,
zero where a sample is missing) and the target :math:`z`. The first states are those of the past of :math:`y` that
predict the future of :math:`z`, the others what is left that predicts :math:`y`.

PSID decodes one bin ahead: its estimate of :math:`x_t` knows the observations before bin :math:`t`. The estimate of a
bin may know the bin itself here, as that of the other baselines does. So the target is moved by one bin before the
fit, as written above, and the prediction of a bin is that of the moved target one bin later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_target,
    facts_of,
    kept_out,
    with_root_counts,
)
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.binning.scaling import Scaling
from neurodyn.display import several
from neurodyn.errors import InputError, NumericalError, import_extra
from neurodyn.given import argument_named, count, parse_sequence

SHARES = (0.5, 1.0)
"""Shares of the states that are found by the target, to choose from; the others are found by the observations."""


class States(NamedTuple):
    """How many states a model has, and how many of them are found by the target."""

    total: int
    relevant: int


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    scaling: Scaling
    system: Any
    states: States
    deviation: Float[np.ndarray, " dims"]


@dataclass(frozen=True, repr=False)
class PreferentialSubspace(BaselineDecoder[_Fitted]):
    """Linear state-space model by preferential subspace identification (PSID), decoded by its Kalman predictor.

    Needs PSID, the extra ``bench``. Numbers of states are chosen on blocks of the training data kept out; the model is
    then fitted to all of it. Only stretches of scored bins longer than twice the horizon are fitted. Missing samples
    are at their mean, as PSID knows of none. Memory grows with bins x channels x horizon, time with the cube of
    channels x horizon: many units take long. The deviation is the error on the blocks kept out, the same for all bins.

    Parameters
    ----------
    latents
        Numbers of states to choose from; of each, half and all of the states are tried as those found by the target.
    horizon
        Bins of past and of future that the states are found from, 2 or more.
    fitted_
        What a fit found; None before.

    Reference
    ---------
    Sani, Abbaspourazad, Wong, Pesaran & Shanechi (2021), Modeling behaviorally relevant neural dynamics enabled by
    preferential subspace identification, Nature Neuroscience 24.

    Examples
    --------
    >>> import neurodyn as nd
    >>> nd.baselines.PreferentialSubspace((2, 4), horizon=5)
    PreferentialSubspace: not fitted
      states   2, 4
      horizon  5 bins
    """

    smooths: ClassVar[bool] = False
    latents: tuple[int, ...] = (4, 8, 16, 32)
    horizon: int = field(default=10, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def fit(self, batch: MultimodalBatch) -> "PreferentialSubspace":
        """Identify the model on the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are left out.

        Returns
        -------
        A fitted copy; this estimator stays as it is.

        Raises
        ------
        InputError
            If there is no target, no stretch of bins is long enough, or a setting cannot be used.
        MissingExtraError
            If PSID is not installed.
        NumericalError
            If no model has a stable Kalman filter.
        """
        check_target(check_batch(batch))
        latents = parse_sequence(
            self.latents, count, f"latents are a list of numbers of states, 1 or more, got {self.latents!r}"
        )
        horizon = argument_named("horizon", count, self.horizon)
        if horizon < 2:
            raise InputError(f"horizon: bins of past and of future, 2 or more, got {horizon}")
        identify = import_extra("PSID", "bench").PSID
        scaling = Scaling.fit(with_root_counts(batch))
        inner, held = kept_out(batch)
        rows = sum(m.n_channels for m in batch.modalities) * horizon, batch.n_dims * horizon
        sizes = list(dict.fromkeys(_possible(latents, *rows)))
        found = []
        for states, system in zip(sizes, _identified(identify, inner, scaling, horizon, sizes), strict=True):
            if np.isfinite(system.K).all():
                error = (_decoded(system, scaling, held) - held.stacked(observations=False).target)[held.scored()]
                found.append((np.sqrt(np.mean(error**2, axis=0)), states))
        if not found:
            raise NumericalError("no model of PSID has a stable Kalman filter: give more data, or fewer latents")
        deviation, states = min(found, key=lambda one: float(np.mean((one[0] / scaling.target_scale) ** 2)))
        (system,) = _identified(identify, batch, scaling, horizon, [states])
        fitted = _Fitted(**facts_of(batch), scaling=scaling, system=system, states=states, deviation=deviation)
        return replace(self, fitted_=fitted)

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        return _decoded(fitted.system, fitted.scaling, batch), fitted.deviation

    @property
    def states_(self) -> States:
        """Numbers of states, as chosen."""
        return self._require().states

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            total, relevant = fitted.states
            yield "states", f"{total}, {relevant} of them found by the target, chosen from {several(self.latents)}"
        else:
            yield "states", several(self.latents)
        yield "horizon", f"{self.horizon} bins"


def _possible(latents: tuple[int, ...], rows: int, target_rows: int) -> Iterator[States]:
    """Numbers of states that past and future have room for."""
    for latent in latents:
        total = min(latent, rows)
        for share in SHARES:
            yield States(total, min(max(1, round(share * total)), target_rows))


def _identified(
    identify: Any, batch: MultimodalBatch, scaling: Scaling, horizon: int, sizes: list[States]
) -> Iterator[Any]:
    """A model of each size; what does not depend on the size is computed once."""
    pairs = list(_stretches(batch, scaling, 2 * horizon))
    if not pairs:
        raise InputError(
            f"no stretch of training bins with a target has the {2 * horizon + 1} bins that a horizon of {horizon} "
            "takes: give longer trials, or a shorter horizon"
        )
    observed, target, known = [y for y, _ in pairs], [z for _, z in pairs], {}
    for total, relevant in sizes:
        system, known = identify(observed, target, total, relevant, horizon, WS=known, return_WS=True)
        yield system


def _stretches(batch: MultimodalBatch, scaling: Scaling, least: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Observations and the target of the bin before, in stretches of scored bins, each of so many bins at least."""
    observed, scored = _standardised(batch, scaling), batch.scored()
    target = (batch.stacked(observations=False).target - scaling.target_mean) / scaling.target_scale
    for values, wanted, counts in zip(observed, target, scored, strict=True):
        for first, last in _runs(counts):
            if last - first > least:
                yield values[first + 1 : last], wanted[first : last - 1].astype(float)


def _runs(counts: Bool[np.ndarray, " time"]) -> Iterator[tuple[int, int]]:
    """First bin of each run of bins that count, and the bin after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], counts, [False]]).astype(int)))
    yield from ((int(first), int(last)) for first, last in edges.reshape(-1, 2))


def _standardised(batch: MultimodalBatch, scaling: Scaling) -> Float[np.ndarray, "trials time channels"]:
    """Observations of all modalities side by side, 0 where one is missing."""
    stacked = with_root_counts(batch).stacked()
    parts = []
    for name in batch.names:
        values = (stacked.observations[name] - scaling.mean[name]) / scaling.scale[name]
        parts.append(np.where(stacked.observed[name], values, 0.0))
    return np.concatenate(parts, axis=2).astype(float)


def _decoded(system: Any, scaling: Scaling, batch: MultimodalBatch) -> Float[np.ndarray, "trials time dims"]:
    """Target of every bin: the prediction of the moved target one bin later, which knows the bin itself."""
    values = _standardised(batch, scaling)
    decoded = np.zeros((*values.shape[:2], len(scaling.target_mean)))
    for trial, length in enumerate(batch.lengths.tolist()):
        later = np.concatenate([values[trial, :length], np.zeros((1, values.shape[2]))])  # its own values play no part
        decoded[trial, :length] = system.predict(later)[0][1:]
    return scaling.target_mean + scaling.target_scale * decoded
