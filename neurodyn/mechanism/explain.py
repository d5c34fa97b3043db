"""All claims on one trained network."""

import time as clock
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import xarray as xr

from neurodyn.display import Shown
from neurodyn.errors import InputError, unknown_name
from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism.activity import RecordConfig, record
from neurodyn.mechanism.collapse import CollapseConfig
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Finding, Verdict
from neurodyn.mechanism.intervention import InterventionConfig
from neurodyn.mechanism.kick_neurons import KickConfig
from neurodyn.mechanism.network import Epoch, Network, epochs_of, network_of, untrained_of
from neurodyn.mechanism.phase import PhaseConfig
from neurodyn.mechanism.portrait import portrait
from neurodyn.mechanism.residency import ResidencyConfig
from neurodyn.mechanism.resonance import ResonanceConfig
from neurodyn.mechanism.rotation import RotationConfig
from neurodyn.mechanism.sensitivity import SensitivityConfig
from neurodyn.mechanism.subspaces import SubspaceConfig
from neurodyn.mechanism.table import CLAIMS, Measure


@dataclass(frozen=True)
class ExplainConfig:
    """Sizes and thresholds of all claims.

    Parameters
    ----------
    record
        The recording that all claims share.
    epochs
        Saved epochs that claim 8 looks at, at most: evenly spaced, the first and the last among them.
    collapse, rotation, phase, residency, sensitivity, kick, intervention, resonance, subspaces
        Of each claim of the paper.
    others
        Of claims that were added to `CLAIMS`, each known by its class; those that are left out have their defaults.

    Examples
    --------
    >>> from neurodyn.mechanism import ExplainConfig, KickConfig, RecordConfig
    >>> config = ExplainConfig(record=RecordConfig(trials=64), kick=KickConfig(runs=128))
    >>> config.record.trials, config.settings_of("rotation").surrogates
    (64, 40)
    """

    record: RecordConfig = field(default_factory=RecordConfig)
    epochs: int = 8
    collapse: CollapseConfig = field(default_factory=CollapseConfig)
    rotation: RotationConfig = field(default_factory=RotationConfig)
    phase: PhaseConfig = field(default_factory=PhaseConfig)
    residency: ResidencyConfig = field(default_factory=ResidencyConfig)
    sensitivity: SensitivityConfig = field(default_factory=SensitivityConfig)
    kick: KickConfig = field(default_factory=KickConfig)
    intervention: InterventionConfig = field(default_factory=InterventionConfig)
    resonance: ResonanceConfig = field(default_factory=ResonanceConfig)
    subspaces: SubspaceConfig = field(default_factory=SubspaceConfig)
    others: tuple[Any, ...] = ()

    def settings_of(self, name: str) -> Any:
        """Settings of a claim of `CLAIMS`, by its name.

        Examples
        --------
        >>> ExplainConfig().settings_of("rotation").surrogates
        40
        """
        settings = CLAIMS[name].settings
        given = (*(getattr(self, each.name) for each in fields(self)), *self.others)
        return next((each for each in given if isinstance(each, settings)), settings())


def quick_config() -> ExplainConfig:
    """Sizes that show in a minute that everything works; the verdicts mean little.

    Examples
    --------
    >>> from neurodyn.mechanism import ExplainConfig, quick_config
    >>> quick_config().record.trials < ExplainConfig().record.trials
    True
    """
    sizes: dict[Any, Any] = {row.settings: row.quick_settings for row in CLAIMS.values()}
    claim_fields = [each for each in fields(ExplainConfig) if each.default_factory in sizes]
    named = {each.name: sizes.pop(each.default_factory) for each in claim_fields}
    record = RecordConfig(trials=32, steps=60, burn_in=10, most_times=1)
    return ExplainConfig(record=record, epochs=3, others=tuple(sizes.values()), **named)


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Shown):
    """What was found on one network, a finding per claim.

    Parameters
    ----------
    findings
        In the order of the claims.
    seconds
        What each took, by name; ``recording`` among them.
    network, hmm
        In words: what was explained, and the model it was trained on.
    portrait
        What the pictures of the network show (`portrait`).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> hmm, quick = nd.markov.fully_connected(2), nd.mechanism.quick_config()
    >>> found = nd.mechanism.explain(rnn, hmm, config=quick, claims="rotation")
    >>> found.to_rows()[0]["name"], sorted(found.seconds)
    ('rotation', ['portrait', 'recording', 'rotation'])
    """

    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    network: str
    hmm: str
    portrait: xr.Dataset = field(default_factory=xr.Dataset)

    def _title(self) -> str:
        return f"Explanation of {self.network}, trained on {self.hmm}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for found in self.findings:
            control = f"{found.control.value:.4g}"
            yield found.name, f"{found.headline}: {found.estimate.name} {found.estimate}, control {control}"

    def __getitem__(self, name: str) -> Finding:
        """The finding on a claim, by the name of its module."""
        return {finding.name: finding for finding in self.findings}[name]

    @property
    def sentence(self) -> str:
        """The verdicts in one sentence."""
        groups = [(v, [_counted(f) for f in self.findings if f.verdict is v]) for v in Verdict]
        return "; ".join(f"{verdict.value}: {', '.join(numbers)}" for verdict, numbers in groups if numbers)

    def to_rows(self) -> list[dict[str, Any]]:
        """One row per claim: number, name, verdict, main number with its interval, control."""
        return [
            {
                "claim": f.number,
                "name": f.name,
                "verdict": f.verdict.value,
                "headline": f.headline,
                "statistic": f.estimate.name,
                **{key: getattr(f.estimate, key) for key in ("value", "low", "high")},
                "control": f.control.value,
                "control_low": f.control.low,
                "control_high": f.control.high,
            }
            for f in self.findings
        ]

    def to_xarray(self) -> xr.Dataset:
        """Everything that the figures show, under ``<claim>_<name>`` or ``portrait_<name>``; nothing empty."""
        parts = [_prefixed(self.portrait, "portrait")]
        for found in self.findings:
            part = _prefixed(found.data, found.name)
            part.attrs[f"{found.name}_verdict"] = found.verdict.value
            parts.append(part)
        merged: Any = xr.merge(parts, combine_attrs="no_conflicts", compat="no_conflicts", join="exact")
        return merged


def _prefixed(data: xr.Dataset, name: str) -> xr.Dataset:
    """Every variable, axis and attribute under ``<name>_...``, without what is empty."""
    data = data.drop_vars([key for key, part in data.variables.items() if not part.size])
    part = data.rename({str(key): f"{name}_{key}" for key in (*data.variables, *data.dims)}).drop_attrs()
    part.attrs = {f"{name}_{key}": value for key, value in data.attrs.items()}
    return part


def _counted(finding: Finding) -> str:
    """Number of a claim; of one that holds for some of several things and not for others, with how many."""
    mixed = finding.verdict in (Verdict.NOT_SUPPORTED, Verdict.UNDECIDED) and finding.parts
    return f"{finding.number} ({finding.headline})" if mixed else str(finding.number)


def explain(
    emulator: Any,
    hmm: HiddenMarkovModel | None = None,
    *,
    config: ExplainConfig | None = None,
    seed: int = 0,
    epochs: Sequence[Epoch] | None = None,
    report: Callable[[str], None] | None = None,
    claims: str | Sequence[str] | None = None,
) -> Explanation:
    """Examine the claims on a trained network, with one recording for all.

    Parameters
    ----------
    emulator
        Fitted ``HmmEmulator``, or a ``Network``.
    hmm
        Model it was trained on; the emulator's if None.
    config
        Sizes and thresholds.
    seed
        Seed of everything random.
    epochs
        Networks along the training, the earliest first; those that the emulator kept if None.
    report
        Called with the name of every part before it starts.
    claims
        Names of those to examine, of `CLAIMS`; None for all.

    Raises
    ------
    InputError
        If there is no such claim, no model is given and the emulator knows none, or the activity does not stay finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> hmm, quick = nd.markov.fully_connected(2), nd.mechanism.quick_config()
    >>> found = nd.mechanism.explain(rnn, hmm, config=quick, claims="rotation")
    >>> [(finding.name, finding.verdict.value) for finding in found.findings]
    [('rotation', 'not supported')]
    """
    settings, network, chosen = config or ExplainConfig(), network_of(emulator), _chosen(claims)
    hmm = hmm or getattr(emulator, "hmm", None)
    if hmm is None:
        raise InputError(
            "explain needs the hidden Markov model that the network was trained on: give it as the second argument"
        )
    course = _course(
        tuple(epochs_of(emulator) if epochs is None else epochs), network, untrained_of(emulator), settings.epochs
    )
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        if report is not None:
            report(name)
        start = clock.perf_counter()
        result = work()
        seconds[name] = clock.perf_counter() - start
        return result

    evidence = Evidence(
        network=network, activity=timed("recording", lambda: record(network, settings.record, seed=seed)), hmm=hmm,
        epochs=course, residency_config=settings.residency, kick_config=settings.kick, seed=seed,
        recording=settings.record,
    )  # fmt: skip
    for measure in Measure:
        if any(measure in CLAIMS[name].measures for name in chosen):
            timed(measure.value, lambda measure=measure: measure.measure_on(evidence))
    findings = tuple(
        timed(
            name.replace("_", " "),
            lambda name=name: CLAIMS[name].examine(evidence, settings.settings_of(name), seed=seed),
        )
        for name in chosen
    )
    searched = any(Measure.KICKS in CLAIMS[name].measures for name in chosen)
    picture = timed("portrait", lambda: portrait(evidence, evidence.kicks if searched else (), seed=seed))
    words = f"{network.hidden} units, {network.inputs} inputs, {network.symbols} symbols"
    return Explanation(findings, seconds, words, hmm.name, picture)


def _chosen(claims: str | Sequence[str] | None) -> list[str]:
    """Names of the claims to examine, in the order of the table."""
    claims = [claims] if isinstance(claims, str) else claims
    if claims is not None and not claims:
        raise InputError("there are no claims to examine: name some, or leave claims out for all of them")
    for name in claims or ():
        if name not in CLAIMS:
            raise unknown_name("claim", name, CLAIMS)
    return [name for name in CLAIMS if claims is None or name in claims]


def _course(epochs: tuple[Epoch, ...], network: Network, untrained: Network | None, most: int) -> tuple[Epoch, ...]:
    """From the untrained network (epoch 0) to the trained one, evenly spaced and no more than so many."""
    last = Epoch(max(epochs[-1].epoch, 1) if epochs else 1, network)
    first = () if untrained is None or (epochs and epochs[0].epoch == 0) else (Epoch(0, untrained),)
    every = (*first, *epochs[:-1], last)
    chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
    return tuple(every[i] for i in chosen)
