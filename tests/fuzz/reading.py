"""What is asked of every recording that a reader makes of a damaged file."""

from pathlib import Path

import numpy as np
from fuzz.outcomes import Outcome

from neurodyn.recording import Layout, Recording, describe, differences, doubts, read_recording


def outcome_of(path: Path, original: Recording, layout: Layout | None = None) -> Outcome:
    """Read lazily or not, use what was read, and compare."""
    recording = read_recording(path, layout=layout)
    describe(recording)
    doubts(recording)
    check_invariants(recording)
    return Outcome.OTHER if differences(original, recording) else Outcome.SAME


def check_invariants(recording: Recording) -> None:
    """What holds for every recording, asked again here, not of the containers."""
    for trains in recording.spikes.values():
        assert len(set(trains.units)) == len(trains.units) == len(trains.times)
        for train in trains.times:
            assert np.isfinite(train).all()
            assert (train >= 0).all()
            assert (np.diff(train) >= 0).all()
    for signal in (*recording.fields.values(), *recording.behaviour.values()):
        assert signal.values.shape == (signal.times.size, len(set(signal.channels)))
        assert not np.isinf(np.asarray(signal.values)).any()
        assert np.isfinite(signal.times).all()
        assert (np.diff(signal.times) > 0).all()
    for table in recording.intervals.values():
        assert (table.starts <= table.stops).all()
