"""One bin as it is handed out, and what becomes of data that come after that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from neurodyn.realtime.events import Event


class LatePolicy(StrEnum):
    """What becomes of data whose bin has already been handed out.

    What comes within the binner's ``patience`` after the end of its bin is counted in that bin, and in the binner's
    ``waited_for``. What comes later is carried or dropped, and in the log.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import LatePolicy, SpikeInput, StreamingBinner
    >>> for late in LatePolicy:
    ...     binner = StreamingBinner([SpikeInput("spikes", units=1)], width=0.1, start=0.0, late=late)
    ...     binner.push_spikes("spikes", np.array([0.02, 0.11]), np.array([0, 0]))
    ...     first = binner.ready(now=0.1)
    ...     binner.push_spikes("spikes", np.array([0.05]), np.array([0]))  # its bin is gone
    ...     print(late, binner.ready(now=0.2)[0].observations["spikes"])
    carry [2.]
    drop [1.]
    """

    CARRY = "carry"  # the spikes of one bin are counted in the next; a feature stands in for a next that is missing
    DROP = "drop"  # a bin whose spikes have not all come is missing


@dataclass(frozen=True)
class Bin:
    """One bin, ready for ``RealtimeDecoder.step(bin.observations, bin.time)``.

    Attributes
    ----------
    index
        Number of the bin, from 0 without a gap.
    time
        Of its end, seconds.
    observations
        Per modality the values (channel), NaN where a channel is missing, or None if the modality is.
    events
        What happened to the data since the last bin.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import FieldInput, SpikeInput, StreamingBinner
    >>> inputs = [SpikeInput("spikes", units=2), FieldInput("lfp", channels=1, rate=100.0)]
    >>> binner = StreamingBinner(inputs, width=0.1, start=0.0)
    >>> binner.push_spikes("spikes", np.array([0.02, 0.05]), np.array([0, 0]))
    >>> (done,) = binner.ready(now=0.1)
    >>> done.index, done.time, done.observations["spikes"].tolist(), done.observations["lfp"]
    (0, 0.1, [2.0, 0.0], None)
    """

    index: int
    time: float
    observations: Mapping[str, np.ndarray | None]
    events: tuple[Event, ...] = ()
