"""Everything about a small hidden Markov model by going through all its paths: no recursion, no logarithm.

The probability of a path of states and the symbols it emits is a plain product; every quantity is a sum, or the
largest, of such products over all ``states ** time`` paths. A symbol of -1 was not seen.
"""

from itertools import pairwise, product

import numpy as np


def path_probability(initial, transitions, emissions, path, symbols) -> float:
    probability = initial[path[0]]
    for before, after in pairwise(path):
        probability *= transitions[before][after]
    for state, symbol in zip(path, symbols, strict=True):
        probability *= emissions[state][symbol] if symbol >= 0 else 1.0
    return float(probability)


def all_paths(initial, transitions, emissions, symbols) -> dict[tuple[int, ...], float]:
    """Joint probability of the symbols and each path."""
    return {
        path: path_probability(initial, transitions, emissions, path, symbols)
        for path in product(range(len(initial)), repeat=len(symbols))
    }


def likelihood(initial, transitions, emissions, symbols) -> float:
    return sum(all_paths(initial, transitions, emissions, symbols).values())


def filtered(initial, transitions, emissions, symbols) -> np.ndarray:
    """time x states: each row from the paths up to that step alone."""
    rows = []
    for t in range(len(symbols)):
        row = np.zeros(len(initial))
        for path, probability in all_paths(initial, transitions, emissions, symbols[: t + 1]).items():
            row[path[-1]] += probability
        rows.append(row / row.sum())
    return np.array(rows)


def smoothed(initial, transitions, emissions, symbols) -> np.ndarray:
    """time x states."""
    table = np.zeros((len(symbols), len(initial)))
    for path, probability in all_paths(initial, transitions, emissions, symbols).items():
        for t, state in enumerate(path):
            table[t, state] += probability
    return table / table[0].sum()


def expected_transitions(initial, transitions, emissions, symbols) -> np.ndarray:
    """states x states: expected number of each transition given the symbols."""
    counts = np.zeros((len(initial), len(initial)))
    paths = all_paths(initial, transitions, emissions, symbols)
    for path, probability in paths.items():
        for before, after in pairwise(path):
            counts[before, after] += probability
    return counts / sum(paths.values())


def best_probability(initial, transitions, emissions, symbols) -> float:
    return max(all_paths(initial, transitions, emissions, symbols).values())
