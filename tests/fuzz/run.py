"""Try damaged input on everything that takes input, and write the table of what came of it.

    python -m tests.fuzz.run --cases 10000 --table neurodyn/recording/BAD_INPUT.md

Each target runs in a process of its own with a limit on its memory; a crash, a hang or any error but a refusal in one
line fails the run, with the smallest case that shows it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from fuzz import outcomes  # noqa: E402
from fuzz.outcomes import Outcome, Target, attempt  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

LONGEST = 900
"""Seconds for all cases of one target."""


def run_target(target: Target, cases: int, number: int) -> dict[str, Any]:
    """Try cases of one target in this process.

    Returns
    -------
    dict with ``counts`` (kind of case -> outcome -> number), ``seconds`` and ``peak`` (bytes).
    """
    counts: dict[str, Counter] = {}
    memory = Path("/dev/shm")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:

        @seed(number)
        @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck),
                  phases=(Phase.generate, Phase.shrink))  # fmt: skip
        @given(target.cases)
        def search(case: tuple[str, Any]) -> None:
            kind, content = case
            outcome = attempt(target, kind, content, Path(folder))
            counts.setdefault(kind, Counter())[outcome] += 1

        search()
    return {
        "counts": counts,
        "seconds": time.perf_counter() - begin,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def run_all(cases: int, number: int) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Try all targets, each in its own process; results by name, and what failed."""
    from fuzz.targets import TARGETS

    targets = [make() for make in TARGETS]
    total = sum(target.share for target in targets)
    results, failures = {}, []
    for index, target in enumerate(targets):
        count = max(1, round(cases * target.share / total))
        command = [sys.executable, "-m", "tests.fuzz.run", "--target", str(index), "--cases", str(count),
                   "--seed", str(number)]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            failures.append(f"{target.name}: hangs")
            continue
        if done.returncode:
            failures.append(f"{target.name}: exit code {done.returncode}\n{done.stderr[-5000:]}")
            continue
        results[target.name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{target.name}: {_total(results[target.name]):,} cases, {results[target.name]['seconds']:.0f} s")
    return results, failures


def table(results: dict[str, dict[str, Any]], number: int) -> str:
    """The outcomes as Markdown."""
    names = [outcome.value for outcome in Outcome]
    cases = sum(_total(result) for result in results.values())
    lines = [
        "# Bad input: what was tried, and what came of it",
        "",
        f"{cases:,} cases, seed {number}; written by `python -m tests.fuzz.run --cases N --table FILE`, which fails at",
        "the first case that ends in anything but these three: an error from the depths, a crash, a hang, more memory",
        "than allowed, or, for our own HDF5, which has checksums, other numbers than those written.",
        "",
        f"| input | damage | cases | {' | '.join(names)} |",
        "|---|---|---:|" + "---:|" * len(names),
    ]
    for target, result in results.items():
        for kind, counts in sorted(result["counts"].items()):
            numbers = [counts.get(name, 0) for name in names]
            lines.append(f"| {target} | {kind} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    lines += ["", "Peak memory of each process, most of it libraries:", ""]
    lines += [
        f"- {name}: {result['peak'] / 2**20:.0f} MiB, {result['seconds']:.0f} s" for name, result in results.items()
    ]
    return "\n".join(lines) + "\n"


def _total(result: dict[str, Any]) -> int:
    return sum(sum(counts.values()) for counts in result["counts"].values())


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=500, help="how many in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="file to write the table to")
    parser.add_argument("--target", type=int, help="number of one target, tried in this process")
    given_ = parser.parse_args(argv)
    if given_.target is not None:
        from fuzz.targets import TARGETS

        target = TARGETS[given_.target]()
        outcomes.END_THE_PROCESS = True
        outcomes.limit_memory()
        print(json.dumps(run_target(target, given_.cases, given_.seed)))
        return 0
    results, failures = run_all(given_.cases, given_.seed)
    text = table(results, given_.seed)
    if given_.table is not None and not failures:
        given_.table.write_text(text, encoding="utf-8")
    print(text if not failures else "\n\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
