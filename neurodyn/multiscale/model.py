"""The whole model: encoders, fusion, backbone, decoders, for any number of modalities.

This is the model over whole trials, in JAX: what training derives and what ``transform`` and ``predict`` run. Bin by
bin the same model is written a second time, in NumPy (:mod:`neurodyn.realtime.runner`), because a rig has neither JAX
nor the time to call it. Tests hold the two against each other, and the second against a plain step as well.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import kalman
from neurodyn.kernels.kalman import Belief
from neurodyn.multiscale.backbone import Backbone
from neurodyn.multiscale.config import ModelConfig
from neurodyn.multiscale.dynamics import LinearDynamics
from neurodyn.multiscale.fusion import Fusion
from neurodyn.multiscale.modality_decoders import ModalityDecoder
from neurodyn.multiscale.modality_encoder import ModalityEncoder
from neurodyn.multiscale.traces import TraceState, start_traces, traces_of_trials


class ObservedTrials(NamedTuple):
    """Trials as the model takes them, keyed by modality.

    Parameters
    ----------
    observations
        (trial, time, channel), in the unit of the recording (z-scored by the encoder), 0 where not observed.
    observed
        (trial, time, channel), True where a channel has a value.
    seen
        True in bins in which any channel of the modality is observed: (time,) when all trials share the mask, so that
        covariances are computed once, or (trial, time) when they differ.
    valid
        False in bins that pad shorter trials; axes as those of ``seen``.
    """

    observations: Mapping[str, Float[Array, "trial time channel"]]
    observed: Mapping[str, Bool[Array, "trial time channel"]]
    seen: Mapping[str, Bool[Array, " time"] | Bool[Array, "trial time"]]
    valid: Bool[Array, " time"] | Bool[Array, "trial time"]


class State(NamedTuple):
    """What the model carries from bin to bin: beliefs about the next bin, before its observations.

    Between pieces of whole trials, means and traces have a trial axis, and covariances where masks differ.
    """

    modalities: tuple[Belief, ...]
    backbone: Belief
    traces: tuple[TraceState, ...]


class StepParameters(NamedTuple):
    """The state-space models whose Kalman filters a step runs: each modality's own, and the backbone's."""

    modalities: tuple[kalman.LinearGaussian, ...]
    backbone: kalman.LinearGaussian


class Future(NamedTuple):
    """What the pieces of trials after this one say about each state (the backbone's first), and reversed traces."""

    states: tuple[kalman.FutureEvidence, ...]
    traces: tuple[TraceState, ...]


class Latents(NamedTuple):
    """Estimates of the backbone's state; variances are shared by trials with one mask."""

    filtered: Float[Array, "trial time latent"]  # x[t|t], causal
    smoothed: Float[Array, "trial time latent"]  # x[t|T], offline
    smoothed_variance: Float[Array, "*trial time latent"]


class Dropout(NamedTuple):
    """What training hides of the observations it has.

    Parameters
    ----------
    hidden_bins
        Per modality, True where a bin is hidden: (time,) for all trials alike, or (trial, time).
    hidden_channels
        Per modality (trial, time, channel), True where a channel is hidden from the encoder.
    fused_factor
        (trial, time, embedding): 0 where an entry of the fused embedding is dropped; elsewhere what makes up for it.
    gain
        What inputs beside hidden channels are multiplied by; None: by what their bin has lost.
    """

    hidden_bins: Mapping[str, Bool[Array, "*trial time"]]
    hidden_channels: Mapping[str, Bool[Array, "trial time channel"]]
    fused_factor: Float[Array, "trial time embedding"]
    gain: float | Float[Array, ""] | None = None


class MultiscaleModel(nnx.Module):
    """MRINE's network for any number of modalities (spec, section Model).

    With one modality there is neither a modality filter nor a fusion network: its embedding is the backbone's
    observation, missing where the modality is.
    """

    def __init__(
        self,
        config: ModelConfig,
        scaling: Mapping[str, tuple[Float[Array, " channel"], Float[Array, " channel"]]],
        *,
        parallel: bool | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        many = len(config.modalities) > 1
        self.names = tuple(m.name for m in config.modalities)
        self.trace_bins = config.traces
        self.encoders = nnx.List(
            [
                ModalityEncoder(m, config, *scaling[m.name], filtered=many, parallel=parallel, rngs=rngs)
                for m in config.modalities
            ]
        )
        self.fusion = Fusion(config, rngs=rngs) if many else None
        self.backbone = Backbone(
            config.latent, config.embedding, config.memory, start=config.start, parallel=parallel, rngs=rngs
        )
        self.decoders = nnx.List([ModalityDecoder(m, config, rngs=rngs) for m in config.modalities])
        # The read-out used inside the objective only; the decoder a user gets is fitted afterwards by ridge.
        width, dtype = config.target, jnp.result_type(float)
        self.readout = nnx.Linear(config.latent, width, param_dtype=dtype, rngs=rngs) if width else None

    @property
    def dynamics(self) -> tuple[LinearDynamics, ...]:
        """The linear dynamics of every state: the backbone's, then each modality's own."""
        return (self.backbone, *(e.dynamics for e in self.encoders if e.dynamics is not None))

    def filter(
        self, trials: ObservedTrials, start: State | None = None, dropout: Dropout | None = None
    ) -> tuple[kalman.Filtered, ...]:
        """Causal estimates of every state of the model in every bin: the backbone's first, then each modality's own.

        Parameters
        ----------
        start
            Where the piece of the trials before this one ended; None at their beginning.
        dropout
            What training hides.
        """
        embeddings, modality_states, seen = [], [], trials.valid
        beliefs = iter(() if start is None else start.modalities)
        for name, encoder in zip(self.names, self.encoders, strict=True):
            seen = trials.seen[name]
            observed, hidden, gain = trials.observed[name], None, None
            if dropout is not None:
                seen, gain = seen & ~dropout.hidden_bins[name], dropout.gain
                hidden = dropout.hidden_channels[name]
            embedding = encoder.embed(trials.observations[name], observed, hidden, gain)
            embedding, state = encoder.fill(embedding, seen, next(beliefs, None))
            embeddings.append(embedding)
            modality_states += [] if state is None else [state]
        fused = embeddings[0]
        if self.fusion is not None:
            fused, seen = self.fusion(embeddings), trials.valid
        if dropout is not None:
            fused = fused * dropout.fused_factor
        return self.backbone.filter(fused, seen, None if start is None else start.backbone), *modality_states

    def infer(self, trials: ObservedTrials, dropout: Dropout | None = None) -> Latents:
        """The backbone's state in every bin of whole trials, filtered (causal) and smoothed."""
        filtered = self.filter(trials, dropout=dropout)[0]
        smoothed = self.backbone.smooth(filtered)
        return Latents(filtered.mean, smoothed.mean, smoothed.variance)

    def decays(self) -> Float[Array, " scale"]:
        """Factor per bin of each time scale of the traces."""
        return jnp.exp(-1 / jnp.asarray(self.trace_bins, jnp.result_type(float)))

    def traces(
        self, trials: ObservedTrials, start: tuple[TraceState, ...], *, reverse: bool = False
    ) -> tuple[tuple[TraceState, ...], Float[Array, "trial time feature"]]:
        """Traces of all modalities side by side, of the past or, reversed, of the future; and how they go on."""
        states, traces = [], []
        for name, encoder, state in zip(self.names, self.encoders, start, strict=True):
            values = encoder.scaled(trials.observations[name])
            state, trace = traces_of_trials(self.decays(), values, trials.observed[name], state, reverse=reverse)
            states.append(state)
            traces.append(trace)
        return tuple(states), jnp.concatenate(traces, axis=-1)

    def step_parameters(self) -> StepParameters:
        """Parameters of every Kalman filter in the model, worked out once before the bins come."""
        backbone, *of_modalities = (dynamics.parameters() for dynamics in self.dynamics)
        return StepParameters(tuple(of_modalities), backbone)

    def initial_state(self, parameters: StepParameters) -> State:
        """State before the first bin."""
        return State(
            tuple(kalman.initial_belief(of_modality) for of_modality in parameters.modalities),
            kalman.initial_belief(parameters.backbone),
            tuple(start_traces(self.decays(), e.center[...].shape[0]) for e in self.encoders),
        )

    def means(self, latent: Float[Array, "*batch latent"]) -> tuple[Float[Array, "*batch channel"], ...]:
        """Expected observation of each modality given a latent state."""
        embedding = self.backbone.emit(latent)
        return tuple(decoder.mean(embedding) for decoder in self.decoders)
