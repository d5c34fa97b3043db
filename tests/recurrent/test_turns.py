"""Blocks that are held out in turn: which member sees what, what it stops by, and what is read out from it."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from oracles.delayed_product import delayed_product, untrained

from neurodyn.binning.folds import validation_split
from neurodyn.recurrent import (
    InputScaling,
    Network,
    RecurrentConfig,
    fit_members,
    held_out_of,
    hold_out_in_turn,
    holders,
    predict,
    sequences_of,
)
from neurodyn.recurrent import training as members_training


def bins_of(batch):
    return set(np.flatnonzero(batch.in_trials()))


CASES = {
    "whole trials": (40, 50, 0.2, 10.0),
    "pieces of one trial": (1, 2000, 0.15, 1.0),
    "pieces": (3, 700, 0.15, 0.8),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("members", [3, 4, 5])
def test_every_bin_is_seen_by_some_member_and_each_block_is_held_out_of_two(case, members):
    trials, bins, share, seconds = CASES[case]
    batch = delayed_product(trials=trials, bins=bins)
    inner, blocks = hold_out_in_turn(batch, share, seconds, members)
    assert len(inner) == len(blocks) == members
    everything = bins_of(batch)
    assert set().union(*map(bins_of, inner)) == everything
    for block, who in zip(blocks, holders(members, members), strict=True):
        assert bins_of(block)
        for member, seen in enumerate(inner):
            assert (member in who) == (not bins_of(seen) & bins_of(block)), (member, who)
    usual = validation_split(batch, share, seconds)[1]
    assert bins_of(blocks[0]) | bins_of(blocks[1]) == bins_of(usual)
    assert not bins_of(blocks[0]) & bins_of(blocks[1])
    # Each member holds out about the share that is asked for.
    left = [len(bins_of(seen)) / len(everything) for seen in inner]
    assert all(abs(1 - share - part) < 0.06 for part in left)
    of_run = held_out_of(usual, blocks, members)
    for run in range(usual.n_trials):
        own = bins_of(usual.with_trials([run]))
        unseen = [not own & bins_of(seen) for seen in inner]
        assert of_run[run].sum() == 2
        assert all(unseen[m] for m in np.flatnonzero(of_run[run]))


@pytest.mark.parametrize(("trials", "members"), [(40, 1), (40, 2), (8, 4)])
def test_few_members_and_few_trials_hold_out_the_same(trials, members):
    batch = delayed_product(trials=trials, bins=30)
    (inner,), (held,) = hold_out_in_turn(batch, 0.15, 10.0, members)
    expected = validation_split(batch, 0.15, 10.0)
    assert bins_of(inner) == bins_of(expected[0])
    assert bins_of(held) == bins_of(expected[1])
    assert held_out_of(held, [held], members).all()


def alone(network, member):
    return Network({k: w[member : member + 1] for k, w in network.weights.items()}, network.scaling)


def test_the_validation_is_that_of_the_two_members_that_have_not_seen_a_block():
    batch = delayed_product(trials=12)
    network = untrained(batch, RecurrentConfig(hidden=12, members=4))
    blocks = [batch.with_trials([0, 1, 2]), batch.with_trials([3]), batch.with_trials([4, 5]), batch.with_trials([6])]
    squares = []
    for block, who in zip(blocks, holders(4, 4), strict=True):
        mean = np.mean([predict(alone(network, m), block).mean for m in who], axis=0)
        stacked = block.stacked()
        squares.append(np.square(mean - stacked.target)[stacked.scored()])
    sequences = sequences_of(batch, network.scaling, np.zeros(1), np.ones(1))
    index, scored = members_training.joined_blocks(
        [members_training.padded(sequences.runs_of(block)) for block in blocks]
    )
    found = members_training._validation(
        {k: jnp.asarray(w) for k, w in network.weights.items()},
        members_training.on_device(sequences),
        index,
        scored,
        jnp.asarray(holders(4, 4)),
        body=network.body,
    )
    assert float(found) == pytest.approx(np.concatenate(squares).mean(), rel=1e-9)


def test_trials_are_predicted_by_the_members_that_are_chosen():
    batch = delayed_product(trials=3)
    network = untrained(batch, RecurrentConfig(hidden=12, members=4))
    chosen = np.array([[True, True, True, True], [False, True, False, True], [False, False, True, False]])
    found = predict(network, batch, chosen)
    assert found.scatter is not None
    each = [predict(alone(network, m), batch) for m in range(4)]
    for trial, which in enumerate(chosen):
        some = [each[m] for m in np.flatnonzero(which)]
        means = np.stack([one.mean[trial] for one in some])
        np.testing.assert_allclose(found.mean[trial], means.mean(axis=0), atol=1e-12)
        # The variance of four means is on average 3/4 of that of a member, that of two 1/2 of it.
        spread = means.var(axis=0, ddof=1) * 0.75 if len(some) > 1 else 0.0
        expected = np.mean([one.variance[trial] for one in some], axis=0) + spread
        np.testing.assert_allclose(found.variance[trial], expected, atol=1e-12)
        # The mean of h members has 1 / h of a member's variance, that of all four 1 / 4.
        goes = means.var(axis=0, ddof=1) * (1 / len(some) - 1 / 4) if len(some) > 1 else 0.0
        np.testing.assert_allclose(found.scatter[trial], goes, atol=1e-12)
    for ours, theirs in zip(
        predict(network, batch, np.ones((3, 4), bool))[:2], predict(network, batch)[:2], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert predict(network, batch).scatter is None


def test_members_are_trained_on_their_own_part_alone():
    """A target that is changed where a member does not see it changes the others, and not this one."""
    batch = delayed_product(trials=40)
    scaling = InputScaling.fit(batch)
    inner, blocks = hold_out_in_turn(batch, 0.2, 10.0, 4)
    target = batch.target.copy()
    target[blocks[0].in_trials()] += 3.0  # held out of members 3 and 0

    def trained(of):
        sequences = sequences_of(of, scaling, np.zeros(1), np.ones(1))
        parts = ([sequences.runs_of(part) for part in some] for some in (inner, blocks))
        config = RecurrentConfig(hidden=12, members=4, window=40, batch=8, steps=6, validate_every=6)
        return fit_members(*parts, config).parameters

    before, after = trained(batch), trained(replace(batch, target=target))
    same = [all(np.array_equal(before[k][m], after[k][m]) for k in before) for m in range(4)]
    assert same == [True, False, False, True]
