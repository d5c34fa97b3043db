"""The whole model: encoders, fusion, backbone, decoders, for any number of modalities.

Offline (:meth:`MultiscaleModel.infer`) and in real time (:meth:`MultiscaleModel.step`) the same parameters meet the
same kernels; that both give the same latents is a test, with missing bins and channels.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import kalman
from neurodyn.kernels.kalman import Belief
from neurodyn.multiscale.backbone import Backbone, Latents
from neurodyn.multiscale.config import ModelConfig
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
    """What the model carries from bin to bin: beliefs about the next bin, before its observations."""

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


class Dropout(NamedTuple):
    """What training hides: bins per modality (time), input channels, entries of the fused embedding."""

    bins: Mapping[str, Bool[Array, " time"]]
    channels: Mapping[str, Bool[Array, "trial time channel"]]
    fused: Float[Array, "trial time embedding"]


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
        rngs: nnx.Rngs,
    ) -> None:
        many = len(config.modalities) > 1
        self.names = tuple(m.name for m in config.modalities)
        self.trace_bins = config.traces
        self.encoders = nnx.List(
            [ModalityEncoder(m, config, *scaling[m.name], filtered=many, rngs=rngs) for m in config.modalities]
        )
        self.fusion = Fusion(config, rngs=rngs) if many else None
        self.backbone = Backbone(config.latent, config.embedding, config.memory, rngs=rngs)
        self.decoders = nnx.List([ModalityDecoder(m, config, rngs=rngs) for m in config.modalities])
        # The read-out used inside the objective only; the decoder a user gets is fitted afterwards by ridge.
        width, dtype = config.target, jnp.result_type(float)
        self.readout = nnx.Linear(config.latent, width, param_dtype=dtype, rngs=rngs) if width else None

    # Offline --------------------------------------------------------------------------------------------------

    def embed(
        self, observations: Observations, dropout: Dropout | None = None
    ) -> tuple[Float[Array, "trial time embedding"], Bool[Array, "*trial time"], tuple[kalman.Filtered, ...]]:
        """Fused embedding of every bin, the bins in which the backbone sees it, and each modality's own state."""
        filled, own, seen = [], [], observations.valid
        for name, encoder in zip(self.names, self.encoders, strict=True):
            seen = observations.seen[name]
            observed = observations.observed[name]
            if dropout is not None:
                seen = seen & ~dropout.bins[name]
                observed = observed & ~dropout.channels[name]
            embedding, state = encoder.fill(encoder.embed(observations.values[name], observed), seen)
            filled.append(embedding)
            own += [] if state is None else [state]
        if self.fusion is None:
            return filled[0], seen, ()
        return self.fusion(filled), observations.valid, tuple(own)

    def infer(self, observations: Observations, *, smooth: bool = True, dropout: Dropout | None = None) -> Latents:
        """Latents of whole trials: filtered (causal) and, if asked, smoothed."""
        fused, seen, _ = self.embed(observations, dropout)
        if dropout is not None:
            fused = fused * dropout.fused
        return self.backbone.infer(fused, seen, smooth=smooth)

    def states(self, observations: Observations, *, smooth: bool) -> tuple[Belief, ...]:
        """Mean and covariance of every state of the model in every bin, filtered or smoothed.

        Returns
        -------
        The backbone's first, then each modality's own; means are trial x time x state, covariances time x state x state
        where all trials share a mask.
        """
        fused, seen, own = self.embed(observations)
        backbone = self.backbone.parameters()
        parts = [(backbone, kalman.filter_trials(backbone, fused, seen[..., None]))]
        parts += [(e.dynamics.parameters(), f) for e, f in zip(self.encoders, own, strict=False) if e.dynamics]
        return tuple(_belief(dynamics, filtered, smooth) for dynamics, filtered in parts)

    def decays(self) -> Float[Array, " scale"]:
        """Factor per bin of each time scale of the traces."""
        return jnp.exp(-1 / jnp.asarray(self.trace_bins, jnp.result_type(float)))

    def traces(self, observations: Observations, *, reverse: bool = False) -> Float[Array, "trial time feature"]:
        """Traces of all modalities side by side, of the past or, reversed, of the future."""
        return jnp.concatenate(
            [
                traces_of_trials(
                    self.decays(), e.scaled(observations.values[n]), observations.observed[n], reverse=reverse
                )
                for n, e in zip(self.names, self.encoders, strict=True)
            ],
            axis=-1,
        )

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
        """One bin: the recursion that :meth:`infer` runs over whole trials."""
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


def _belief(dynamics: kalman.LinearGaussian, filtered: kalman.Filtered, smooth: bool) -> Belief:
    covariance = filtered.covariances.filtered
    if not smooth:
        return Belief(filtered.mean, covariance)
    smoothed = kalman.smooth_trials(dynamics, filtered)
    return Belief(smoothed.mean, kalman.smoothed_covariances(dynamics, covariance, smoothed.information))


def _condition(dynamics: kalman.LinearGaussian, predicted: Belief, embedding: Array, seen: Bool[Array, ""]) -> Belief:
    return kalman.update(dynamics, predicted, embedding, seen[None])
