"""The log of events goes on whatever happens to its file."""

import pytest

from neurodyn.realtime import Event, EventKind, EventLog


def test_a_full_disk_does_not_end_the_log():
    try:
        full = open("/dev/full", "w")  # noqa: SIM115
    except OSError:
        pytest.skip("no /dev/full here: a disk that is full cannot be had")
    log = EventLog(file=full)
    for time in (1.0, 2.0):
        log.add(Event(time, EventKind.GAP, "field", "3 samples"))
    assert [event.kind for event in log] == [EventKind.GAP, EventKind.LOG_LOST, EventKind.GAP]
    assert log.counts()[EventKind.GAP] == 2
    with pytest.raises(OSError, match="No space"):  # what was buffered cannot be written either
        full.close()
