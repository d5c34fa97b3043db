"""Parts of the data that are held out of some members and seen by the others.

Networks that all stop by the same held-out part never see it. Held out in turn, every bin is seen by most members, each
member still stops by bins that it has not seen, and their errors differ more, so that their average has a smaller one.
With K members there are K blocks, and block b is held out of members b - 1 and b: what the average of two members is
worth on data of which neither knows is therefore seen on every block.

Reference: Breiman (1996), Bagging predictors, Machine Learning 24; Krogh & Vedelsby (1995), Neural network ensembles,
cross validation, and active learning, NeurIPS 7.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import held_pieces, split_off, validation_split


def holders(members: int, blocks: int) -> Int[np.ndarray, "block member"]:
    """The members that each block is held out of: all of them where there is one block, else two neighbours.

    Examples
    --------
    >>> from neurodyn.recurrent import holders
    >>> holders(2, blocks=1).tolist(), holders(4, blocks=4).tolist()
    ([[0, 1]], [[3, 0], [0, 1], [1, 2], [2, 3]])
    """
    if blocks == 1:
        return np.arange(members)[None]
    return np.stack([(np.arange(blocks) - 1) % members, np.arange(blocks) % members], axis=1)


def hold_out_in_turn(
    batch: MultimodalBatch, share: float, seconds: float, members: int
) -> tuple[list[MultimodalBatch], list[MultimodalBatch]]:
    """What each member is trained on, and the blocks that are held out of two of them each.

    Parameters
    ----------
    batch
        Everything that may be trained on.
    share
        Of its bins that is held out of each member.
    seconds
        Length of a held-out piece, see :func:`neurodyn.binning.folds.validation_split`. The first two blocks together
        are what that function holds out.
    members
        How many there are.

    Returns
    -------
    A batch per member, and a batch per block, all on the timeline of ``batch``; one of each for all members where there
    are fewer than three, or too few pieces to be shared out.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.recurrent import hold_out_in_turn
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=20), seed=0)
    >>> inner, held = hold_out_in_turn(batch, 0.2, 10.0, members=4)
    >>> [part.n_trials for part in inner], [part.n_trials for part in held]
    ([16, 16, 16, 16], [2, 2, 2, 2])
    """
    blocks = _blocks(batch, share, seconds, members) if members > 2 else []
    if not (blocks and all(block.any() for block in blocks)):
        inner, held = validation_split(batch, share, seconds)
        return [inner], [held]
    without = [block | after for block, after in zip(blocks, [*blocks[1:], blocks[0]], strict=True)]
    inner = [split_off(batch, some, share, seconds)[0] for some in without]
    return inner, [split_off(batch, block, share, seconds)[1] for block in blocks]


def _blocks(batch: MultimodalBatch, share: float, seconds: float, members: int) -> list[Bool[np.ndarray, " bin"]]:
    """Bins of each block: every other piece of the usual ones, the pieces between, and so on with pieces moved on."""
    phases, found = -(-members // 2), []
    for phase in range(phases):
        pieces = held_pieces(batch, share, seconds, phase / phases)
        found += [(pieces >= 0) & (pieces % 2 == half) for half in (0, 1)]
    return found[:members]


def held_out_of(
    batch: MultimodalBatch, blocks: Sequence[MultimodalBatch], members: int
) -> Bool[np.ndarray, "run member"]:
    """For each run of the first two blocks together, the members that it is held out of.

    Parameters
    ----------
    batch
        The runs, each within one of the blocks.
    blocks
        Of :func:`hold_out_in_turn`.
    members
        How many there are.
    """
    first = batch.starts + batch.lead
    of_run = np.zeros((batch.n_trials, members), np.bool_)
    for block, who in zip(blocks[:2], holders(members, len(blocks)), strict=False):
        of_run[np.ix_(block.in_trials()[first], who)] = True
    return of_run
