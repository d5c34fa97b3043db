"""Cross-validation folds of a batch: disjoint and complete by construction."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError
from neurodyn.given import argument_named, integer, real, seconds
from neurodyn.recording.edges import cut


@dataclass(frozen=True, eq=False, repr=False)
class Fold(Shown):
    """One split: what to fit on, and what to score on; both share the timeline of the batch.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=10), seed=0)
    >>> fold = nd.holdout(batch, 0.2)
    >>> fold.train.n_trials, fold.test.n_trials
    (8, 2)
    >>> decoder = nd.CausalRidge(smoothed=False).fit(fold.train)
    >>> decoder.predict(fold.test)["target"].dims
    ('trial', 'time', 'dim')
    """

    train: MultimodalBatch
    test: MultimodalBatch

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "train", self.train.in_short()
        yield "test", self.test.in_short()
        yield "from", listed(f"{row.name} ({pluralised(row.n_channels, 'channel')})" for row in self.train.modalities)
        yield "target", listed(self.train.target_names) or "none"


def time_folds(batch: MultimodalBatch, n: int, *, gap: float | str, lead_in: float | str = 0.0) -> list[Fold]:
    """Time-ordered folds: test block k is the k-th of `n` equal pieces of the bins of the trials.

    The test blocks, without their lead, tile the bins of the trials exactly. The training part of a fold is
    all the rest, without the bins closer than `gap` to the test block.

    Parameters
    ----------
    batch
        Trials must not share bins (their leads may).
    n
        Number of folds, at least 2.
    gap
        Seconds left out on either side of a test block; text like ``"2s"`` or ``"500ms"`` will do.
    lead_in
        Seconds before a test block that the decoder sees as context (`lead`), as far as its trial reaches
        back. They may overlap the training part: only neural input, causal, never scored.

    Returns
    -------
    list of Fold
        In order of time.

    Raises
    ------
    InputError
        When fewer than two folds are asked for, or one of them has nothing to train or to test on.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=60.0), seed=0)
    >>> batch = nd.to_bins(session, width="100ms", interval="task")
    >>> folds = nd.time_folds(batch, 3, gap="2s", lead_in="1s")
    >>> [int(fold.test.scored().sum()) > 0 for fold in folds], int(folds[1].test.lead[0])
    ([True, True, True], 10)
    """
    gap, lead_in = argument_named("gap", seconds, gap), argument_named("lead_in", seconds, lead_in)
    owner = _owner(batch)
    bins = np.flatnonzero(owner >= 0)
    n = _checked_count(n, len(bins), "bins")
    lead_bins = round(lead_in / batch.width)
    folds = [_time_fold(batch, owner, block, gap, lead_bins) for block in np.array_split(bins, n)]
    return _usable(folds, f"use fewer folds or a gap shorter than {gap:g} s")


def trial_folds(batch: MultimodalBatch, n: int, *, seed: int) -> list[Fold]:
    """Folds of whole trials in shuffled order; each trial is tested exactly once.

    Parameters
    ----------
    batch
        Trials that are independent of each other.
    n
        Number of folds, from 2 to the number of trials.
    seed
        Of the shuffle.

    Returns
    -------
    list of Fold
        Inside a fold the trials stay in their order.

    Raises
    ------
    InputError
        When fewer than two folds are asked for, there are fewer trials than folds, or one is not usable.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> [(fold.train.n_trials, fold.test.n_trials) for fold in nd.trial_folds(batch, 3, seed=0)]
    [(8, 4), (8, 4), (8, 4)]
    """
    n = _checked_count(n, check_batch(batch).n_trials, "trials")
    order = np.random.default_rng(seed).permutation(batch.n_trials)
    blocks = np.array_split(order, n)
    return _usable([_trial_fold(batch, np.sort(block)) for block in blocks], "use fewer folds")


def holdout(batch: MultimodalBatch, fraction: float = 0.2, gap: float = 2.0) -> Fold:
    """One chronological split: the last trials are tested, or the last part of a single trial.

    Parameters
    ----------
    fraction
        Part that is tested, between 0 and 1.
    gap
        Seconds between training and test part where a single trial is split.

    Raises
    ------
    InputError
        When either part would be empty.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=10), seed=0)
    >>> fold = nd.holdout(batch, fraction=0.3)
    >>> fold.train.n_trials, fold.test.n_trials
    (7, 3)
    """
    check_batch(batch)
    gap = argument_named("gap", seconds, gap)
    fraction = real(fraction, f"fraction: expected a share such as 0.2, got {fraction!r}")
    if not 0 < fraction < 1:
        raise InputError(f"the held-out fraction must lie between 0 and 1, got {fraction}")
    if batch.n_trials > 1:
        tested = min(batch.n_trials - 1, max(1, round(fraction * batch.n_trials)))
        return _trial_fold(batch, np.arange(batch.n_trials - tested, batch.n_trials))
    owner = _owner(batch)
    bins = np.flatnonzero(owner >= 0)
    block = bins[len(bins) - max(1, round(fraction * len(bins))) :]
    return _usable([_time_fold(batch, owner, block, gap, 0)], "use a longer recording")[0]


HELD_OUT_PIECES = 5
"""Pieces of a continuous recording that are kept out of training."""


def held_out_seconds(batch: MultimodalBatch, share: float, least: float) -> float:
    """Length of a held-out piece: a fifth of the share kept out, and at least so many seconds.

    Behaviour a few seconds apart is alike. Long pieces are therefore a harder and more honest test than short ones, and
    five of them still sample the session.
    """
    return max(least, share * batch.n_bins * batch.width / HELD_OUT_PIECES)


def validation_split(batch: MultimodalBatch, share: float, seconds: float) -> tuple[MultimodalBatch, MultimodalBatch]:
    """Keep a share of the bins out of training: whole trials, or pieces spread evenly over long ones.

    Parameters
    ----------
    share
        Of the bins that is held out.
    seconds
        Length of a piece. It is preceded by as much context, so that it is judged as a running decoder is.

    Returns
    -------
    What is trained on, and what is held out, on the timeline of the batch.
    """
    return split_off(batch, held_pieces(batch, share, seconds) >= 0, share, seconds)


def held_pieces(batch: MultimodalBatch, share: float, seconds: float, phase: float = 0.0) -> Int64[np.ndarray, " bin"]:
    """Number of the held-out piece or trial that each bin of the trials after their lead belongs to, -1 for none.

    Parameters
    ----------
    share, seconds
        As in :func:`validation_split`.
    phase
        How far all pieces are moved on, from 0 to 1: a share of the way to the next one.
    """
    own = batch.lengths - batch.lead
    if _whole_trials(batch, seconds):
        every = min(max(2, round(1 / share)), batch.n_trials)
        held = np.arange(batch.n_trials) % every == (every // 2 + round(phase * every)) % every
        return np.repeat(np.where(held, np.cumsum(held) - 1, -1), own)
    bins, piece = int(own.sum()), _piece(batch, share, seconds)
    count = max(1, int(share * bins / piece))
    found = np.full(bins, -1)
    for number, middle in enumerate((((np.arange(count) + 0.5 + phase) % count) * bins / count).astype(int)):
        first = max(0, min(middle - piece // 2, bins - piece))
        found[first : first + piece] = number
    return found


def split_off(
    batch: MultimodalBatch, held: Bool[np.ndarray, " bin"], share: float, seconds: float
) -> tuple[MultimodalBatch, MultimodalBatch]:
    """What is left of a batch without the bins of some pieces, and those, each run with a piece of its trial before it.

    Parameters
    ----------
    held
        One flag per bin of the trials after their lead, trials end to end.
    share, seconds
        Those that :func:`held_pieces` was given.
    """
    if _whole_trials(batch, seconds):
        trials = held[np.cumsum(batch.lengths - batch.lead) - 1]
        return batch.with_trials(np.flatnonzero(~trials)), batch.with_trials(np.flatnonzero(trials))
    train = _context_runs(batch, ~held, context=0)
    left = train.with_trials(np.flatnonzero(train.lengths > 1))
    return left, _context_runs(batch, held, context=_piece(batch, share, seconds))


def _piece(batch: MultimodalBatch, share: float, seconds: float) -> int:
    """Bins of a piece."""
    bins = int((batch.lengths - batch.lead).sum())
    return max(2, min(round(seconds / batch.width), int(bins * share)))


def _whole_trials(batch: MultimodalBatch, seconds: float) -> bool:
    """Whether trials are held out as wholes: there are several, and none is much longer than a piece."""
    return bool(batch.n_trials > 4 and batch.lengths.max() <= 2 * round(seconds / batch.width))


def runs(member: Bool[np.ndarray, " bins"], owner: Int64[np.ndarray, " bins"]) -> Int64[np.ndarray, "runs 2"]:
    """First bin and one past the last of each stretch of members inside one trial."""
    label = np.where(member, owner, -1)
    edges = np.flatnonzero(np.diff(label, prepend=-1, append=-1))
    pairs = np.stack([edges[:-1], edges[1:]], axis=1) if len(edges) else np.zeros((0, 2), np.int64)
    return pairs[label[pairs[:, 0]] >= 0].astype(np.int64)


def _owner(batch: MultimodalBatch) -> Int64[np.ndarray, " bins"]:
    """Trial to which each bin of the timeline belongs, context aside; -1 for none."""
    check_batch(batch)
    owner = np.full(len(batch.time), -1, np.int64)
    first = batch.starts + batch.lead
    for trial, (start, stop) in enumerate(zip(first, batch.starts + batch.lengths, strict=True)):
        if (owner[start:stop] >= 0).any():
            raise InputError(f"trial {trial} shares bins with trial {owner[start:stop].max()}: folds would leak")
        owner[start:stop] = trial
    return owner


def _time_fold(
    batch: MultimodalBatch,
    owner: Int64[np.ndarray, " bins"],
    block: Int64[np.ndarray, " block"],
    gap: float,
    lead_bins: int,
) -> Fold:
    """Fold that tests on these bins of the timeline."""
    tested = np.zeros(len(owner), np.bool_)
    tested[block] = True
    test_runs = runs(tested, owner)
    train_runs = runs((owner >= 0) & ~tested & ~_near(batch, test_runs, gap), owner)
    if not len(train_runs):
        raise InputError(f"a fold has nothing left to train on after gaps of {gap:g} s: use fewer folds or no gap")
    return Fold(
        train=batch.with_runs(train_runs[:, 0], np.diff(train_runs)[:, 0], np.zeros(len(train_runs), np.int64)),
        test=_with_lead(batch, test_runs, owner, lead_bins),
    )


def _near(batch: MultimodalBatch, test_runs: Int64[np.ndarray, "runs 2"], gap: float) -> Bool[np.ndarray, " bins"]:
    """Bins less than `gap` seconds before or after one of the runs, in recorded time."""
    near = np.zeros(len(batch.time), np.bool_)
    for first, past in test_runs:
        begin, end = batch.time[first] - batch.width, batch.time[past - 1]
        near |= (cut(batch.time) > begin - gap) & (batch.time - batch.width < cut(float(end + gap)))
    return near


def _with_lead(
    batch: MultimodalBatch,
    test_runs: Int64[np.ndarray, "runs 2"],
    owner: Int64[np.ndarray, " bins"],
    lead_bins: int,
) -> MultimodalBatch:
    """Batch of the runs, each with the context before it; one that opens its trial keeps the trial's lead."""
    first, past = test_runs[:, 0], test_runs[:, 1]
    trial = owner[first]
    available = first - batch.starts[trial]
    opens = available == batch.lead[trial]
    lead = np.minimum(available, np.where(opens, np.maximum(lead_bins, batch.lead[trial]), lead_bins))
    return batch.with_runs(first - lead, past - first + lead, lead)


def _trial_fold(batch: MultimodalBatch, tested: Int64[np.ndarray, " tested"]) -> Fold:
    """Fold that tests on these trials and trains on the others."""
    trained = np.setdiff1d(np.arange(batch.n_trials), tested)
    return Fold(train=batch.with_trials(trained), test=batch.with_trials(tested))


def _usable(folds: list[Fold], advice: str) -> list[Fold]:
    """The folds, if each has bins to fit and to score the target on."""
    for number, fold in enumerate(folds, start=1):
        for part, batch in (("train", fold.train), ("test", fold.test)):
            if not (batch.in_trials() & batch.target_observed).any():
                raise InputError(
                    f"fold {number} of {len(folds)} has no bin with an observed target to {part} on: {advice}"
                )
    return folds


def _checked_count(n: int, available: int, what: str) -> int:
    """The number of folds: at least two, and no more than there are pieces."""
    n = argument_named("number of folds", integer, n)
    if n < 2:
        raise InputError(f"cross-validation needs at least 2 folds, got {n}")
    if available < n:
        raise InputError(f"{n} folds need at least {n} {what}, got {available}: use fewer folds")
    return n


def _context_runs(batch: MultimodalBatch, chosen: Bool[np.ndarray, " bin"], *, context: int) -> MultimodalBatch:
    """The runs of chosen bins of the trials, each with up to ``context`` bins of its trial before it as lead.

    Parameters
    ----------
    chosen
        One flag per bin of the trials after their lead, trials end to end; a run never crosses two trials.
    """
    starts, lengths, leads = [], [], []
    by_trial = np.split(chosen, np.cumsum(batch.lengths - batch.lead)[:-1])
    for start, opening, flags in zip(batch.starts, batch.lead, by_trial, strict=True):
        edges = opening + np.flatnonzero(np.diff(flags, prepend=False, append=False))
        first, past = edges[0::2], edges[1::2]
        lead = np.minimum(context, first)
        starts.append(start + first - lead)
        lengths.append(past - first + lead)
        leads.append(lead)
    return batch.with_runs(np.concatenate(starts), np.concatenate(lengths), np.concatenate(leads))
