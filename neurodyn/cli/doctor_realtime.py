"""What ``neurodyn doctor --realtime`` looks at: whether this machine lets a live decoder work at its moment.

Nothing is changed and no rights are needed; what cannot be read, in a container or elsewhere than on Linux, is unknown.
"""

import gc
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from neurodyn.cli.findings import Line
from neurodyn.realtime.latency import LatencyHistogram

UNKNOWN = "unknown"
NAPS, NAP = 200, 0.001
"""How often, and for how many seconds, is slept to see when this process is woken up."""
LATE = 1000.0
"""Microseconds that it may be woken up late, at 99 %: a tenth of a bin of 10 ms."""
SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")
"""Clocks whose reading takes a call into the kernel, or a bus, for each of the many times that a session asks."""
SLOW_COLLECTION = 0.002
"""Seconds of a collection from which on it must not fall into a bin."""


def examine(root: Path = Path("/")) -> list[Line]:
    """Everything that is looked at, in the order shown.

    Parameters
    ----------
    root
        Folder that ``sys`` and ``proc`` lie in.
    """
    return [
        governor(root),
        cores(root),
        quota(root),
        kernel(root),
        scheduling(_limit("RLIMIT_RTPRIO"), _policy()),
        locked_memory(_limit("RLIMIT_MEMLOCK")),
        swap(root),
        clock(root),
        timer(),
        collector(),
        blas(),
    ]


def governor(root: Path) -> Line:
    """How the cores that this process may use choose their frequency."""
    folders = [root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor" for core in _allowed()]
    found = sorted({text for text in map(_read, folders) if text is not None})
    slow = [name for name in found if name != "performance"]
    advice = "a core that slept wakes up slowly: as root, cpupower frequency-set -g performance" if slow else ""
    return Line("governor", ", ".join(found) or UNKNOWN, advice)


def cores(root: Path) -> Line:
    """Cores that this process may use, and those that the kernel keeps free of everything that is not put there."""
    allowed, isolated = _allowed(), _read(root / "sys/devices/system/cpu/isolated")
    kept = UNKNOWN if isolated is None else isolated or "none"
    found = f"{len(allowed) or UNKNOWN} allowed, isolated: {kept}"
    if len(allowed) == 1:
        return Line("cores", found, "threads that bring data and send estimates share the only core: allow two")
    advice = "keep two for the session: CPUAffinity in its unit, and the others away (neurodyn/realtime/UNIT.md)"
    return Line("cores", found, "" if isolated else advice)


def quota(root: Path) -> Line:
    """Time that a container may compute: when it is used up, the process stands still until the next period."""
    limits = [text.split() for group in _groups(root) if (text := _read(group / "cpu.max")) is not None]
    if not limits or not all(
        len(one) == 2 and (one[0] == "max" or one[0].isdigit()) and one[1].isdigit() for one in limits
    ):
        return Line("quota of time", UNKNOWN)
    bounded = [(int(limit), int(period)) for limit, period in limits if limit != "max"]
    if not bounded:
        return Line("quota of time", "none")
    limit, period = min(bounded, key=lambda one: one[0] / one[1])
    found = f"{limit / 1000:g} ms of every {period / 1000:g} ms"
    return Line("quota of time", found, "give the container whole cores instead: --cpuset-cpus, not --cpus")


def _groups(root: Path) -> list[Path]:
    """Folders of the control groups (version 2) that hold this process: its own, and all around it."""
    group = next(
        (line[3:] for line in (_read(root / "proc/self/cgroup") or "").splitlines() if line.startswith("0::")), "/"
    )
    path = PurePosixPath("/" + group.strip("/"))
    return [root / "sys/fs/cgroup" / str(each).strip("/") for each in (path, *path.parents)]


def kernel(root: Path) -> Line:
    """Whether the kernel can be interrupted everywhere, for a process that has to run now."""
    full = _read(root / "sys/kernel/realtime") == "1" or "PREEMPT_RT" in platform.version()
    advice = "for bounds, and not only for most bins: a kernel with PREEMPT_RT"
    return Line("kernel", f"{platform.release()}{', PREEMPT_RT' if full else ''}", "" if full else advice)


def scheduling(priority: float | None, policy: str | None) -> Line:
    """How this process is scheduled, and up to which priority it may ask for.

    Parameters
    ----------
    priority
        Largest that the limits allow; None where they are not known.
    policy
        Name of the one that it has; None where it is not known.
    """
    allowed = UNKNOWN if priority is None else f"{priority:g}"
    found = f"{policy or UNKNOWN}, real-time priority up to {allowed}"
    if policy in ("fifo", "rr"):
        return Line("scheduling", found, "leave  --spin  away: the kernel stops it for 5 % of every second")
    if priority is not None and priority > 0:
        return Line("scheduling", found, "start serve with  chrt --fifo 50, or CPUSchedulingPolicy=fifo in its unit")
    advice = "LimitRTPRIO=50 and CPUSchedulingPolicy=fifo in its unit, or rtprio in /etc/security/limits.conf"
    return Line("scheduling", found, advice)


def locked_memory(limit: float | None) -> Line:
    """How much memory may be kept from being swapped out, in bytes; infinite if all, None where it is not known."""
    if limit is None:
        return Line("locked memory", UNKNOWN)
    if math.isinf(limit):
        return Line("locked memory", "unlimited", "serve --lock-memory  keeps a session in memory")
    advice = "LimitMEMLOCK=infinity in its unit, or memlock in /etc/security/limits.conf; then  serve --lock-memory"
    return Line("locked memory", f"{limit / 1e6:.3g} MB", advice)


def swap(root: Path) -> Line:
    """Where memory goes that was not used for long."""
    text = _read(root / "proc/swaps")
    if text is None:
        return Line("swap", UNKNOWN)
    areas = len(text.splitlines()) - 1
    advice = "what a session has not used for long comes back slowly: swapoff -a, or MemorySwapMax=0 in its unit"
    return Line("swap", f"{areas} in use" if areas > 0 else "none", advice if areas > 0 else "")


def clock(root: Path) -> Line:
    """What the kernel tells the time by, and how long it takes to read it."""
    name = _read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    took = _reading()
    found = f"{name or UNKNOWN}, {1e9 * took:.0f} ns to read"
    slow = name in SLOW_CLOCKS or took > 1e-6
    advice = "boot with  clocksource=tsc tsc=reliable, if the processor's counter is steady" if slow else ""
    return Line("clock", found, advice)


def timer(nap: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.perf_counter) -> Line:
    """How much later than asked this process is woken up, measured.

    Parameters
    ----------
    nap, now
        Sleep so many seconds; tell the time in seconds.
    """
    late = LatencyHistogram()
    for _ in range(NAPS):
        begin = now()
        nap(NAP)
        late.add(1e6 * (now() - begin - NAP))
    found = late.percentiles()
    text = f"woken up {found.p50:.0f} µs late at the median, {found.p99:.0f} at 99 %, {found.worst:.0f} at worst"
    advice = "others have the core when it is due: end them, or see to cores and scheduling above"
    return Line("timer", text, advice if found.p99 > LATE else "")


def collector() -> Line:
    """How long Python's garbage collector takes; of a session it works between two bins."""
    begin = time.perf_counter()
    gc.collect()
    took = time.perf_counter() - begin
    found = f"{'on' if gc.isenabled() else 'off'}, {1e3 * took:.1f} ms for all"
    advice = "serve does it between bins; in a loop of your own: gc.collect(), gc.freeze(), gc.disable()"
    return Line("collector", found, advice if took > SLOW_COLLECTION and gc.isenabled() else "")


def blas() -> Line:
    """Threads of BLAS, of which a step needs one."""
    from neurodyn.threads import blas_threads

    count = blas_threads()
    advice = "products of a step are small: OPENBLAS_NUM_THREADS=1 before Python starts, in its unit as Environment="
    return Line("threads of BLAS", f"{count}", advice if count > 1 else "")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _allowed() -> list[int]:
    """Numbers of the cores that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _limit(name: str) -> float | None:
    """Soft limit of this process, infinite if there is none; None where it is not known."""
    try:
        import resource

        soft, _ = resource.getrlimit(getattr(resource, name))
    except (ImportError, AttributeError, OSError, ValueError):
        return None
    return math.inf if soft == resource.RLIM_INFINITY else float(soft)


def _policy() -> str | None:
    """How this process is scheduled."""
    if not hasattr(os, "sched_getscheduler"):
        return None
    names = {
        "SCHED_OTHER": "usual",
        "SCHED_FIFO": "fifo",
        "SCHED_RR": "rr",
        "SCHED_BATCH": "batch",
        "SCHED_IDLE": "idle",
    }
    numbers = {getattr(os, key): name for key, name in names.items() if hasattr(os, key)}
    try:
        return numbers.get(os.sched_getscheduler(0))
    except OSError:
        return None


def _reading() -> float:
    """Seconds that it takes to read the clock, at best of several thousand."""
    best = math.inf
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(100):
            time.perf_counter()
        best = min(best, (time.perf_counter() - begin) / 100)
    return best
