import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodyn.binning import TimeGrid, count_spikes
from neurodyn.errors import InputError


def test_edges_and_ends_by_hand():
    grid = TimeGrid(2.0, 0.5, 3)
    np.testing.assert_array_equal(grid.edges, [2.0, 2.5, 3.0, 3.5])
    np.testing.assert_array_equal(grid.ends, [2.5, 3.0, 3.5])
    assert grid.stop == 3.5


def test_covering_takes_whole_bins_and_forgives_rounding():
    assert TimeGrid.covering(0.0, 0.3, 0.1).bins == 3
    assert TimeGrid.covering(0.0, 0.39, 0.1).bins == 3
    assert TimeGrid.covering(1.0, 1201.0, 0.05).bins == 24_000


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan, np.inf])
def test_bad_width_is_refused(width):
    with pytest.raises(InputError, match="width"):
        TimeGrid.covering(0.0, 10.0, width)


def test_bin_longer_than_the_time_says_both():
    with pytest.raises(InputError, match="bin width of 20 s is longer than the 10 s between 0 and 10 s"):
        TimeGrid.covering(0.0, 10.0, 20.0)


def test_coarser_windows_drop_the_incomplete_one():
    starts, stops = TimeGrid(0.0, 1.0, 11).coarser(5)
    np.testing.assert_array_equal(starts, [0, 5])
    np.testing.assert_array_equal(stops, [5, 10])


@given(
    st.lists(st.lists(st.integers(-20, 120), max_size=30), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_counts_equal_a_plain_loop(trains, start, bins):
    # Multiples of 1/8 s hit the edges exactly, where half-open bins matter.
    times = [np.sort(np.asarray(train, float)) / 8 for train in trains]
    grid = TimeGrid(start / 4, 0.25, bins)
    counts = count_spikes(times, grid.edges[:-1], grid.ends)
    for unit, train in enumerate(times):
        for k in range(bins):
            low, high = grid.start + k * 0.25, grid.start + (k + 1) * 0.25
            assert counts[k, unit] == sum(low <= spike < high for spike in train)


def test_counts_equal_histogram_away_from_edges(rng):
    times = [np.sort(rng.uniform(-1, 6, n)) for n in (0, 1, 500)]
    grid = TimeGrid(0.0, 0.05, 100)
    counts = count_spikes(times, grid.edges[:-1], grid.ends)
    expected = np.stack([np.histogram(train, grid.edges)[0] for train in times], axis=1)
    np.testing.assert_array_equal(counts, expected)
