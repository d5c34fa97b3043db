"""What a sweep consists of: read from a YAML file, checked before any work, and taken apart into tasks.

A task is known by the hash of all that its result depends on, the bytes of its file included: what was done once is
never done again, and a file or an option that has changed makes another task.
"""

import glob
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import neurodyn
from neurodyn.cli.decode import MODEL_METHOD, check_methods
from neurodyn.cli.options import DecodeOptions, merge, parse_options
from neurodyn.cli.parsers import seed
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import names, number, read_yaml

KEYS = ("sessions", "methods", "settings", "seeds", "options", "resources")
"""Of a configuration."""
USUAL = "usual"
"""Name of the only setting where none are given."""
FORMAT = 1
"""Of a result; a later one makes other tasks."""
WITHOUT_SEED = ("ridge", "wiener", "cascade", "kalman")
"""Methods in which nothing is random: all their seeds are one task."""
BLOCK = 2**20
"""Bytes of a file that are hashed at a time."""


@dataclass(frozen=True)
class Session:
    """A recording: its name in the results, its file, and the hash of that file's bytes.

    Examples
    --------
    >>> from neurodyn.sweep import Session
    >>> Session("monkey 1", "data/monkey1.nwb", digest="9f2c").name
    'monkey 1'
    """

    name: str
    path: str
    digest: str


@dataclass(frozen=True)
class Task:
    """One fit and its score.

    Parameters
    ----------
    session
        What is decoded.
    setting
        Name of the options.
    options
        Of ``neurodyn decode``, with the seed.
    method
        As ``neurodyn decode --methods`` calls it.
    fold
        From 0.
    layout
        Hash of the layout's bytes, where the options name one.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.cli.options import DecodeOptions
    >>> session = nd.sweep.Session("day1", "day1.nwb", digest="9f2c")
    >>> task = nd.sweep.Task(session, "wide", DecodeOptions(), "ridge", fold=0)
    >>> task.name, len(task.key) > 8
    ('day1, wide, ridge, seed 0, fold 1', True)
    """

    session: Session
    setting: str
    options: DecodeOptions
    method: str
    fold: int
    layout: str = ""

    @cached_property
    def key(self) -> str:
        """Hash of everything that the result depends on; not of what things are called or where they lie."""
        options = {name: value for name, value in asdict(self.options).items() if name not in ("methods", "jobs")}
        options["layout"] = self.layout
        if self.method in WITHOUT_SEED:
            del options["seed"]
        parts = [FORMAT, neurodyn.__version__, self.session.digest, options, self.method, self.fold]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.session.name}, {self.setting}, {self.method}, seed {self.options.seed}, fold {self.fold + 1}"


@dataclass(frozen=True)
class Plan:
    """All tasks of a sweep, as a grid.

    Parameters
    ----------
    sessions, settings, methods, seeds
        The axes; ``settings`` has options by name. The report compares the first method with the others.
    resources
        What a task of a method asks of its worker, such as ``{"multiscale": {"GPU": 1}}``.
    layouts
        Hashes of the layouts that the settings name, by their paths.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.cli.options import DecodeOptions
    >>> sessions = (nd.sweep.Session("day1", "day1.nwb", digest="9f2c"),)
    >>> plan = nd.sweep.Plan(sessions, {"wide": DecodeOptions(folds=3)}, methods=("ridge", "gru"), seeds=(0, 1))
    >>> plan.folds, len(plan.tasks())
    (3, 12)
    """

    sessions: tuple[Session, ...]
    settings: Mapping[str, DecodeOptions]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)

    @property
    def folds(self) -> int:
        """Of every setting."""
        return next(iter(self.settings.values())).folds

    def layout_of(self, options: DecodeOptions) -> str:
        """Hash of the layout that options name; empty if they name none."""
        return self.layouts.get(options.layout or "", "")

    def tasks(self) -> list[Task]:
        """Every task; those of one session and setting behind one another, since a worker keeps its bins."""
        return self._tasks

    def place(self, task: Task) -> tuple[int, ...]:
        """Where a task stands on the axes: session, setting, method, seed, fold."""
        labels = (task.session.name, task.setting, task.method, task.options.seed, task.fold)
        return tuple(numbers[label] for numbers, label in zip(self._numbers, labels, strict=True))

    @cached_property
    def _tasks(self) -> list[Task]:
        return [
            Task(session, name, replace(options, seed=number), method, fold, self.layout_of(options))
            for session, (name, options) in itertools.product(self.sessions, self.settings.items())
            for number, fold, method in itertools.product(self.seeds, range(self.folds), self.methods)
        ]

    @cached_property
    def _numbers(self) -> tuple[dict[Any, int], ...]:
        """Of the labels of each axis."""
        axes = ([each.name for each in self.sessions], self.settings, self.methods, self.seeds, range(self.folds))
        return tuple({label: number for number, label in enumerate(labels)} for labels in axes)


def read_plan(path: Path) -> Plan:
    """Read and check a configuration; the files of all sessions are hashed, and none is opened.

    Parameters
    ----------
    path
        YAML file with ``sessions`` (files, or patterns like ``data/*.nwb``, relative to it), ``methods``, ``options``
        (of ``neurodyn decode``), ``settings`` (other options by name, each a variant that is swept), ``seeds`` and
        ``resources``.

    Raises
    ------
    InputError
        If the file cannot be read, a key, method or option is unknown or a value bad, or there is no session.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from neurodyn.sweep import read_plan
    >>> text = "{sessions: [day1.nwb], methods: [ridge], seeds: [0, 1], options: {target: [position], folds: 3}}"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "day1.nwb").write_bytes(b"not read here")
    ...     _ = pathlib.Path(folder, "sweep.yaml").write_text(text)
    ...     plan = read_plan(pathlib.Path(folder, "sweep.yaml"))
    >>> [session.name for session in plan.sessions], plan.methods, len(plan.tasks())
    (['day1'], ('ridge',), 6)
    """
    loaded = read_yaml(path, "configuration")
    if not isinstance(loaded, Mapping):
        raise InputError(f"'{path}' must hold 'key: value' lines, such as  sessions: [data/*.nwb]")
    for key in loaded:
        if key not in KEYS:
            raise unknown_name(f"key in '{path}'", str(key), KEYS)
    common = merge(_options(loaded.get("options"), path), {})
    methods = _names(loaded.get("methods") or list(DecodeOptions().methods), "methods", path)
    if len(set(methods)) < len(methods):
        raise InputError(f"'methods' in '{path}' name one twice: {', '.join(methods)}")
    common = replace(common, methods=tuple(dict.fromkeys((MODEL_METHOD, *methods))))
    check_methods(common)
    if not common.target:
        raise InputError(f"there is no target to decode: name one in '{path}', as in  options: {{target: [position]}}")
    settings = _settings(loaded.get("settings"), common, path)
    seeds = _seeds(loaded.get("seeds"), path)
    resources = _resources(loaded.get("resources"), methods, path)
    named = {each.layout for each in settings.values() if each.layout is not None}
    layouts = {layout: digest_of(Path(layout)) for layout in named}
    return Plan(_sessions(loaded.get("sessions"), path), settings, methods, seeds, resources, layouts)


def _sessions(given: Any, path: Path) -> tuple[Session, ...]:
    patterns = _names(given, "sessions", path) if given else ()
    if not patterns:
        raise InputError(f"there is nothing to decode: name files in '{path}', as in  sessions: [data/*.nwb]")
    files: dict[Path, None] = {}
    for pattern in patterns:
        found = [Path(each).resolve() for each in sorted(glob.glob(_pattern(path, pattern), recursive=True))]
        if not found:
            raise InputError(f"no file is called '{pattern}' beside '{path}'")
        files |= dict.fromkeys(found)
    stems = [file.stem for file in files]
    called = [file.stem if stems.count(file.stem) == 1 else f"{file.parent.name}/{file.stem}" for file in files]
    called = [name if called.count(name) == 1 else str(file) for name, file in zip(called, files, strict=True)]
    return tuple(Session(name, str(file), digest_of(file)) for name, file in zip(called, files, strict=True))


def _pattern(path: Path, pattern: str) -> str:
    """A pattern beside the configuration; whatever the folder is called, it is no pattern."""
    return str(Path(glob.escape(str(path.parent))) / pattern)


def _names(given: Any, key: str, path: Path) -> tuple[str, ...]:
    try:
        return names(given)
    except InputError as error:
        raise InputError(f"'{key}' in '{path}': {error}") from error


def digest_of(path: Path) -> str:
    """Hash of a file's bytes, or of the names and bytes of all files of a folder."""
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        try:
            if file != path:
                found.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while block := content.read(BLOCK):
                    found.update(block)
        except OSError as error:
            raise InputError(f"'{file}' cannot be read: {error.strerror or error}") from error
    return found.hexdigest()


def _options(given: Any, path: Path) -> dict[str, Any]:
    """Options of ``neurodyn decode``, parsed; a layout by its whole path, for workers run in folders of their own."""
    for name in ("methods", "seed", "jobs"):
        if isinstance(given, Mapping) and name in given:
            raise InputError(f"'{name}' is no option of a sweep: '{path}' has methods and seeds of its own")
    found = parse_options(given, path)
    if found.get("layout") is not None:
        found["layout"] = str(Path(found["layout"]).resolve())
    return found


def _settings(given: Any, common: DecodeOptions, path: Path) -> dict[str, DecodeOptions]:
    if given is None:
        return {USUAL: common}
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"'settings' in '{path}' must hold options by name, as in  settings: {{wide: {{width: 100ms}}}}"
        )
    if len({str(name) for name in given}) < len(given):
        raise InputError(f"two settings of '{path}' have the same name")
    found = {}
    for name, each in given.items():
        try:
            found[str(name)] = merge(vars(common), _options(each, path))
        except InputError as error:
            raise InputError(f"setting '{name}': {error}") from error
    if len({each.folds for each in found.values()}) > 1:
        raise InputError(f"all settings of '{path}' need as many folds: give folds under options")
    if len({each.target for each in found.values()}) > 1:
        raise InputError(f"all settings of '{path}' decode the same target: give target under options")
    return found


def _seeds(given: Any, path: Path) -> tuple[int, ...]:
    listed: Sequence[Any] = [0] if given is None else given if isinstance(given, list) else [given]
    try:
        seeds = tuple(seed(each) for each in listed)
    except InputError as error:
        raise InputError(f"'seeds' in '{path}': {error}") from error
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"'seeds' in '{path}' are different whole numbers, got {given!r}")
    return seeds


def _resources(given: Any, methods: Sequence[str], path: Path) -> dict[str, dict[str, float]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(each, Mapping) for each in given.values()):
        raise InputError(f"'resources' in '{path}' are by method, as in  resources: {{multiscale: {{GPU: 1}}}}")
    for method in given:
        if method not in methods:
            raise unknown_name(f"method under resources in '{path}'", str(method), methods)
    wrong = f"'resources' in '{path}' are numbers, as in  resources: {{multiscale: {{GPU: 1}}}}"
    return {str(method): {str(name): number(n, wrong) for name, n in each.items()} for method, each in given.items()}
