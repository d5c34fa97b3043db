"""How a search from a start can end."""

from enum import Enum


class Status(Enum):
    """How a search from a start ended."""

    FIXED = "fixed"  # F(h) = h within the tolerance
    SLOW = "slow"  # a minimum of the speed that is not zero
    UNCONVERGED = "unconverged"  # out of iterations: neither of the two
    DIVERGED = "diverged"  # the step is not finite there
