"""How far a study is: a bar on a terminal; in a pipe or a file a line for every fit, and one a minute in between."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from neurodyn.evaluation import FoldResult

EVERY = 60.0
"""Seconds between two lines where there is no terminal."""


class FitsShown:
    """Shows the fits of a study on standard error while they run.

    Parameters
    ----------
    methods
        Names.
    folds
        Number of fits of each.
    jobs
        Fits at a time.
    console
        Where; standard error if None.
    every
        Seconds between two lines where there is no terminal.
    clock
        Seconds that go by.
    """

    def __init__(
        self,
        methods: Sequence[str],
        folds: int,
        jobs: int,
        *,
        console: Console | None = None,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._waiting = dict.fromkeys(methods, folds)
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._total, self._jobs, self._every = len(methods) * folds, jobs, every
        self._clock, self._begun = clock, clock()
        self._bar: tuple[Progress, Any] | None = None
        self._ended = threading.Event()

    def __enter__(self) -> "FitsShown":
        self._say(self.announcement())
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
                TextColumn("{task.fields[last]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            )  # fmt: skip
            bar = Progress(*columns, console=self._console)
            self._bar = bar, bar.add_task("fits", total=self._total, last="", left="")
            bar.start()
        else:
            threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar[0].stop()

    def announcement(self) -> str:
        """How many fits there are."""
        folds = self._total // len(self._waiting)
        at_once = f", {self._jobs} at a time" if self._jobs > 1 else ""
        return (
            f"{self._total} fits: {', '.join(self._waiting)}, each on {folds} folds{at_once}; how long they take is "
            "known after the first ones"
        )

    def add(self, result: FoldResult) -> None:
        """One fit is done."""
        self._waiting[result.method] -= 1
        self._seconds[result.method].append(result.fit_seconds)
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, advance=1, last=escape(_in_short(result)), left=self.left())
        else:
            self._say(f"{_in_short(result)}; {self.state()}")

    def state(self) -> str:
        """Fits that are done, time that went by, and time left."""
        done = self._total - sum(self._waiting.values())
        parts = [f"{done} of {self._total} fits done", f"{_spoken(self._clock() - self._begun)} gone", self.left()]
        return ", ".join(part for part in parts if part)

    def left(self) -> str:
        """About how long the rest takes, by what each method took so far; nothing before the first fit is done."""
        done = sum(sum(seconds) for seconds in self._seconds.values())
        waiting = sum(self._waiting.values())
        if not done or not waiting:
            return ""
        usual = done / sum(map(len, self._seconds.values()))
        mean_seconds = {method: sum(seconds) / len(seconds) for method, seconds in self._seconds.items()}
        coming = sum(count * mean_seconds.get(method, usual) for method, count in self._waiting.items())
        return f"about {_spoken((self._clock() - self._begun) * coming / done)} left"

    def _beat(self) -> None:
        while not self._ended.wait(self._every):
            self._say(self.state())

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _spoken(seconds: float) -> str:
    """Time as people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _in_short(result: FoldResult) -> str:
    loss = "" if result.learning is None or not len(result.learning.loss) else f", loss {result.learning.loss[-1]:.3f}"
    return f"{result.method} fold {result.fold + 1}: R² {result.filtered.r2.mean():.2f}{loss}"
