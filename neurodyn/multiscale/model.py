"""The whole model: encoders, fusion, backbone, decoders, for any number of modalities.

Offline (:meth:`MultiscaleModel.filter`) and in real time (:meth:`MultiscaleModel.step`) the same parameters meet the
same kernels; that both give the same latents is a test, with missing bins and channels.
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
from neurodyn.multiscale.traces import TraceState, start_traces, step_traces, traces_of_trials


class Observations(NamedTuple):
    """Trials as the model takes them, keyed by modality.

    ``seen`` and ``valid`` are time when all trials share the mask, so that covariances are computed once, or
    trial x time when they differ.
    """

    values: Mapping[str, Float[Array, "trial time channel"]]
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


class Frozen(NamedTuple):
    """The linear dynamics of every part, worked out once before a real-time loop."""

    modalities: tuple[kalman.LinearGaussian, ...]
    backbone: kalman.LinearGaussian


class StepOutput(NamedTuple):
    """Estimates of one bin given everything up to and including it."""

    states: tuple[Belief, ...]  # of the backbone, then of each modality's own dynamics
    traces: Float[Array, " feature"]
    means: tuple[Float[Array, " channel"], ...]


class Future(NamedTuple):
    """What the pieces of trials after this one say, by state (the backbone's first), and their reversed traces."""

    states: tuple[kalman.Later, ...]
    traces: tuple[TraceState, ...]


class Latents(NamedTuple):
    """Estimates of the backbone's state; variances are shared by trials with one mask."""

    filtered: Float[Array, "trial time latent"]  # x[t|t], causal
    smoothed: Float[Array, "trial time latent"]  # x[t|T], offline
    smoothed_variance: Float[Array, "*trial time latent"]


class Dropout(NamedTuple):
    """What training hides: bins per modality (one mask for all trials, or one each), channels, fused entries.

    ``gain`` is what inputs beside hidden channels are multiplied by; None: by what their bin has lost.
    """

    bins: Mapping[str, Bool[Array, "*trial time"]]
    channels: Mapping[str, Bool[Array, "trial time channel"]]
    fused: Float[Array, "trial time embedding"]
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

    # Offline --------------------------------------------------------------------------------------------------

    @property
    def dynamics(self) -> tuple[LinearDynamics, ...]:
        """The linear dynamics of every state: the backbone's, then each modality's own."""
        return (self.backbone, *(e.dynamics for e in self.encoders if e.dynamics is not None))

    def filter(
        self, observations: Observations, start: State | None = None, dropout: Dropout | None = None
    ) -> tuple[kalman.Filtered, ...]:
        """Causal estimates of every state of the model in every bin: the backbone's first, then each modality's own.

        Arguments
        ---------
        start: where the piece of the trials before this one ended; None at their beginning.
        dropout: what training hides.
        """
        filled, own, seen = [], [], observations.valid
        beliefs = iter(() if start is None else start.modalities)
        for name, encoder in zip(self.names, self.encoders, strict=True):
            seen = observations.seen[name]
            observed, hidden, gain = observations.observed[name], None, None
            if dropout is not None:
                seen, hidden, gain = seen & ~dropout.bins[name], dropout.channels[name], dropout.gain
            embedding = encoder.embed(observations.values[name], observed, hidden, gain)
            embedding, state = encoder.fill(embedding, seen, next(beliefs, None))
            filled.append(embedding)
            own += [] if state is None else [state]
        fused = filled[0]
        if self.fusion is not None:
            fused, seen = self.fusion(filled), observations.valid
        if dropout is not None:
            fused = fused * dropout.fused
        return self.backbone.filter(fused, seen, None if start is None else start.backbone), *own

    def infer(self, observations: Observations, dropout: Dropout | None = None) -> Latents:
        """The backbone's state in every bin of whole trials, filtered (causal) and smoothed."""
        filtered = self.filter(observations, dropout=dropout)[0]
        smoothed = self.backbone.smooth(filtered)
        return Latents(filtered.mean, smoothed.mean, smoothed.variance)

    def decays(self) -> Float[Array, " scale"]:
        """Factor per bin of each time scale of the traces."""
        return jnp.exp(-1 / jnp.asarray(self.trace_bins, jnp.result_type(float)))

    def traces(
        self, observations: Observations, start: tuple[TraceState, ...], *, reverse: bool = False
    ) -> tuple[tuple[TraceState, ...], Float[Array, "trial time feature"]]:
        """Traces of all modalities side by side, of the past or, reversed, of the future; and how they go on."""
        onward, traces = [], []
        for name, encoder, state in zip(self.names, self.encoders, start, strict=True):
            values = encoder.scaled(observations.values[name])
            state, trace = traces_of_trials(self.decays(), values, observations.observed[name], state, reverse=reverse)
            onward.append(state)
            traces.append(trace)
        return tuple(onward), jnp.concatenate(traces, axis=-1)

    # In real time ---------------------------------------------------------------------------------------------

    def freeze(self) -> Frozen:
        """Parameters of the linear dynamics for :meth:`step`."""
        own = (e.dynamics for e in self.encoders)
        return Frozen(tuple(d.parameters() for d in own if d is not None), self.backbone.parameters())

    def initial_state(self, dynamics: Frozen) -> State:
        """State before the first bin."""
        return State(
            tuple(kalman.initial_belief(own) for own in dynamics.modalities),
            kalman.initial_belief(dynamics.backbone),
            tuple(start_traces(self.decays(), e.center[...].shape[0]) for e in self.encoders),
        )

    def step(
        self,
        dynamics: Frozen,
        state: State,
        values: Mapping[str, Float[Array, " channel"]],
        observed: Mapping[str, Bool[Array, " channel"]],
    ) -> tuple[State, StepOutput]:
        """One bin: the recursion that :meth:`filter` runs over whole trials."""
        filled, states, beliefs, traces, seen = [], [], [], [], jnp.asarray(True)
        for position, (name, encoder) in enumerate(zip(self.names, self.encoders, strict=True)):
            seen = jnp.any(observed[name])
            embedding = encoder.embed(values[name], observed[name])
            scaled = encoder.scaled(values[name])
            traces.append(step_traces(self.decays(), state.traces[position], scaled, observed[name]))
            if encoder.dynamics is not None:
                own = dynamics.modalities[position]
                belief = _condition(own, state.modalities[position], embedding, seen)
                embedding = encoder.dynamics.emit(belief.mean)
                states.append(belief)
                beliefs.append(kalman.predict(own, belief))
            filled.append(embedding)
        fused = filled[0]
        if self.fusion is not None:
            fused, seen = self.fusion(filled), jnp.asarray(True)
        latent = _condition(dynamics.backbone, state.backbone, fused, seen)
        memories, features = zip(*traces, strict=True)
        output = StepOutput((latent, *states), jnp.concatenate(features), self.means(latent.mean))
        return State(tuple(beliefs), kalman.predict(dynamics.backbone, latent), memories), output

    def means(self, latent: Float[Array, "*batch latent"]) -> tuple[Float[Array, "*batch channel"], ...]:
        """Expected observation of each modality given a latent state."""
        embedding = self.backbone.emit(latent)
        return tuple(decoder.mean(embedding) for decoder in self.decoders)


def _condition(dynamics: kalman.LinearGaussian, predicted: Belief, embedding: Array, seen: Bool[Array, ""]) -> Belief:
    return kalman.update(dynamics, predicted, embedding, seen[None])
