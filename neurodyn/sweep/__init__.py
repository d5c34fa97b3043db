"""Many fits on many machines: sessions x settings x methods x seeds x folds, each done once.  See README.md."""

from neurodyn.sweep.cluster import Cluster
from neurodyn.sweep.engine import run_sweep
from neurodyn.sweep.plan import Plan, Session, Task, read_plan
from neurodyn.sweep.report import Comparisons, compare_methods, write_report
from neurodyn.sweep.store import open_results

__all__ = [
    "Cluster",
    "Comparisons",
    "Plan",
    "Session",
    "Task",
    "compare_methods",
    "open_results",
    "read_plan",
    "run_sweep",
    "write_report",
]
