"""Where a network stands still, what it does nearby, and how that changes with its input.  See README.md."""

from neurodyn.components import Axes, principal_axes
from neurodyn.fixed_points.branch import Branch, BranchEnd, Crossing, Event
from neurodyn.fixed_points.continuation import ContinuationConfig, between, continue_along
from neurodyn.fixed_points.continuum import Continuum, Shape
from neurodyn.fixed_points.linearise import Linearisation, LineariseConfig, Stability, linearise
from neurodyn.fixed_points.modes import Modes, modes
from neurodyn.fixed_points.points import FixedPoints
from neurodyn.fixed_points.problem import PrecisionWarning
from neurodyn.fixed_points.rays import Rays, find_rays
from neurodyn.fixed_points.search import SearchConfig, find, find_more
from neurodyn.fixed_points.starts import sample_starts
from neurodyn.fixed_points.status import Status

__all__ = [
    "Axes",
    "Branch",
    "BranchEnd",
    "ContinuationConfig",
    "Continuum",
    "Crossing",
    "Event",
    "FixedPoints",
    "Linearisation",
    "LineariseConfig",
    "Modes",
    "PrecisionWarning",
    "Rays",
    "SearchConfig",
    "Shape",
    "Stability",
    "Status",
    "between",
    "continue_along",
    "find",
    "find_more",
    "find_rays",
    "linearise",
    "modes",
    "principal_axes",
    "sample_starts",
]
