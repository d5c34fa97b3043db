"""What the nine claims are examined on: a network, a recording of it, and what several claims measure on it."""

from dataclasses import dataclass, field
from functools import cached_property

from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism.activity import Activity, Plane, leading_plane
from neurodyn.mechanism.measured import Kick, KickConfig, Residency, ResidencyConfig
from neurodyn.mechanism.network import Epoch, Network


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
        Of the two measurements.
    known_residency, known_kicks
        What they have found already; None to measure.

    Examples
    --------
    ::

        evidence = Evidence(network, record(network, seed=0))
        rotation.examine(evidence, seed=0).verdict
    """

    network: Network
    activity: Activity
    hmm: HiddenMarkovModel | None = None
    epochs: tuple[Epoch, ...] = ()
    residency_config: ResidencyConfig = field(default_factory=ResidencyConfig)
    kick_config: KickConfig = field(default_factory=KickConfig)
    seed: int = 0
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

    @cached_property
    def residency(self) -> Residency:
        """Residency of recorded states, in bands."""
        from neurodyn.mechanism.residency import measure

        if self.known_residency is not None:
            return self.known_residency
        return measure(self.network, self.activity, self.residency_config, seed=self.seed)

    @cached_property
    def kicks(self) -> tuple[Kick, ...]:
        """Kick neurons of every transition that happens often enough."""
        from neurodyn.mechanism.kick_neurons import find

        if self.known_kicks is not None:
            return self.known_kicks
        return find(self.network, self.activity, self.kick_config, seed=self.seed)
