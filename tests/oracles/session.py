"""A session in simulated time: a real recording, replayed; a real decoder; and faults put in between."""

import math
from dataclasses import fields

import numpy as np

from neurodyn.benchmarks.rig import ORIGIN, Collected, Faulty, SimulatedSession, World, between
from neurodyn.realtime import Event, EventKind, LiveEstimate
from neurodyn.realtime.clock import shift_times as shifted
from neurodyn.realtime.service import SessionParts
from neurodyn.recording import Recording, Signal, SpikeTrains

__all__ = ["ORIGIN", "Collected", "Faulty", "Session", "World", "between", "shifted"]

FIELD_RATE = 200.0


def recording(seconds: float, seed: int = 0) -> Recording:
    """Four units and three field channels from the first to the last moment, on a clock that begins at 0.

    They are called as the small decoder's: a session finds them by their labels.
    """
    random = np.random.default_rng(seed)
    spikes = tuple(np.sort(random.uniform(0, seconds, random.poisson(30 * seconds))) for _ in range(4))
    steps = random.normal(size=(round(seconds * FIELD_RATE), 3))
    channels, units = (tuple(f"{name}{i}" for i in range(n)) for name, n in (("field", 3), ("spikes", 4)))
    field = Signal("lfp", np.cumsum(steps, 0) * 0.1 % 3 - 1.5, rate=FIELD_RATE, channels=channels)
    return Recording("made", {"spikes": SpikeTrains("spikes", spikes, units)}, {"lfp": field})


class Session(SimulatedSession):
    """A session of the small decoder's field; ``events`` tells what happened in it.

    The parts of a session (`SessionParts`) are given by their names, beside the options.
    """

    def __init__(self, decoder, modalities, played, **options) -> None:
        parts = {each.name: options.pop(each.name) for each in fields(SessionParts) if each.name in options}
        given = {"rates": {"field": FIELD_RATE}, "parts": SessionParts(**parts)}
        super().__init__(decoder, modalities, played, **given, **options)

    def events(self, kind: EventKind, modality: str | None = None) -> list[Event]:
        """What happened, of one kind."""
        return [event for event in self.log if event.kind is kind and modality in (None, event.modality)]


def at(estimates: list[LiveEstimate], time: float) -> LiveEstimate:
    """Estimate of the bin that ends at a time."""
    return min(estimates, key=lambda estimate: abs(estimate.time - time))


def targets(estimates: list[LiveEstimate], start: float = -math.inf, stop: float = math.inf) -> dict[int, np.ndarray]:
    """Decoded target by time in milliseconds."""
    return {round(1e3 * e.time): e.target for e in estimates if start <= e.time <= stop}


def largest_difference(one: list[LiveEstimate], two: list[LiveEstimate], start: float, stop: float) -> float:
    """Between two runs' targets, over the bins of a part that both must have, in standard errors of the second."""
    first, second = targets(one, start, stop), targets(two, start, stop)
    assert first.keys() == second.keys()
    assert len(first) > 10
    errors = {round(1e3 * e.time): (e.upper - e.lower) / 3.92 for e in two}
    return max(float((np.abs(first[key] - second[key]) / errors[key]).max()) for key in first)


def spread(estimate: LiveEstimate) -> float:
    """Width of the interval, all dimensions together."""
    return float(np.sum(estimate.upper - estimate.lower))
