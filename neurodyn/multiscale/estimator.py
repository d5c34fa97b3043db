"""The decoder as a user meets it: fit, transform, predict, score, save, load, realtime."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurodyn.binning.batch import MultimodalBatch, Stacked, check_usable
from neurodyn.binning.likelihoods import likelihood
from neurodyn.binning.scaling import Scaling
from neurodyn.display import Shown, listed
from neurodyn.errors import InputError
from neurodyn.evaluation.estimators import HasParameters
from neurodyn.evaluation.intervals import NORMAL_95
from neurodyn.evaluation.labelled import labelled_target, score_of
from neurodyn.evaluation.metrics import Score, bits_per_spike
from neurodyn.evaluation.streaming import steps
from neurodyn.given import argument_named, count, whole
from neurodyn.memory import give_back_memory
from neurodyn.multiscale.choosing import SECONDS, choose
from neurodyn.multiscale.config import (
    DecoderConfig,
    ModalityConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainingConfig,
)
from neurodyn.multiscale.fitted import Fitted, Readout
from neurodyn.multiscale.fitting import Training, fit_parameters, prepare
from neurodyn.multiscale.inference import Network, expected_observations, look_ahead
from neurodyn.multiscale.readouts import fit_readouts
from neurodyn.multiscale.storage import load_fitted, provenance, save_fitted
from neurodyn.multiscale.together import check_equal_shapes, faster_together, fit_together, groups_of
from neurodyn.recurrent import InputScaling, RecurrentConfig, fit_members, sequences_of
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.training import Bar, Outcome, TrainState

if TYPE_CHECKING:
    import xarray as xr

    from neurodyn.realtime.decoder import RealtimeDecoder

STEPS_PER_EPOCH = 75
"""Most steps of the recurrent read-out for each epoch that ``training`` allows: one setting bounds both trainings."""


@dataclass(frozen=True, repr=False)
class MultiscaleDecoder(Shown, HasParameters):
    """Decode a target from modalities with their own clocks, likelihoods and missing samples (MRINE and beyond).

    Parameters
    ----------
    latent
        Dimensions of the shared latent state.
    own
        Dimensions of each modality's own state; as many as ``latent`` if None.
    embedding
        Dimensions of each modality's embedding; as many as ``latent`` if None.
    encoder, decoder, fusion
        Widths of the hidden layers of each network.
    linear_path
        Start encoders and fusion as linear maps that training bends (see ``Mlp``); not in the paper.
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
    raw_counts
        Whether counts enter the encoders as they are, as in the paper, instead of z-scored.
    bounded
        Whether decoded targets stay between the least and the greatest that were seen in training.
    choose
        Seconds that a fit may spend on choosing sizes inside its data (:mod:`neurodyn.multiscale.choosing`); None takes
        what stands here.
    progress
        Whether a fit shows a progress bar.
    fitted_
        What a fit found; None before.
    epochs, seed
        Instead of those of ``training``, which keeps them: ``decoder.training.epochs``.

    Reference: Erturk & Shanechi (2025), Dynamical modeling of nonlinear latent factors in multiscale neural activity
    with real-time inference, NeurIPS, arXiv 2512.12462.
    """

    latent: int = 32
    own: int | None = None
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
    bounded: bool = True
    choose: float | None = None
    progress: bool = True
    fitted_: Fitted | None = field(default=None, repr=False)
    epochs: InitVar[int | None] = field(default=None, kw_only=True)
    seed: InitVar[int | None] = field(default=None, kw_only=True)

    def __post_init__(self, epochs: int | None, seed: int | None) -> None:
        given = {name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None}
        if given:
            object.__setattr__(self, "training", replace(self.training, **given))
        for name in ("latent", "own", "embedding"):
            if (size := getattr(self, name)) is not None:
                object.__setattr__(self, name, argument_named(name, count, size))

    @classmethod
    def published(
        cls,
        *,
        latent: int | None = None,
        epochs: int | None = None,
        seed: int = 0,
        simulation: bool = False,
        modalities: int = 2,
        smoothness: Mapping[str, float] | None = None,
        mask_per_trial: bool = True,
    ) -> "MultiscaleDecoder":
        """The paper's settings: its network, objective, start and course of training, and its read-out.

        Networks have three hidden layers of 128 units and no linear path; the target is not in the objective and is
        read out from the shared state alone, by plain regression; counts enter raw; all trials are trained on and the
        last epoch is kept. Each of these is an argument of the decoder too.

        Parameters
        ----------
        latent, epochs
            64 latents and 500 epochs for recordings, 32 and 200 for simulations, if None.
        seed
            Of everything random.
        simulation
            Whether the data are simulated: a dropout of 0.4 instead of 0.1.
        modalities
            How many there will be: networks of one have a tenth of the weight penalty.
        smoothness
            Weight per modality or likelihood. The paper has 250 for spikes (50 for centre-out reaching) and 5 or 10 for
            the field; for networks of one modality 100 or 30 for spikes, and 250 (50 simulated) for the field. None:
            250 and 5, or 10 simulated; of one modality 100 and 250, or 50 simulated.
        mask_per_trial
            Whether each trial has hidden bins of its own, as in the paper; all of a step having the same decodes as
            well and is several times faster (``experiments/time_dropout``).

        Examples
        --------
        >>> import neurodyn as nd
        >>> decoder = nd.MultiscaleDecoder.published(simulation=True)
        >>> decoder.latent, decoder.training.epochs, decoder.objective.dropout
        (32, 200, 0.4)
        """
        wide, alone = (128, 128, 128), modalities == 1
        sizes = latent or (32 if simulation else 64)
        field_weight = (50.0 if simulation else 250.0) if alone else (10.0 if simulation else 5.0)
        passes = epochs or (200 if simulation else 500)
        return cls(
            latent=sizes,
            own=sizes,
            encoder=wide,
            decoder=wide,
            fusion=(128,),
            linear_path=False,
            traces=(),
            recurrent=None,
            bounded=False,
            start="paper",
            readout="backbone",
            raw_counts=True,
            smoothness={"poisson": 100.0 if alone else 250.0, "gaussian": field_weight, **(smoothness or {})},
            objective=ObjectiveConfig(
                target=0.0,
                weight_penalty=1e-4 if alone else 1e-3,
                dropout=0.4 if simulation else 0.1,
                rescale=False,
                score_hidden=False,
                time_dropout_per_trial=mask_per_trial,
            ),
            training=TrainingConfig(
                epochs=passes, batch=32, average=0.0, validation=0.0, stepwise=True, patience=passes, seed=seed
            ),
        )

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
        run = self._prepare(batch)
        progress = Bar(f"fit {'+'.join(batch.names)}") if self.progress else None
        path = None if checkpoint is None else Path(checkpoint)
        return self._fitted_on(batch, run, fit_parameters(run, checkpoint=path, progress=progress), path)

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
        tasks = self._tasks(batches, seeds)
        files = _files(checkpoints, len(tasks))
        fits: list[Callable[[], list[MultiscaleDecoder]]]
        if together and self.choose is not None:
            raise InputError("models whose sizes are chosen are fitted one after the other: leave together=True out")
        if (
            together is False
            or self.choose is not None
            or (together is None and not self.faster_together([batch for _, batch in tasks]))
        ):
            fits = [lambda d=d, b=b, f=f: [d.fit(b, checkpoint=f)] for (d, b), f in zip(tasks, files, strict=True)]
            return _in_turn(fits)
        runs = [decoder._prepare(batch) for decoder, batch in tasks]
        if together:
            check_equal_shapes(runs, _labels(tasks))
        groups = groups_of(runs)
        fits = [
            lambda g=g: _fit_group([tasks[n] for n in g], [runs[n] for n in g], [files[n] for n in g]) for g in groups
        ]
        fitted = dict(zip(chain(*groups), _in_turn(fits), strict=True))
        return [fitted[number] for number in range(len(tasks))]

    def faster_together(self, batches: Sequence[MultimodalBatch]) -> bool:
        """Whether models of equal shape are worth training together: small steps are, and any on an accelerator.

        Models whose sizes are chosen are not: they may come out with different ones.
        """
        return self.choose is None and all(faster_together(self._config(batch), batch) for batch in batches)

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
        fitted = self._fitted()
        if ahead and smoothed:
            raise InputError("a smoothed estimate knows the whole trial: predict ahead from the filtered one")
        batch = fitted.aligned(batch)
        stacked = batch.stacked(observations=False)
        latent = fitted.estimate(batch, smooth=smoothed).latent
        if ahead:
            graph, *arrays = fitted.network
            latent = np.asarray(look_ahead(*arrays, latent, graph, ahead))
        variables = {"latent": _labelled(latent, stacked, "component", [f"x{i}" for i in range(latent.shape[-1])])}
        for row, mean in zip(fitted.modalities, expected_observations(fitted.network, latent), strict=True):
            values = fitted.scaling.invert_observation(row.name, mean)
            variables[row.name] = _labelled(values, stacked, f"{row.name}_channel", row.channels)
        return _dataset(variables, batch, stacked)

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False, ahead: int = 0) -> "xr.Dataset":
        """Decoded target of every trial with its standard error.

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
        Dataset with ``target`` and ``deviation`` (trial x time x dim), in the unit of the target: the predictive
        distribution is Gaussian. NaN beyond a trial's end.

        Raises
        ------
        InputError
            If the model has no target, the batch does not fit it, or a smoothed estimate is asked for ahead of time.
        """
        fitted, readout = self._fitted(), self._readout(smoothed)
        batch = fitted.aligned(batch)
        if ahead := argument_named("ahead", whole, ahead):
            return self._predict_ahead(batch, ahead, smoothed)
        evidence = fitted.evidence(batch, smooth=smoothed)
        target = fitted.within_bounds(readout.predict(evidence))
        return labelled_target(
            batch, batch.stacked(observations=False), target, np.sqrt(readout.variance(evidence)), fitted.target_names
        )

    def _predict_ahead(self, batch: MultimodalBatch, ahead: int, smoothed: bool) -> "xr.Dataset":
        """What a live decoder says of the bin that comes so many bins later, in every bin of every trial."""
        if smoothed or ahead < 0:
            raise InputError(f"ahead is a number of bins that a filtered estimate looks ahead, got {ahead}")
        fitted, live = self._fitted(), self.realtime()
        coming = [live.predict_ahead(ahead) for _ in steps(live, batch)]
        stacked = batch.stacked(observations=False)
        target = np.zeros((*stacked.valid.shape, len(fitted.target_names)))
        deviation = np.zeros_like(target)
        target[stacked.valid] = [one.target for one in coming]
        deviation[stacked.valid] = [(one.upper - one.lower) / (2 * NORMAL_95) for one in coming]
        return labelled_target(batch, stacked, target, deviation, fitted.target_names)

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
            bits = {name: _bits(rates[name].to_numpy(), stacked, name, ahead) for name in counts}
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
        fitted = load_fitted(path)
        model = fitted.config.model
        row = model.modalities[0]
        return MultiscaleDecoder(
            latent=model.latent, own=model.own, embedding=model.embedding, encoder=row.encoder, decoder=row.decoder,
            fusion=model.fusion, linear_path=model.skip,
            memory=(model.memory[0] * fitted.width, model.memory[1] * fitted.width),
            traces=tuple(bins * fitted.width for bins in model.traces), recurrent=fitted.config.recurrent,
            objective=fitted.config.objective, training=fitted.config.training,
            start=model.start, readout=model.readout, raw_counts=any(m.raw for m in model.modalities),
            smoothness={m.name: m.smoothness for m in model.modalities},
            bounded=fitted.bounds is not None, fitted_=fitted,
        )  # fmt: skip

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

    def _tasks(
        self, batches: MultimodalBatch | Sequence[MultimodalBatch], seeds: Sequence[int] | None
    ) -> list["_Task"]:
        """Every batch with every seed, none of them twice."""
        chosen = [batches] if isinstance(batches, MultimodalBatch) else list(batches)
        if not chosen or (seeds is not None and not len(seeds)):
            raise InputError(f"expected at least one batch and one seed, got {len(chosen)} batches and seeds {seeds}")
        for position, batch in enumerate(chosen):
            if any(batch is other for other in chosen[:position]):
                raise InputError(f"batch {position + 1} comes more than once: leave it out, or give it other seeds")
            check_usable(batch)
        if seeds is not None and len(set(seeds)) < len(seeds):
            raise InputError(f"seeds must differ, got {', '.join(map(str, seeds))}")
        own = [self.training.seed] if seeds is None else [int(seed) for seed in seeds]
        decoders = [replace(self, training=replace(self.training, seed=seed)) for seed in own]
        return [(decoder, batch) for batch in chosen for decoder in decoders]

    def _prepare(self, batch: MultimodalBatch) -> Training:
        check_usable(batch)
        return prepare(batch, Scaling.fit(batch), self._config(batch))

    def _fitted_on(
        self, batch: MultimodalBatch, run: Training, outcome: Outcome[TrainState], checkpoint: Path | None
    ) -> "MultiscaleDecoder":
        """A copy with the trained model and its read-outs of the target."""
        give_back_memory()
        network = Network(run.graph, outcome.parameters, run.constants)
        recurrent, status = None, outcome.status
        if status != "interrupted":  # who asks for the best so far does not want another training to begin
            recurrent, ended = self._recurrent_network(batch, run, checkpoint)
            status = ended if ended in ("interrupted", "not finite") else status
        run.release()
        give_back_memory()
        config = run.config if recurrent is not None else replace(run.config, recurrent=None)
        filtered, smoothed = fit_readouts(
            network,
            recurrent,
            run.scaling,
            batch,
            run.held_out,
            seed=self.training.seed,
            plain=self.readout == "backbone",
        )
        fitted = Fitted(
            config=config, network=network, scaling=run.scaling, modalities=batch.modalities,
            target_names=batch.target_names, width=batch.width, filtered=filtered, smoothed=smoothed,
            history=outcome.history, status=status, provenance=provenance(batch),
            target_units=batch.target_units, recurrent=recurrent, bounds=_bounds(batch) if self.bounded else None,
        )  # fmt: skip
        return replace(self, fitted_=fitted)

    def _recurrent_network(
        self, batch: MultimodalBatch, run: Training, checkpoint: Path | None
    ) -> tuple[RecurrentNetwork | None, str]:
        """The recurrent read-out and how its training ended.

        It is trained on the same bins as the model and stopped by the held-out ones.
        """
        config = run.config.recurrent
        if config is None or batch.n_dims == 0:
            return None, "finished"
        scaling = InputScaling.fit(batch)
        on_device = {"values": run.timeline.values, "observed": run.timeline.observed}
        sequences = sequences_of(batch, scaling, run.scaling.target_mean, run.scaling.target_scale, **on_device)
        inner, held = (sequences.runs_of(part) for part in (run.trained_on, run.held_out))
        path = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.recurrent")
        progress = Bar(f"fit recurrent {'+'.join(batch.names)}") if self.progress else None
        outcome = fit_members(inner, held, config, checkpoint=path, progress=progress, data=run.identity["data"])
        return RecurrentNetwork(outcome.parameters, scaling), outcome.status

    def _config(self, batch: MultimodalBatch) -> DecoderConfig:
        rows = tuple(
            ModalityConfig(
                name=m.name,
                channels=m.n_channels,
                likelihood=m.likelihood,
                encoder=self.encoder,
                decoder=self.decoder,
                smoothness=self._smoothness(m.name, m.likelihood),
                raw=self.raw_counts and m.counts,
            )
            for m in batch.modalities
        )
        model = ModelConfig(
            modalities=rows,
            latent=self.latent,
            own=self.own or self.latent,
            embedding=self.embedding or self.latent,
            target=batch.n_dims,
            fusion=self.fusion,
            memory=(self.memory[0] / batch.width, self.memory[1] / batch.width),
            skip=self.linear_path,
            traces=tuple(seconds / batch.width for seconds in self.traces),
            start=self.start,
            readout=self.readout,
        )
        return DecoderConfig(model, self.objective, self.training, self.recurrent_config())

    def _smoothness(self, name: str, kind: str) -> float:
        given = self.smoothness or {}
        return given.get(name, given.get(kind, likelihood(kind).smoothness))

    def recurrent_config(self) -> RecurrentConfig | None:
        """The settings of the recurrent read-out for this training's epochs and seed."""
        if self.recurrent is None:
            return None
        steps = min(self.recurrent.steps, STEPS_PER_EPOCH * self.training.epochs)
        every = min(self.recurrent.validate_every, steps)
        return replace(self.recurrent, steps=steps, validate_every=every, seed=self.training.seed)

    def _fitted(self) -> Fitted:
        if self.fitted_ is None:
            raise InputError("this decoder has not been fitted: use the one that fit(batch) returns")
        return self.fitted_

    def _readout(self, smoothed: bool) -> Readout:
        readout = self._fitted().smoothed if smoothed else self._fitted().filtered
        if readout is None:
            raise InputError("this model was fitted without a target: give the batch one and fit again")
        return readout


def _bounds(batch: MultimodalBatch) -> np.ndarray | None:
    """Least and greatest target in the bins that may be fitted on."""
    seen = batch.target[batch.in_trials() & batch.target_observed]
    return np.stack([seen.min(axis=0), seen.max(axis=0)]) if batch.n_dims else None


_Task = tuple[MultiscaleDecoder, MultimodalBatch]


def _labels(tasks: Sequence[_Task]) -> list[str]:
    return [f"model {number} (seed {decoder.training.seed})" for number, (decoder, _) in enumerate(tasks, start=1)]


def _files(checkpoints: Sequence[str | os.PathLike[str]] | None, count: int) -> list[Path | None]:
    if checkpoints is None:
        return [None] * count
    files = [Path(path) for path in checkpoints]
    if len(files) != count or len(set(files)) < count:
        raise InputError(f"expected {count} different checkpoints, one for each model, got {len(files)}")
    return list(files)


def _in_turn(fits: Sequence[Callable[[], list[MultiscaleDecoder]]]) -> list[MultiscaleDecoder]:
    """Results of all fits; Ctrl-C in any but the last is a real interrupt, since the others would be missing."""
    results: list[MultiscaleDecoder] = []
    for number, fit in enumerate(fits, start=1):
        results += fit()
        if number < len(fits) and any(one._fitted().status == "interrupted" for one in results):
            raise KeyboardInterrupt
    return results


def _fit_group(
    tasks: Sequence[_Task], runs: Sequence[Training], files: Sequence[Path | None]
) -> list[MultiscaleDecoder]:
    """Fit models of equal shape together."""
    decoder, batch = tasks[0]
    count = f"{len(tasks)} x " if len(tasks) > 1 else ""
    progress = Bar(f"fit {count}{'+'.join(batch.names)}") if decoder.progress else None
    if len(tasks) == 1:  # several devices then share its trials
        trained = [fit_parameters(runs[0], checkpoint=files[0], progress=progress)]
    else:
        trained = fit_together(runs, _labels(tasks), checkpoints=files, progress=progress)
    found = zip(tasks, runs, trained, files, strict=True)
    return [d._fitted_on(b, run, one, file) for (d, b), run, one, file in found]


def _bits(rates: np.ndarray, stacked: Stacked, name: str, ahead: int) -> float:
    bins = rates.shape[1] - ahead
    counted = stacked.observed[name][:, ahead:] & ~stacked.context[:, ahead:, None]
    return bits_per_spike(rates[:, :bins], stacked.observations[name][:, ahead:], counted)


def _labelled(values: np.ndarray, stacked: Stacked, axis: str, names: Sequence[str]) -> "xr.DataArray":
    import xarray as xr

    inside = np.where(stacked.valid[..., None], values, np.nan)
    return xr.DataArray(inside, dims=("trial", "time", axis), coords={axis: list(names)})


def _dataset(variables: "dict[str, xr.DataArray]", batch: MultimodalBatch, stacked: Stacked) -> "xr.Dataset":
    """Dataset with the time of each bin's end, seconds, as a coordinate."""
    import xarray as xr

    dataset = xr.Dataset(variables, attrs={"bin_width_seconds": batch.width})
    return dataset.assign_coords(
        seconds=(("trial", "time"), stacked.time), context=(("trial", "time"), stacked.context)
    )
