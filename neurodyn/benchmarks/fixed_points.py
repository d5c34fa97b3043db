"""Fixed points of trained networks: all starts at once, next to one start at a time and to gradient descent.

Two networks hold three bits in memory (the flip-flop task) and are searched from the same starts, with one rule for
what counts as a fixed point. The baselines: SciPy's `root` with exact Jacobians, one start after the other; Adam on
the speed ``|F(h) - h|^2 / 2`` of all starts at once, which is what the best-known tool does; optimistix's
Levenberg-Marquardt under ``vmap``. The last rows hold Jacobians and eigenvalues against the eigenvalues alone.

Reference for the tool: Golub & Sussillo (2018), FixedPointFinder, Journal of Open Source Software 3(31).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine, median_seconds, outcome
from neurodyn.errors import import_extra

if TYPE_CHECKING:
    from neurodyn.benchmarks.flip_flop import FlipFlopNetwork
    from neurodyn.fixed_points import FixedPoints

OURS, ADAM, ADAM_SHORT, SCIPY, OPTIMISTIX = (
    "find",
    "batched Adam",
    "batched Adam, 5,000 iterations",
    "one start at a time",
    "optimistix, vmap",
)
LINEARISE, LAPACK = "linearise", "eigenvalues alone"

TIMES_ADAM = 20.0
"""Times as fast as the batched Adam that the search is to be."""
TIMES_LAPACK = 1.2
"""Times as long as the eigenvalues alone that Jacobians and eigenvalues may take."""
ADAM_RATE, ADAM_LAST = 1e-2, 1e-6
CHUNK = 250


@dataclass(frozen=True)
class Sizes:
    """What is searched.

    Parameters
    ----------
    gru, relu
        Units of the two networks; 0 leaves one out.
    starts
        From trajectories with noise.
    sequential
        Starts that the two slow baselines solve, one at a time and with optimistix; their time is scaled up.
    adam
        The most iterations of Adam.
    train
        Epochs of the networks' training.
    """

    gru: int = 128
    relu: int = 150
    starts: int = 1024
    sequential: int = 64
    adam: int = 20_000
    train: int = 15


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    texts = {
        "gru": "units of the gated network (0: without)",
        "relu": "units of the rectified network (0: without)",
        "starts": "states the search starts from",
        "sequential": "starts that the slow baselines solve",
        "adam": "most iterations of Adam",
        "train": "epochs of training",
    }
    add_sizes(parser, Sizes, texts)
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="timed searches (default %(default)s)")


def run(arguments: argparse.Namespace) -> Report:
    """Train the networks, search them in every way, and linearise as many points as there are starts."""
    import_extra("optimistix", "bench")  # before a network is trained for it
    sizes = chosen(arguments, Sizes)
    found = []
    for cell, hidden in (("gru", sizes.gru), ("relu", sizes.relu)):
        if hidden:
            found += compare(cell, hidden, sizes, arguments.repeats)
    return Report("fixed-points", tuple(found), machine(), _targets(found))


@dataclass(frozen=True, eq=False)
class _Case:
    """A network, its starts, and the zero input at which it is solved."""

    network: "FlipFlopNetwork"
    starts: np.ndarray
    silence: Any
    tolerance: float = 1e-6

    def residual(self, state: Any) -> Any:
        return self.network.step(state, self.silence) - state

    def note(self, vectors: np.ndarray) -> dict[str, float | str]:
        """How many starts are at fixed points, by the rule of the search, and at how many."""
        import jax

        from neurodyn.fixed_points.merge import groups

        residual = np.abs(jax.vmap(self.residual)(vectors)).max(axis=1)
        fixed = residual <= self.tolerance
        order = np.argsort(residual)
        distinct = groups(np.asarray(vectors), order[fixed[order]], self.tolerance**0.5)
        return {"converged": float(fixed.sum()), "distinct": float(len(distinct))}


def compare(cell: str, hidden: int, sizes: Sizes, repeats: int) -> list[Measurement]:
    """All ways to search one network, then its linearisation."""
    case = _case(cell, hidden, sizes)
    labels = {"network": f"{cell} {hidden}", "starts": sizes.starts}
    adam, short = _adam(case, sizes.adam)
    (seconds, spread), found = _timed(lambda: _find(case), repeats)
    ends = found.vectors[found.point_of]  # of the starts; their second try may have found further points
    note = {**case.note(ends), "distinct": case.note(found.vectors)["distinct"]}
    rows = [
        Measurement(ADAM, labels, *adam[:1], notes=adam[1]),
        Measurement(ADAM_SHORT, labels, short[0], notes=short[1]),
        _sequential(case, sizes, labels),
        _optimistix(case, sizes, labels),
        Measurement(
            name=OURS, sizes=labels, seconds=seconds, spread=spread, baseline=ADAM, ratio=adam[0] / seconds, notes=note
        ),
    ]
    return rows + _linearised(case, ends, labels, repeats)


def _case(cell: str, hidden: int, sizes: Sizes) -> _Case:
    import jax
    import jax.numpy as jnp

    from neurodyn.benchmarks.flip_flop import FlipFlopConfig, draw_trials, train_flip_flop
    from neurodyn.fixed_points import sample_starts
    from neurodyn.training import ProgressBar

    rate = 1e-3 if cell == "relu" else 5e-3
    config = FlipFlopConfig(cell=cell, hidden=hidden, epochs=sizes.train, rate=rate)
    network = train_flip_flop(config, ProgressBar(f"{cell} {hidden}"))
    states = network.run(draw_trials(jax.random.key(1), config).inputs)
    starts = sample_starts(states, sizes.starts, noise=0.1, seed=0)
    return _Case(network, starts, jnp.zeros(config.bits))


def _find(case: _Case) -> "FixedPoints":
    from neurodyn.fixed_points import SearchConfig, find

    return find(case.network.step, case.starts, case.silence, config=SearchConfig(tolerance=case.tolerance))


def _timed(call: Callable[[], Any], repeats: int) -> tuple[tuple[float, tuple[float, float]], Any]:
    return median_seconds(call, repeats=repeats), call()


def _adam(case: _Case, iterations: int) -> list[tuple[float, dict[str, float | str]]]:
    """Adam on the speed of all starts at once: until all have arrived or ``iterations``, and after 5,000 of them.

    The rate falls exponentially; among constant and falling rates from 0.1 to 0.001 these found most points. A start
    that has arrived is kept as it is then, so that later iterations cannot lose it.
    """
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.adam(optax.exponential_decay(ADAM_RATE, iterations, ADAM_LAST / ADAM_RATE))

    def speed(states: Any) -> Any:
        residual = jax.vmap(case.residual)(states)
        return jnp.sum(residual**2) / 2, jnp.abs(residual).max(axis=1)

    def update(carry: Any, _: None) -> tuple[Any, None]:
        states, memory, kept, arrived = carry
        slope, residual = jax.grad(speed, has_aux=True)(states)
        new = (residual <= case.tolerance) & ~arrived
        kept = jnp.where(new[:, None], states, kept)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
            change, memory = optimizer.update(slope, memory)
        return (optax.apply_updates(states, change), memory, kept, arrived | new), None

    chunk = jax.jit(lambda carry: jax.lax.scan(update, carry, None, length=CHUNK)[0])
    starts = jnp.asarray(case.starts)
    carry = first = (starts, optimizer.init(starts), starts, jnp.zeros(len(starts), bool))
    jax.block_until_ready(chunk(first))
    short, begin = None, time.perf_counter()
    for done in range(CHUNK, iterations + 1, CHUNK):
        carry = chunk(carry)
        if bool(carry[3].all()):
            break
        if done == 5000:
            short = (time.perf_counter() - begin, case.note(np.asarray(carry[2])))
    seconds = time.perf_counter() - begin
    full = (seconds, {**case.note(np.asarray(carry[2])), "iterations": float(done)})
    return [full, short or full]


def _sequential(case: _Case, sizes: Sizes, labels: dict[str, Any]) -> Measurement:
    """SciPy's Newton-like solver with exact Jacobians, from one start after the other."""
    import jax
    from scipy.optimize import root

    residual, jacobian = jax.jit(case.residual), jax.jit(jax.jacfwd(case.residual))
    chosen = case.starts[: sizes.sequential]

    def solve(start: np.ndarray) -> np.ndarray:
        found = root(lambda h: np.asarray(residual(h)), start, jac=lambda h: np.asarray(jacobian(h)), tol=1e-7)
        return found.x.astype(start.dtype)

    solve(chosen[0])
    begin = time.perf_counter()
    ends = np.stack([solve(start) for start in chosen])
    seconds = (time.perf_counter() - begin) * len(case.starts) / len(chosen)
    return Measurement(SCIPY, labels, seconds, notes={"measured on": float(len(chosen)), **case.note(ends)})


def _optimistix(case: _Case, sizes: Sizes, labels: dict[str, Any]) -> Measurement:
    """Levenberg-Marquardt of optimistix under ``vmap``: the whole batch goes on until its last start is done."""
    import jax

    optimistix = import_extra("optimistix", "bench")
    solver = optimistix.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
    chosen = case.starts[: sizes.sequential]

    def solve(start: Any) -> Any:
        fit = optimistix.least_squares(lambda h, _: case.residual(h), solver, start, max_steps=64, throw=False)
        return fit.value

    compiled = jax.jit(jax.vmap(solve)).lower(chosen).compile()
    begin = time.perf_counter()
    ends = np.asarray(compiled(chosen))
    seconds = (time.perf_counter() - begin) * len(case.starts) / len(chosen)
    return Measurement(OPTIMISTIX, labels, seconds, notes={"measured on": float(len(chosen)), **case.note(ends)})


def _linearised(case: _Case, vectors: np.ndarray, labels: dict[str, Any], repeats: int) -> list[Measurement]:
    """Jacobians and eigenvalues of as many points as there are starts, against the eigenvalues alone."""
    from neurodyn.fixed_points import LineariseConfig, linearise

    config = LineariseConfig(vectors=False)

    def ours() -> Any:
        return linearise(case.network.step, vectors, case.silence, dt=1.0, config=config)

    jacobian = ours().jacobian
    (alone, alone_spread), _ = _timed(lambda: np.linalg.eigvals(jacobian), repeats)
    (seconds, spread), _ = _timed(ours, repeats)
    notes: dict[str, float | str] = {"ms a point": 1e3 * seconds / len(vectors)}
    base = Measurement(LAPACK, labels, alone, alone_spread, notes={"ms a point": 1e3 * alone / len(vectors)})
    return [
        base,
        Measurement(
            name=LINEARISE,
            sizes=labels,
            seconds=seconds,
            spread=spread,
            baseline=LAPACK,
            ratio=alone / seconds,
            notes=notes,
        ),
    ]


def _targets(found: list[Measurement]) -> dict[str, str]:
    """What was asked for, and what came."""
    outcomes = {}
    for row in found:
        network = row.sizes["network"]
        if row.name == OURS:
            (adam,) = (other for other in found if other.name == ADAM and other.sizes == row.sizes)
            ours, theirs = float(row.notes["distinct"]), float(adam.notes["distinct"])
            outcomes[f"{network}: {TIMES_ADAM:.0f} x as fast as batched Adam, no fewer points"] = outcome(
                row.ratio >= TIMES_ADAM and ours >= theirs, f"{row.ratio:.1f} x, {ours:.0f} and {theirs:.0f} points"
            )
        if row.name == LINEARISE:
            outcomes[f"{network}: Jacobians and eigenvalues in {TIMES_LAPACK} x the time of the eigenvalues"] = outcome(
                1 / row.ratio <= TIMES_LAPACK, f"{1 / row.ratio:.2f} x"
            )
    return outcomes
