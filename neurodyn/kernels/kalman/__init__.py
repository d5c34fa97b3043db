"""The Kalman filter and smoother of a linear Gaussian model, with missing bins and channels, over whole recordings.

=======================  ==========================================================================================
``model``                the state-space model and what filter and smoother return
``step``                 one bin as the textbook has it: predict and update
``observations``         what the observed channels of a bin say about its state: ``J = H' R^-1 H``, ``h = H' R^-1 y``
``scan``                 the filter: the step, bin after bin, for many trials
``smoother``             the pass backwards: what later bins say about each state
``parallel``             the same recursions in logarithmic depth, for accelerators
``covariance_derivative``  the filter's covariances with their derivative in closed form
``settled``              the same recursions where they have settled: copied, not computed again
``trials``               covariances that trials share, or have one set each of
=======================  ==========================================================================================

Four facts shape the package.

1. Covariances depend on what is observed, never on the values. They are computed once per distinct mask and shared by
   every trial that has it; only the means are per trial.
2. All that a bin says about the state are J and h, of the size of the state: channels cost one matrix product per
   recording, not a larger system per bin. The gain is ``K = P[t|t] H' R^-1``.
3. Given the covariances, both means are a recursion of thin matrix products, one row per trial; or, where time is to
   be parallel, one linear recurrence ``x_t = A_t x_{t-1} + u_t``.
4. The smoother needs no inverse of a predicted covariance: its backward pass carries what later bins say about a state
   as a score and an information matrix. It gives the Rauch-Tung-Striebel estimates at a fraction of the cost.

A mask is ``time x channel``, or ``time x 1`` where a bin is observed whole or not at all; the second is faster. A
missing channel is exact, not approximate: its noise is infinite, its share of J and h zero.

References: Rauch, Tung & Striebel (1965), AIAA Journal 3(8); Bryson & Frazier (1963) and de Jong (1988), Biometrika
75(3), for the backward pass; Anderson & Moore (1979), Optimal filtering, for everything else.
"""

from neurodyn.kernels.kalman.model import (
    Belief,
    FilterCovariances,
    Filtered,
    FutureEvidence,
    LinearGaussian,
    Smoothed,
)
from neurodyn.kernels.kalman.scan import after, filter_covariances, filter_means, filter_trials
from neurodyn.kernels.kalman.smoother import (
    smooth_means,
    smooth_trials,
    smoothed_covariances,
    smoothed_variances,
    smoother_information,
)
from neurodyn.kernels.kalman.step import initial_belief, predict, update

__all__ = [
    "Belief",
    "FilterCovariances",
    "Filtered",
    "FutureEvidence",
    "LinearGaussian",
    "Smoothed",
    "after",
    "filter_covariances",
    "filter_means",
    "filter_trials",
    "initial_belief",
    "predict",
    "smooth_means",
    "smooth_trials",
    "smoothed_covariances",
    "smoothed_variances",
    "smoother_information",
    "update",
]
