"""Tasks of an experiment on the workers of ``neurodyn sweep``: as many at a time as asked, each on one thread."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from neurodyn.compilation import start_quickly
from neurodyn.sweep import Cluster

Task = TypeVar("Task")


def on_workers(work: Callable[[Task], Any], tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Any]]:
    """Tasks and what came of them, as they are done.

    A worker that is lost is replaced, and its task begun again; a task that fails ends them all.

    Parameters
    ----------
    work
        From a task to its result; both are sent to other processes, unless there is one job.
    tasks
        In the order in which they are begun.
    jobs
        Tasks at a time; 1: in this process, in order.
    """
    if jobs == 1:
        yield from ((task, work(task)) for task in tasks)
        return
    from distributed import as_completed

    with Cluster(workers=jobs).client() as client:
        futures = {client.submit(_started, work, task, pure=False): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _started(work: Callable[[Task], Any], task: Task) -> Any:
    """The work, in a process that keeps the programs it compiles for the other workers."""
    start_quickly()
    return work(task)
