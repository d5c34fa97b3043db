"""Per claim, systems that have it, that lack it, and that mimic it: what the rule has to say of each."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from experiments.falsifiers import networks
from experiments.falsifiers.recordings import orbit, telegraph, visits, wells
from neurodyn.markov import HiddenMarkovModel, linear_chain
from neurodyn.mechanism.activity import RecordConfig, record
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Verdict
from neurodyn.mechanism.measured import KickConfig, ResidencyConfig
from neurodyn.mechanism.network import Epoch, Network


class FalsifierKind(enum.Enum):
    """How a system stands to a claim."""

    HAS = "has it"
    LACKS = "lacks it"
    MIMICS = "mimics it"
    """It lacks the claim, but looks as if it had it to a rule that asks too little."""
    OTHER = "nothing to test"


RIGHT = {
    FalsifierKind.HAS: (Verdict.SUPPORTED,),
    FalsifierKind.LACKS: (Verdict.NOT_SUPPORTED, Verdict.DOES_NOT_APPLY),
    FalsifierKind.MIMICS: (Verdict.NOT_SUPPORTED, Verdict.DOES_NOT_APPLY),
    FalsifierKind.OTHER: (Verdict.DOES_NOT_APPLY,),
}
"""Verdicts that are right for a system of each kind."""


@dataclass(frozen=True)
class Falsifier:
    """One system for one claim.

    Parameters
    ----------
    claim
        Name in `neurodyn.mechanism.CLAIMS`.
    kind
        How the system stands to it.
    system
        In words.
    make
        ``make(seed)`` returns the evidence: what is random in the system and its recording follows the seed.
    """

    claim: str
    kind: FalsifierKind
    system: str
    make: Callable[[int], Evidence]

    def is_right(self, verdict: Verdict) -> bool:
        """Whether a verdict is right for the system."""
        return verdict in RIGHT[self.kind]


RECORDING = RecordConfig(trials=64, steps=120, burn_in=30, most_times=4)
RESIDENCY = ResidencyConfig(states=300, near_changes=100, draws=16, horizon=40, jacobians=3, most_times=4)
KICKS = KickConfig(
    runs=128, horizon=25, settled=3, least_changes=15, permutations=100, random_sets=40, neighbours=8, untrained=2,
    most_times=2,
)  # fmt: skip


def recorded(network: Network, seed: int, model: HiddenMarkovModel | None = None, **more) -> Evidence:
    """A network, recorded: more of it can be had."""
    activity = record(network, RECORDING, seed=seed)
    return Evidence(
        network, activity, model, residency_config=RESIDENCY, kick_config=KICKS, seed=seed, recording=RECORDING, **more
    )


def _of(build: Callable[[], Network], seed: int) -> Evidence:
    return recorded(build(), seed)


def _random(build: Callable[[np.random.Generator], Network], seed: int) -> Evidence:
    return recorded(build(np.random.default_rng(seed)), seed)


def _spiral(rng: np.random.Generator, *, others: int = 20, off: bool = False) -> Network:
    turned = networks.spiral(radius=rng.uniform(0.9, 0.96), angle=rng.uniform(0.3, 0.6), others=others)
    if not off:
        return turned
    readout = np.zeros((networks.SYMBOLS, 2 + others))
    readout[:, 5] = 1.0, -1.0
    return turned.with_parameters({**turned.parameters, "readout": readout})


def _exact(states: int, seed: int) -> Evidence:
    model = linear_chain(states)
    return recorded(networks.exact_emulator(model), seed, model)


def _with_untrained(network: Network, seed: int, first: Network | None = None) -> Evidence:
    first = first or networks.random_relu(60, 20, networks.SYMBOLS, seed)
    return recorded(network, seed, epochs=(Epoch(0, first), Epoch(1, network)))


def _with_kicks(units: tuple[int, ...], seed: int) -> Evidence:
    """The gated network, with units that do nothing, or that only the readout needs, in the place of kick neurons."""
    evidence = _with_untrained(networks.gated(), seed)
    chosen = np.array(units)
    fake = tuple(replace(kick, passed=chosen, group=chosen, integrating=np.zeros(0, int)) for kick in evidence.kicks)
    return replace(evidence, known_kicks=fake)


TWO_STATES = HiddenMarkovModel(
    np.full(2, 0.5), np.array([[0.975, 0.025], [0.025, 0.975]]), np.array([[0.998, 0.002], [0.002, 0.998]]), "two", 40
)
OFTEN = HiddenMarkovModel(np.full(2, 0.5), np.array([[0.9, 0.1], [0.1, 0.9]]), TWO_STATES.emissions, "often", 40)


def _trained(course: tuple[Network, ...], model: HiddenMarkovModel, seed: int) -> Evidence:
    """Networks along a training, of which nothing is recorded."""
    epochs = tuple(Epoch(number, network) for number, network in enumerate(course))
    return Evidence(course[-1], record(course[-1], RecordConfig(1, 2, 0), seed=seed), model, epochs, seed=seed)


def _ring_course(seed: int) -> Evidence:
    return _trained(tuple(networks.ring(noise=noise) for noise in (0.012, 0.03, 0.12)), TWO_STATES, seed)


def _relu_course(seed: int) -> Evidence:
    """The model is one whose symbols change as often as the likeliest symbol of the last network does."""
    course = tuple(networks.turning_relu(r, seed=seed) for r in (0.1, 0.5, 0.9, 0.95))
    likeliest = record(course[-1], RecordConfig(256, 60, 20), seed=seed).logits.argmax(axis=-1)
    rate = float((likeliest[:, 1:] != likeliest[:, :-1]).mean())
    moves = np.array([[1 - rate, rate], [rate, 1 - rate]])
    return _trained(course, HiddenMarkovModel(np.full(2, 0.5), moves, TWO_STATES.emissions, "as often", 40), seed)


def _no_course(seed: int) -> Evidence:
    return _trained((networks.turning_relu(0.9, seed=seed),) * 3, OFTEN, seed)


def _sharper(seed: int) -> Evidence:
    """Only the readout grows: symbols become more coherent, and the dynamics stay what they were."""
    plain = networks.turning_relu(0.9, seed=seed)
    scaled = (
        plain.with_parameters({**plain.parameters, "readout": f * np.asarray(plain.parameters["readout"])})
        for f in (1, 3, 9)
    )
    return _trained(tuple(scaled), OFTEN, seed)


def _two_epochs(seed: int) -> Evidence:
    return _trained((networks.ring(noise=0.012), networks.ring()), TWO_STATES, seed)


def _visits(seed: int, **how) -> Evidence:
    return Evidence(networks.ring(), visits(seed=seed, trials=40, **how))


def _telegraph(seed: int, readout: float = 0.0) -> Evidence:
    return telegraph(seed=seed, readout=readout, trials=384)  # no more can be recorded of it: as many as it takes


HAS, LACKS, MIMICS, OTHER = FalsifierKind.HAS, FalsifierKind.LACKS, FalsifierKind.MIMICS, FalsifierKind.OTHER
FALSIFIERS: tuple[Falsifier, ...] = (
    Falsifier("collapse", HAS, "a contracting rotation", partial(_random, _spiral)),
    Falsifier("collapse", HAS, "a ray that shrinks", partial(_random, partial(networks.ray, factor=0.6))),
    Falsifier("collapse", LACKS, "two attractors per unit", partial(_of, networks.bistable)),
    Falsifier("collapse", MIMICS, "a ray of fixed points", partial(_random, networks.ray)),
    Falsifier("rotation", HAS, "a noisy rotation", partial(_random, _spiral)),
    Falsifier("rotation", HAS, "an orbit with dwells", lambda seed: orbit(seed=seed)),
    Falsifier("rotation", LACKS, "a gradient system", partial(_of, networks.gradient_system)),
    Falsifier("rotation", MIMICS, "four wells, visited both ways round", lambda seed: wells(seed=seed)),
    Falsifier("phase", HAS, "a noisy rotation, read out in its plane", partial(_random, _spiral)),
    Falsifier("phase", HAS, "an orbit with dwells", lambda seed: orbit(seed=seed)),
    Falsifier("phase", LACKS, "a rotation, read out off its plane", partial(_random, partial(_spiral, off=True))),
    Falsifier("phase", MIMICS, "a telegraph on the axis that is read out", _telegraph),
    Falsifier("phase", MIMICS, "two telegraphs, the smaller read out", partial(_telegraph, readout=np.pi / 2)),
    Falsifier("residency", HAS, "an excitable ring", partial(_of, networks.ring)),
    Falsifier("residency", HAS, "a gated latch", partial(_of, networks.gated)),
    Falsifier("residency", LACKS, "an integrator", partial(_of, networks.integrator)),
    Falsifier("residency", OTHER, "an exact emulator, chain of 2", partial(_exact, 2)),
    Falsifier("residency", OTHER, "an exact emulator, chain of 5", partial(_exact, 5)),
    Falsifier("residency", MIMICS, "two wells with a flickering pass", partial(_of, networks.flicker)),
    Falsifier("sensitivity", HAS, "an excitable ring", partial(_of, networks.ring)),
    Falsifier("sensitivity", LACKS, "an integrator", partial(_of, networks.integrator)),
    Falsifier("sensitivity", OTHER, "an exact emulator, chain of 3", partial(_exact, 3)),
    Falsifier("sensitivity", MIMICS, "two wells with a flickering pass", partial(_of, networks.flicker)),
    Falsifier("kick_neurons", HAS, "a gated latch", lambda seed: _with_untrained(networks.gated(), seed)),
    Falsifier(
        "kick_neurons", LACKS, "independent units", lambda seed: _with_untrained(networks.independent_units(), seed)
    ),
    Falsifier(
        "kick_neurons", MIMICS, "a unit that only the readout needs",
        lambda seed: _with_untrained(networks.only_read_out(), seed),
    ),
    Falsifier("intervention", HAS, "a gated latch", lambda seed: _with_untrained(networks.gated(), seed)),
    Falsifier("intervention", LACKS, "units that do nothing", partial(_with_kicks, networks.DISTRACTORS[:2])),
    Falsifier("intervention", MIMICS, "units that only the readout needs", partial(_with_kicks, networks.COPY)),
    Falsifier(
        "intervention", OTHER, "no kick neurons",
        lambda seed: _with_untrained(networks.independent_units(), seed),
    ),
    Falsifier("resonance", HAS, "a ring whose noise grows", _ring_course),
    Falsifier("resonance", HAS, "rectified units that come to turn", _relu_course),
    Falsifier("resonance", LACKS, "a training that changes nothing", _no_course),
    Falsifier("resonance", MIMICS, "a readout that grows sharper", _sharper),
    Falsifier("resonance", OTHER, "two epochs", _two_epochs),
    Falsifier("subspaces", HAS, "half circles, a plane per pair", partial(_visits, shared=False)),
    Falsifier("subspaces", LACKS, "half circles, one plane", partial(_visits, shared=True)),
    Falsifier("subspaces", MIMICS, "a plane per pair, three shapes", partial(_visits, shared=False, alike=False)),
    Falsifier("subspaces", OTHER, "two symbols", partial(_of, networks.ring)),
)  # fmt: skip
"""Systems for every claim of the paper."""
