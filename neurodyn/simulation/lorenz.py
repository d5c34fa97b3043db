"""A stochastic Lorenz attractor seen through spikes and a slower field: ground truth for a decoder."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.errors import InputError

SIGMA, RHO, BETA = 10.0, 28.0, 8.0 / 3.0
TARGET_NAMES = ("x", "y", "z")


@dataclass(frozen=True)
class LorenzSettings:
    """What is simulated; every trial starts at an independent point of the attractor.

    Parameters
    ----------
    n_trials
        Number of trials.
    seconds
        Length of a trial in seconds.
    width
        Width of a bin in seconds.
    spike_channels, field_channels
        Channels of each modality; 0 leaves the modality out.
    field_sample_every
        The field is sampled once in this many bins, in the last one.
    missing
        Share of the samples lost at random: all channels of a modality in one bin together.
    speed
        Lorenz time units per second.
    state_noise
        Diffusion of the state, in attractor units per square root of a Lorenz time unit.
    base_rate, peak_rate
        Firing rates in Hz: each channel's log rate is linear in the state, ``base_rate`` at its mean and
        ``peak_rate`` two standard deviations up the channel's preferred direction.
    field_noise
        Standard deviation of the noise of a field sample; the signal's is about 1.

    Examples
    --------
    >>> from neurodyn.simulation import LorenzSettings, simulate_lorenz
    >>> settings = LorenzSettings(n_trials=4, seconds=0.5, spike_channels=6, field_channels=0)
    >>> settings.n_bins, simulate_lorenz(settings, seed=0).names
    (50, ('spikes',))
    """

    n_trials: int = 150
    seconds: float = 1.0
    width: float = 0.010
    spike_channels: int = 10
    field_channels: int = 10
    field_sample_every: int = 5
    missing: float = 0.2
    speed: float = 1.0
    state_noise: float = 1.0
    base_rate: float = 20.0
    peak_rate: float = 100.0
    field_noise: float = 0.5

    def __post_init__(self) -> None:
        _check_numbers(self)
        if self.spike_channels + self.field_channels < 1:
            raise InputError("expected at least one channel of spikes or field, got none")
        if self.n_bins < 1:
            raise InputError(f"a trial of {self.seconds} s is shorter than a bin of {self.width} s: make it longer")
        if self.field_channels and self.field_sample_every > self.n_bins:
            raise InputError(
                f"a field sampled every {self.field_sample_every} bins has no sample in {self.n_bins} bins"
            )
        if not self.missing < 1:
            raise InputError(f"the share of missing samples must be below 1, got {self.missing}")
        if not self.peak_rate > self.base_rate:
            raise InputError(f"peak_rate {self.peak_rate} Hz must be above base_rate {self.base_rate} Hz")

    @property
    def n_bins(self) -> int:
        """Bins per trial."""
        return round(self.seconds / self.width)


def simulate_lorenz(settings: LorenzSettings | None = None, *, seed: int) -> MultimodalBatch:
    """Simulate spikes and field potentials driven by a stochastic Lorenz attractor.

    ``dx = 10 (y - x) dt + s dW``,  ``dy = (x (28 - z) - y) dt + s dW``,  ``dz = (x y - 8/3 z) dt + s dW``.
    The state u, scaled to zero mean and unit variance, is the target.  Spikes: Poisson with rate
    ``base_rate * exp(g c_i . u)``;  field: ``c_j . u + field_noise * e``;  c are random unit vectors.

    Parameters
    ----------
    settings
        What to simulate; the defaults of ``LorenzSettings`` if left out.
    seed
        Seed of everything random.

    Returns
    -------
    MultimodalBatch of modalities "spikes" (poisson, counts per bin) and "field" (gaussian), with the scaled
    state at the end of each bin as target x, y, z.

    Raises
    ------
    InputError
        If a setting is out of range.

    Reference
    ---------
    Lorenz (1963), J. Atmos. Sci. 20(2).

    Examples
    --------
    >>> from neurodyn.simulation import LorenzSettings, simulate_lorenz
    >>> batch = simulate_lorenz(LorenzSettings(n_trials=4), seed=0)
    >>> batch.names, batch.target_names, batch.n_trials, batch.n_bins
    (('spikes', 'field'), ('x', 'y', 'z'), 4, 400)
    """
    settings = LorenzSettings() if settings is None else settings
    path_rng, tuning_rng, noise_rng, missing_rng = np.random.default_rng(seed).spawn(4)
    latent = lorenz_states(settings, path_rng)
    observations, likelihoods, sample_every = {}, {}, {}
    if settings.spike_channels:
        observations["spikes"] = _spikes(latent, settings, tuning_rng, noise_rng)
        likelihoods["spikes"], sample_every["spikes"] = "poisson", 1
    if settings.field_channels:
        observations["field"] = _field(latent, settings, tuning_rng, noise_rng)
        likelihoods["field"], sample_every["field"] = "gaussian", settings.field_sample_every
    return MultimodalBatch.from_arrays(
        {name: _with_missing(array, settings.missing, missing_rng) for name, array in observations.items()},
        width=settings.width,
        likelihoods=likelihoods,
        target=latent.astype(np.float32),
        target_names=TARGET_NAMES,
        sample_every=sample_every,
    )


def lorenz_states(settings: LorenzSettings, rng: np.random.Generator) -> Float[np.ndarray, "trials time 3"]:
    """State at the end of each bin, scaled to zero mean and unit variance over all trials.

    Parameters
    ----------
    settings
        Trials, bins, speed and state noise are used.
    rng
        Source of the starting points and the diffusion.

    Returns
    -------
    (trial, time, 3), dimensionless.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.simulation import LorenzSettings, lorenz_states
    >>> states = lorenz_states(LorenzSettings(n_trials=4), np.random.default_rng(0))
    >>> states.shape, np.allclose(states.std(axis=(0, 1)), 1)
    ((4, 100, 3), True)
    """
    unit = settings.width * settings.speed
    substeps = int(np.ceil(unit / 0.005))  # Euler steps of at most 0.005 time units stay on the attractor
    state = rng.normal(size=(settings.n_trials, 3)) * 8.0 + np.array([0.0, 0.0, 25.0])
    for _ in range(2000):  # 10 time units: every memory of the starting point is gone
        state = _euler_step(state, 0.005, settings.state_noise, rng)
    path = np.empty((settings.n_trials, settings.n_bins, 3))
    for t in range(settings.n_bins):
        for _ in range(substeps):
            state = _euler_step(state, unit / substeps, settings.state_noise, rng)
        path[:, t] = state
    return (path - path.mean((0, 1))) / path.std((0, 1))


def _euler_step(
    state: Float[np.ndarray, "trials 3"], dt: float, noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "trials 3"]:
    """One Euler-Maruyama step of ``dt`` Lorenz time units."""
    x, y, z = state.T
    drift = np.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z], axis=1)
    return state + dt * drift + noise * np.sqrt(dt) * rng.normal(size=state.shape)


def _directions(channels: int, rng: np.random.Generator) -> Float[np.ndarray, "channels 3"]:
    rows = rng.normal(size=(channels, 3))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _spikes(
    latent: np.ndarray, settings: LorenzSettings, tuning: np.random.Generator, noise: np.random.Generator
) -> Float[np.ndarray, "trials time channels"]:
    drive = latent @ _directions(settings.spike_channels, tuning).T
    gain = np.log(settings.peak_rate / settings.base_rate) / 2.0
    expected = settings.base_rate * np.exp(gain * drive) * settings.width
    return noise.poisson(expected).astype(np.float32)


def _field(
    latent: np.ndarray, settings: LorenzSettings, tuning: np.random.Generator, noise: np.random.Generator
) -> Float[np.ndarray, "trials time channels"]:
    signal = latent @ _directions(settings.field_channels, tuning).T
    samples = signal + settings.field_noise * noise.normal(size=signal.shape)
    due = (np.arange(settings.n_bins) + 1) % settings.field_sample_every == 0
    return np.where(due[None, :, None], samples, np.nan).astype(np.float32)


def _with_missing(
    samples: Float[np.ndarray, "trials time channels"], share: float, rng: np.random.Generator
) -> Float[np.ndarray, "trials time channels"]:
    lost: Bool[np.ndarray, "trials time"] = rng.random(samples.shape[:2]) < share
    return np.where(lost[:, :, None], np.float32(np.nan), samples)


def _check_numbers(settings: LorenzSettings) -> None:
    may_be_zero = {"spike_channels", "field_channels", "missing", "state_noise", "field_noise"}
    for field in fields(settings):
        value = getattr(settings, field.name)
        low_enough = value >= 0 if field.name in may_be_zero else value > 0
        if not (np.isfinite(value) and low_enough):
            bound = "not be negative" if field.name in may_be_zero else "be positive"
            raise InputError(f"{field.name} must {bound}, got {value}")
