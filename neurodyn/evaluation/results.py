"""What a cross-validation found: scores, decoded targets and differences of methods, fold by fold."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning.targets import ANGLE
from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError, unknown_name
from neurodyn.evaluation.calibration import Calibration, calibrate
from neurodyn.evaluation.classes import ClassScore, class_groups, class_score
from neurodyn.evaluation.counts import CountScore, count_dimensions, count_score
from neurodyn.evaluation.methods import SUPERVISED
from neurodyn.evaluation.metrics import METRICS, Score, angle_error, summarise
from neurodyn.evaluation.paired import MEAN, PairedDifference, paired_difference
from neurodyn.evaluation.streaming import OnlineCheck

_Scored = TypeVar("_Scored")


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve(Shown):
    """Course of a training run.

    Parameters
    ----------
    loss
        (epochs,) mean training loss of each epoch.
    validation_epoch, validation
        (validations,) epoch and score of each validation; the lowest is kept.
    status
        How the run ended.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import LearningCurve
    >>> curve = LearningCurve(np.array([2.0, 1.5, 1.2, 1.1]), np.array([2, 4]), np.array([1.7, 1.3]), "all epochs")
    >>> int(curve.validation_epoch[curve.validation.argmin()])
    4
    """

    loss: Float[np.ndarray, " epochs"]
    validation_epoch: Int[np.ndarray, " validations"]
    validation: Float[np.ndarray, " validations"]
    status: str

    def _title(self) -> str:
        return f"LearningCurve: {pluralised(len(self.loss), 'epoch')}, {self.status}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        if len(self.loss):
            yield "loss", f"{self.loss[0]:.4g} at first, {self.loss[-1]:.4g} at last"
        if len(self.validation):
            best = int(np.argmin(self.validation))
            yield "validation", f"{self.validation[best]:.4g} at best, after epoch {self.validation_epoch[best]}"


@dataclass(frozen=True, eq=False, repr=False)
class Decoded(Shown):
    """Held-out target, true and decoded; the bins of the test trials end to end, without their context.

    Parameters
    ----------
    time
        (bins,) end of each bin in seconds.
    trial
        (bins,) number of the test trial.
    scored
        (bins,) False where the true target is not known.
    true, filtered, deviation, smoothed
        (bins, dims) in the unit of the target; ``deviation`` is the standard deviation of the predictive distribution
        around ``filtered``, and ``smoothed`` is None for a causal method.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> decoded = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0)).of("ridge")[0].decoded
    >>> decoded.filtered.shape, decoded.deviation.shape, decoded.smoothed is None
    ((400, 3), (400, 3), False)
    """

    time: Float[np.ndarray, " bins"]
    trial: Int[np.ndarray, " bins"]
    scored: Bool[np.ndarray, " bins"]
    true: Float[np.ndarray, "bins dims"]
    filtered: Float[np.ndarray, "bins dims"]
    deviation: Float[np.ndarray, "bins dims"]
    smoothed: Float[np.ndarray, "bins dims"] | None

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "bins", f"{len(self.time):,}, {int(self.scored.sum()):,} of them scored"
        yield "target", pluralised(self.true.shape[1], "dimension")
        yield "estimates", "filtered" if self.smoothed is None else "filtered, smoothed"


@dataclass(frozen=True, eq=False, repr=False)
class FoldResult(Shown):
    """One method on one fold.

    Parameters
    ----------
    method, fold
        Name, and number from 0.
    filtered, smoothed
        Scores on held-out data; ``smoothed`` is None for a method that has no such estimate.
    decoded
        What was decoded.
    fit_seconds
        Wall-clock time of the fit, compilation included; of folds fitted together, an equal share each.
    learning
        Course of the training, None for a method without.
    latent
        (bins, latent) smoothed latents, at the bins of ``decoded``; None if not asked for.
    online
        Real time against offline; None if not asked for.
    train_bins
        Bins with a known target that were fitted on; None if that is not known.
    training
        'supervised' if the target is in the objective of what was trained, 'unsupervised' if it was only read out.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> first = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0)).results[0]
    >>> first.method, first.fold, first.training, first.filtered.dims
    ('ridge', 0, 'supervised', ('x', 'y', 'z'))
    """

    method: str
    fold: int
    filtered: Score
    smoothed: Score | None
    decoded: Decoded
    fit_seconds: float
    learning: LearningCurve | None = None
    latent: Float[np.ndarray, "bins latent"] | None = None
    online: OnlineCheck | None = None
    train_bins: int | None = None
    training: str = SUPERVISED

    def _title(self) -> str:
        return f"FoldResult: {self.method}, fold {self.fold + 1}, fitted in {self.fit_seconds:.1f} s"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for estimate, found in (("filtered", self.filtered), ("smoothed", self.smoothed)):
            if found is not None:
                per_dim = listed(f"{n} {value:.3f}" for n, value in zip(found.dims, found.r2, strict=True))
                yield estimate, f"R² {found.r2.mean():.3f} ({per_dim}), {pluralised(found.n_bins, 'bin')} scored"


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(Shown):
    """All methods on all folds.

    Parameters
    ----------
    methods
        Names in the order they were given.
    dims
        Names of the target dimensions.
    n_folds
        Number of folds.
    results
        One per method and fold, ordered by method, then fold.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> result = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0))
    >>> result.methods, result.dims, len(result.of("ridge"))
    (('ridge',), ('x', 'y', 'z'), 3)
    >>> len(result.scores("ridge")), result.training("ridge")
    (3, 'supervised')
    """

    methods: tuple[str, ...]
    dims: tuple[str, ...]
    n_folds: int
    results: tuple[FoldResult, ...]

    def _title(self) -> str:
        folds = pluralised(self.n_folds, "fold")
        return f"CrossValidation: held-out R² of {listed(self.dims)}, mean ± spread over {folds}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for method in self.methods:
            parts = []
            for smoothed, estimate in ((False, "filtered"), (True, "smoothed")):
                values = np.asarray([found.r2.mean() for found in self.scores(method, smoothed=smoothed)])
                parts += [f"{values.mean():.3f} ± {values.std():.3f} {estimate}"] if len(values) else []
            yield method, ", ".join([*parts, self.training(method)])

    def of(self, method: str) -> tuple[FoldResult, ...]:
        """Return the folds of one method, in order."""
        if method not in self.methods:
            raise unknown_name("method", method, self.methods)
        return tuple(result for result in self.results if result.method == method)

    def scores(self, method: str, *, smoothed: bool = False) -> tuple[Score, ...]:
        """Return the score of each fold of one method; none if smoothed ones are asked for and it has none."""
        found = (result.smoothed if smoothed else result.filtered for result in self.of(method))
        return tuple(one for one in found if one is not None)

    def training(self, method: str) -> str:
        """Return whether a method learned from the target: 'supervised' or 'unsupervised'."""
        return next((result.training for result in self.of(method)), SUPERVISED)

    def summary(self) -> dict[str, Any]:
        """Summarise as plain numbers: ``<method>.<filtered|smoothed>.<correlation|r2>``, see ``summarise``.

        A method without smoothed estimates has no such key.
        """
        found: dict[str, Any] = {}
        for method in self.methods:
            found[method] = {"filtered": summarise(self.scores(method))}
            if smoothed := self.scores(method, smoothed=True):
                found[method]["smoothed"] = summarise(smoothed)
        return found

    def calibration(self, method: str) -> Calibration | None:
        """How the filtered estimate's intervals fared, over the scored bins of all folds of one method.

        None for a method that gives a bin no spread.
        """
        decoded = [result.decoded for result in self.of(method)]
        parts = [(d.true[d.scored], d.filtered[d.scored], d.deviation[d.scored]) for d in decoded]
        true, filtered, deviation = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return calibrate(true, filtered, deviation) if (deviation > 0).all() else None

    def difference(self, method: str, other: str, *, metric: str = "r2", smoothed: bool = False) -> PairedDifference:
        """By how much one method decodes better than another, paired over folds, per dimension of the target.

        Parameters
        ----------
        method, other
            The score of the first minus that of the second.
        metric
            'r2' or 'correlation'.
        smoothed
            Whether smoothed estimates are compared instead of filtered ones.

        Returns
        -------
        Differences with 95 % intervals and p values of the corrected resampled t-test (see
        :mod:`neurodyn.evaluation.paired`).

        Raises
        ------
        InputError
            If a method is not there or has no smoothed estimates, or there is no such metric.
        """
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        tables = []
        for name in (method, other):
            if not (scores := self.scores(name, smoothed=smoothed)):
                raise InputError(f"method '{name}' has no smoothed estimates to compare: leave smoothed=True out")
            tables.append(np.stack([np.asarray(getattr(one, metric), np.float64) for one in scores]))
        values = tables[0] - tables[1]
        values = np.concatenate([values.mean(axis=1, keepdims=True), values], axis=1)
        estimate, dims = "smoothed" if smoothed else "filtered", (MEAN, *self.dims)
        ratio = self._test_to_train(method)
        mean, low, high, p_value = paired_difference(values, ratio)
        return PairedDifference(
            method=method, other=other, metric=metric, estimate=estimate, dims=dims, per_fold=values,
            difference=mean, low=low, high=high, p_value=p_value,
            training=(self.training(method), self.training(other)), test_to_train=ratio,
        )  # fmt: skip

    def _test_to_train(self, method: str) -> float:
        """Scored bins by bins fitted on, over all folds; of folds of equal size where that is not known."""
        results = self.of(method)
        trained = [result.train_bins for result in results]
        if any(count is None for count in trained):
            return 1 / (self.n_folds - 1)
        return sum(result.filtered.n_bins for result in results) / sum(count or 0 for count in trained)

    def angle_errors(self) -> dict[str, dict[str, dict[str, float]]]:
        """Errors of a decoded direction in degrees, over the scored bins of all folds; empty if none was decoded.

        Returns
        -------
        ``<method>.<filtered|smoothed>.<mean|median>``; a quarter of a turn, 90, is what chance gives.
        """
        if not set(ANGLE) <= set(self.dims):
            return {}
        columns, found = [self.dims.index(name) for name in ANGLE], {}
        for method, estimate, true, decoded in self._over_bins():
            errors = angle_error(true[:, columns], decoded[:, columns])
            found.setdefault(method, {})[estimate] = {"mean": float(errors.mean()), "median": float(np.median(errors))}
        return found

    def class_scores(self) -> dict[str, dict[str, dict[str, ClassScore]]]:
        """Scores of each target of classes over the scored bins of all folds; empty if none was decoded.

        Returns
        -------
        ``<target>.<method>.<filtered|smoothed>``, see `neurodyn.evaluation.classes.ClassScore`.
        """
        return self._scored(class_groups(self.dims), class_score)

    def count_scores(self) -> dict[str, dict[str, dict[str, CountScore]]]:
        """Scores of each number of events over the scored bins of all folds; empty if none was decoded.

        Returns
        -------
        ``<dimension>.<method>.<filtered|smoothed>``, see `neurodyn.evaluation.counts.CountScore`.
        """
        true = next((true for _, _, true, _ in self._over_bins()), np.zeros((0, len(self.dims))))
        whole = np.all(true == np.abs(np.round(true)), axis=0)
        # A series of somebody's own may be called like a number of events without being one.
        columns = {name: column for name, column in count_dimensions(self.dims).items() if whole[column]}
        return self._scored(columns, count_score)

    def _scored(
        self, targets: Mapping[str, Any], score: Callable[[np.ndarray, np.ndarray], _Scored]
    ) -> dict[str, dict[str, dict[str, _Scored]]]:
        """Score of each target, given by its columns, of each method and estimate over the bins of all folds."""
        found: dict[str, dict[str, dict[str, _Scored]]] = {}
        for name, columns in targets.items():
            for method, estimate, true, decoded in self._over_bins():
                result = score(true[:, columns], decoded[:, columns])
                found.setdefault(name, {}).setdefault(method, {})[estimate] = result
        return found

    def _over_bins(self) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
        """Method, estimate, true and decoded target (bins, dims) in the scored bins of all folds."""
        for method in self.methods:
            decoded = [result.decoded for result in self.of(method)]
            for estimate in ("filtered", "smoothed"):
                values = [getattr(one, estimate) for one in decoded]
                if not any(one is None for one in values):
                    true = np.concatenate([one.true[one.scored] for one in decoded])
                    yield (
                        method,
                        estimate,
                        true,
                        np.concatenate([v[one.scored] for v, one in zip(values, decoded, strict=True)]),
                    )

    def online(self) -> tuple[OnlineCheck, ...]:
        """Return what was streamed, one per fold of each method that was."""
        return tuple(result.online for result in self.results if result.online is not None)
