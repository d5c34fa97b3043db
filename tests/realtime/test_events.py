"""The log of events goes on whatever happens to its file."""

import pytest

from neurodyn.realtime import Event, EventLog, Kind


def test_a_full_disk_does_not_end_the_log():
    try:
        full = open("/dev/full", "w")  # noqa: SIM115
    except OSError:
        pytest.skip("no /dev/full here: a disk that is full cannot be had")
    log = EventLog(file=full)
    for time in (1.0, 2.0):
        log.add(Event(time, Kind.GAP, "field", "3 samples"))
    assert [event.kind for event in log] == [Kind.GAP, Kind.LOG_LOST, Kind.GAP]
    assert log.counts()[Kind.GAP] == 2
    with pytest.raises(OSError, match="No space"):  # what was buffered cannot be written either
        full.close()
