"""Run the tasks of a plan on Dask: each once, whatever is lost on the way.

What is done is known from the marks in the folder alone (`store`). So a worker that is lost, a client that is killed
and a scheduler that is restarted all come to the same: the tasks without a mark are handed out again.
"""

import contextlib
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodyn.errors import InputError, NeurodynError
from neurodyn.realtime.locks import lock_beside
from neurodyn.sweep import store
from neurodyn.sweep.cluster import Cluster
from neurodyn.sweep.plan import Plan, Task
from neurodyn.sweep.work import perform, study_of

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 8
"""Tasks that are handed out for each thread of the cluster: enough that none waits, few enough to be held anywhere."""
GLANCE = 0.05
"""Seconds between two looks at what is done."""
LOOK = 1.0
"""Seconds between two looks at the workers."""
Places = tuple[tuple[int, ...], ...]
Perform = Callable[[Task, Places, str], str]


class SchedulerLost(NeurodynError):
    """The scheduler has gone, or has forgotten what it was asked for."""


def run_sweep(
    plan: Plan,
    out: Path,
    cluster: Cluster | None = None,
    *,
    on_done: Callable[[int, int], None] | None = None,
    on_start: Callable[[], None] | None = None,
    perform: Perform = perform,
    dims: Sequence[str] | None = None,
) -> dict[str, str]:
    """Do every task of a plan that is not done.

    Parameters
    ----------
    plan
        What to do.
    out
        Folder of the results, which all workers see under the same name.
    cluster
        Where; this machine if None.
    on_done
        Is told how many tasks are done, and of how many, whenever that changes. Tasks that differ in nothing that their
        result depends on (the seeds of ridge) are one.
    on_start
        Is called when the workers are there.
    perform
        What does one task.
    dims
        Of the target; those of the first session if None.

    Returns
    -------
    Why, of each task that failed, by its name. It is tried again when the sweep is run again.

    Raises
    ------
    InputError
        If the first session cannot be decoded in one of the settings, another sweep works in the folder, or a method
        asks for what no worker on this machine offers.
    NeurodynError
        If the scheduler cannot be reached, it went and did not come back in time, there is no worker that could do what
        is left, or workers see another folder.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.cli.options import DecodeOptions
    >>> from neurodyn.sweep import store
    >>> day = nd.sweep.Session("day1", "day1.nwb", digest="9f2c")
    >>> plan = nd.sweep.Plan((day,), {"wide": DecodeOptions(folds=2)}, methods=("ridge",), seeds=(0,))
    >>> found = {"dims": ["x"], "score": [[[0.8], [0.9]]] * 2, "train_bins": 80, "test_bins": 20}
    >>> found |= {"coverage": 0.95, "fit_seconds": 2.0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store.create(pathlib.Path(folder), plan, dims=("x",))
    ...     for task in plan.tasks():  # as if workers had done them: what has a mark is not done again
    ...         store.write(pathlib.Path(folder), [plan.place(task)], task, found)
    ...     nd.sweep.run_sweep(plan, pathlib.Path(folder), on_done=print)
    2 2
    {}
    """
    cluster = cluster or Cluster()
    _check_offered(plan, cluster)
    with _alone(out), _without_noise():
        if not store.holds(out, plan):
            store.create(out, plan, dims or _dims_of(plan))
        run = _Run(plan, out.resolve(), perform, cluster, on_done)
        gone_since: float | None = None
        while run.waiting():
            before = run.finished
            try:
                with cluster.client() as client:
                    if on_start is not None:
                        on_start()
                    run.hand_out(client)
                run.check_progress()
            except (OSError, TimeoutError, SchedulerLost) as error:
                now, went_on = time.monotonic(), run.finished > before
                gone_since = now if gone_since is None or went_on else gone_since
                patience = 0.0 if cluster.scheduler is None else cluster.patience
                if not went_on and now - gone_since >= patience:
                    where = cluster.scheduler or "on this machine"
                    raise NeurodynError(
                        f"the scheduler {where} cannot be reached: {error}; what is done is kept, run the command again"
                    ) from error
                time.sleep(1.0)
    return run.failed


def _check_offered(plan: Plan, cluster: Cluster) -> None:
    if cluster.scheduler is not None:
        return
    for method, asked in plan.resources.items():
        for name, amount in asked.items():
            if cluster.resources.get(name, 0) < amount:
                raise InputError(
                    f"{method} asks for {name} {amount:g}, which no worker on this machine offers: say that each does"
                    f" with  --resources {name}={amount:g}, or give a --scheduler whose workers do"
                )


def _dims_of(plan: Plan) -> Sequence[str]:
    """Dimensions of the target, from the first session, which has to be decodable in every setting."""
    first, every = plan.sessions[0], plan.settings.values()
    studies = [study_of(first, options, plan.layout_of(options)) for options in every]
    return studies[0].batch.target_names


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One client at a time in a folder: two would do everything twice."""
    try:
        file = lock_beside(out / store.RESULTS)
    except InputError as error:
        raise InputError(f"another sweep works in '{out}': wait for it, or choose another folder") from error
    try:
        yield
    finally:
        if file is not None:
            file.close()


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """What goes wrong is told here, in a line: Dask and Tornado need not print it as well."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _quietly(perform: Perform, task: Task, places: Places, out: str) -> tuple[str, str]:
    """On a worker: key of the task, and what is wrong with its input, which no second try would mend."""
    try:
        return perform(task, places, out), ""
    except NeurodynError as error:
        return task.key, str(error)


class _Run:
    """What is waiting, what has failed, and how many are done; tasks of one key are one."""

    def __init__(
        self, plan: Plan, out: Path, perform: Perform, cluster: Cluster, on_done: Callable[[int, int], None] | None
    ) -> None:
        self._plan, self._out, self._perform, self._cluster, self._on_done = plan, out, perform, cluster, on_done
        self._tasks: dict[str, Task] = {}
        self._places: dict[str, list[tuple[int, ...]]] = {}
        for task in plan.tasks():
            self._tasks.setdefault(task.key, task)
            self._places.setdefault(task.key, []).append(plan.place(task))
        self._failed: dict[str, str] = {}
        self._lost: Counter[str] = Counter()
        self._said_done: set[str] = set()
        self.finished = -1

    @property
    def failed(self) -> dict[str, str]:
        """Why, by the names of the tasks."""
        return {self._tasks[key].name: reason for key, reason in self._failed.items()}

    def waiting(self) -> list[Task]:
        """Tasks that have no mark and have not failed."""
        done = store.done(self._out)
        self._tell(len(done & self._tasks.keys()))
        return [task for key, task in self._tasks.items() if key not in done and key not in self._failed]

    def check_progress(self) -> None:
        """Refuse to go on where a task is done again and again, and never found to be done.

        On a shared file system it takes up to a minute until one machine sees what another has written.
        """
        until = time.monotonic() + self._cluster.patience
        while (missing := self._said_done - store.done(self._out)) and time.monotonic() < until:
            time.sleep(GLANCE)
        if missing:
            raise NeurodynError(
                f"{self._tasks[min(missing)].name} was done, and there is no mark of it in '{self._out}': do all"
                " workers see this folder under this name?"
            )

    def hand_out(self, client: "Client") -> None:
        """Hand out what is waiting, a few for each worker at a time, until all of it is done or has failed.

        Tasks that ask for different resources have queues of their own, so that those which wait for a GPU do not keep
        the others from being handed out.
        """
        queues: dict[str, deque[Task]] = {}
        for task in self.waiting():
            queues.setdefault(str(self._asked(task)), deque()).append(task)
        flying: dict[str, dict[str, Any]] = {name: {} for name in queues}
        done, crew = self.finished, _Crew(client, self._cluster.patience)
        while any(queues.values()) or any(flying.values()):
            crew.look([self._asked(self._tasks[next(iter(futures))]) for futures in flying.values() if futures])
            room = AHEAD * max(crew.threads, 1)
            for name, queue in queues.items():
                while queue and len(flying[name]) < room:
                    task = queue.popleft()
                    flying[name][task.key] = self._submit(client, task)
            time.sleep(GLANCE)
            if client.status != "running":
                raise SchedulerLost(f"the connection is {client.status}")
            settled = [
                (futures, key)
                for futures in flying.values()
                for key, each in futures.items()
                if each.status != "pending"
            ]
            done += self._settle(client, {key: futures.pop(key) for futures, key in settled})
            self._tell(done)

    def _asked(self, task: Task) -> dict[str, float]:
        return dict(self._plan.resources.get(task.method, {}))

    def _submit(self, client: "Client", task: Task) -> "Future":
        return client.submit(
            _quietly, self._perform, task, tuple(self._places[task.key]), str(self._out),
            key=f"neurodyn-{task.key}", retries=self._cluster.retries, resources=self._asked(task), pure=True,
        )  # fmt: skip

    def _settle(self, client: Any, futures: Mapping[str, Any]) -> int:
        """How many of these tasks are done; the others have failed, or have to be handed out again."""
        finished = {key: future for key, future in futures.items() if future.status == "finished"}
        for key, future in futures.items():
            if future.status == "error":
                self._erred(key, future.exception())
            elif key not in finished:
                raise SchedulerLost("the scheduler has lost what it was asked for")
        # In one message: to fetch results one by one would keep the workers waiting.
        try:
            found = client.gather(finished) if finished else {}
        except CancelledError as error:
            raise SchedulerLost("the scheduler has lost what was done") from error
        wrong = {key: text for key, (_, text) in found.items() if text}
        self._failed |= wrong
        self._said_done |= finished.keys() - wrong.keys()
        return len(finished) - len(wrong)

    def _erred(self, key: str, error: Any) -> None:
        """A task whose workers were lost, perhaps for another's sake, has no mark and is handed out again."""
        self._lost[key] += 1
        if type(error).__name__ != "KilledWorker" or self._lost[key] > self._cluster.retries:
            self._failed[key] = f"{type(error).__name__}: {error}"

    def _tell(self, done: int) -> None:
        if done != self.finished:
            self.finished = done
            if self._on_done is not None:
                self._on_done(done, len(self._tasks))


class _Crew:
    """The workers that there are, looked at once a second."""

    def __init__(self, client: Any, patience: float) -> None:
        self._client, self._patience = client, patience
        self._looked, self._able = -math.inf, time.monotonic()
        self.threads = 0

    def look(self, asked: Sequence[Mapping[str, float]]) -> None:
        """Count threads, and see that a worker offers what one of the tasks in flight asks for.

        Raises
        ------
        NeurodynError
            If none has for as long as patience lasts.
        """
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked, workers = now, self._workers()
        self.threads = sum(worker["nthreads"] for worker in workers)
        able = (
            all(worker["resources"].get(name, 0) >= amount for name, amount in wanted.items())
            for wanted in asked
            for worker in workers
        )
        if any(able) or not asked:
            self._able = now
        elif now - self._able > self._patience:
            raise NeurodynError(
                f"for {self._patience:g} s there has been no worker that could do what is left; what is done is kept, "
                "run the command again"
            )

    def _workers(self) -> list[dict[str, Any]]:
        try:
            info = self._client.scheduler_info(n_workers=-1)
        except TypeError:  # before 2025.4, which told of all of them
            info = self._client.scheduler_info()
        return list(info["workers"].values())
