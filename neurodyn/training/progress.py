"""What a person sees while training runs."""

from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


@runtime_checkable
class Progress(Protocol):
    """Receives the state of a run after every epoch."""

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """``epoch`` of ``epochs`` is done."""
        ...

    def finish(self, status: str) -> None:
        """The run has ended."""
        ...


class Silent:
    """Shows nothing."""

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""


class Bar:
    """A progress bar on standard error with loss, best validation score and time left."""

    def __init__(self, label: str) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  best {task.fields[best]:.3f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._label, self._task = label, None

    def update(self, epoch: int, epochs: int, loss: float, best: float) -> None:
        """Advance the bar."""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=epochs, loss=loss, best=best)
        self._bar.update(self._task, completed=epoch, loss=loss, best=best)

    def finish(self, status: str) -> None:
        """Leave the last state on the screen, with the reason if the run ended early."""
        if self._task is not None and status != "finished":
            self._bar.update(self._task, description=f"{self._label} ({status})")
        self._bar.stop()
