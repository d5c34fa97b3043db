"""Tasks in worker processes, each on one thread: results as they come, and an end that leaves no process behind.

``concurrent.futures`` offers no way to end its processes at once (before Python 3.14), and a worker that is ended while
it sends leaves half a message, for whose rest the executor's reader would wait for ever. Here each worker has a pipe of
its own, so that ending it ends its conversation and nobody else's.
"""

import copy
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from neurodyn.errors import NeurodynError

Result = TypeVar("Result")

# As many workers as cores: each of them on one thread.  Set before a worker imports numpy or JAX.  Compiled programs
# are shared through a folder that lives as long as the workers: most tasks then start without compiling.  XLA warns
# of every program it finds there, for features that are only hints to its compiler (level 3: fatal errors only).
WORKER_ENVIRONMENT = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass
class _Worker:
    """A process and this side of its pipe."""

    process: Any
    pipe: Connection

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def in_workers(work: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Result]:
    """Call a function with the arguments of each task, several at a time; yields results in the order they come.

    Workers are new interpreters (spawn), not forks: JAX's threads do not survive a fork. However the iteration ends,
    all of them have ended afterwards.

    Parameters
    ----------
    work
        Function that can be pickled.
    tasks
        Arguments of each call.
    jobs
        Workers.

    Raises
    ------
    NeurodynError
        If a worker dies.
    Exception
        Whatever a call raises, which ends all others.
    """
    waiting = list(reversed(tasks))
    with tempfile.TemporaryDirectory(prefix="neurodyn-", ignore_cleanup_errors=True) as programs:
        workers: list[_Worker] = []
        try:
            with environment({"JAX_COMPILATION_CACHE_DIR": programs, **WORKER_ENVIRONMENT}):
                workers += [_started(work) for _ in range(min(jobs, len(tasks)))]
            busy: dict[Any, _Worker] = {worker.pipe: worker for worker in workers}
            for worker in workers:
                _send(worker, waiting.pop())
            while busy:
                for pipe in wait(list(busy)):
                    failed, result = _received(pipe)
                    if failed:
                        raise result
                    # The next task goes out before the result is looked at, so that no worker waits for the caller.
                    if waiting:
                        _send(busy[pipe], waiting.pop())
                    else:
                        del busy[pipe]
                    yield result
        finally:
            for worker in workers:
                worker.stop()


def _started(work: Callable[..., Any]) -> _Worker:
    """A new worker; the process inherits the environment of this moment."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()  # the process has its own copy: when it dies, nothing holds the pipe open and the reader is told
    return _Worker(process, ours)


def _serve(pipe: Connection, work: Callable[..., Any]) -> None:
    """What a worker does: take arguments, send back whether the call failed, and its result or its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is left to the parent, which ends its workers
    while True:
        try:
            task = pipe.recv()
        except EOFError:  # the parent has gone
            return
        try:
            answer = False, work(*task)
        except BaseException as error:
            answer = True, _sendable(error)
        pipe.send(answer)


def _sendable(error: BaseException) -> BaseException:
    """The error, or one that says the same if it cannot be made again on the other side of the pipe."""
    try:
        copy.deepcopy(error)  # which takes it apart and puts it together as pickling does
    except Exception:
        return NeurodynError(f"{type(error).__name__}: {error}")
    return error


def _send(worker: _Worker, task: tuple[Any, ...]) -> None:
    try:
        worker.pipe.send(task)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _died() from error


def _received(pipe: Any) -> tuple[bool, Any]:
    try:
        return pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise _died() from error


def _died() -> NeurodynError:
    return NeurodynError(
        "a worker process ended unexpectedly, perhaps for want of memory: try again with one job at a time"
    )


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change environment variables, which new processes inherit, for a while; a user's own XLA flags stay.

    Examples
    --------
    >>> with environment({"OMP_NUM_THREADS": "1"}):
    ...     os.environ["OMP_NUM_THREADS"]
    '1'
    """
    before = {name: os.environ.get(name) for name in changes}
    for name, value in changes.items():
        os.environ[name] = f"{before[name]} {value}" if name == "XLA_FLAGS" and before[name] else value
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
