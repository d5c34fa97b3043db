"""How a search from a start can end."""

from enum import Enum


class Status(Enum):
    """How a search from a start ended.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import Status, find
    >>> found = find(lambda h, _: 0.5 * h, np.ones((3, 2), np.float32))
    >>> found.status[0] is Status.FIXED
    True
    """

    FIXED = "fixed"  # F(h) = h within the tolerance
    SLOW = "slow"  # a minimum of the speed that is not zero
    UNCONVERGED = "unconverged"  # out of iterations: neither of the two
    DIVERGED = "diverged"  # the step is not finite there
