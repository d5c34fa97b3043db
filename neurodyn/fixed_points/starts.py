"""Where a search starts: states out of trajectories, of equal length or not, with the inputs that came with them."""

from typing import Any

import jax
import numpy as np

from neurodyn.errors import InputError


def sample_starts(
    states: Any,
    count: int,
    *,
    noise: float,
    seed: int,
    between: float = 0.0,
    valid: Any = None,
    inputs: Any = None,
) -> Any:
    """Draw starts from trajectories, and add noise to see what lies beside them.

    Parameters
    ----------
    states
        A pytree of arrays (trial x time x ...): states a network went through.
    count
        Number of starts.
    noise
        Standard deviation of what is added to every unit, in units of the state.
    seed
        Seed of the draw.
    between
        Share of the starts that are halfway between two states instead: where points that divide basins are.
    valid
        (trial x time) bool, True where there is a state: trials may be of any length, and what pads them is never drawn
        or read. None: everywhere.
    inputs
        A pytree of arrays (trial x time x ...): what came in with each state; for ``find(..., input_axis=0)``.

    Returns
    -------
    The same pytree with arrays (starts x ...), those in between last; no state is drawn twice unless ``count`` asks for
    more than there are. With ``inputs`` a pair: the starts, and their inputs (starts x ...), without noise; of a start
    in between, the input of one of its two states.

    Raises
    ------
    InputError
        If states are not (trial x time x units), if ``valid`` or ``inputs`` are of other trials and times, if no state
        is valid or a valid one is not finite, or if a number makes no sense.

    Examples
    --------
    Two trials, of three steps and of one:

    >>> import numpy as np
    >>> states = np.arange(12.0).reshape(2, 3, 2)
    >>> valid = np.array([[True, True, True], [True, False, False]])
    >>> starts = sample_starts(states, 4, noise=0.0, seed=0, valid=valid)
    >>> np.sort(starts[:, 0]).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    leaves = jax.tree.leaves(states)
    if not leaves or any(np.ndim(leaf) < 3 or leaf.shape[:2] != leaves[0].shape[:2] for leaf in leaves):
        raise InputError(f"states have to be (trial x time x units), got {[np.shape(leaf) for leaf in leaves]}")
    if count < 1 or noise < 0 or not 0 <= between <= 1:
        raise InputError(
            f"count has to be at least 1, noise not negative, between a share, got {count}, {noise} and {between}"
        )
    shape = leaves[0].shape[:2]
    usable = _usable(valid, shape)
    _check_finite(leaves, usable)
    for leaf in jax.tree.leaves(inputs):
        if np.shape(leaf)[:2] != shape:
            raise InputError(f"inputs have to be (trial x time x ...) as the states, {shape}, got {np.shape(leaf)}")
    random = np.random.default_rng(seed)
    total = len(usable)
    chosen = random.choice(total, count, replace=count > total)
    other = chosen.copy()
    middle = slice(count - round(between * count), count)
    other[middle] = random.integers(0, total, count)[middle]
    chosen, other = usable[chosen], usable[other]

    def draw(leaf: Any) -> np.ndarray:
        flat = np.asarray(leaf).reshape(-1, *leaf.shape[2:])
        flat = (flat[chosen] + flat[other]) / 2
        return flat + noise * random.normal(size=flat.shape).astype(flat.dtype)

    starts = jax.tree.map(draw, states)
    if inputs is None:
        return starts
    return starts, jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *np.shape(leaf)[2:])[chosen], inputs)


def _usable(valid: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Which states may be drawn, as indices into (trial x time) laid out in a row."""
    if valid is None:
        return np.arange(shape[0] * shape[1])
    valid = np.asarray(valid)
    if valid.dtype != np.bool_ or valid.shape != shape:
        raise InputError(
            f"valid has to be bool (trial x time), {shape}, got {valid.dtype} of shape {valid.shape}: True where there "
            "is a state"
        )
    if not valid.any():
        raise InputError("valid is False everywhere: there is no state to start from")
    return np.flatnonzero(valid)


def _check_finite(leaves: list[Any], usable: np.ndarray) -> None:
    for leaf in leaves:
        flat = np.asarray(leaf).reshape(-1, int(np.prod(leaf.shape[2:])))[usable]
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        if len(bad):
            trial, time = np.divmod(usable[bad[0]], leaf.shape[1])
            raise InputError(
                f"states: NaN or infinity in {len(bad)} of {len(usable)} states, first in trial {trial} at step {time}"
                ": give valid=, False where trials are padded"
            )
