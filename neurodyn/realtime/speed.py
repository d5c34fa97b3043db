"""Whether a machine keeps up with the features that a session has to make, measured at its start."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from neurodyn.display import pluralised
from neurodyn.errors import InputError
from neurodyn.realtime.binner import FieldInput, SpikeInput, StreamingBinner

MOST_OF_A_CORE = 0.8
"""Share of a core that band powers may take: spikes, steps and sinks need the rest."""
SEED = 0
"""Seed of the samples that the features are timed on: their time does not depend on the values."""
CHUNK, CHUNKS = 0.01, 20
"""Seconds of data that come at once and make a bin, and how often that is timed."""
LONG_ENOUGH = 1.0
"""Seconds of computing after which no more is timed: the start of a session does not wait for what is far too slow."""


def share_of_core(source: FieldInput, *, clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds of computing that a feature takes per second of data, at the median; 0 for means of samples.

    All of the work is timed, from samples to the feature of a bin: stamps, filters, powers, means and their logarithms.
    A bin is taken to end with every chunk, which is as often as it can.

    Parameters
    ----------
    source
        Field whose feature is to be made.
    clock
        Seconds that this thread has computed.

    Returns
    -------
    float
        Above 1, one core cannot keep up.

    Examples
    --------
    >>> share_of_core(FieldInput("lfp", channels=4, rate=1000.0))
    0.0
    """
    if source.made.filter(source.rate, source.channels) is None:
        return 0.0
    samples = max(1, round(CHUNK * source.rate))
    width = samples / source.rate
    binner = StreamingBinner([replace(source, width=None, labels=())], width, start=0.0)
    random, spent = np.random.default_rng(SEED), []
    for number in range(1 + CHUNKS):
        values = random.normal(size=(samples, source.channels))  # new each time: data that come are in no cache
        times = (number * samples + np.arange(samples)) / source.rate
        begin = clock()
        binner.push_samples(source.name, values, times)
        binner.ready((number + 1) * width)
        spent.append(clock() - begin)
        if number and sum(spent) > LONG_ENOUGH:
            break
    return float(np.median(spent[1:])) / width  # the first call is not like the others


def check_speed(inputs: Sequence[SpikeInput | FieldInput], *, clock: Callable[[], float] = time.thread_time) -> None:
    """Refuse band powers that this machine cannot make as fast as the data come.

    Parameters
    ----------
    inputs
        Of a session.
    clock
        Seconds that this thread has computed.

    Raises
    ------
    InputError
        If all of them together take more than `MOST_OF_A_CORE`; the message has the figure.
    """
    shares = [(share_of_core(one, clock=clock), one) for one in inputs if isinstance(one, FieldInput)]
    total = sum(share for share, _ in shares)
    if total <= MOST_OF_A_CORE:
        return
    one = max(shares, key=lambda pair: pair[0])[1]
    each = len(one.made.names(("",)))
    raise InputError(
        f"{one.made.label} take {total:.2g} of a core on this machine, at most {MOST_OF_A_CORE:g} can be given to "
        f"them: '{one.name}' has {one.channels} channels at {one.rate:g} Hz and {pluralised(each, 'value')} of each. "
        f"Record and send it at {one.rate * MOST_OF_A_CORE / total:.0f} Hz or less and fit the model to that, or take "
        "fewer channels or values of each"
    )
