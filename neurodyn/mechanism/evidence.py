"""What the nine claims are examined on: a network, a recording of it, and what several claims measure on it."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism.activity import Activity, Plane, RecordConfig, joined, leading_plane, record
from neurodyn.mechanism.dwell import Dwell, dwell_of_model, dwell_of_recording
from neurodyn.mechanism.kick_search import find
from neurodyn.mechanism.measured import Kick, KickConfig, Residency, ResidencyConfig
from neurodyn.mechanism.network import Epoch, Network, redrawn
from neurodyn.mechanism.residency_measure import measure

MORE_TRIALS = 1_000_003
"""Seeds of further trials lie so far apart: none of them is that of something else."""


@dataclass(frozen=True, eq=False)
class UntrainedKicks:
    """An untrained network, a recording of it, and what the rule for kick neurons makes of it."""

    network: Network
    activity: Activity
    kicks: tuple[Kick, ...]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for the claims; every claim is examined by ``examine(evidence, config, seed=...)``.

    What more than one claim needs is measured when it is first asked for, and kept.

    Parameters
    ----------
    network
        The trained network.
    activity
        A recording of it; everything that runs anew does so at the level of its noise.
    hmm
        The hidden Markov model that it was trained on; None where no claim asks for it.
    epochs
        Networks along the training, the earliest first and the trained one last. If the first is of epoch 0, it is the
        untrained network.
    residency_config, kick_config
        Sizes of the two measurements.
    seed
        Seed of the two measurements, and of what more is recorded.
    recording
        How the activity was recorded, where more of it can be had; None if it is all there is.
    known_residency, known_kicks
        What they have found already; None to measure.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> network, short = nd.mechanism.network_of(rnn), nd.mechanism.RecordConfig(trials=4, steps=20, burn_in=5)
    >>> evidence = nd.mechanism.Evidence(network, nd.mechanism.record(network, short, seed=0))
    >>> evidence.level, evidence.plane.axes.shape
    (1.0, (2, 3))
    """

    network: Network
    activity: Activity
    hmm: HiddenMarkovModel | None = None
    epochs: tuple[Epoch, ...] = ()
    residency_config: ResidencyConfig = field(default_factory=ResidencyConfig)
    kick_config: KickConfig = field(default_factory=KickConfig)
    seed: int = 0
    recording: RecordConfig | None = None
    known_residency: Residency | None = None
    known_kicks: tuple[Kick, ...] | None = None

    @property
    def level(self) -> float:
        """Standard deviation of the noise."""
        return self.activity.level

    @property
    def untrained(self) -> Network | None:
        """The network before training; None if it is not known."""
        return self.epochs[0].network if self.epochs and self.epochs[0].epoch == 0 else None

    @cached_property
    def untrained_kicks(self) -> tuple[UntrainedKicks, ...] | None:
        """Kick neurons that the rule finds in untrained networks, none of which has any; None without such a network.

        The first is that of epoch 0, the others have its weights dealt out anew.
        """
        if self.untrained is None:
            return None
        found = []
        for number in range(self.kick_config.untrained):
            network = self.untrained if number == 0 else redrawn(self.untrained, self.seed + number)
            trials, steps, _ = self.activity.states.shape
            activity = record(network, RecordConfig(trials, steps, level=self.level), seed=self.seed + number)
            found.append(UntrainedKicks(network, activity, find(network, activity, self.kick_config, seed=self.seed)))
        return tuple(found)

    @property
    def model(self) -> HiddenMarkovModel:
        """The hidden Markov model.

        Raises
        ------
        InputError
            If it was not given.
        """
        if self.hmm is None:
            raise InputError("this claim needs the hidden Markov model that the network was trained on: give hmm=")
        return self.hmm

    @cached_property
    def plane(self) -> Plane:
        """First two principal components of the recorded activity."""
        return leading_plane(self.activity.states)

    @property
    def most_times(self) -> int:
        """How many times the recorded trials a claim may ask for: 1 where the recording is all there is."""
        return 1 if self.recording is None else self.recording.most_times

    def recorded(self, times: int) -> Activity:
        """The recording, with further trials so that there are so many times as many.

        Raises
        ------
        InputError
            If more is asked for than there can be.
        """
        if times > self.most_times or self.recording is None:
            if times == 1:
                return self.activity
            raise InputError(f"there are at most {self.most_times} times the recorded trials, asked for {times}")
        while len(self._blocks) < times.bit_length():
            have = 2 ** (len(self._blocks) - 1)
            more = replace(self.recording, trials=have * len(self.activity.states))
            self._blocks.append(record(self.network, more, seed=self.seed + MORE_TRIALS * have))
        return joined(self._blocks[: times.bit_length()])

    @cached_property
    def _blocks(self) -> list[Activity]:
        return [self.activity]

    @cached_property
    def dwell(self) -> Dwell | None:
        """How long symbols last in the model, or in the recording if there is none; None if they never change."""
        horizon = self.residency_config.horizon
        return dwell_of_recording(self.activity, horizon) if self.hmm is None else dwell_of_model(self.hmm, horizon)

    @property
    def residency(self) -> Residency:
        """Residency of recorded states, in bands."""
        return self.residencies(1)

    def residencies(self, times: int) -> Residency:
        """Residency of so many times the usual number of states, a power of two."""
        config, found = self.residency_config, self._residencies
        while len(found) < times.bit_length():
            have = 2 ** (len(found) - 1) if found else 0
            more = replace(config, states=max(have, 1) * config.states, near_changes=max(have, 1) * config.near_changes)
            one = measure(self.network, self.activity, more, seed=self.seed + MORE_TRIALS * have, dwell=self.dwell)
            found.append(found[-1].joined(one) if found else one)
        return found[times.bit_length() - 1]

    @property
    def most_states(self) -> int:
        """How many times the usual number of states a claim may ask for: 1 where their residency was given."""
        return 1 if self.known_residency is not None else self.residency_config.most_times

    @cached_property
    def _residencies(self) -> list[Residency]:
        return [] if self.known_residency is None else [self.known_residency]

    @cached_property
    def kicks(self) -> tuple[Kick, ...]:
        """Kick neurons of every transition that happens often enough."""
        if self.known_kicks is not None:
            return self.known_kicks
        return find(self.network, self.activity, self.kick_config, seed=self.seed)
