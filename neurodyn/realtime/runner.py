r"""A frozen decoder in NumPy alone: one bin in, one estimate out, in tens of microseconds.

This file needs nothing but NumPy (2.0 or later): for a rig without JAX, copy it beside an exported model.

    runner = Runner(Frozen.load("decoder.npz"))
    out = runner.step({"spikes": counts, "field": None})     # None, NaN and left out are all missing
    out.target, out.lower, out.upper, out.latent, out.rates

It is the model of neurodyn.multiscale written a second time, for one bin: per modality an encoder network and a Kalman
filter, a fusion network, the backbone's Kalman filter, decoder networks, and the read-outs of the target. It calls
nothing of the first. Tests hold both against each other over whole trials, and this one against a plain step as well.

Covariances and gains depend on which bins were seen and never on values. They are computed by the exact recursion, in
double precision, and kept in a table (:class:`GainTable`) of the covariances met so far: with regular sampling, and
wherever the filters have settled, a bin costs a few products of a matrix and a vector. Where the pattern of missing
bins is new, the exact update is done instead; :meth:`Runner.prepare` does it ahead, between two bins.
"""

import difflib
import hashlib
import html
import json
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

FORMAT = "neurodyn-decoder"
VERSION = 5
"""Version 1 had one linear read-out; version 3 says of each likelihood that is not in `COUNTS` whether it is counts; in
version 4 the logarithm of the target's variance is linear, and the memory of what was lost begins at one; in version 5
it counts single lost channels.

A file gets the least version that it needs, so that an older runner reads what it can. All versions are read.
"""
COUNTS = {"poisson": True, "gaussian": False}
"""Whether the observations of a modality are counts, by likelihood; of others the file says so itself."""
OF_DATA = ("limits", "rates", "target_units", "value_units")
"""Settings that say what the training data were like, and are no part of what tells a decoder from others."""
MOST_UNFOLDED = 20
"""Times its own size that a file may unfold into: parameters that were compressed hardly do, zeros a thousandfold."""
WIDTHS = (1e-4, 3600.0)
"""Narrowest and widest bin, seconds: a step takes half as long as the one, and nobody decodes by more than the hour."""
LONGEST_SAMPLE_INTERVAL = 3600.0
"""Most seconds from one sample of a modality to the next: bins of that time are what a session remembers of it."""
FASTEST_RATE = 1e9
"""Most samples per second that training data can have had, hertz."""
MOST_CARRIED = 10**7
"""Most numbers that a decoder carries from bin to bin: a hundred times those of a thousand channels with traces."""
MOST_PRIOR = 1e6
"""Largest weight of a trace's mean, and most that inputs can be scaled up: both are a few at most."""
GROWTH = 1e-6
"""Most that a state may grow per bin without observations: what rounding makes of one that stays as it is."""
NORMAL_95 = 1.959963984540054
"""Half width, in standard deviations, of the central 95 % of a normal distribution."""
DIRECTION_SEED = 0
"""Seed of the direction by which a table tells covariances apart: the same in every process, so that runs repeat."""
CAPACITY = 256
"""Covariances a table keeps: 25 MB for 64 latents."""
SAME = {"float32": 1e-8, "float64": 1e-13}
"""Two covariances that differ by less than this, relative to the largest variance, are one entry of the table.

Rounding of the recursion itself is two orders of magnitude above float64's 1e-16. In float32 it is set by the means: an
error in a covariance fades, within the filter's memory of at most some thousand bins, and 1e-5 is promised of them.
"""
PRIOR = 0.05
"""Weight of a trace's mean, as in neurodyn.history.filters; of files that do not say it (``trace_prior``)."""
TIMES = (2.0, 6.0, 18.0, 54.0)
"""Time constants of the memory of lost samples, bins, as in neurodyn.targets.losses."""
WEIGHED = 2
"""Which of them the weights of the experts follow, as there."""
TINY = 1e-36
"""Least variance of which the logarithm is taken, as in neurodyn.targets.variance."""
FAINT = 1e-30
"""Smaller numbers of a state are zero: what fades to below 1e-38 in single precision costs a processor tenfold."""
SETTLING = 1.0
"""Seconds at most that a modality stays stale after its return: what was lost still moves the estimate."""
SPARED = 0.2
"""Seconds of a loss that leave nothing to settle: the target was 1.3 deviations away at most after sixty such."""
LIMIT = 8.0
"""Most deviations from its mean that an input of the recurrent network may have, as in neurodyn.recurrent.inputs."""
NEVER = 1e9
"""Bins since the last sample of a modality that has had none."""
LOG_VARIANCE = (-8.0, 4.0)
"""Bounds of the recurrent network's log variance, as in neurodyn.recurrent.network."""
MAX_INFLATION = 2.0
"""Most that inputs are scaled up to make up for missing channels, as in neurodyn.multiscale.modality_encoder; of files
that do not say it (``max_inflation``)."""
UNSAID = {"trace_prior": PRIOR, "max_inflation": MAX_INFLATION}
"""Settings that files exported before these were written do not have, and what holds of them."""


class Frozen:
    """A decoder's numbers: settings that fit in JSON, and all arrays behind one another in one buffer.

    Parameters
    ----------
    settings
        Names, sizes, and under ``layout`` the name and shape of each array in the buffer.
    parameters
        The buffer, float32 or float64.

    Attributes
    ----------
    arrays
        Views into the buffer, by name.
    fingerprint
        (32,) bytes that no other decoder has.

    Raises
    ------
    ValueError
        If the layout does not fill the buffer.

    Examples
    --------
    >>> import tempfile
    >>> from neurodyn.realtime import Frozen
    >>> from neurodyn.realtime.follower import follower
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     follower(["x", "y"]).save(f"{folder}/decoder.npz")  # made by hand; model.export() writes a fitted one
    ...     frozen = Frozen.load(f"{folder}/decoder.npz")
    >>> frozen.settings["target_names"], frozen.arrays["backbone/transition"].tolist()
    (['x', 'y'], [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(self, settings: dict[str, Any], parameters: np.ndarray) -> None:
        self.settings = settings
        self.parameters = parameters
        self.arrays: dict[str, np.ndarray] = {}
        sizes = [math.prod(shape) for _, shape in settings["layout"]]
        if sum(sizes) != parameters.size:
            raise ValueError(f"the layout has {sum(sizes)} numbers, the file {parameters.size}: it is damaged")
        first = 0
        for (name, shape), size in zip(settings["layout"], sizes, strict=True):
            self.arrays[name] = parameters[first : first + size].reshape(shape)
            first += size
        # A state belongs to a decoder whether or not the decoder knows what its data were like, or says what is usual.
        told = {k: v for k, v in settings.items() if k not in OF_DATA and not (k in UNSAID and v == UNSAID[k])}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        digest.update(parameters.tobytes())
        self.fingerprint = np.frombuffer(digest.digest(), np.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        return Frozen, (self.settings, self.parameters)  # arrays are views, which a copy would cut off

    @classmethod
    def pack(cls, settings: dict[str, Any], arrays: Mapping[str, np.ndarray], dtype: np.dtype) -> "Frozen":
        """Lay arrays out in one buffer."""
        layout = [[name, list(np.shape(array))] for name, array in arrays.items()]
        parts = [np.asarray(array, dtype).ravel() for array in arrays.values()]
        return cls({**settings, "layout": layout}, np.concatenate(parts))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one npz file, atomically: two plain arrays, nothing that loading would execute."""
        rows = self.settings["modalities"]
        version = 3 if any("counts" in row for row in rows) else 2
        version = 4 if "readout/log_slopes" in self.arrays else version
        version = VERSION if loss_memory_size(self.arrays) > _whole_losses(len(rows)) else version
        text = json.dumps({"format": FORMAT, "version": version, **self.settings})
        save_arrays(path, {"settings": np.frombuffer(text.encode(), np.uint8), "parameters": self.parameters})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Frozen":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file holds something else, or comes from a later version.
        """
        arrays = load_arrays(path, ("settings", "parameters"))
        try:
            settings = json.loads(arrays["settings"].tobytes())
            found, version, parameters = settings.pop("format"), settings.pop("version"), arrays["parameters"]
        except (KeyError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} holds no exported decoder: give the file that export() wrote") from error
        if found != FORMAT or not isinstance(version, int) or version > VERSION:
            raise ValueError(f"{path} is {found} version {version}, expected {FORMAT} up to {VERSION}: update neurodyn")
        try:
            if parameters.dtype.name not in SAME or parameters.ndim != 1:
                raise ValueError("its parameters are not one row of floating-point numbers")
            frozen = cls(settings, parameters)
            checked_runner(frozen)
        except _NO_DECODER as error:
            raise ValueError(f"{path} is damaged: {_in_one_line(error)}") from error
        return frozen


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers to one npz file: wholly, or not at all."""
    if objects := [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]:
        raise ValueError(f"expected arrays of numbers, got Python objects in {', '.join(objects)}")
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **dict(arrays))  # pyright: ignore[reportArgumentType]  (numpy 2.0 knows no allow_pickle)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def load_arrays(path: str | os.PathLike[str], wanted: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Read an npz file of plain arrays, in time and memory that its size bounds.

    Parameters
    ----------
    path
        Of the file.
    wanted
        Names of the arrays to read, those that are there; None for all.

    Raises
    ------
    ValueError
        If it is missing or no such file, or would unfold into far more than it holds.
    """
    if not os.path.isfile(path):
        raise ValueError(f"no such file: {os.fspath(path)}")
    try:
        with ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            names = [name for name in members if wanted is None or name in wanted]
            # What save_arrays writes is not compressed; files that were are taken, and bombs are not.
            if sum(members[name].file_size for name in names) > MOST_UNFOLDED * os.path.getsize(path):
                raise ValueError(f"the archive would decompress to more than {MOST_UNFOLDED} times its size")
            return {name: _read_array(archive, members[name]) for name in names}
    except _DAMAGED as error:
        raise ValueError(f"{os.fspath(path)} is not an npz file of plain arrays, or it is damaged") from error


_DAMAGED = (OSError, ValueError, TypeError, AttributeError, EOFError, LookupError, ArithmeticError, MemoryError,
            RuntimeError, SyntaxError, BadZipFile, zlib.error, struct.error)  # fmt: skip
"""What zip files and headers of arrays that were tampered with make their readers raise; the last is a bad header."""


def _read_array(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    """One array, whose header may not claim more than there is."""
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError("packed as NumPy never packs")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or not 0 <= size <= info.file_size or min(shape, default=0) < 0:
            raise ValueError("an array with an impossible shape or type")
        data = bytearray(file.read(size + 1))
    if len(data) != size:
        raise ValueError("an array that is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


_NO_DECODER = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What settings and arrays that belong to no decoder may raise where they are used."""


def checked_runner(frozen: Frozen) -> "Runner":
    """Runner of a decoder whose settings and numbers were checked, and tried out on bins that are forgotten.

    Parameters
    ----------
    frozen
        From a file, or made in memory.

    Raises
    ------
    ValueError
        In one line, if they make no decoder: what is wrong with them.
    """
    try:
        check_decoder(frozen.settings, frozen.arrays)
        _try_out(Runner(frozen))
        return Runner(frozen)
    except _NO_DECODER as error:
        raise ValueError(_in_one_line(error)) from error


def check_decoder(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse settings and arrays that do not make a decoder, before anything is built of them.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError
        If sizes are not positive or do not fit the arrays, times are beyond `WIDTHS` and `LONGEST_SAMPLE_INTERVAL`, a
        setting is of another type, or there are numbers that are not finite.
    """
    _check_rows(settings)
    _check_times(settings)
    _check_texts(settings)
    _check_sizes(settings, arrays)
    for row in settings["modalities"]:
        if (rows := settings.get("limits", {}).get(row["name"])) is not None:
            _limits_of(row["name"], rows, row["channels"])
    for name, array in arrays.items():
        if name.endswith("bounds"):
            if array.shape[:1] != (2,) or not np.all(array[0] <= array[1]):
                raise ValueError(f"'{name}' must hold a lower and an upper limit per dimension, lower <= upper")
        elif not np.isfinite(array).all():
            raise ValueError(f"'{name}' has numbers that are not finite")
        elif name.endswith("/transition") and np.abs(np.linalg.eigvals(array)).max() > 1 + GROWTH:
            raise ValueError(f"'{name}' grows without bound while nothing is seen")


def _setting(settings: Mapping[str, Any], name: str) -> Any:
    """A setting of a decoder, or what holds of files that do not say it."""
    return settings.get(name, UNSAID[name])


def _check_rows(settings: Mapping[str, Any]) -> None:
    """The table of modalities, and the sizes of the states."""
    rows, states = settings["modalities"], settings["states"]
    names = [row["name"] for row in rows]
    whole = [*states, *(row["channels"] for row in rows), *(row["clock"] for row in rows)]
    if not rows or len(set(names)) < len(names) or not all(_whole(n) and n >= 1 for n in whole):
        raise ValueError("it needs modalities of different names, and sizes of 1 or more")
    if not (_whole(settings["traces"]) and settings["traces"] >= 0):
        raise ValueError("traces must be an integer of 0 or more")
    prior, most = (_setting(settings, name) for name in ("trace_prior", "max_inflation"))
    if not (_number(prior) and 0 < prior <= MOST_PRIOR and _number(most) and 1 <= most <= MOST_PRIOR):
        raise ValueError("the weight of its traces' mean, or the most that inputs are scaled up, is not such a number")
    if len(states) not in (1, 1 + len(rows)):
        raise ValueError(f"it has {len(states)} states for {len(rows)} modalities")
    for row in rows:
        if not (isinstance(row["name"], str) and isinstance(row["likelihood"], str)):
            raise ValueError(f"the name or the likelihood of a modality is not a text: {str(row)[:60]}")
        if not isinstance(row.get("counts", row["likelihood"] in COUNTS or None), bool):
            raise ValueError(f"'{row['name']}' has an unknown likelihood")


def _check_times(settings: Mapping[str, Any]) -> None:
    """Width of a bin, samples and rates. Whole numbers are compared as they are: the largest have no floating point."""
    width = settings["width_seconds"]
    if not (_number(width) and WIDTHS[0] <= width <= WIDTHS[1]):
        raise ValueError(f"its bins are {str(width)[:20]} s wide, expected {WIDTHS[0]:g} to {WIDTHS[1]:g} s")
    for row in settings["modalities"]:
        if not row["clock"] <= LONGEST_SAMPLE_INTERVAL / width + 0.5:
            bins = str(row["clock"])[:20]
            raise ValueError(f"'{row['name']}' has a sample in every {bins} bins, which is longer than an hour")
    for name, rate in settings.get("rates", {}).items():
        if not (_number(rate) and 0 < rate <= FASTEST_RATE):
            raise ValueError(f"the rate of '{name}' is {str(rate)[:20]} Hz, expected more than 0 and at most 1e9 Hz")


def _check_texts(settings: Mapping[str, Any]) -> None:
    """Names of channels and of the target, and units."""
    for row in settings["modalities"]:
        labels = settings["channel_names"][row["name"]]
        if not (_texts(labels) and len(labels) == row["channels"]):
            raise ValueError(f"'{row['name']}' has not the names of {row['channels']} channels")
    if not (_texts(settings["target_names"]) and _texts(settings.get("target_units", ()))):
        raise ValueError("names or units of its target are not a list of texts")
    if not all(isinstance(unit, str) for unit in settings.get("value_units", {}).values()):
        raise ValueError("units of its modalities are not texts")


def _check_sizes(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Shapes of the arrays, as far as what is built of them could be larger than they are."""
    rows, states = settings["modalities"], settings["states"]
    for prefix, size in zip(["backbone", *(f"{i}/dynamics" for i in range(len(states) - 1))], states, strict=True):
        seen = arrays[f"{prefix}/observation_noise"].size
        shapes = {
            "transition": (size, size), "process_noise": (size,), "emission": (seen, size),
            "observation_noise": (seen,), "initial_mean": (size,), "initial_covariance": (size, size),
        }  # fmt: skip
        for name, shape in shapes.items():
            if arrays[f"{prefix}/{name}"].shape != shape:
                raise ValueError(f"the {name} of '{prefix}' is not that of {size} states")
        if not (np.all(arrays[f"{prefix}/process_noise"] >= 0) and np.all(arrays[f"{prefix}/observation_noise"] > 0)):
            raise ValueError(f"'{prefix}' has variances that are not positive")
    for number, row in enumerate(rows):
        if arrays[f"{number}/center"].shape != (row["channels"],):
            raise ValueError(f"'{row['name']}' has not {row['channels']} channels")
    if settings["traces"] != len(arrays.get("decays", ())):
        raise ValueError("its traces do not fit")
    features = sum(states) + 2 + settings["traces"] * sum(row["channels"] for row in rows)
    members, _, hidden = arrays.get("recurrent/recurrent", np.empty((0, 0, 0))).shape
    memories, least = loss_memory_size(arrays), _whole_losses(len(rows))
    if memories not in (0, least, least + len(rows)):
        raise ValueError(f"its memory of losses has {memories} numbers")
    if arrays["readout/weights"].shape[1:] != (features,) or features + members * hidden > MOST_CARRIED:
        raise ValueError(f"its target is read out of other features than its {features}")
    for name, array in arrays.items():
        if not array.size and (settings["target_names"] or not name.startswith("readout/")):
            raise ValueError(f"'{name}' has no numbers")


def _try_out(runner: "Runner") -> None:
    """Take a bin without data and a usual one: sizes that do not fit each other are found here."""
    with np.errstate(all="ignore"):
        for bins in ({}, {row.name: row.usual for row in runner.modalities}):
            found = runner.step(bins)
            parts = (found.target, found.lower, found.upper, found.latent, *found.rates.values())
            if not all(np.isfinite(part).all() for part in parts):
                raise ValueError("what it decodes of a usual bin is not finite")
        runner.ahead(1)


def loss_memory_size(arrays: Mapping[str, np.ndarray]) -> int:
    """Numbers of the memory of what was lost that variance and weights follow: none with one linear map."""
    if "readout/stack" not in arrays:
        return 0
    slopes = arrays.get("readout/log_slopes")
    return len(arrays["readout/slopes"]) - 2 if slopes is None else (len(slopes) - 1) // 2


def _whole_losses(modalities: int) -> int:
    """Numbers of that memory without the shares of lost channels: of each modality, and of all at once."""
    return len(TIMES) * (modalities + (modalities > 1))


def _limits_of(name: str, rows: Any, channels: int) -> np.ndarray:
    """Lowest and highest value (2, channels) of a modality; an infinite one is none."""
    try:
        found = np.asarray(rows)
    except ValueError:  # rows of different lengths
        found = np.zeros(0)
    if found.shape != (2, channels) or found.dtype.kind not in "iuf" or not np.all(found[0] <= found[1]):
        raise ValueError(f"limits are (2, channels) of numbers, lowest and highest; got {name}: {np.shape(found)}")
    return found.astype(np.float64)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# Covariances and gains ----------------------------------------------------------------------------------------


class CachedCovariance:
    """A predicted covariance before a bin, the gain for it, and links to those of the next bin.

    Attributes
    ----------
    predicted
        (n, n), before the bin's observation; read-only.
    filtered
        (n, n), after it, if the bin is seen; None until it is first needed.
    update
        (n, n + m), which takes the last mean and this bin's embedding to the new mean, ``[(I - K H) F, K]``; None until
        it is first needed.
    following
        ``following[seen]`` is the covariance of the next bin; None until it is first needed.
    leading
        Those that lead here, each with whether its bin was seen.
    interval_variance
        ``interval_variance[seen]`` is the share in the squared half width of the target's interval; None until it
        is needed.
    score
        One number that tells covariances apart quickly.
    place, used
        Where it stands in the table (-1: nowhere), and whether it was used since room was last made.
    """

    __slots__ = (
        "filtered",
        "following",
        "interval_variance",
        "leading",
        "place",
        "predicted",
        "score",
        "update",
        "used",
    )

    def __init__(self, predicted: np.ndarray, score: float) -> None:
        self.predicted = predicted
        self.score = score
        self.following: list[CachedCovariance | None] = [None, None]
        self.leading: list[tuple[CachedCovariance, bool]] = []
        self.interval_variance: list[np.ndarray | None] = [None, None]
        self.filtered: np.ndarray | None = None
        self.update: np.ndarray | None = None
        self.place = -1
        self.used = True

    def covariance(self, seen: bool) -> np.ndarray:
        """Of the state at the end of the bin; a seen one has been conditioned on before."""
        if not seen:
            return self.predicted
        assert self.filtered is not None
        return self.filtered


class GainTable:
    r"""Covariances of one Kalman filter, as a graph: from a covariance, by whether the bin is seen, to the next.

    .. math::
        K = P H' (H P H' + R)^{-1}, \qquad P' = F (P - K H P \text{ if seen, else } P) F' + Q

    It starts empty and grows as bins come. A new covariance within the tolerance of a known one is taken to be that
    one, which closes the loops: a settled filter is one entry that leads to itself, samples in every fifth bin
    are a ring of five. When the table is full, the entry not used for longest (nearly: second chance) makes room.

    Parameters
    ----------
    arrays
        ``transition`` (n, n), ``process_noise`` (n,), ``emission`` (m, n), ``observation_noise`` (m,),
        ``initial_covariance`` (n, n), of the filter.
    readout
        (dims, n), weights of the target on this filter's state.
    dtype
        Of the gains.
    capacity
        Most covariances kept; 0 for none: every bin is then computed exactly.
    same
        Largest difference of two covariances taken for one, relative to the largest variance.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        readout: np.ndarray,
        dtype: np.dtype,
        *,
        capacity: int = CAPACITY,
        same: float | None = None,
    ) -> None:
        wide = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
        self._transition, self._emission = wide["transition"], wide["emission"]
        self._emitted = self._emission @ self._transition
        self._process = np.diag(wide["process_noise"])
        self._noise = np.diag(wide["observation_noise"])
        self._readout = np.asarray(readout, np.float64)
        self._dtype = dtype
        self._same = SAME[dtype.name] if same is None else same
        n = len(self._transition)
        # Any fixed direction does: it only has to tell covariances apart.
        self._direction = np.random.default_rng(DIRECTION_SEED).uniform(0.5, 1.5, n * n) / n**2
        self._entries: list[CachedCovariance] = []
        self._scores = np.full(max(capacity, 1), np.inf)
        self._capacity, self._hand = capacity, 0
        self.hits = self.misses = 0
        self.start = self.entry(wide["initial_covariance"])

    def __len__(self) -> int:
        return len(self._entries)

    def after(self, entry: CachedCovariance, seen: bool) -> CachedCovariance:
        """The entry of the next bin."""
        found = entry.following[seen]
        if found is not None:
            self.hits += 1
            found.used = True
            return found
        self.misses += 1
        if seen:
            self.condition(entry)
        return self._link(entry, seen, self.entry(self.predict(entry.covariance(seen))))

    def condition(self, entry: CachedCovariance) -> np.ndarray:
        """Update of the mean in a bin that is seen: ``[(I - K H) F, K]``, worked out once per entry."""
        if entry.update is None:
            cross = self._emission @ entry.predicted
            gain = np.linalg.solve(cross @ self._emission.T + self._noise, cross).T
            entry.filtered = _fixed(_symmetric(entry.predicted - gain @ cross))
            kept = self._transition - gain @ self._emitted
            entry.update = np.concatenate([kept, gain], axis=1).astype(self._dtype)
        return entry.update

    def predict(self, covariance: np.ndarray) -> np.ndarray:
        """``F P F' + Q``."""
        return _fixed(_symmetric(self._transition @ covariance @ self._transition.T + self._process))

    def interval_variance(self, entry: CachedCovariance, seen: bool) -> np.ndarray:
        """Share of this filter's state in the squared half width of the target's interval: ``1.96^2 diag(W' P W)``."""
        found = entry.interval_variance[seen]
        if found is None:
            found = self.interval_variance_of(entry.covariance(seen))
            entry.interval_variance[seen] = found
        return found

    def interval_variance_of(self, covariance: np.ndarray) -> np.ndarray:
        """``1.96^2 diag(W' P W)`` of a covariance."""
        return NORMAL_95**2 * np.sum((self._readout @ covariance) * self._readout, axis=1)

    def entry(self, covariance: np.ndarray) -> CachedCovariance:
        """The known entry of a covariance, or a new one."""
        score = float(self._direction @ covariance.ravel())
        bound = self._same * float(covariance.diagonal().max())
        for place in np.flatnonzero(np.abs(self._scores - score) <= bound):
            known = self._entries[place]
            if np.abs(known.predicted - covariance).max() <= bound:
                known.used = True
                return known
        return self._add(CachedCovariance(covariance, score))

    def _add(self, entry: CachedCovariance) -> CachedCovariance:
        if self._capacity == 0:
            return entry
        if len(self._entries) < self._capacity:
            entry.place = len(self._entries)
            self._entries.append(entry)
        else:
            entry.place = self._make_room()
            self._entries[entry.place] = entry
        self._scores[entry.place] = entry.score
        return entry

    def _make_room(self) -> int:
        """Second chance: the hand goes round, forgives each entry used since it last came by, and takes the next."""
        while self._entries[self._hand].used:
            self._entries[self._hand].used = False
            self._hand = (self._hand + 1) % self._capacity
        old, place = self._entries[self._hand], self._hand
        for entry, seen in old.leading:
            entry.following[seen] = None
        for following in old.following:
            if following is not None:
                following.leading = [link for link in following.leading if link[0] is not old]
        old.leading, old.place = [], -1
        old.following[:] = None, None
        self._hand = (place + 1) % self._capacity
        return place

    def _link(self, entry: CachedCovariance, seen: bool, following: CachedCovariance) -> CachedCovariance:
        # An entry without a place is held by nobody else: a link to or from it would only keep it in memory.
        if entry.place >= 0 and following.place >= 0:
            entry.following[seen] = following
            following.leading.append((entry, seen))
        return following


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def _fixed(array: np.ndarray) -> np.ndarray:
    """Entries are shared: nobody may write to them."""
    array.flags.writeable = False
    return array


# Means --------------------------------------------------------------------------------------------------------


class Mlp:
    """Tanh network with a linear output, and a linear path around it if it has one, on buffers made once.

    Each layer is one matrix whose last column is the bias: its input ends in a constant one. With the linear path, the
    output layer's input is the last hidden layer, the network's input and the one, behind one another.

    Parameters
    ----------
    layers
        Matrices (outputs, inputs + 1) in order.
    source
        Its input with the one behind it, if it stands elsewhere; None for a buffer of its own, ``input``.
    """

    def __init__(self, layers: list[np.ndarray], source: np.ndarray | None = None) -> None:
        *hidden, last = layers
        dtype, inputs = last.dtype, layers[0].shape[1] - 1
        tail = np.ones(last.shape[1], dtype)
        around = tail[-inputs - 1 :] if hidden and last.shape[1] > len(hidden[-1]) + 1 else None
        self._copy = None if source is None or around is None else (around, source)
        extended = source if source is not None else around if around is not None else np.ones(inputs + 1, dtype)
        self.input = extended[:-1]
        self._hidden = []
        for position, matrix in enumerate(hidden):
            following = tail if position == len(hidden) - 1 else np.ones(len(matrix) + 1, dtype)
            self._hidden.append((matrix, extended, following[: len(matrix)]))
            extended = following
        self._last = (last, extended)
        self.output = np.empty(len(last), dtype)

    def __call__(self) -> np.ndarray:
        """Apply the network to what is in ``input``; the result stands in ``output``."""
        for matrix, source, result in self._hidden:
            np.dot(matrix, source, out=result)
            np.tanh(result, out=result)
        if self._copy is not None:
            np.copyto(*self._copy)
        return np.dot(*self._last, out=self.output)


def _apply(layers: list[np.ndarray], extended: np.ndarray) -> np.ndarray:
    """Output of a network without a linear path, for an input with the one behind it."""
    *hidden, last = layers
    for matrix in hidden:
        following = np.ones(len(matrix) + 1, extended.dtype)
        np.tanh(matrix @ extended, out=following[:-1])
        extended = following
    return last @ extended


class Filter:
    """Kalman filter of one state: its mean here, its covariances in a table.

    Parameters
    ----------
    arrays
        Of the dynamics, as in :class:`GainTable`, and ``initial_mean``.
    table
        Of its covariances.
    mean
        Where the filtered mean goes.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], table: GainTable, mean: np.ndarray) -> None:
        self.transition, self._emission = arrays["transition"], arrays["emission"]
        self._first = arrays["initial_mean"]
        self.table, self.mean = table, mean
        # The last mean and this bin's embedding, one behind the other, for one product with the entry's update.
        self._input = np.zeros(sum(self._emission.shape), mean.dtype)
        self._last, self.embedding = self._input[: len(mean)], self._input[len(mean) :]
        self.reset()

    def reset(self) -> None:
        """Before the first bin."""
        self.mean[:] = self._first
        self.cached, self.seen, self.started = self.table.start, False, False
        self._next: CachedCovariance | None = self.table.start

    @property
    def position(self) -> tuple[CachedCovariance, CachedCovariance | None, bool, bool]:
        """Where the filter stands, but for its mean."""
        return self.cached, self._next, self.seen, self.started

    @position.setter
    def position(self, position: tuple[CachedCovariance, CachedCovariance | None, bool, bool]) -> None:
        self.cached, self._next, self.seen, self.started = position

    def resume(self, covariance: np.ndarray, seen: bool, started: bool) -> None:
        """Go on from the covariance predicted for the last bin, and whether that bin was seen."""
        self.cached, self.seen, self.started = self.table.entry(covariance), seen, started
        if seen:
            self.table.condition(self.cached)
        self._next = None if started else self.cached

    def prepare(self) -> None:
        """Work out covariance and gain of the next bin."""
        if self._next is None:
            self._next = self.table.after(self.cached, self.seen)
        self.table.condition(self._next)
        for seen in (False, True):
            self.table.interval_variance(self._next, seen)

    def step(self, seen: bool) -> None:
        """Predict, and condition on ``embedding`` if the bin is seen."""
        self.cached, self._next, self.seen = self._next or self.table.after(self.cached, self.seen), None, seen
        self._last[:] = self.mean
        if not self.started:
            self._first_step()
        elif seen:
            update = self.cached.update
            np.dot(self.table.condition(self.cached) if update is None else update, self._input, out=self.mean)
        else:
            np.dot(self.transition, self._last, out=self.mean)

    def _first_step(self) -> None:
        """The first bin has a prior instead of a prediction."""
        self.started = True
        if self.seen:
            gain = self.table.condition(self.cached)[:, len(self.mean) :]
            self.mean += gain @ (self.embedding - self._emission @ self._last)

    def interval_variance(self) -> np.ndarray:
        """Share of this state in the squared half width of the target's interval."""
        return self.table.interval_variance(self.cached, self.seen)

    @property
    def covariance(self) -> np.ndarray:
        """Of the state, given everything up to the last bin."""
        return self.cached.covariance(self.seen)

    def ahead(self, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance so many bins after the last, without observations."""
        mean, covariance = self.mean, self.covariance
        for _ in range(bins if self.started else bins - 1):
            mean, covariance = self.transition @ mean, self.table.predict(covariance)
        return mean, covariance


class Modality:
    """What the runner keeps for one row of the modality table."""

    def __init__(
        self, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], number: int, max_inflation: float
    ) -> None:
        self.name, self.channels = settings["name"], settings["channels"]
        self._least_share = 1 / max_inflation
        self.counts = settings["counts"] if "counts" in settings else COUNTS[settings["likelihood"]]
        self.center = arrays[f"{number}/center"]
        self.shrink = arrays[f"{number}/inverse_scale"]
        self.encoder = Mlp(numbered(arrays, f"{number}/encoder"))
        self.low, self.high = arrays[f"{number}/bounds"] if self.counts else (0, 0)
        self.filter: Filter | None = None
        self._all = np.ones(self.channels, bool)
        # What a rehearsal takes in: zeros would be beyond the limits of a channel that is far from zero.
        self.usual = np.zeros(self.channels, self.center.dtype) if self.counts else self.center
        self.unusual = False  # whether the last bin had values beyond the limits
        self.limit(None)

    def limit(self, limits: np.ndarray | None) -> None:
        """Set the lowest and the highest value of each channel (2, channels) that is a measurement; None for all."""
        self._limits, self._least = limits, math.inf
        if limits is not None:
            low, high = limits
            bounding = np.isfinite(low) & (low > 0) if self.counts else np.isfinite(low)  # counts below 0 are refused
            below = ((self.center - low) * self.shrink).min(initial=np.inf, where=bounding)
            above = ((high - self.center) * self.shrink).min(initial=np.inf, where=np.isfinite(high))
            # Deviations from the centre within which no channel is beyond a limit; negative if a centre is.
            self._least = min(float(below), float(above))
        # All are within while the sum of their squares is below this.
        self._near = min(self._least * abs(self._least), float(np.finfo(np.float64).max))

    def scale(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Z-scored values in the encoder's input, zero where missing; what is observed, and how many channels are.

        A value beyond the limits of its channel is missing.
        """
        scaled = self.encoder.input
        np.subtract(values, self.center, out=scaled)
        np.multiply(scaled, self.shrink, out=scaled)
        # Python's float: in single precision the largest number is infinite.
        square = float(np.dot(scaled, scaled))
        # The sum of many channels is large without any of them being so. What is not a number fails both.
        if square <= self._near or (square < math.inf and np.maximum.reduce(np.absolute(scaled)) <= self._least):
            return scaled, self._all, self.channels
        observed = np.isfinite(values)
        if self._limits is not None:
            within = (values >= self._limits[0]) & (values <= self._limits[1])
            self.unusual = bool(np.count_nonzero(observed & ~within))
            observed &= within
        count = int(np.count_nonzero(observed))
        scaled[~observed] = 0
        # A value that overflows when squared is no measurement.
        return scaled, observed, count if math.isfinite(np.dot(scaled, scaled)) else 0

    def embed(self, count: int) -> np.ndarray:
        """Embedding of the values that stand in the encoder's input, scaled up for missing channels."""
        if count < self.channels:
            self.encoder.input[:] /= max(count / self.channels, self._least_share)
        return self.encoder()

    def rates(self, output: np.ndarray) -> np.ndarray:
        """Spikes per second, or value in the recording's unit, from the output of the decoder network."""
        return np.exp(np.clip(output, self.low, self.high)) if self.counts else output


class Traces:
    """Fading memory of the observations (neurodyn.multiscale.traces), of all modalities behind one another.

    Parameters
    ----------
    decays
        (scales,), factor per bin of each.
    channels
        Of each modality.
    features, memory
        Where the averages go, (scales x channels) per modality, and where sums and weights live, twice that.
    prior
        Weight of a channel's mean, relative to that of an endless history with no sample missing.
    """

    def __init__(
        self, decays: np.ndarray, channels: list[int], features: np.ndarray, memory: np.ndarray, prior: float
    ) -> None:
        each = np.concatenate([np.repeat(decays, count) for count in channels])
        self._decays = np.concatenate([each, each])
        self._prior = (prior / (1 - each)).astype(decays.dtype)
        self._features, self._memory, self._divisor = features, memory, np.empty_like(features)
        total, self._weight = memory[: len(each)], memory[len(each) :]
        edges = np.cumsum([0, *(len(decays) * count for count in channels)])
        self._parts = [
            (total[a:b].reshape(len(decays), -1), self._weight[a:b].reshape(len(decays), -1))
            for a, b in pairwise(edges)
        ]

    def fade(self) -> None:
        """One bin passes."""
        self._memory *= self._decays

    def add(self, modality: int, scaled: np.ndarray, observed: np.ndarray) -> None:
        """Take in a bin of one modality; ``scaled`` is zero where not observed."""
        total, weight = self._parts[modality]
        total += scaled
        weight += observed

    def average(self) -> None:
        """Write the averages to the features."""
        np.add(self._weight, self._prior, out=self._divisor)
        np.divide(self._memory[: len(self._prior)], self._divisor, out=self._features)


class Losses:
    """What was lost lately, as a fading memory (neurodyn.targets.losses), for the weights and the variance.

    Parameters
    ----------
    sample_every
        Bins from one sample to the next, of each modality.
    since, memory
        Where the bins since the last sample (modalities,) and the memory live: time constants of each modality, then of
        all at once if there are several, then the share of each one's channels that is lost, if it counts.
    """

    def __init__(self, sample_every: list[int], since: np.ndarray, memory: np.ndarray) -> None:
        self._sample_every = sample_every
        self._since, faded = since, _whole_losses(len(sample_every))
        self._rows, self._lacking = memory[:faded].reshape(-1, len(TIMES)), memory[faded:]
        self._decay = np.exp(-1 / np.asarray(TIMES)).astype(memory.dtype)
        self._gain = 1 - self._decay
        self._lost = np.empty((len(self._rows), 1), memory.dtype)
        self._gained = np.empty_like(self._rows)
        self._follows = self._rows[: len(sample_every), WEIGHED]
        self._shares = np.empty(len(sample_every) + 1, memory.dtype)
        self.lost = [True] * len(sample_every)  # whether each modality is overdue

    def step(self, observed: list[float]) -> None:
        """Take in the share of each modality's channels that have a value in this bin: zero if there is no sample."""
        # Python's own numbers here and below: an array of two or three costs more than it saves.
        since = [0.0 if share else bins + 1 for share, bins in zip(observed, self._since.tolist(), strict=True)]
        self.lost = lost = [bins >= every for bins, every in zip(since, self._sample_every, strict=True)]
        self._since[:] = since
        parts: list[float] = list(lost)
        if len(self._lacking):
            newest = zip(lost, observed, self._lacking.tolist(), strict=True)
            lacking = [0.0 if gone else 1 - share if share else before for gone, share, before in newest]
            self._lacking[:] = lacking
            parts = [gone or part for gone, part in zip(lost, lacking, strict=True)]
        self._lost[:, 0] = [*parts, min(parts)] if len(parts) > 1 else parts
        np.multiply(self._lost, self._gain, out=self._gained)
        self._rows *= self._decay
        self._rows += self._gained

    def conditions(self) -> np.ndarray:
        """Share of this bin in "everything observed" and in "this modality lost"."""
        lost = self._follows.tolist()
        worst, total = max(lost), sum(lost)
        share = worst / total if total > 0 else 0.0
        self._shares[:] = [1 - worst, *(share * one for one in lost)]
        return self._shares


class Recurrent:
    """The gated recurrent network that decodes beside the linear read-outs (neurodyn.recurrent), all members at once.

    What the last state feeds back, two thirds of the products, is there before the bin is: :meth:`expect` works it out.
    Gates stand behind one another, all members of one gate in one piece of memory. Sigmoids are
    ``(1 + tanh(x / 2)) / 2``: their halves stand in the weights, as the target's scale does in those of the output.

    Parameters
    ----------
    arrays
        ``embed`` (member, embedding, input), ``input`` and ``recurrent`` (member, 3 hidden, ...), ``bias``,
        ``gated_bias``, ``output`` (member, 2 dims, hidden), ``output_bias``; ``centre/i`` and ``inverse_scale/i`` of
        each modality's channels, ``fading``, ``target_mean`` and ``target_scale``.
    counts
        Whether each modality is counts.
    state, since
        Where the members' states (member x hidden) and the bins since each modality's last sample live.

    Attributes
    ----------
    expected
        Whether what the state feeds back is worked out. Who changes the state sets it to False.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], counts: list[bool], state: np.ndarray, since: np.ndarray
    ) -> None:
        recurrent, dtype = arrays["recurrent"], arrays["recurrent"].dtype
        members, _, hidden = recurrent.shape
        halves = np.asarray([0.5, 0.5, 1.0], dtype)[:, None, None, None]
        embed = arrays["embed"].reshape(-1, arrays["embed"].shape[-1])
        self._input, self._recurrent = (halves * _by_gate(arrays[name]) for name in ("input", "recurrent"))
        # Half of what is fed back to the new state stands here, because the reset gate comes as 1 + tanh.
        self._recurrent[2] *= 0.5
        bias = halves * _by_gate(arrays["bias"][..., None])
        self._back_bias = np.concatenate([bias[:2], 0.5 * arrays["gated_bias"][None, :, :, None]]).astype(dtype)
        self._bias = bias[2, ..., 0]
        self._build_inputs(arrays, embed, counts, since)
        self._build_output(arrays)
        self.hidden, self.state, self.expected = hidden, state.reshape(members, hidden), False
        self._embedded, self._embedded_part = (np.empty(len(embed), dtype) for _ in range(2))
        self._parts, self._column = self._embedded.reshape(members, -1, 1), self.state[:, :, None]
        self._drives, self._backs = (np.empty((3, members, hidden, 1), dtype) for _ in range(2))
        self._gates, self._new = self._drives[:2, ..., 0], self._drives[2, ..., 0]
        self._back_gates, self._back_new = self._backs[:2, ..., 0], self._backs[2, ..., 0]

    def _build_inputs(
        self, arrays: Mapping[str, np.ndarray], embed: np.ndarray, counts: list[bool], since: np.ndarray
    ) -> None:
        """Where the network's inputs stand, and the weights of each part in one piece: a missing modality's rest."""
        self._centre, self._shrink = numbered(arrays, "centre"), numbered(arrays, "inverse_scale")
        self._counts, self._since = counts, since
        self._faded = (-1 / np.asarray(arrays["fading"], np.float64)).astype(since.dtype)
        edges = np.cumsum([0, *(len(c) for c in self._centre), embed.shape[1] - sum(map(len, self._centre))])
        *self._embeds, self._embed_losses = (np.ascontiguousarray(embed[:, a:b]) for a, b in pairwise(edges))
        *self._values, self._shares_and_ages = (np.zeros(b - a, embed.dtype) for a, b in pairwise(edges))
        self._share, self._age = self._shares_and_ages[: len(counts)], self._shares_and_ages[len(counts) :]
        self._seen: list[int] = []

    def _build_output(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Output weights in the target's unit: means, and log variances with their bounds."""
        scale, output = np.asarray(arrays["target_scale"], np.float64), arrays["output"]
        dtype, members, dims = output.dtype, len(output), len(scale)
        factor, shift = np.concatenate([scale, np.ones(dims)]), 2 * np.log(scale)
        self._output = (factor[:, None] * output).astype(dtype)
        offset = np.concatenate([np.asarray(arrays["target_mean"], np.float64), shift])
        self._output_bias = (factor * arrays["output_bias"] + offset).astype(dtype)
        self._least, self._most = ((bound + shift).astype(dtype) for bound in LOG_VARIANCE)
        self._founds = np.empty((*self._output_bias.shape, 1), dtype)
        self._found = self._founds[..., 0]
        self._means, self._logs = self._found[:, :dims], self._found[:, dims:]
        self._share_of_each = np.full(members, 1 / members, dtype)

    def forget(self) -> None:
        """A new bin, in which nothing has been seen yet."""
        self._share[:] = 0
        self._seen.clear()

    def add(self, number: int, values: np.ndarray, observed: np.ndarray, count: int) -> None:
        """Take in a bin of one modality, in the unit of the recording."""
        inputs = self._values[number]
        if self._counts[number]:
            np.maximum(values, 0, out=inputs)
            np.sqrt(inputs, out=inputs)
            inputs -= self._centre[number]
        else:
            np.subtract(values, self._centre[number], out=inputs)
        inputs *= self._shrink[number]
        np.maximum(inputs, -LIMIT, out=inputs)
        np.minimum(inputs, LIMIT, out=inputs)
        if count < len(inputs):
            inputs[~observed] = 0
        self._share[number] = count / len(inputs)
        self._seen.append(number)

    def expect(self, known: np.ndarray | None = None) -> np.ndarray:
        """What the members' states feed back in the next bin, whatever it brings; or take what is known already."""
        if known is not None:
            self._backs[:] = known
        elif not self.expected:
            np.matmul(self._recurrent, self._column, out=self._backs)
            self._backs += self._back_bias
        self.expected = True
        return self._backs

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the target, from the inputs as they stand."""
        self.expect()
        gates, new, state = self._gates, self._new, self.state
        np.multiply(self._since, self._faded, out=self._age)
        np.expm1(self._age, out=self._age)
        np.negative(self._age, out=self._age)
        np.dot(self._embed_losses, self._shares_and_ages, out=self._embedded)
        for number in self._seen:
            self._embedded += np.dot(self._embeds[number], self._values[number], out=self._embedded_part)
        np.matmul(self._input, self._parts, out=self._drives)
        gates += self._back_gates
        np.tanh(gates, out=gates)
        gates += 1
        self._back_new *= gates[0]
        new += self._bias
        new += self._back_new
        np.tanh(new, out=new)
        state -= new
        state *= gates[1]
        state *= 0.5
        state += new
        self.expected = False
        return self.last

    @property
    def last(self) -> tuple[np.ndarray, np.ndarray]:
        """The members' mean in the last bin; its variance is theirs on average plus that of their means."""
        np.matmul(self._output, self._column, out=self._founds)
        self._found += self._output_bias
        mean = np.dot(self._share_of_each, self._means)
        self._means -= mean
        self._means *= self._means
        np.maximum(self._logs, self._least, out=self._logs)
        np.minimum(self._logs, self._most, out=self._logs)
        np.exp(self._logs, out=self._logs)
        self._means += self._logs
        return mean, np.dot(self._share_of_each, self._means)


def _by_gate(weights: np.ndarray) -> np.ndarray:
    """(member, 3 hidden, ...) as (3, member, hidden, ...): reset, update, new."""
    members = len(weights)
    return np.ascontiguousarray(np.moveaxis(weights.reshape(members, 3, -1, weights.shape[-1]), 1, 0))


# The decoder --------------------------------------------------------------------------------------------------


class BadInput(ValueError):
    """An observation of a modality or shape the decoder does not know."""


class Rates(Mapping):
    """Expected rates and field values by modality, computed from the latent when first read.

    Decoders that only move a cursor never need them, and they are half the arithmetic of a step.
    """

    __slots__ = ("_decode", "_latent", "_values")

    def __init__(self, decode: Callable[[np.ndarray], dict[str, np.ndarray]], latent: np.ndarray) -> None:
        self._decode, self._latent = decode, latent
        self._values: dict[str, np.ndarray] | None = None

    @property
    def worked_out(self) -> dict[str, np.ndarray]:
        """Those that there are without further work: all, or none if nobody has read one."""
        return {} if self._values is None else self._values

    def _all(self) -> dict[str, np.ndarray]:
        if self._values is None:
            self._values = self._decode(self._latent)
        return self._values

    def __getitem__(self, name: str) -> np.ndarray:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class LiveEstimate(NamedTuple):
    """What is known at the end of one bin.

    Attributes
    ----------
    time
        Of the bin's end, seconds, as given to the step.
    latent
        (latent,), mean of the shared state; has no unit.
    covariance
        (latent, latent), of the shared state; read-only. One that was pickled has the diagonal alone, NaN elsewhere.
    rates
        Per modality (channel,): expected spikes per second of counts; of a field the expected value of the feature in
        the bin, in its unit, which is that of the recording for means and the natural logarithm of its square for
        band powers. Empty after pickling, unless they had been read before.
    target, lower, upper
        (dim,): the decoded target, held within what was seen in training if the model was fitted so, and the bounds of
        the central 95 % of its predictive distribution.
    seen
        Modalities of which at least one channel was observed.
    microseconds
        How long the step took; 0 if no clock was given to it.
    time_in, time_out
        When it began and ended, seconds on that clock.
    stale
        Modalities that should have been seen by now and were not: what is known of them is predicted. One that was gone
        for more than 0.2 s stays among them after its return for as long as it was gone beyond these, a second at most:
        what was lost still moves the estimate.
    unusual
        Modalities of which values lay far beyond those of the training data in this bin: these are taken as missing.

    Examples
    --------
    >>> from neurodyn.realtime import Runner
    >>> from neurodyn.realtime.follower import follower
    >>> estimate = Runner(follower(["x", "y"])).step({"field": [1.0, -2.0]}, t=0.01)
    >>> estimate
    LiveEstimate: bin that ends at 0.01 s, seen: field
      target 0  0.5, 95 % interval -0.8859 to 1.886
      target 1  -1, 95 % interval -2.386 to 0.3859
      latent    2 dimensions
    >>> estimate.target.tolist(), estimate.seen, estimate.stale
    ([0.5, -1.0], ('field',), ())
    """

    time: float
    latent: np.ndarray
    covariance: np.ndarray
    rates: Mapping[str, np.ndarray]
    target: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    seen: tuple[str, ...]
    microseconds: float = 0.0
    time_in: float = 0.0
    time_out: float = 0.0
    stale: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Sizes, and the numbers of the first dimensions of the target; the rates are not worked out for it."""
        return "\n".join([self._title(), *(f"  {name:<8}  {text}" for name, text in self._facts())])

    def _repr_html_(self) -> str:
        """The same as a table, which a notebook shows; names come from a file and add nothing to the page."""
        left = ' style="text-align: left"'
        rows = "".join(
            f"<tr><th{left}>{html.escape(name)}</th><td{left}>{html.escape(text)}</td></tr>"
            for name, text in self._facts()
        )
        return f"<table><caption{left}><b>{html.escape(self._title())}</b></caption><tbody>{rows}</tbody></table>"

    def _title(self) -> str:
        names = [*self.seen[:6], *(["..."] if len(self.seen) > 6 else [])]
        return f"LiveEstimate: bin that ends at {self.time:g} s, seen: {', '.join(names) or 'nothing'}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        for dim, (value, low, high) in enumerate(zip(self.target[:6], self.lower[:6], self.upper[:6], strict=True)):
            yield f"target {dim}", f"{value:.4g}, 95 % interval {low:.4g} to {high:.4g}"
        if len(self.target) > 6:
            yield "...", f"and {len(self.target) - 6} more dimensions of the target"
        yield "latent", f"{len(self.latent)} dimensions"
        if self.microseconds:
            yield "step", f"{self.microseconds:.0f} µs"

    def to_dict(self) -> dict[str, Any]:
        """Time, target with its interval, latent and flags as numbers, lists and texts, fit for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("target", "lower", "upper", "latent")}
        flags = {name: list(getattr(self, name)) for name in ("seen", "stale", "unusual")}
        return {"time": self.time, **arrays, **flags, "microseconds": self.microseconds}

    def __reduce__(self) -> tuple[Any, ...]:
        """Numbers alone, a few hundred bytes: what another process gets.

        Of the covariance its diagonal goes, in single precision; off the diagonal it is NaN afterwards. The rates go if
        they have been read before, and are empty afterwards if not: to work them out is half the arithmetic of a step,
        and to send them most of the bytes. Copies inside a process are whole.
        """
        rates = self.rates.worked_out if isinstance(self.rates, Rates) else self.rates
        variance = np.diagonal(self.covariance).astype(np.float32)
        arrays = [np.asarray(a) for a in (self.latent, variance, *self[4:7], *rates.values())]
        return _revived, (self.time, tuple(rates), [(a.dtype.str, a.tobytes()) for a in arrays], self[7:])

    def __copy__(self) -> "LiveEstimate":
        """The estimate itself: its fields do not change."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "LiveEstimate":
        """Arrays of its own, the whole covariance and the rates, without the decoder that works them out."""
        rates = {name: np.array(values) for name, values in self.rates.items()}
        latent, covariance, *bounds = (np.array(a) for a in (self.latent, self.covariance, *self[4:7]))
        return self._make((self.time, latent, _fixed(covariance), rates, *bounds, *self[7:]))


def _revived(time: float, names: tuple[str, ...], parts: list[tuple[str, bytes]], rest: tuple) -> LiveEstimate:
    """Estimate from what `LiveEstimate.__reduce__` took it apart into."""
    latent, variance, *others = (np.frombuffer(raw, kind).copy() for kind, raw in parts)
    covariance = np.full((len(variance), len(variance)), np.nan, variance.dtype)
    np.fill_diagonal(covariance, variance)
    bounds, rates = others[:3], dict(zip(names, others[3:], strict=True))
    return LiveEstimate._make((time, latent, _fixed(covariance), rates, *bounds, *rest))


class Runner:
    """A frozen decoder that takes one bin at a time.

    Parameters
    ----------
    frozen
        The decoder's numbers.
    capacity, same
        Of each table of gains (see :class:`GainTable`).

    Attributes
    ----------
    overdue
        Whether every modality should have been seen by the last bin and was not.

    Examples
    --------
    >>> from neurodyn.realtime import Runner
    >>> from neurodyn.realtime.follower import follower
    >>> runner = Runner(follower(["x"]))  # made by hand; of an exported model: Runner(Frozen.load("decoder.npz"))
    >>> [round(float(runner.step({"field": value}).target[0]), 2) for value in ([1.0], [1.0], None)]
    [0.5, 0.8, 0.8]
    """

    def __init__(self, frozen: Frozen, *, capacity: int = CAPACITY, same: float | None = None) -> None:
        self.frozen, self._options = frozen, (capacity, same)
        settings, arrays = frozen.settings, frozen.arrays
        self.names = tuple(row["name"] for row in settings["modalities"])
        most = _setting(settings, "max_inflation")
        self.modalities = [Modality(row, arrays, i, most) for i, row in enumerate(settings["modalities"])]
        self._by_name = dict(zip(self.names, self.modalities, strict=True))
        self._weights = arrays["readout/weights"]
        means = self._build_state(settings["states"], settings["traces"])
        self._build_filters(means, capacity, same)
        self._build_readout()
        self.limits = settings.get("limits", {})
        self._rehearsal = {m.name: m.usual for m in self.modalities}
        width = settings["width_seconds"]
        self._spared, self._most_owed = round(SPARED / width), round((SPARED + SETTLING) / width)
        self.reset()

    def __reduce__(self) -> tuple[Any, ...]:
        return _resumed, (self.frozen, *self._options, self.limits, self.snapshot())

    @property
    def limits(self) -> dict[str, np.ndarray]:
        """Lowest and highest value (2, channels) that is a measurement, by modality; those left out have none."""
        return dict(self._limits)

    @limits.setter
    def limits(self, limits: Mapping[str, Any]) -> None:
        if unknown := [str(name) for name in limits if name not in self._by_name]:
            raise ValueError(f"limits are of {', '.join(self.names)}; got those of {', '.join(unknown)}")
        self._limits = {name: _limits_of(name, rows, self._by_name[name].channels) for name, rows in limits.items()}
        for row in self.modalities:
            row.limit(self._limits.get(row.name))

    def _build_state(self, states: list[int], scales: int) -> list[np.ndarray]:
        """Lay out all that is carried from bin to bin in one buffer; returns where the mean of each state stands.

        Backbone's mean, 1, means of the modalities' own states, 1, traces, sums and weights of the traces. The ones let
        the fusion network read its input, and the read-out its features, where they stand.
        """
        channels = [m.channels for m in self.modalities]
        traces = scales * sum(channels)
        starts = [0, *(1 + np.cumsum(states[:-1])).tolist()]
        past, count, memories = sum(states) + 2, len(self.modalities), loss_memory_size(self.frozen.arrays)
        ages = count if memories else 0  # decoders with one linear map carry what they always did
        members, _, hidden = self.frozen.arrays.get("recurrent/recurrent", np.empty((0, 0, 0))).shape
        ends = np.cumsum([past + 3 * traces, ages, memories, members * hidden])
        self.state = np.zeros(ends[-1], self.dtype)
        self._since, self._memory, self._hidden = (self.state[a:b] for a, b in pairwise(ends))
        self._begun = self._memory[: _whole_losses(count)]  # what of it begins with everything lost
        self._ones = np.asarray([states[0], past - 1])
        self._features = self.state[: past + traces]
        self._modality_states = self.state[states[0] + 1 : past]
        self._traces = None
        if traces:
            decays = self.frozen.arrays["decays"]
            kept = self.state[past + traces : past + 3 * traces]
            prior = _setting(self.frozen.settings, "trace_prior")
            self._traces = Traces(decays, channels, self._features[past:], kept, prior)
        return [self.state[a : a + n] for a, n in zip(starts, states, strict=True)]

    def _build_filters(self, means: list[np.ndarray], capacity: int, same: float | None) -> None:
        """Filters with their tables, and the networks between them."""
        arrays, filters, first = self.frozen.arrays, [], 0
        for prefix, mean in zip(["backbone", *(f"{i}/dynamics" for i in range(len(means) - 1))], means, strict=True):
            parameters = under(arrays, prefix)
            # Where the variance does not depend on the states' covariance, nothing of it is worked out.
            rows = 0 if self._log_linear else self._dims
            readout = np.sqrt(self._excess[:rows])[:, None] * self._weights[:rows, first : first + len(mean)]
            filters.append(
                Filter(parameters, GainTable(parameters, readout, self.dtype, capacity=capacity, same=same), mean)
            )
            first += len(mean) + (first == 0)
        self.filters, self.backbone = filters, filters[0]
        self._fusion = Mlp(numbered(arrays, "fusion"), self._modality_states) if len(filters) > 1 else None
        for row, modality_filter in zip(self.modalities, filters[1:], strict=False):
            row.filter = modality_filter
            row.encoder.output = modality_filter.embedding
        first_stage = self.modalities[0].encoder if self._fusion is None else self._fusion
        first_stage.output = self.backbone.embedding
        count = len(self.modalities)
        self._decoders = [numbered(arrays, f"{i}/decoder") for i in range(count)]

    @property
    def _dims(self) -> int:
        return len(self.frozen.settings["target_names"])

    def _build_readout(self) -> None:
        """Weights of the experts, the variance of what they decode, and the recurrent network.

        Decoders exported before there were several experts have one linear map: its residual variance, and what the
        states' variance exceeds the usual one by.
        """
        arrays, dims = self.frozen.arrays, self._dims
        self._bounds = arrays.get("readout/bounds")
        self._usual = NORMAL_95**2 * self._excess * np.asarray(arrays["readout/usual"], np.float64)
        self._stack = self._losses = self._recurrent = None
        self._sample_every = [row["clock"] for row in self.frozen.settings["modalities"]]
        if "readout/stack" not in arrays:
            self._constant = NORMAL_95**2 * np.asarray(arrays["readout/residual"], np.float64)
            return
        # What the weights leave of one goes to the mean target, which is the last row of the experts.
        stack = arrays["readout/stack"]
        rest = 1 - stack.sum(axis=1, keepdims=True, dtype=np.float64)
        self._stack = np.concatenate([stack, rest], axis=1).astype(self.dtype).reshape(len(stack), -1)
        self._experts = np.empty((stack.shape[1] + 1, dims), self.dtype)
        self._experts[-1] = arrays["readout/centre"]
        self._linear = self._experts.reshape(-1)[: len(self._weights)]
        if self._log_linear:
            slopes = np.asarray(arrays["readout/log_slopes"], np.float64)
            self._constant = 2 * np.log(NORMAL_95) + np.asarray(arrays["readout/log_constant"], np.float64)
            self._recurrent_slope, self._slopes = slopes[0], slopes[1:].T.copy()
            self._memories = np.empty(2 * self._memory.size, self.dtype)
        else:
            slopes = NORMAL_95**2 * np.asarray(arrays["readout/slopes"], np.float64)
            self._constant = NORMAL_95**2 * np.asarray(arrays["readout/constant"], np.float64)
            self._recurrent_slope, self._slopes = slopes[1], slopes[2:].T
        self._losses = Losses(self._sample_every, self._since, self._memory)
        if "recurrent/recurrent" in arrays:
            weights = under(arrays, "recurrent")
            self._recurrent = Recurrent(weights, [m.counts for m in self.modalities], self._hidden, self._since)

    @property
    def _excess(self) -> np.ndarray:
        """(dims,), variance of the target per variance that the states' uncertainty gives it beyond the usual."""
        slopes = self.frozen.arrays.get("readout/slopes")
        return np.ones(self._dims) if slopes is None else np.asarray(slopes[0], np.float64)

    @property
    def _log_linear(self) -> bool:
        """Whether the logarithm of the target's variance is what is added up (neurodyn.targets.variance)."""
        return "readout/log_slopes" in self.frozen.arrays

    @property
    def dtype(self) -> np.dtype:
        """Precision of means and networks; covariances are double precision always."""
        return self.frozen.parameters.dtype

    def fork(self) -> "Runner":
        """Another decoder with a state of its own and the same tables of gains; not for another thread."""
        other = Runner(self.frozen, capacity=0)
        for copied, shared in zip(other.filters, self.filters, strict=True):
            copied.table = shared.table
        other.reset()
        return other

    def reset(self) -> None:
        """Forget everything seen: the next bin is the first of a session. The tables of gains are kept."""
        self._put(0.0)
        self.state[self._ones] = 1
        self._since[:] = NEVER
        self._begun[:] = 1 if self._log_linear else 0  # all that came before the first bin is lost
        self._ages, self._owed, self.overdue = list(self._sample_every), [0] * len(self.names), False
        for part in self.filters:
            part.reset()

    def prepare(self) -> None:
        """Work out the next bin's gains, between two bins, whatever it will bring, and rehearse the step.

        The next step is then short: its gains are known, and code and weights are in the processor's cache, from where
        other programs push them while this one sleeps. The first call after a step may take several times as long as a
        step, further ones take about as long as one.
        """
        for part in self.filters:
            part.prepare()
        kept, ages, owed = self.state.copy(), self._ages, (self._owed, self.overdue)
        positions = [part.position for part in self.filters]
        # What comes first here is not needed in the step and may leave the cache again.
        fed_back = None if self._recurrent is None else self._recurrent.expect().copy()
        self.step(self._rehearsal)
        self._put(kept)
        self._ages, (self._owed, self.overdue) = ages, owed
        for part, position in zip(self.filters, positions, strict=True):
            part.position = position
        if self._recurrent is not None:
            self._recurrent.expect(fed_back)

    def _put(self, state: np.ndarray | float) -> None:
        """Set the state from outside: nothing worked out ahead of it holds any more."""
        self.state[:] = state
        if self._recurrent is not None:
            self._recurrent.expected = False

    def step(
        self, observations: Mapping[str, Any], t: float = 0.0, clock: Callable[[], float] | None = None
    ) -> LiveEstimate:
        """Take in one bin and return what is known at its end.

        Parameters
        ----------
        observations
            Array (channel) per modality, in the unit of the training data; a modality that is None or left out is
            missing in this bin, and so is a single channel whose value is not finite.
        t
            Time of the bin's end, seconds; passed through.
        clock
            Function without arguments that returns seconds, to time the step with.

        Raises
        ------
        BadInput
            If a modality is unknown or has another number of channels, or a count is below 0; nothing has changed then.
        """
        if not isinstance(t, float | int | np.floating | np.integer):
            raise BadInput(f"t is the time of the bin's end in seconds, a number, got {t!r}")
        begin = 0.0 if clock is None else clock()
        # A BLAS may raise the flag of an invalid number for what it reads and does not use; a session looks for itself.
        with np.errstate(over="ignore", invalid="ignore"):
            seen, stale, unusual = self._take_in(self._arrays(observations))
            target, half = self._target([part.interval_variance() for part in self.filters], self._decode_recurrently())
        latent, covariance = self.backbone.mean.copy(), self.backbone.covariance
        rates = Rates(self._rates, latent)
        lower, upper = target - half, target + half
        end = 0.0 if clock is None else clock()
        took = 1e6 * (end - begin)
        return LiveEstimate(
            t, latent, covariance, rates, target, lower, upper=upper, seen=seen, microseconds=took, time_in=begin,
            time_out=end, stale=stale, unusual=unusual,
        )  # fmt: skip

    def _take_in(self, arrays: list[np.ndarray | None]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Encoders, filters, fusion, backbone and traces of one bin; the modalities seen, overdue and unusual."""
        seen: list[str] = []
        unusual: list[str] = []
        shares = [0.0] * len(arrays)
        traces, recurrent = self._traces, self._recurrent
        if recurrent is not None:
            recurrent.forget()
        if traces is not None:
            traces.fade()
        for i, (row, values) in enumerate(zip(self.modalities, arrays, strict=True)):
            count = 0
            if values is not None:
                scaled, observed, count = row.scale(values)
                if count and traces is not None:
                    traces.add(i, scaled, observed)
                if count < row.channels and row.unusual:
                    unusual.append(row.name)
                    row.unusual = False
            if count:
                seen.append(row.name)
                shares[i] = count / row.channels
                if recurrent is not None and values is not None:
                    recurrent.add(i, values, observed, count)
                row.embed(count)
            if row.filter is not None:
                row.filter.step(count > 0)
        if traces is not None:
            traces.average()
        if self._fusion is not None:
            self._fusion()
        self.backbone.step(self._fusion is not None or bool(seen))
        if self._losses is not None:
            self._losses.step(shares)
            lost = self._losses.lost
        else:
            lost = self._overdue(shares)
        if True in lost or any(0 < share < 1 for share in shares):  # what is gone fades
            self.state[np.abs(self.state) < FAINT] = 0
        return tuple(seen), self._stale(lost), tuple(unusual)

    def _stale(self, lost: list[bool]) -> tuple[str, ...]:
        """Modalities that are overdue, and those that are back and have not been heard for as long as they were gone.

        Each bin in which one is overdue is owed, up to a number, and each other one pays one back. What is owed after
        a short loss, or a few bins lost here and there, says nothing.
        """
        self.overdue = False not in lost
        if True not in lost and not any(self._owed):
            return ()
        most = self._most_owed
        self._owed = [min(n + 1, most) if gone else max(n - 1, 0) for n, gone in zip(self._owed, lost, strict=True)]
        rows = zip(self.names, lost, self._owed, strict=True)
        return tuple(name for name, gone, owed in rows if gone or owed > self._spared)

    def _overdue(self, observed: list[float]) -> list[bool]:
        """Whether each modality should have been seen by now, in decoders that keep no memory of losses."""
        self._ages = [0 if share else age + 1 for share, age in zip(observed, self._ages, strict=True)]
        return [age >= every for age, every in zip(self._ages, self._sample_every, strict=True)]

    def _decode_recurrently(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The recurrent network's mean and variance of the target in this bin, if there is one."""
        return None if self._recurrent is None else self._recurrent.step()

    def _target(
        self, variances: list[np.ndarray], recurrent: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decoded target, and half the width of its interval, from the features as they stand.

        Parameters
        ----------
        variances
            Share of each state in the squared half width.
        recurrent
            Mean and variance by the recurrent network.
        """
        recurrent_mean, recurrent_variance = (None, None) if recurrent is None else recurrent
        half = self._half_width(variances, recurrent_variance)
        if self._stack is None or self._losses is None:
            return self._within(np.dot(self._weights, self._features)), half
        experts = self._experts
        np.dot(self._weights, self._features, out=self._linear)
        if recurrent_mean is not None:
            experts[-2] = recurrent_mean
        weighed = np.dot(self._losses.conditions(), self._stack).reshape(experts.shape)
        weighed *= experts
        return self._within(np.add.reduce(weighed, axis=0)), half

    def _half_width(self, variances: list[np.ndarray], recurrent_variance: np.ndarray | None) -> np.ndarray:
        """Half the width of the target's interval (neurodyn.targets.variance)."""
        if self._log_linear:
            memories = self._memories
            memories[: self._memory.size] = self._memory
            np.sqrt(self._memory, out=memories[self._memory.size :])
            half = np.dot(self._slopes, memories)
            half += self._constant
            if recurrent_variance is not None:
                half += self._recurrent_slope * np.log(np.maximum(recurrent_variance, TINY))
            half *= 0.5
            return np.exp(half, out=half)
        square = variances[0] - self._usual
        for variance in variances[1:]:
            square += variance
        np.maximum(square, 0, out=square)
        square += self._constant
        if self._stack is not None:
            square += np.dot(self._slopes, self._memory)
            if recurrent_variance is not None:
                square += self._recurrent_slope * recurrent_variance
        return np.sqrt(square, out=square)

    def _within(self, target: np.ndarray) -> np.ndarray:
        """The target, or the nearest one that was seen in training."""
        if self._bounds is not None:
            np.maximum(target, self._bounds[0], out=target)
            np.minimum(target, self._bounds[1], out=target)
        return target

    def _arrays(self, observations: Mapping[str, Any]) -> list[np.ndarray | None]:
        """The observations in the order of the modality table, checked; None where missing."""
        if not isinstance(observations, Mapping):
            kind, first = type(observations).__name__, self.names[0]
            raise BadInput(f'a bin is a dictionary of modalities, such as {{"{first}": counts}}, got a {kind}')
        if not observations.keys() <= self._by_name.keys():
            unknown = min(observations.keys() - self._by_name.keys())
            raise BadInput(f"unknown modality {unknown!r}: did you mean {self._nearest(unknown)}?")
        return [self._array(row, observations.get(row.name)) for row in self.modalities]

    def _array(self, row: Modality, given: Any) -> np.ndarray | None:
        if given is None:
            return None
        try:
            array = np.asarray(given, self.dtype)
        except (TypeError, ValueError) as error:
            raise BadInput(f"modality '{row.name}' needs {row.channels} numbers: {error}") from error
        if array.shape != (row.channels,):
            raise BadInput(f"modality '{row.name}' needs one bin of {row.channels} channels, got shape {array.shape}")
        # The smallest is not a number where one is missing: then every one is looked at.
        if row.counts and not np.minimum.reduce(array) >= 0 and np.count_nonzero(array < 0):
            raise BadInput(f"modality '{row.name}' holds counts, which cannot be below 0, got {np.nanmin(array):g}")
        return array

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(str(name), self.names, n=3, cutoff=0.4)
        return " or ".join(repr(n) for n in near or self.names)

    def ahead(self, bins: int, t: float = 0.0) -> LiveEstimate:
        """Estimate so many bins after the last step from what is known now; nothing changes.

        Every state moves on by its own dynamics and the traces fade; ``seen`` is empty.
        """
        kept = self.state.copy()
        beliefs = [part.ahead(bins) for part in self.filters]
        try:
            for part, (mean, _) in zip(self.filters, beliefs, strict=True):
                part.mean[:] = mean
            self._fade(bins)
            variances = [p.table.interval_variance_of(c) for p, (_, c) in zip(self.filters, beliefs, strict=True)]
            target, half = self._target(variances, self._recurrent_ahead(bins))
        finally:
            self._put(kept)
        mean, covariance = beliefs[0][0].copy(), beliefs[0][1]
        rates, lower, upper = Rates(self._rates, mean), target - half, target + half
        return LiveEstimate(t, mean, covariance, rates, target, lower, upper=upper, seen=())

    def _rates(self, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Expected rates and field values of every modality, given a latent state."""
        # New arrays, no shared buffers: a display may read rates while the next step runs.
        extended = np.append(latent, latent.dtype.type(1))
        networks = zip(self.modalities, self._decoders, strict=True)
        return {row.name: row.rates(_apply(layers, extended)) for row, layers in networks}

    def _fade(self, bins: int) -> None:
        if self._traces is not None:
            for _ in range(bins):
                self._traces.fade()
            self._traces.average()

    def _recurrent_ahead(self, bins: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The recurrent network's decoding after so many bins without observations, and the memory of their loss."""
        found = None if self._recurrent is None else self._recurrent.last
        for _ in range(bins):
            if self._losses is not None:
                self._losses.step([0.0] * len(self.modalities))
            if self._recurrent is not None:
                self._recurrent.forget()
                found = self._recurrent.step()
        return found

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, copied."""
        flags = np.asarray([[part.seen, part.started] for part in self.filters])
        covariances = {f"covariance_{i}": part.cached.predicted.copy() for i, part in enumerate(self.filters)}
        bins = {"ages": np.asarray(self._ages, np.int64), "owed": np.asarray(self._owed, np.int64)}
        return {"state": self.state.copy(), "flags": flags, **bins, **covariances}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        ValueError
            If it is of a decoder of other sizes; nothing has changed then.
        """
        for name, current in self.snapshot().items():
            if name in ("ages", "owed") and name not in snapshot:
                continue  # taken by an earlier version
            if name not in snapshot or snapshot[name].shape != current.shape:
                raise ValueError(f"the snapshot is of another decoder: its '{name}' does not fit")
            if snapshot[name].dtype.kind not in "biuf" or not np.all(np.isfinite(snapshot[name])):
                raise ValueError(f"the snapshot is damaged: its '{name}' is not finite numbers")
        before = self.snapshot()
        try:
            self._resume(snapshot)
        except ValueError:  # a covariance that no gain can be worked out of
            self._resume(before)
            raise

    def _resume(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Take over what `restore` has checked."""
        self._put(snapshot["state"])
        self._ages = list(self._sample_every) if "ages" not in snapshot else snapshot["ages"].tolist()
        owed = snapshot.get("owed", np.zeros(len(self.names), np.int64))
        self._owed = np.clip(owed, 0, self._most_owed).astype(int).tolist()
        for i, (part, (seen, started)) in enumerate(zip(self.filters, snapshot["flags"].tolist(), strict=True)):
            part.resume(np.array(snapshot[f"covariance_{i}"], np.float64), seen, started)


def _resumed(
    frozen: Frozen, capacity: int, same: float | None, limits: dict[str, np.ndarray], snapshot: dict[str, np.ndarray]
) -> Runner:
    """Copy of a decoder, from what `Runner.__reduce__` took it apart into: the same state, tables of its own."""
    runner = Runner(frozen, capacity=capacity, same=same)
    runner.limits = limits
    runner.restore(snapshot)
    return runner


def under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Arrays whose names begin with ``prefix/``, by the rest of their names."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(prefix + "/")}


def numbered(arrays: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """Arrays ``prefix/0``, ``prefix/1``, ... in order."""
    found = under(arrays, prefix)
    return [found[str(i)] for i in range(len(found))]
