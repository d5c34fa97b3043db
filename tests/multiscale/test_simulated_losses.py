"""What is hidden from the held-out runs on which the experts of the target are weighed."""

import numpy as np

from neurodyn.multiscale.readouts import with_hidden_samples


def test_copies_of_the_held_out_runs(lorenz_batch):
    held = lorenz_batch[1]
    bins = np.concatenate([np.arange(s, s + n) for s, n in zip(held.starts, held.lengths, strict=True)])
    copies = list(with_hidden_samples(held, seed=0))
    gone = [{name for name in held.names if not copy.observed[name].any()} for copy in copies]
    assert gone.count({"spikes"}) == gone.count({"field"}) == 1
    assert {"spikes", "field"} not in gone
    assert gone[0] == set()
    for name in held.names:
        np.testing.assert_array_equal(copies[0].observed[name], held.observed[name][bins])
        np.testing.assert_array_equal(
            copies[0].observations[name][copies[0].observed[name]],
            held.observations[name][bins][held.observed[name][bins]],
        )
    for copy in copies:  # nothing is seen that was not there, and the truth stays
        assert all((copy.observed[name] <= held.observed[name][bins]).all() for name in held.names)
        np.testing.assert_array_equal(copy.target, held.target[bins])


def test_single_channels_are_lost_for_a_bin_and_for_stretches(lorenz_batch):
    held = lorenz_batch[1]
    whole, *copies = with_hidden_samples(held, seed=0)
    for name in held.names:
        sampled = whole.observed[name].any(axis=1)
        scattered, *stretches = (copy.observed[name][sampled].mean(axis=1) for copy in copies[-3:])
        samples = whole.observed[name].sum()
        assert abs(np.mean(scattered) - 0.7) < 4 * np.sqrt(0.3 * 0.7 / samples)  # four standard errors
        assert all(np.mean(np.diff(share) == 0) > 0.7 for share in stretches)  # as they were, for a while
        assert np.any((stretches[0] > 0) & (stretches[0] < 1))
        assert stretches[0].max() == 1  # some stretches are whole


def test_with_one_modality_it_is_never_gone(lorenz_batch):
    held = lorenz_batch[1].with_modalities(["spikes"])
    assert all(copy.observed["spikes"].any() for copy in with_hidden_samples(held, seed=0))
