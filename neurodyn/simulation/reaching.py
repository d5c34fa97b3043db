"""A hand that reaches: motor cortical units tuned to its velocity, a field whose beta rhythm falls when it moves.

Made to stand in for the recordings of monkeys that the experiments of Erturk & Shanechi (2025) were done on, so that
anyone can run them: trials with rest and movement, two modalities that each know something of their own, line noise,
and units that change from one session to the next.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.simulation.noise import wandering

VOLTS = 2e-5
"""Standard deviation of the field's noise in volts."""
LEAD = 0.1
"""Seconds by which the activity of motor cortex is ahead of the hand."""
LINE_SHARE = 0.5
"""Amplitude of the line's hum, in standard deviations of the noise."""


@dataclass(frozen=True)
class ReachingSettings:
    """What is simulated.

    Parameters
    ----------
    trials
        Reaches. A trial takes about two seconds.
    targets
        On a circle around the middle, to which the hand returns after each reach; 0 for targets anywhere in the
        workspace, each reach from where the last one ended.
    reach
        Radius of the workspace in metres.
    units, channels
        Of motor cortex, and of the field potential.
    base_rate, depth
        Firing rate at rest in Hz, and by how much of it the rate changes in the preferred direction at the usual peak
        of speed.
    common
        By how much of the rate at rest all units together follow a slow drive that is independent of the hand.
    beta, beta_drop
        Frequency of the rhythm in Hz, and the share of its amplitude that is lost while the hand moves.
    field_rate, position_rate
        Samples per second.
    line
        Frequency of the line's hum in Hz; 0 for none.
    session, turn
        Number of the session of one animal, from 0, and by how many degrees (standard deviation) the preferred
        directions turn from one to the next; base rates change by a tenth of that in per cent.

    Examples
    --------
    >>> from neurodyn.simulation import ReachingSettings, simulate_reaching
    >>> session = simulate_reaching(ReachingSettings(trials=3, units=5, channels=2), seed=0)
    >>> len(session.spikes["spikes"].units), session.fields["lfp"].channels
    (5, ('lfp0', 'lfp1'))
    """

    trials: int = 200
    targets: int = 8
    reach: float = 0.1
    units: int = 20
    channels: int = 20
    base_rate: float = 12.0
    depth: float = 0.9
    common: float = 0.3
    beta: float = 20.0
    beta_drop: float = 0.7
    field_rate: float = 1000.0
    position_rate: float = 100.0
    line: float = 60.0
    session: int = 0
    turn: float = 10.0

    def __post_init__(self) -> None:
        for name in ("trials", "units", "channels"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("targets", "session", "turn", "line"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("reach", "base_rate", "beta", "field_rate", "position_rate"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name} must be more than 0, got {getattr(self, name)}")
        if not 0 <= self.beta_drop <= 1:
            raise InputError(f"the share of beta that is lost must lie in [0, 1], got {self.beta_drop}")
        if min(self.depth, self.common) < 0 or self.depth + self.common >= 3:
            raise InputError(f"depth and common are 0 or more and below 3 together, got {self.depth} and {self.common}")
        if max(self.beta, self.line) >= self.field_rate / 2:
            raise InputError(
                f"field_rate is {self.field_rate:g} Hz, which is below the Nyquist rate for an oscillation at "
                f"{max(self.beta, self.line):g} Hz: it has to be more than twice that"
            )


def simulate_reaching(settings: ReachingSettings | None = None, *, seed: int) -> Recording:
    """Simulate a session of reaches as a recording in seconds.

    The hand rests, waits for the target, and moves to it with the least jerk. With v the velocity 0.1 s later, in units
    of the usual peak of speed, d a unit's preferred direction and g a slow drive that all share, spikes are Poisson
    with rate

    ``base max(0.05, 1 + depth (v . d + |v| / 3) + common g)``.

    Each channel of the field is noise of falling spectrum, plus beta whose amplitude falls while the hand moves, plus a
    slow potential that follows the velocity in a direction of its own, plus the hum of the line.

    Parameters
    ----------
    settings
        What to simulate; the defaults of ``ReachingSettings`` if left out.
    seed
        Seed of the animal (its units and channels) and, with the number of the session, of everything else.

    Returns
    -------
    Recording with spikes ``spikes``, field ``lfp`` (V), behaviour ``position`` (m), intervals ``trials`` with the
    columns ``target_x``, ``target_y`` (m) and ``direction`` (degrees), and intervals ``movements``.

    Raises
    ------
    InputError
        If a setting is out of range.

    Examples
    --------
    >>> from neurodyn.simulation import ReachingSettings, simulate_reaching
    >>> session = simulate_reaching(ReachingSettings(trials=5), seed=0)
    >>> session.behaviour["position"].channels, len(session.intervals["trials"].starts)
    (('x', 'y'), 5)
    """
    settings = ReachingSettings() if settings is None else settings
    animal = np.random.default_rng([seed, 0])
    task_rng, spike_rng, field_rng = np.random.default_rng([seed, 1, settings.session]).spawn(3)
    position, velocity, intervals = _hand(settings, task_rng)
    scale = 1.875 * settings.reach / 0.5  # peak of speed of a usual reach: least jerk, half a second
    ahead = round(LEAD * settings.position_rate)
    coming = np.concatenate([velocity[ahead:], np.zeros((ahead, 2))]) / scale
    return Recording(
        name="reaching",
        spikes={"spikes": _units(coming, settings, animal, spike_rng)},
        fields={"lfp": _field(coming, settings, animal, field_rng)},
        behaviour={
            "position": Signal("position", position, rate=settings.position_rate, channels=("x", "y"), unit="m")
        },
        intervals=intervals,
    )


def _hand(
    settings: ReachingSettings, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "samples 2"], Float[np.ndarray, "samples 2"], dict[str, Intervals]]:
    """Position and velocity of the hand, and when what happened."""
    count = settings.trials
    rest, delay, duration = rng.uniform(0.3, 0.6, count), rng.uniform(0.2, 0.6, count), rng.uniform(0.45, 0.6, count)
    hold, back = rng.uniform(0.2, 0.4, count), rng.uniform(0.45, 0.6, count)
    targets = _targets(settings, rng)
    returns = settings.targets > 0
    lasts = rest + delay + duration + hold + (back if returns else 0.0)
    starts = np.concatenate([[0.0], np.cumsum(lasts)[:-1]])
    go = starts + rest + delay
    origin = np.zeros((count, 2)) if returns else np.concatenate([np.zeros((1, 2)), targets[:-1]])
    moves = [(go, duration, targets - origin)]
    if returns:
        moves.append((go + duration + hold, back, -targets))
    samples = round((lasts.sum() + 0.5) * settings.position_rate)
    times = np.arange(samples) / settings.position_rate
    position, velocity = np.zeros((samples, 2)), np.zeros((samples, 2))
    for begins, seconds, ways in moves:
        for begin, lasting, way in zip(begins, seconds, ways, strict=True):
            first = int(np.ceil(begin * settings.position_rate))
            part = np.clip((times[first:] - begin) / lasting, 0.0, 1.0)
            position[first:] += way * (10 * part**3 - 15 * part**4 + 6 * part**5)[:, None]
            moving = part < 1
            velocity[first:][moving] += way * (30 * part[moving] ** 2 * (1 - part[moving]) ** 2 / lasting)[:, None]
    angle = np.degrees(np.arctan2(*(targets - origin).T[::-1]))
    columns = {"target_x": targets[:, 0], "target_y": targets[:, 1], "direction": angle}
    trials = Intervals("trials", starts, starts + lasts, ("reach",) * count, columns)
    return position, velocity, {"trials": trials, "movements": Intervals("movements", go, go + duration)}


def _targets(settings: ReachingSettings, rng: np.random.Generator) -> Float[np.ndarray, "trials 2"]:
    """Each on the circle as often as the others, in a random order; or anywhere within it."""
    if settings.targets == 0:
        radius = settings.reach * np.sqrt(rng.random(settings.trials))
        angle = 2 * np.pi * rng.random(settings.trials)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    angle = 2 * np.pi * rng.permutation(np.arange(settings.trials) % settings.targets) / settings.targets
    return settings.reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def preferred_directions(settings: ReachingSettings, *, seed: int) -> Float[np.ndarray, " units"]:
    """Preferred direction of each unit in a session, radians: what the simulation has put in.

    Parameters
    ----------
    settings
        Settings of the session.
    seed
        Seed of the animal.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.simulation import ReachingSettings, preferred_directions
    >>> first, next_day = (preferred_directions(ReachingSettings(session=session), seed=0) for session in (0, 1))
    >>> first.shape, bool(np.abs(np.degrees(np.angle(np.exp(1j * (next_day - first))))).max() < 45)
    ((20,), True)
    """
    return _tuning(settings, np.random.default_rng([seed, 0]))[0]


def _tuning(
    settings: ReachingSettings, animal: np.random.Generator
) -> tuple[Float[np.ndarray, " units"], Float[np.ndarray, " units"]]:
    """Preferred directions and base rates in a session: a walk away from those of the first one."""
    drawing, walking = animal.spawn(2)
    direction = 2 * np.pi * drawing.random(settings.units)
    rate = settings.base_rate * drawing.gamma(4.0, 0.25, settings.units)
    for _ in range(settings.session):
        steps = walking.normal(size=(2, settings.units))
        direction = direction + np.radians(settings.turn) * steps[0]
        rate = rate * np.exp(settings.turn / 1000 * steps[1])
    return direction, rate


def _units(
    coming: Float[np.ndarray, "samples 2"],
    settings: ReachingSettings,
    animal: np.random.Generator,
    rng: np.random.Generator,
) -> SpikeTrains:
    direction, base = _tuning(settings, animal)
    drive = wandering(len(coming), 1.0, settings.position_rate, rng)
    speed = np.linalg.norm(coming, axis=1)
    trains = []
    for angle, rate in zip(direction, base, strict=True):
        along = coming @ np.array([np.cos(angle), np.sin(angle)])
        gain = 1 + settings.depth * (along + speed / 3) + settings.common * drive
        counts = rng.poisson(rate * np.maximum(gain, 0.05) / settings.position_rate)
        samples = np.repeat(np.arange(len(counts)), counts)
        trains.append(np.sort((samples + rng.random(len(samples))) / settings.position_rate))
    return SpikeTrains("spikes", tuple(trains), tuple(f"unit{unit}" for unit in range(settings.units)))


def _field(
    coming: Float[np.ndarray, "samples 2"],
    settings: ReachingSettings,
    animal: np.random.Generator,
    rng: np.random.Generator,
) -> Signal:
    count = round(len(coming) / settings.position_rate * settings.field_rate)
    times = np.arange(count) / settings.field_rate
    known = np.arange(len(coming)) / settings.position_rate
    velocity = np.stack([np.interp(times, known, coming[:, axis]) for axis in range(2)], axis=1)
    moving = np.minimum(np.linalg.norm(velocity, axis=1), 1.0)
    phase = np.cumsum(settings.beta + 0.5 * wandering(count, 0.3, settings.field_rate, rng)) / settings.field_rate
    waxing = 1 + 0.3 * wandering(count, 0.4, settings.field_rate, rng)
    beta = 1.5 * waxing * (1 - settings.beta_drop * moving) * np.sin(2 * np.pi * phase)
    hum = LINE_SHARE * np.sin(2 * np.pi * settings.line * times) if settings.line else np.zeros(count)
    # Channels are those of the animal, the same in every session.
    angle = 2 * np.pi * animal.random(settings.channels)
    share, loud = 0.5 + animal.random(settings.channels), 0.5 + animal.random(settings.channels)
    slow = velocity @ np.stack([np.cos(angle), np.sin(angle)])
    values = np.empty((count, settings.channels))
    for channel in range(settings.channels):
        noise = wandering(count, 0.05, settings.field_rate, rng)
        values[:, channel] = noise + share[channel] * beta + loud[channel] * (slow[:, channel] + hum)
    names = tuple(f"lfp{channel}" for channel in range(settings.channels))
    return Signal("lfp", VOLTS * values, rate=settings.field_rate, channels=names, unit="volts")
