"""The decoder as a user meets it: fit, transform, predict, score, save, load, realtime."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.display import Shown, listed
from neurodyn.errors import InputError
from neurodyn.evaluation.labelled import labelled_target, score_of
from neurodyn.evaluation.metrics import Score
from neurodyn.given import argument_named, integer
from neurodyn.multiscale.arguments import in_training, kept_settings
from neurodyn.multiscale.choosing import SECONDS, choose
from neurodyn.multiscale.config import (
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.fit_many import fit_each
from neurodyn.multiscale.fit_one import fitted_on, prepare_run
from neurodyn.multiscale.fitted import Fitted, Readout
from neurodyn.multiscale.fitting import fit_parameters
from neurodyn.multiscale.labelled import labelled_ahead, labelled_states, predicted_bits
from neurodyn.multiscale.published import Published
from neurodyn.multiscale.settings import STEPS_PER_EPOCH, config_of, settings_of
from neurodyn.multiscale.storage import load_fitted, save_fitted
from neurodyn.multiscale.together import faster_together
from neurodyn.parameters import HasParameters
from neurodyn.recurrent import RecurrentConfig
from neurodyn.training import ProgressBar

if TYPE_CHECKING:
    import xarray as xr

    from neurodyn.realtime.decoder import RealtimeDecoder


@dataclass(frozen=True, repr=False)
class MultiscaleDecoder(Shown, HasParameters, Published):
    """Decode a target from modalities sampled at different rates, with samples missing (MRINE and beyond).

    Parameters
    ----------
    latent, modality_state, embedding
        Dimensions of the shared latent state, of each modality's own state and of each modality's embedding; the last
        two are as many as the first if None.
    encoder, decoder, fusion, linear_path
        Widths of the hidden layers of each network; whether encoders and fusion start as linear maps that training
        bends (see ``Mlp``), which is not in the paper.
    memory
        Shortest and longest starting time constant of the latent modes, seconds.
    traces
        Time constants, seconds, of the fading memory of the observations that the target is read out from beside the
        latent states (see :mod:`neurodyn.multiscale.traces`); () for the states alone, as in the paper.
    recurrent
        Settings of the gated recurrent network that decodes the target beside them; None leaves it out. Its steps are
        bounded by 75 for each epoch of ``training``.
    objective, training
        Weights of the loss and course of the training.
    start
        How the linear dynamics begin: as "modes" of many time constants, or as in the "paper".
    readout
        What the target is read out from beside traces and recurrent network: all "states", or the "backbone"'s alone by
        plain regression, as in the paper (then without traces and recurrent network).
    smoothness
        Weight of the divergence between consecutive outputs, by name or likelihood of a modality; what is not in it,
        and None: 250 for counts, 5 for the others.
    raw_counts, learned_variance
        Whether counts enter the encoders as they are, as in the paper, instead of z-scored; whether the variance of
        each channel of a field is learned, instead of one (z-scored).
    bounded
        Whether decoded targets stay between the least and the greatest that were seen in training.
    choose
        Seconds that a fit may spend on choosing sizes inside its data (:mod:`neurodyn.multiscale.choosing`); None takes
        what stands here.
    progress, fitted_
        Whether a fit shows a progress bar; and what a fit found, None before.
    epochs, seed
        Instead of those of ``training``, which keeps them: ``decoder.training.epochs``. ``set_params`` takes them too.

    Reference: Erturk & Shanechi (2025), Dynamical modeling of nonlinear latent factors in multiscale neural activity
    with real-time inference, NeurIPS, arXiv 2512.12462.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=10), seed=0)
    >>> decoder = nd.MultiscaleDecoder(latent=8, epochs=3)  # then decoder.fit(batch.train).score(batch.test)
    >>> decoder.latent, decoder.training.epochs, batch.train.n_trials, batch.test.n_trials
    (8, 3, 8, 2)
    """

    latent: int = 32
    modality_state: int | None = None
    embedding: int | None = None
    encoder: tuple[int, ...] = (64,)
    decoder: tuple[int, ...] = (64,)
    fusion: tuple[int, ...] = (64,)
    linear_path: bool = True
    memory: tuple[float, float] = (0.1, 10.0)
    traces: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    recurrent: RecurrentConfig | None = field(default_factory=RecurrentConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    start: str = "modes"
    readout: str = "states"
    smoothness: Mapping[str, float] | None = None
    raw_counts: bool = False
    learned_variance: bool = False
    bounded: bool = True
    choose: float | None = None
    progress: bool = True
    fitted_: Fitted | None = field(default=None, repr=False)
    epochs: InitVar[int | None] = field(default=None, kw_only=True)
    seed: InitVar[int | None] = field(default=None, kw_only=True)

    def __post_init__(self, epochs: int | None, seed: int | None) -> None:
        for name, value in kept_settings(self).items():
            object.__setattr__(self, name, value)
        given = {name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None}
        if given:
            object.__setattr__(self, "training", replace(self.training, **given))

    def set_params(self, **parameters: Any) -> "MultiscaleDecoder":
        """An unfitted copy with other settings; ``epochs`` and ``seed`` are those of ``training``, as in the class."""
        return super().set_params(**in_training(parameters))

    def fit(
        self,
        batch: MultimodalBatch,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        choose: bool | float | None = None,
    ) -> "MultiscaleDecoder":
        """Train on a batch and fit the target's read-out; returns a fitted copy.

        Parameters
        ----------
        batch
            Training trials; a share of them (``training.validation``) chooses the parameters kept.
        checkpoint
            File that training is saved to and, if it exists, resumed from; the recurrent read-out has its own beside
            it, with ``.recurrent`` behind the name. Ctrl-C keeps the best so far; in the training of the state-space
            model it leaves the recurrent read-out out.
        choose
            True, or seconds: first choose sizes by successive halving on blocks of this batch that are kept out of
            training, then fit with what was best. What was compared stands in ``fitted_.provenance["choice"]``. None:
            as the decoder's own ``choose`` says; False: not at all.

        Raises
        ------
        InputError
            If the batch cannot be fitted (a channel never observed, a constant target, ...), or sizes are to be chosen
            and there is no target.
        NumericalError
            If the loss stops being finite before anything could be kept.
        """
        if (seconds := self._seconds_to_choose(choose)) is not None:
            return self._fit_chosen(batch, checkpoint, seconds)
        run = prepare_run(self, batch)
        progress = ProgressBar(f"fit {'+'.join(batch.names)}") if self.progress else None
        path = None if checkpoint is None else Path(checkpoint)
        outcome = fit_parameters(run, checkpoint=path, progress=progress)
        return replace(self, fitted_=fitted_on(self, batch, run, outcome, path))

    def _seconds_to_choose(self, asked: bool | float | None) -> float | None:
        if asked is True:
            return self.choose or SECONDS
        return self.choose if asked is None else asked or None

    def _fit_chosen(
        self, batch: MultimodalBatch, checkpoint: str | os.PathLike[str] | None, seconds: float
    ) -> "MultiscaleDecoder":
        check_usable(batch)
        chosen, choice = choose(self, batch, seconds)
        found = chosen.fit(batch, checkpoint=checkpoint, choose=False)
        fitted = found._fitted()
        return replace(found, fitted_=replace(fitted, provenance={**fitted.provenance, "choice": choice.record()}))

    def fit_many(
        self,
        batches: MultimodalBatch | Sequence[MultimodalBatch],
        *,
        seeds: Sequence[int] | None = None,
        together: bool | None = None,
        checkpoints: Sequence[str | os.PathLike[str]] | None = None,
    ) -> list["MultiscaleDecoder"]:
        """Fit a model on every batch with every seed; each is the one that :meth:`fit` gives alone, to rounding.

        Models of equal shape can be trained together, in the same compiled calls: seeds of one batch always can,
        folds if they are split into as many pieces of the same length. Memory grows with their number.

        Parameters
        ----------
        batches
            Training trials of each model.
        seeds
            Of each batch's models; that of ``training`` if None.
        together
            Whether models are trained together; None: those of equal shape, on devices where it is faster
            (:meth:`faster_together`).
        checkpoints
            A file for each model, as in :meth:`fit`.

        Returns
        -------
        Fitted copies, batch by batch, the seeds of each in order. Ctrl-C ends the training under way with the best so
        far, and is a real interrupt if other models have not been begun.

        Raises
        ------
        InputError
            If there is nothing to fit, something would be fitted twice, a batch cannot be fitted, or
            ``together=True`` and shapes differ; nothing has been trained then.
        NumericalError
            If the loss of a model stops being finite before anything of it could be kept.
        """
        return fit_each(self, batches, seeds=seeds, together=together, checkpoints=checkpoints)

    def faster_together(self, batches: Sequence[MultimodalBatch]) -> bool:
        """Whether models of equal shape are worth training together: small steps are, and any on an accelerator.

        Models whose sizes are chosen are not: they may come out with different ones.
        """
        return self.choose is None and all(faster_together(config_of(self, batch), batch) for batch in batches)

    def transform(self, batch: MultimodalBatch, *, smoothed: bool = False, ahead: int = 0) -> "xr.Dataset":
        """Latents and expected observations of every trial.

        Parameters
        ----------
        batch
            Modalities of the model that it lacks are missing, as they are to a live decoder.
        smoothed
            Use the whole trial (offline) instead of the past only (real time).
        ahead
            Predict this many bins ahead; entry t then estimates bin ``t + ahead`` from data up to t.

        Returns
        -------
        Dataset with ``latent`` (trial x time x component) and ``<modality>`` (trial x time x channel): expected
        counts per bin for spikes, expected value in the recording's unit for field features. NaN beyond a trial's end.
        """
        return labelled_states(self._fitted(), batch, smoothed=smoothed, ahead=ahead)

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False, ahead: int = 0) -> "xr.Dataset":
        """Predictive distribution of the target in every bin of every trial: its mean and standard deviation.

        Parameters
        ----------
        batch
            Modalities of the model that it lacks are missing, as they are to a live decoder.
        smoothed
            Use the whole trial (offline) instead of the past only (real time).
        ahead
            Predict this many bins ahead; entry t then estimates bin ``t + ahead`` from data up to t. The live decoder
            does it, bin by bin: reckon with a second for a few thousand bins.

        Returns
        -------
        Dataset with ``target`` and ``deviation`` (trial x time x dim), in the unit of the target: mean and standard
        deviation of the predictive distribution, which is Gaussian. NaN beyond a trial's end.

        Raises
        ------
        InputError
            If the model has no target, the batch does not fit it, or a smoothed estimate is asked for ahead of time.
        """
        fitted, readout = self._fitted(), self._readout(smoothed)
        batch = fitted.aligned(batch)
        if ahead := argument_named("ahead", integer, ahead):
            if smoothed or ahead < 0:
                raise InputError(f"ahead is a number of bins that a filtered estimate looks ahead, got {ahead}")
            return labelled_ahead(fitted, self.realtime(), batch, ahead)
        evidence = fitted.evidence(batch, smooth=smoothed)
        target = fitted.within_bounds(readout.predict(evidence))
        stacked, deviation = batch.stacked(observations=False), np.sqrt(readout.variance(evidence))
        return labelled_target(batch, stacked, target, deviation, fitted.target_names, fitted.target_units)

    def score(self, batch: MultimodalBatch, *, smoothed: bool = False) -> Score:
        """How well the batch is decoded, over all its scored bins.

        Modalities of the model that the batch lacks are missing; of those that are not observed there is no
        ``bits_per_spike``.

        Returns
        -------
        Correlation and R2 per target dimension, how the intervals fare (``intervals``) and, per spiking modality, bits
        per spike of the one-step prediction (filtered) or of the smoothed rates, relative to each unit's mean count.
        """
        fitted = self._fitted()
        batch = fitted.aligned(batch, target=True)
        stacked = batch.stacked()
        counts = [m.name for m in fitted.modalities if m.counts and stacked.observed[m.name].any()]
        bits: dict[str, float] = {}
        if counts:
            ahead = 0 if smoothed else 1
            rates = self.transform(batch, smoothed=smoothed, ahead=ahead)
            bits = {name: predicted_bits(rates[name].to_numpy(), stacked, name, ahead) for name in counts}
        if not fitted.target_names:
            return Score((), np.zeros(0), np.zeros(0), int(stacked.scored().sum()), bits)
        return replace(score_of(batch, self.predict(batch, smoothed=smoothed)), bits_per_spike=bits)

    def realtime(self) -> "RealtimeDecoder":
        """A decoder in NumPy that takes one bin at a time, warmed up."""
        from neurodyn.realtime.decoder import RealtimeDecoder

        return RealtimeDecoder(self._fitted())

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the live decoder to one npz file, for rigs that have NumPy but no JAX (``neurodyn.realtime.runner``).

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        from neurodyn.multiscale.export import export

        export(self._fitted(), path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a directory: ``model.json`` to read and its arrays; all of it or nothing.

        Raises
        ------
        InputError
            If the directory cannot be written, or holds something else.
        """
        save_fitted(path, self._fitted())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "MultiscaleDecoder":
        """Read a model that :meth:`save` wrote, on whatever device and in whatever precision.

        Older formats are brought up to date.

        Raises
        ------
        InputError
            If it is not a model of this package, damaged, or of a later version.
        """
        return MultiscaleDecoder(**settings_of(load_fitted(path)))

    def _title(self) -> str:
        state = "not fitted" if self.fitted_ is None else f"fitted, training {self.fitted_.status}"
        return f"MultiscaleDecoder: {state}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        settings, fitted = self.training, self.fitted_
        if fitted is None:
            yield "training", f"up to {settings.epochs} epochs, seed {settings.seed}"
        else:
            yield from fitted.facts()
        yield "latent", f"{self.latent}, time constants from {self.memory[0]:g} to {self.memory[1]:g} s"
        recurrent = self.recurrent_config() if fitted is None else fitted.config.recurrent
        members = "none" if recurrent is None else f"{recurrent.members} x {recurrent.hidden} units"
        yield "recurrent", members
        if self.traces:
            yield "traces", f"{listed(f'{seconds:g}' for seconds in self.traces)} s"

    @property
    def supervised(self) -> bool:
        """Whether what is learned depends on the target: through its error in the objective, a recurrent network on it,
        or weights on the observations themselves; if not, it is only read out of states that never saw it.
        """
        return self.objective.target > 0 or self.recurrent is not None or bool(self.traces)

    def without_target(self) -> "MultiscaleDecoder":
        """The same model trained on the observations alone, not fitted: the target is only read out of its states."""
        objective = replace(self.objective, target=0.0)
        return replace(self, objective=objective, recurrent=None, traces=(), fitted_=None)

    def recurrent_config(self) -> RecurrentConfig | None:
        """The settings of the recurrent read-out for this training's epochs and seed."""
        if self.recurrent is None:
            return None
        steps = min(self.recurrent.steps, STEPS_PER_EPOCH * self.training.epochs)
        every = min(self.recurrent.validate_every, steps)
        return replace(self.recurrent, steps=steps, validate_every=every, seed=self.training.seed)

    def __sklearn_is_fitted__(self) -> bool:
        """What ``sklearn.utils.validation.check_is_fitted`` asks; without it the name ``fitted_`` alone would do."""
        return self.fitted_ is not None

    def _fitted(self) -> Fitted:
        if self.fitted_ is None:
            raise InputError("this decoder has not been fitted: use the one that fit(batch) returns")
        return self.fitted_

    def _readout(self, smoothed: bool) -> Readout:
        readout = self._fitted().smoothed if smoothed else self._fitted().filtered
        if readout is None:
            raise InputError("this model was fitted without a target: give the batch one and fit again")
        return readout
