"""Run the tasks of a plan on Dask: each once, whatever is lost on the way.

What is done is known from the marks in the folder alone (`store`). So a worker that is lost, a client that is killed
and a scheduler that is restarted all come to the same: the tasks without a mark are handed out again.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodyn.errors import NeurodynError, import_extra
from neurodyn.sweep import store
from neurodyn.sweep.plan import Plan, Task
from neurodyn.sweep.work import perform, study_of

if TYPE_CHECKING:
    from distributed import Client, Future

SINGLE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""A task per core and a thread per task: threads that share one fit wait for each other."""
AHEAD = 8
"""Tasks that are handed out for each thread of the cluster: enough that none waits, few enough to be held anywhere."""
GLANCE = 0.05
"""Seconds between two looks at what is done."""
Perform = Callable[[Task, tuple[int, ...], str], str]


@dataclass(frozen=True)
class Cluster:
    """Where the tasks run.

    Parameters
    ----------
    scheduler
        Address of a Dask scheduler, as ``tcp://host:8786``; None for workers on this machine.
    workers
        On this machine; None for one per core.
    memory
        What a worker on this machine may take, as ``8GB`` (0: anything); one that takes more is ended and begun anew.
    resources
        That a worker on this machine offers, as ``{"GPU": 1}``.
    retries
        Times that a task whose worker was lost, or that has failed, is begun again.
    patience
        Seconds for which a scheduler that has gone is waited for.
    """

    scheduler: str | None = None
    workers: int | None = None
    memory: str | int = "auto"
    resources: dict[str, float] = field(default_factory=dict)
    retries: int = 2
    patience: float = 120.0

    @contextlib.contextmanager
    def client(self) -> Iterator["Client"]:
        """A client of the scheduler, or of a cluster on this machine that ends with it."""
        distributed = import_extra("distributed", "dask")
        if self.scheduler is not None:
            with distributed.Client(self.scheduler, timeout=min(10.0, self.patience)) as client:
                yield client
            return
        with (
            distributed.LocalCluster(
                n_workers=self.workers, threads_per_worker=1, env=SINGLE_THREAD, dashboard_address=None,
                memory_limit=self.memory, resources=self.resources,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):  # fmt: skip
            yield client


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
        Is told how many tasks are done, and of how many, whenever that changes.
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
        If the first session cannot be decoded, or the folder holds another sweep.
    NeurodynError
        If the scheduler cannot be reached, or went and did not come back in time.
    """
    cluster = cluster or Cluster()
    first = plan.tasks()[0]
    store.create(out, plan, dims or study_of(first.session, first.options).batch.target_names)
    run = _Run(plan, out.resolve(), perform, cluster.retries, on_done)
    gone_since: float | None = None
    while run.waiting():
        before = run.finished
        try:
            with cluster.client() as client:
                if on_start is not None:
                    on_start()
                run.hand_out(client)
        except (OSError, TimeoutError, SchedulerLost) as error:
            now = time.monotonic()
            gone_since = now if gone_since is None or run.finished > before else gone_since
            if cluster.scheduler is None or now - gone_since > cluster.patience:
                where = cluster.scheduler or "on this machine"
                raise NeurodynError(
                    f"the scheduler {where} cannot be reached: {error}; what is done is kept, run the command again"
                ) from error
            time.sleep(1.0)
    return run.failed


def _threads(client: Any) -> int:
    """Of all workers that are there now."""
    return sum(client.nthreads().values())


class _Run:
    """What is waiting, what has failed, and how many are done."""

    def __init__(
        self, plan: Plan, out: Path, perform: Perform, retries: int, on_done: Callable[[int, int], None] | None
    ) -> None:
        self._plan, self._out, self._perform, self._retries, self._on_done = plan, out, perform, retries, on_done
        self._tasks = {task.key: task for task in plan.tasks()}
        self.failed: dict[str, str] = {}
        self._failed_keys: set[str] = set()
        self.finished = -1

    def waiting(self) -> list[Task]:
        """Tasks that have no mark and have not failed."""
        done = store.done(self._out)
        self._tell(len(done & self._tasks.keys()))
        return [task for key, task in self._tasks.items() if key not in done and key not in self._failed_keys]

    def hand_out(self, client: "Client") -> None:
        """Hand out what is waiting, a few for each worker at a time, until all of it is done or has failed."""
        waiting, flying = iter(self.waiting()), {}
        done, left = self.finished, True
        while left or flying:
            while left and len(flying) < AHEAD * max(_threads(client), 1):
                task = next(waiting, None)
                left = task is not None
                if task is not None:
                    flying[task.key] = self._submit(client, task)
            time.sleep(GLANCE)
            if client.status != "running":
                raise SchedulerLost(f"the connection is {client.status}")
            for key in [key for key, future in flying.items() if future.status != "pending"]:
                done += self._settle(key, flying.pop(key))
            self._tell(done)

    def _submit(self, client: "Client", task: Task) -> "Future":
        return client.submit(
            self._perform, task, self._plan.place(task), str(self._out), key=f"neurodyn-{task.key}",
            retries=self._retries, resources=dict(self._plan.resources.get(task.method, {})), pure=True,
        )  # fmt: skip

    def _settle(self, key: str, future: Any) -> int:
        """1 if a task is done, 0 if it has failed."""
        if future.status == "finished":
            return 1
        if future.status == "error":
            error = future.exception()
            self.failed[self._tasks[key].name] = f"{type(error).__name__}: {error}" if error else "failed"
            self._failed_keys.add(key)
            return 0
        raise SchedulerLost("the scheduler has lost what it was asked for")

    def _tell(self, done: int) -> None:
        if done != self.finished:
            self.finished = done
            if self._on_done is not None:
                self._on_done(done, len(self._tasks))
