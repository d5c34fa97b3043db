"""An animal that forages in a box: place cells, a theta rhythm that grows with speed, a tracker that fails at times."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.simulation.noise import wandering

VOLTS = 1e-4
"""Standard deviation of the field's noise in volts."""


@dataclass(frozen=True)
class ForagingSettings:
    """What is simulated.

    Parameters
    ----------
    seconds
        Length of the recording.
    units, channels
        Place cells, and channels of the field potential.
    peak_rate, floor_rate
        Firing rate in Hz in the middle of a cell's place field, and far from it.
    place_width
        Standard deviation of a place field in metres.
    box
        Side of the square box in metres.
    field_rate, position_rate
        Samples per second of the field and of the tracker.
    theta
        Frequency in Hz of the rhythm whose amplitude follows the animal's speed.
    lost
        Share of the position samples that the tracker loses, in stretches of up to two seconds.

    Examples
    --------
    >>> from neurodyn.simulation import ForagingSettings, simulate_foraging
    >>> session = simulate_foraging(ForagingSettings(seconds=10.0, units=5, channels=3), seed=0)
    >>> len(session.spikes["spikes"].units), len(session.fields["lfp"].channels)
    (5, 3)
    """

    seconds: float = 300.0
    units: int = 16
    channels: int = 2
    peak_rate: float = 20.0
    floor_rate: float = 0.2
    place_width: float = 0.2
    box: float = 1.2
    field_rate: float = 250.0
    position_rate: float = 50.0
    theta: float = 8.0
    lost: float = 0.02

    def __post_init__(self) -> None:
        if not (np.isfinite(self.seconds) and self.seconds >= 10):
            raise InputError(f"a session needs at least 10 seconds, got {self.seconds}")
        for name in ("units", "channels"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.lost < 0.5:
            raise InputError(f"the share of positions lost must lie in [0, 0.5), got {self.lost}")


def simulate_foraging(settings: ForagingSettings | None = None, *, seed: int) -> Recording:
    """Simulate a session in a box as a recording in seconds.

    Spikes are Poisson with rate ``floor + peak exp(-|p - c|^2 / 2 w^2)`` of the position p, one centre c per cell; the
    field is coloured noise plus a theta rhythm whose amplitude is proportional to ``speed / (speed + 0.1 m/s)``.

    Parameters
    ----------
    settings
        What to simulate; the defaults of ``ForagingSettings`` if left out.
    seed
        Seed of everything random.

    Returns
    -------
    Recording with spikes ``spikes``, field ``lfp`` (V), behaviour ``position`` (m, NaN where lost) and intervals
    ``epochs``: ``prerecord``, a twentieth of the session, and ``task``, the rest.

    Raises
    ------
    InputError
        If a setting is out of range.

    Examples
    --------
    >>> from neurodyn.simulation import ForagingSettings, simulate_foraging
    >>> session = simulate_foraging(ForagingSettings(seconds=20.0), seed=0)
    >>> list(session.spikes), list(session.fields), list(session.behaviour), list(session.intervals)
    (['spikes'], ['lfp'], ['position'], ['epochs'])
    """
    settings = ForagingSettings() if settings is None else settings
    path_rng, spike_rng, field_rng, tracker_rng = np.random.default_rng(seed).spawn(4)
    position, speed = _path(settings, path_rng)
    tracked = _with_losses(position, settings, tracker_rng)
    begin = settings.seconds / 20
    return Recording(
        name="foraging",
        spikes={"spikes": _place_cells(position, settings, spike_rng)},
        fields={"lfp": _field(speed, settings, field_rng)},
        behaviour={"position": Signal("position", tracked, rate=settings.position_rate, channels=("x", "y"), unit="m")},
        intervals={
            "epochs": Intervals(
                "epochs", np.array([0.0, begin]), np.array([begin, settings.seconds]), ("prerecord", "task")
            )
        },
    )


def _path(
    settings: ForagingSettings, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "samples 2"], Float[np.ndarray, " samples"]]:
    """Position in metres and speed in m/s: a velocity that wanders, comes to rest now and then, and turns at walls."""
    count, step = round(settings.seconds * settings.position_rate), 1.0 / settings.position_rate
    turn = wandering(count, 1.0, settings.position_rate, rng)
    heading = 2 * np.pi * rng.random() + np.cumsum(2.0 * turn) * step
    speed = 0.25 * np.logaddexp(0.0, 0.5 + 1.5 * wandering(count, 3.0, settings.position_rate, rng))
    moved = np.cumsum(speed[:, None] * step * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    start = settings.box * rng.random(2)
    return _folded(start + moved, settings.box), speed


def _folded(path: Float[np.ndarray, "samples 2"], side: float) -> Float[np.ndarray, "samples 2"]:
    """Path reflected at the walls: as if the box were mirrored at each of them."""
    phase = np.mod(path, 2 * side)
    return np.where(phase > side, 2 * side - phase, phase)


def _place_cells(
    position: Float[np.ndarray, "samples 2"], settings: ForagingSettings, rng: np.random.Generator
) -> SpikeTrains:
    centres = settings.box * rng.random((settings.units, 2))
    trains = []
    for centre in centres:
        distance = ((position - centre) ** 2).sum(axis=1)
        rates = settings.floor_rate + settings.peak_rate * np.exp(-distance / (2 * settings.place_width**2))
        counts = rng.poisson(rates / settings.position_rate)
        samples = np.repeat(np.arange(len(counts)), counts)
        trains.append(np.sort((samples + rng.random(len(samples))) / settings.position_rate))
    return SpikeTrains("spikes", tuple(trains), tuple(str(unit) for unit in range(settings.units)))


def _field(speed: Float[np.ndarray, " samples"], settings: ForagingSettings, rng: np.random.Generator) -> Signal:
    count = round(settings.seconds * settings.field_rate)
    times = np.arange(count) / settings.field_rate
    at_sample = np.interp(times, np.arange(len(speed)) / settings.position_rate, speed)
    amplitude = 2.0 * at_sample / (at_sample + 0.1)
    jitter = np.cumsum(wandering(count, 0.5, settings.field_rate, rng)) / settings.field_rate
    rhythm = amplitude * np.sin(2 * np.pi * (settings.theta * times + jitter))
    noise = [wandering(count, 0.02, settings.field_rate, rng) for _ in range(settings.channels)]
    values = VOLTS * (np.stack(noise, axis=1) + rhythm[:, None])
    names = tuple(f"lfp{channel}" for channel in range(settings.channels))
    return Signal("lfp", values, rate=settings.field_rate, channels=names, unit="volts")


def _with_losses(
    position: Float[np.ndarray, "samples 2"], settings: ForagingSettings, rng: np.random.Generator
) -> Float[np.ndarray, "samples 2"]:
    tracked, longest = position.copy(), round(2 * settings.position_rate)
    while np.isnan(tracked[:, 0]).mean() < settings.lost:
        first = int(rng.integers(len(tracked)))
        tracked[first : first + int(rng.integers(1, longest))] = np.nan
    return tracked
