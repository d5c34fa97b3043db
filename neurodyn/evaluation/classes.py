"""How well classes are decoded: one dimension of the target per label, 1 where it holds.

Squared errors are least where a dimension is decoded as the probability of its label, so that what is decoded, held
between 0 and 1 and made to add up to one, is an estimate of the probabilities.

Reference: Bishop (1995), Neural Networks for Pattern Recognition, section 6.6.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurodyn.binning.class_targets import IS
from neurodyn.errors import InputError

LEAST = 1e-3
"""Least probability of a label: what was never decoded may still come."""


class ClassScore(NamedTuple):
    """How well one target of classes was decoded.

    Parameters
    ----------
    accuracy
        Share of the bins whose most probable label is the true one.
    balanced_accuracy
        Mean over labels of the share of its bins: a label that is frequent counts no more than others.
    log_loss
        Mean of minus the logarithm of the true label's probability, nats.
    chance
        Accuracy of always naming the most frequent label.
    chance_log_loss
        Log loss of naming each label with its frequency.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import class_score
    >>> truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    >>> found = class_score(truth, np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]]))
    >>> found.accuracy, found.chance
    (0.75, 0.75)
    """

    accuracy: float
    balanced_accuracy: float
    log_loss: float
    chance: float
    chance_log_loss: float


def class_groups(dims: Sequence[str]) -> dict[str, list[int]]:
    """Places of the dimensions of each target of classes, by its name.

    Examples
    --------
    >>> class_groups(["x", "trials=left", "trials=right"])
    {'trials': [1, 2]}
    """
    groups: dict[str, list[int]] = {}
    for place, dim in enumerate(dims):
        if IS in dim:
            groups.setdefault(dim.partition(IS)[0], []).append(place)
    return {name: places for name, places in groups.items() if len(places) > 1}


def class_probabilities(decoded: Float[np.ndarray, "... classes"]) -> Float[np.ndarray, "... classes"]:
    """Probability of each label from its decoded dimensions, of a batch or of one live estimate.

    Examples
    --------
    >>> import numpy as np
    >>> class_probabilities(np.asarray([0.9, 0.3])).round(2).tolist()
    [0.75, 0.25]
    """
    held = np.clip(np.asarray(decoded, np.float64), LEAST, 1.0)
    return held / held.sum(axis=-1, keepdims=True)


def class_score(true: Float[np.ndarray, "bins classes"], decoded: Float[np.ndarray, "bins classes"]) -> ClassScore:
    """Score decoded classes.

    Parameters
    ----------
    true
        1 for the label that holds in a bin, 0 for the others.
    decoded
        As a decoder gives it.

    Raises
    ------
    InputError
        If shapes differ, there is no bin or label, or a bin has not exactly one label.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import class_score
    >>> truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    >>> found = class_score(truth, np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]]))
    >>> round(found.balanced_accuracy, 3), round(found.log_loss, 3)
    (0.833, 0.511)
    """
    if true.shape != decoded.shape or true.ndim != 2 or not true.size:
        raise InputError(f"expected true and decoded classes (bins, classes) alike, got {true.shape}, {decoded.shape}")
    if not np.all((true == 0) | (true == 1)) or not np.all(true.sum(axis=1) == 1):
        raise InputError("each bin has one label: 1 in its dimension and 0 in the others")
    label, probability = true.argmax(axis=1), class_probabilities(decoded)
    right, share = probability.argmax(axis=1) == label, true.mean(axis=0)
    there = np.flatnonzero(share)
    return ClassScore(
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([right[label == k].mean() for k in there])),
        log_loss=float(-np.mean(np.log(probability[np.arange(len(label)), label]))),
        chance=float(share.max()),
        chance_log_loss=float(-np.sum(share[there] * np.log(share[there]))),
    )
