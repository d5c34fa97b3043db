"""Amplifiers at 250 and 1,000 Hz over Lab Streaming Layer in real time: all windows are seen, with offline values."""

import os
import time
import uuid
from itertools import pairwise

import numpy as np
import pytest
from oracles.streams import LIMIT

from neurodyn.binning import Field, to_bins
from neurodyn.realtime import FieldInput, StreamingBinner
from neurodyn.realtime.clock import LiveClock
from neurodyn.realtime.streams.lsl import LslSource, load_lsl
from neurodyn.recording import Recording, Signal

pylsl = pytest.importorskip("pylsl")

WIDTH, SECONDS, CHANNELS = 0.02, 2.0, 2
SETTLED = 0.5
"""Seconds of stamps that say only about when, until there is a line through them."""
PATIENCE = 0.5
"""Seconds: other tests hold this process up for tenths of a second, and nothing is to be learned from that here."""


class Amplifier:
    """An outlet of another program that sends what is due, stamped or not, and what a binner makes of it."""

    def __init__(self, rate, stamped, one_by_one=False):
        load_lsl()
        self.one_by_one = one_by_one
        self.rate, self.stamped, self.name = rate, stamped, f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.source = LslSource(self.name)
        self.values = np.random.default_rng(0).normal(size=(round(SECONDS * rate), CHANNELS)).astype(np.float32)
        info = pylsl.StreamInfo(self.name, "EEG", CHANNELS, rate, pylsl.cf_float32, "amplifier")
        self.outlet, self.sent, self.held_up = pylsl.StreamOutlet(info, 0, 360), 0, 0.0
        self.binner = StreamingBinner([FieldInput("field", CHANNELS, rate)], WIDTH, patience=PATIENCE)
        self.bins = []

    def play(self):
        """Send and read in turns, as long as there is something to send, until the last bin is handed out."""
        deadline, clock = time.monotonic() + LIMIT, LiveClock()
        while not self.outlet.have_consumers():
            self.source.read(0.01)
            assert time.monotonic() < deadline, "the outlet was not found"
        # No sample lies on the edge of a bin, where rounding would decide.
        self.start = (np.ceil(pylsl.local_clock() / WIDTH) + 2) * WIDTH + 0.5 / self.rate
        self.stop = self.start + len(self.values) / self.rate
        while not (self.bins and self.bins[-1].time > self.stop):
            assert time.monotonic() < deadline + SECONDS + PATIENCE
            self._send()
            chunks = clock.note(self.source.read(0.002))
            self.binner.tell_time(clock.now())
            for one in chunks:
                self.binner.push_samples("field", one.values, one.times)
            self.bins += self.binner.ready(clock.now())
        self.source.close()
        return self

    def _send(self):
        begin = pylsl.local_clock()
        due = min(len(self.values), int((begin - self.start) * self.rate) + 1)
        if due <= self.sent:
            return
        part, numbers = np.ascontiguousarray(self.values[self.sent : due]), np.arange(self.sent, due)
        if self.stamped:
            self.outlet.push_chunk(part, (self.start + numbers / self.rate).tolist())
        elif self.one_by_one:
            for sample in part:
                self.outlet.push_sample(sample)
        else:
            self.outlet.push_chunk(part)
        self.held_up, self.sent = max(self.held_up, pylsl.local_clock() - begin), due

    @property
    def windows(self):
        """End of each bin that lies wholly in what was sent, and its values, None where it is missing."""
        inside = [one for one in self.bins if self.start < one.time - WIDTH + 0.5 / self.rate and one.time <= self.stop]
        return [(one.time, one.observations["field"]) for one in inside]


@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_samples_with_stamps_make_the_bins_of_a_recording(rate):
    amplifier = Amplifier(rate, stamped=True).play()
    signal = Signal("field", amplifier.values, rate=rate, start=amplifier.start)
    windows = amplifier.windows
    interval = (windows[0][0] - WIDTH, windows[-1][0])
    feature = Field("field", "field", bands=None, width=WIDTH)
    offline = to_bins(
        Recording("sent", {}, {"field": signal}), width=WIDTH, modalities=[feature], target=None, interval=interval
    )
    expected = np.asarray(offline.observations["field"]).reshape(-1, CHANNELS)
    assert len(windows) >= 0.99 * SECONDS / WIDTH - 1
    assert [end for end, values in windows if values is None] == []
    np.testing.assert_allclose([values for _, values in windows], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_samples_without_stamps_make_windows_that_follow_one_another(rate, one_by_one):
    """liblsl stamps what is pushed when it is sent, up to a period late and more; windows are those of a clock near it.

    A process that is held up while it sends stamps a chunk later than any amplifier does, and nothing is to be learned
    from it; one by one, samples that were held up are in time again at the last, and one window may be lost with them.
    """
    amplifier = Amplifier(rate, stamped=False, one_by_one=one_by_one).play()
    if amplifier.held_up > 1 / rate and not one_by_one:
        pytest.skip(f"this machine held the sender up for {1e3 * amplifier.held_up:.0f} ms")
    settled = [(end, values) for end, values in amplifier.windows if end - WIDTH > amplifier.start + SETTLED]
    ideal = int((SECONDS - SETTLED) / WIDTH) - 1
    seen = [(end, values) for end, values in settled if values is not None]
    assert len(seen) >= 0.99 * ideal - (amplifier.held_up > 1 / rate)
    ends = [samples_of(amplifier, end, values) for end, values in seen]
    assert all(ends) or amplifier.held_up > 1 / rate
    # Each window begins where the one before it ended, but for a sample where the line has moved on by one.
    steps = [after[0] - before[1] for before, after in pairwise(ends) if before and after]
    assert np.mean(np.equal(steps, 0)) > 0.9


def samples_of(amplifier, end, values):
    """First and last sample (exclusive) of which a window has the mean, near where it is; None if there are none."""
    begin, stop = ((np.array([end - WIDTH, end]) - amplifier.start) * amplifier.rate).round().astype(int)
    for early in range(begin - 3, begin + 4):
        for late in range(max(stop - 3, early + 1), stop + 4):
            mean = amplifier.values[max(early, 0) : late].mean(axis=0, dtype=float)
            if np.allclose(values, mean, rtol=1e-5, atol=1e-5):
                return early, late
    return None
