"""Layouts: which variables of a file hold what, for files whose format says nothing about it (README.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from neurodyn.errors import InputError

TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "samples": None}
"""How many of each unit make a second; samples need a rate."""
AXES = ("trial", "time", "channel")
STAMPS = ("start", "middle", "end")
"""Moments of a bin that its time can be."""
DEFAULT_GAP = 2.0
"""Seconds between trials that have no times of their own: longer than targets are smoothed and gaps are bridged."""


@dataclass(frozen=True)
class SignalLayout:
    """Where a signal lies in a file.

    Parameters
    ----------
    variable
        Path of a numeric matrix, samples x channels unless `axes` says otherwise; several paths are put side by side.
    name
        What to call the signal; the variable's name if empty.
    time
        Path of the time of each sample; empty if there is a rate.
    time_unit
        Of these times: s, ms, us, or samples of `rate`.
    rate
        Samples per second (Hz): a number, or the path of one; None if there are times.
    start
        Time of the first sample in seconds, with a rate.
    unit
        Of the values.
    channels
        Names of the channels, or the path of a list of them.
    channels_first
        Whether the matrix is channels x samples: short for ``axes: channel time``.
    axes
        Names of the axes in order, of trial, time and channel.
    binned
        Whether there is one value per bin of the counts.  Fields then belong to the middle of their bin and behaviour
        to its end, so that what is decoded in a bin is the behaviour of its own row.  Without a clock of its own, such
        a signal has that of the counts.
    stamp
        Which moment of a bin its time is: start, middle or end.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.recording import Layout, SignalLayout, read_recording
    >>> lfp = SignalLayout("data", name="lfp", rate=250.0, channels_first=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/session.npz", data=np.zeros((4, 1000)))
    ...     read_recording(f"{folder}/session.npz", layout=Layout(fields=(lfp,))).field("lfp").n_channels
    4
    """

    variable: str | tuple[str, ...]
    name: str = ""
    time: str = ""
    rate: float | str | None = None
    start: float = 0.0
    unit: str = ""
    channels: tuple[str, ...] | str = ()
    channels_first: bool = False
    axes: str = ""
    binned: bool = False
    stamp: str = "start"
    time_unit: str = "s"


@dataclass(frozen=True)
class SpikesLayout:
    """Where spike times lie in a file.

    Parameters
    ----------
    variable
        Path of a cell array with a vector of times per unit, or channels x units of them; of one vector, which is one
        unit or, with `cluster`, all of them; or of many vectors, like ``spikes{1}{:}.data(:,1)``.
    name
        What to call the group of units.
    cluster
        Path of a vector with the unit of each spike.
    time_unit
        Of the times: s, ms, us, or samples of `rate`.
    rate
        Samples per second (Hz): a number, or the path of one.
    channels
        Path of a list of channel names, one per row of a cell array, or of unit names; rows are numbered without it.
    unsorted
        Whether the first column of a channels x units cell array (what sorting left over) is kept.
    support
        Path of the time in which units were recorded, in the unit of the times: a matrix of starts and stops (n x 2)
        for all units, or a cell array of one per unit with spikes.  Spikes in trials were recorded in the trials
        without it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.recording import Layout, SpikesLayout, read_recording
    >>> spikes = SpikesLayout("times", cluster="unit", time_unit="ms")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/session.npz", times=np.array([100.0, 400.0, 900.0]), unit=np.array([1, 2, 1]))
    ...     read_recording(f"{folder}/session.npz", layout=Layout(spikes=spikes)).spike_trains().times[0].tolist()
    [0.1, 0.9]
    """

    variable: str
    name: str = "spikes"
    cluster: str = ""
    time_unit: str = "s"
    rate: float | str | None = None
    channels: str = ""
    unsorted: bool = True
    support: str = ""


@dataclass(frozen=True)
class CountsLayout:
    """Where counts of spikes in bins lie in a file.

    Parameters
    ----------
    variable
        Path of a matrix, bins x units unless `axes` says otherwise; NaN where a bin was not recorded.
    name
        What to call the group of units.
    width
        Of a bin in seconds: a number, or the path of one; None if there are times.
    time
        Path of the time of each bin; it has to be regular, but bins may be left out.
    time_unit
        Of these times: s, ms or us.
    start
        Begin of the first bin in seconds, with a width.
    stamp
        Which moment of a bin its time is: start, middle or end.
    rates
        Whether the values are counts divided by the width (Hz).
    units
        Names of the units, or the path of a list of them.
    axes
        Names of the axes in order, of trial, time and channel (the units); ``time channel`` if empty.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.recording import CountsLayout, Layout, read_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/session.npz", binned=np.ones((50, 3)))
    ...     session = read_recording(f"{folder}/session.npz", layout=Layout(counts=CountsLayout("binned", width=0.02)))
    >>> session.counts["spikes"].width, session.counts["spikes"].values.shape
    (0.02, (50, 3))
    """

    variable: str | tuple[str, ...]
    name: str = "spikes"
    width: float | str | None = None
    time: str = ""
    time_unit: str = "s"
    start: float = 0.0
    stamp: str = "start"
    rates: bool = False
    units: tuple[str, ...] | str = ()
    axes: str = ""


@dataclass(frozen=True)
class IntervalsLayout:
    """Where a table of intervals lies in a file.

    Parameters
    ----------
    name
        What to call it.
    starts, stops
        Paths of vectors of times, like ``trialtable(:,1)``.
    labels
        Path of a list of labels; empty for none.
    columns
        Paths of columns to keep, by the name to give them.
    time_unit
        Of the times: s, ms or us.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.recording import IntervalsLayout, Layout, read_recording
    >>> trials = IntervalsLayout("trials", starts="table(:,1)", stops="table(:,2)", time_unit="ms")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/session.npz", table=np.array([[0.0, 1500.0], [2000.0, 3500.0]]))
    ...     session = read_recording(f"{folder}/session.npz", layout=Layout(intervals=(trials,)))
    >>> session.intervals["trials"].stops.tolist()
    [1.5, 3.5]
    """

    name: str
    starts: str
    stops: str
    labels: str = ""
    columns: Mapping[str, str] | None = None
    time_unit: str = "s"


@dataclass(frozen=True)
class Layout:
    """Which variables of a file hold what.

    Variables are named by paths as MATLAB writes them, counted from 1: ``data.lfp`` is a member of a struct,
    ``cells{2}`` an element of a cell array, ``cells{:}`` each of them, ``M(:,1)`` a column of a matrix.  A member of a
    struct array is one value per struct: they are taken as trials, one after the other.

    Parameters
    ----------
    spikes
        Spike times, or the path of their variable; empty for none.
    channels, unsorted
        Of `SpikesLayout`, for spikes that are only a path.
    fields, behaviour
        Signals.
    counts
        Counts of spikes in bins.
    intervals
        Epochs, trials.
    trials
        Path of a struct array with one element per trial whose members of one number or text become columns of the
        table of trials.
    gap
        Seconds left out between trials that have no times of their own.

    Raises
    ------
    InputError
        If the gap is less than 0.

    Examples
    --------
    >>> from neurodyn.recording import Layout, SpikesLayout
    >>> layout = Layout(spikes=SpikesLayout("times", cluster="unit", time_unit="ms"))
    >>> layout.spike_times.cluster, layout.gap
    ('unit', 2.0)
    """

    spikes: str | SpikesLayout = ""
    channels: str = ""
    unsorted: bool = True
    fields: tuple[SignalLayout, ...] = ()
    behaviour: tuple[SignalLayout, ...] = ()
    counts: CountsLayout | None = None
    intervals: tuple[IntervalsLayout, ...] = ()
    trials: str = ""
    gap: float = DEFAULT_GAP

    def __post_init__(self) -> None:
        if not 0 <= self.gap < 1e9:
            raise InputError(f"the gap between trials must be 0 seconds or more, got {self.gap}")

    @property
    def spike_times(self) -> SpikesLayout | None:
        """Where spike times lie, however that was said."""
        if isinstance(self.spikes, str):
            return SpikesLayout(self.spikes, channels=self.channels, unsorted=self.unsorted) if self.spikes else None
        return self.spikes
