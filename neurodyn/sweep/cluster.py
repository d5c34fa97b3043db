"""Where the tasks of a sweep run: a Dask scheduler, or workers on this machine."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neurodyn.errors import InputError, import_extra
from neurodyn.evaluation.workers import WORKER_ENVIRONMENT, environment

if TYPE_CHECKING:
    from distributed import Client

LEAST_MEMORY = 2e8
"""Bytes without which no worker starts."""
NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""A free port, and this machine alone: Dask opens its usual port to everyone even where there is no dashboard."""
ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:\d+")


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
        That each worker on this machine offers, as ``{"GPU": 1}``.
    retries
        Times that a task is begun again that has failed, or whose worker was lost again and again.
    patience
        Seconds for which is waited for a scheduler that has gone, for a worker that can do what is left, and until the
        mark of a task that was done is seen here.

    Raises
    ------
    InputError
        If the address is none, or the memory no size or too little to start in.

    Examples
    --------
    >>> from neurodyn.sweep import Cluster
    >>> Cluster(workers=4, memory="8GB", retries=1).workers
    4
    """

    scheduler: str | None = None
    workers: int | None = None
    memory: str | int = "auto"
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 2
    patience: float = 120.0

    def __post_init__(self) -> None:
        if self.scheduler is not None and not ADDRESS.fullmatch(self.scheduler):
            raise InputError(f"expected the address of a scheduler, like tcp://host:8786, got '{self.scheduler}'")
        if self.memory == "auto":
            return
        try:
            size = import_extra("dask.utils", "dask").parse_bytes(str(self.memory))
        except ValueError as error:
            raise InputError(f"expected the memory of a worker, like 8GB, got '{self.memory}'") from error
        if size != 0 and size < LEAST_MEMORY:
            raise InputError(f"a worker needs {LEAST_MEMORY / 1e6:g} MB to start in, got '{self.memory}'")

    @contextlib.contextmanager
    def client(self) -> Iterator["Client"]:
        """A client of the scheduler, or of a cluster on this machine that ends with it."""
        distributed = import_extra("distributed", "dask")
        if self.scheduler is not None:
            with distributed.Client(self.scheduler, timeout=min(10.0, self.patience)) as client:
                yield client
            return
        # Inherited by every worker, also one that is begun anew: Dask's own way comes after the first imports.
        with (
            environment(WORKER_ENVIRONMENT),
            distributed.LocalCluster(
                n_workers=self.workers, threads_per_worker=1, memory_limit=self.memory,
                resources=dict(self.resources), scheduler_kwargs=NO_DASHBOARD,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):  # fmt: skip
            yield client
