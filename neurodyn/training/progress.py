"""What a person sees while training runs."""

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


@runtime_checkable
class Progress(Protocol):
    """Receives the state of a run after every epoch.

    Examples
    --------
    >>> from neurodyn.training import Progress
    >>> class Losses:
    ...     def __init__(self):
    ...         self.seen = []
    ...     def update(self, epoch, epochs, loss, best):
    ...         self.seen.append(loss)
    ...     def finish(self, status):
    ...         self.seen.append(status)
    >>> losses: Progress = Losses()
    >>> losses.update(1, 10, 0.5, 0.6)
    >>> losses.seen
    [0.5]
    """

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """``epoch`` of ``epochs`` is done."""
        ...

    def finish(self, status: str) -> None:
        """The run has ended."""
        ...


class NoProgress:
    """Shows nothing.

    Examples
    --------
    >>> import neurodyn as nd
    >>> silent = nd.training.NoProgress()  # for what takes a progress and should show nothing
    >>> silent.update(epoch=1, epochs=10, loss=0.5, best=0.6) is None
    True
    """

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""


PIPE_SECONDS, NOTEBOOK_SECONDS = 60.0, 10.0
"""Between two lines of text, where there is no terminal to draw a bar on."""


class TextProgress:
    """A line of text now and then, where a bar cannot be drawn: in a pipe, a file, a notebook.

    Parameters
    ----------
    label
        What is trained.
    console
        Where to.
    every
        Seconds between two lines; the first says what begins, the last how it ended.
    clock
        Seconds that go by.
    """

    def __init__(
        self, label: str, console: Console, *, every: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._console, self._every, self._clock = label, console, every, clock
        self._begun = self._told = clock()
        self._last = ""
        self._say("begins, with a first step that is compiled")

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """Write a line if it is time for one."""
        now = self._clock()
        gone = now - self._begun
        left = gone / max(epoch, 1) * (epochs - epoch)
        self._last = f"{epoch} of {epochs}, loss {loss:.3f}, best {best:.3f}, {gone:.0f} s gone"
        if now - self._told >= self._every:
            self._told = now
            self._say(f"{self._last}, about {left:.0f} s left")

    def finish(self, status: str) -> None:
        """Write how it ended."""
        if self._last:
            self._say(f"{self._last}, {status}")

    def _say(self, text: str) -> None:
        self._console.print(f"{self._label}: {text}", highlight=False, markup=False, soft_wrap=True)


class ProgressBar:
    """A progress bar on standard error with loss, best validation score and time left.

    Lines of text where there is no terminal: one a minute in a pipe, one every ten seconds in a notebook.

    Examples
    --------
    >>> from neurodyn.training import ProgressBar
    >>> bar = ProgressBar("a decoder")  # every fit takes one as its progress, and calls it after every epoch
    >>> bar.update(epoch=1, epochs=10, loss=0.5, best=0.6)
    >>> bar.finish("interrupted")
    """

    def __init__(self, label: str) -> None:
        console = Console(stderr=True)
        notebook = console.is_jupyter
        self._lines = None
        if notebook or not console.is_terminal:
            every = NOTEBOOK_SECONDS if notebook else PIPE_SECONDS
            self._lines = TextProgress(label, Console(stderr=True, force_jupyter=False), every=every)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  best {task.fields[best]:.3f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._label, self._task = label, None

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """Advance the bar."""
        if self._lines is not None:
            self._lines.update(epoch, epochs, loss, best)
            return
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=epochs, loss=loss, best=best)
        self._bar.update(self._task, completed=epoch, loss=loss, best=best)

    def finish(self, status: str) -> None:
        """Leave the last state on the screen, with the reason if the run ended early."""
        if self._lines is not None:
            self._lines.finish(status)
            return
        if self._task is not None and status != "finished":
            self._bar.update(self._task, description=f"{self._label} ({status})")
        self._bar.stop()
