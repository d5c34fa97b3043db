"""What a terminal shows of a running session."""

import numpy as np
import pytest
from rich.console import Console

from neurodyn.cli.live_view import sparkline, summary, view
from neurodyn.realtime import EventKind, EventLog, LiveEstimate
from neurodyn.realtime.monitor import Monitor

PARTS = {"wait": 0.01, "binning": 40e-6, "step": 50e-6, "hand_over": 10e-6}


@pytest.fixture
def monitor():
    return Monitor(["spikes", "lfp"], EventLog(), window=100)


def estimate(time, seen):
    rates = {"spikes": np.array([0.0, 5.0, 10.0]), "lfp": np.array([-1.0, 1.0])}
    target = np.array([0.25, -3.0])
    return LiveEstimate(time, np.zeros(2), np.eye(2), rates, target, target - 1, target + 1, seen)


def shown(monitor):
    console = Console(width=140, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(view(monitor.status(), ["x", "[red]y"], title="decoder"))
    return capture.get()


def test_before_the_first_data_it_waits(monitor):
    assert "waiting for the first data" in shown(monitor)
    assert summary(monitor.status()) == "0 bins, none missed, 0 events"


def test_it_shows_target_rates_latency_modalities_and_events(monitor):
    for index in range(200):
        seen = ("spikes", "lfp") if index < 50 else ("spikes",)
        monitor.add(estimate(0.02 * index, seen), **PARTS, missed=index == 3)
    monitor.dropped = 7
    monitor.log.record(2.5, EventKind.MISSING, "lfp", "[bold]cable[/bold] pulled")
    text = shown(monitor)
    words = (
        "decoder   3.98 s",
        "0.25",
        "-0.75 to 1.25",
        "[red]y",
        "100% of bins",
        "silent 3 s",
        "mean 5",
        "hand-over",
        "100 µs",
    )
    for word in words:
        assert word in text
    assert "lfp: [bold]cable[/bold] pulled" in text  # text, never markup
    assert summary(monitor.status()) == (
        "200 bins, 1 missed, 7 not taken by a sink, 100 µs median latency, 99.9 % below 100 µs, 1 events"
    )


def test_a_modality_that_was_never_seen_says_so(monitor):
    monitor.add(estimate(0.1, ()), **PARTS, missed=False)
    assert shown(monitor).count("never") == 2


@pytest.mark.parametrize(
    ("values", "line"),
    [([0.0, 1.0], " █"), ([0.0, 0.0], "  "), ([4.0, np.nan, 2.0], "█·▄"), (np.ones(1000), "█" * 32)],
)
def test_a_sparkline_has_a_bar_per_value_or_group(values, line):
    assert sparkline(np.asarray(values)) == line
