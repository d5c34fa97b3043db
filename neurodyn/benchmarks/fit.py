"""Seconds to a decoder, and how well it decodes, next to a GRU that a student writes in PyTorch and to causal ridge.

All methods see the same bins, the same training part and the same last part of the recording, in this process, one
after the other, each with everything that it needs to decode: compiling included. The student's GRU is 128 units on
z-scored inputs, dropout 0.3, windows of 100 bins in batches of 32, Adam with 2e-3, and early stopping on the last sixth
of the training part.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.errors import import_extra, unknown_name

if TYPE_CHECKING:
    from neurodyn.binning import Fold, MultimodalBatch

STUDENT = "gru (PyTorch)"
MOST = 1.5
"""Times the student's seconds that the multiscale decoder may take."""
EPOCH_WINDOWS = 640
"""Windows between two validations of the student's GRU."""
PATIENCE = 8
"""Validations without improvement before it stops."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    parser.add_argument("--file", type=Path, metavar="FILE", help="recording (simulated foraging if left out)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with options of neurodyn decode")
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", default=list(METHODS), help=f"of {', '.join(METHODS)} (default all)"
    )
    parser.add_argument("--epochs", type=int, default=None, metavar="N", help="bound on all trainings, for a short run")
    parser.add_argument("--seconds", type=float, default=600.0, help="of simulated data (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default %(default)s)")


def run(arguments: argparse.Namespace) -> Report:
    """Fit every method on the first four fifths and score it on the last one."""
    for name in arguments.methods:
        if name not in METHODS:
            raise unknown_name("method", name, tuple(METHODS))
    if "student" in arguments.methods:
        import_extra("torch", "bench")
    fold = _last_fold(arguments)
    rows = [_measure(name, fold, arguments) for name in arguments.methods]
    seconds = {row.name: row.seconds for row in rows}
    if STUDENT in seconds:
        rows = [row if row.name == STUDENT else _against(row, seconds[STUDENT]) for row in rows]
    return Report("fit", tuple(rows), machine(), _targets(seconds))


def _last_fold(arguments: argparse.Namespace) -> "Fold":
    """The last of five time-ordered folds."""
    from neurodyn.binning import time_folds
    from neurodyn.cli.decode import build_study
    from neurodyn.cli.options import merge, read_config
    from neurodyn.cli.reading import read_given

    config = {} if arguments.config is None else read_config(arguments.config)
    if arguments.file is None:
        from neurodyn.simulation import ForagingSettings, simulate_foraging

        recording = simulate_foraging(ForagingSettings(seconds=arguments.seconds, units=40), seed=arguments.seed)
        config = {"target": ("position",)} | config
    else:
        recording = read_given(arguments.file, merge(config, {}))
    batch = build_study(recording, merge(config, {})).batch
    return time_folds(batch, 5, gap=2.0, lead_in=10.0)[-1]


def _measure(name: str, fold: "Fold", arguments: argparse.Namespace) -> Measurement:
    from neurodyn.evaluation.metrics import r2

    begin = time.perf_counter()
    predict = METHODS[name](fold.train, arguments)
    seconds = time.perf_counter() - begin
    stacked = fold.test.stacked(observations=False)
    scored = stacked.scored()
    score = float(r2(stacked.target[scored], predict(fold.test)[scored]).mean())
    channels = sum(modality.n_channels for modality in fold.train.modalities)
    sizes: dict[str, int | float | str] = {"bins": fold.train.n_bins, "channels": channels}
    label = STUDENT if name == "student" else name
    return Measurement(label, sizes, seconds, notes={"R2 of the last fifth": score})


def _against(row: Measurement, seconds: float) -> Measurement:
    return Measurement(
        name=row.name, sizes=row.sizes, seconds=row.seconds, spread=row.spread, baseline=STUDENT,
        ratio=seconds / row.seconds, notes=row.notes,
    )  # fmt: skip


def _targets(seconds: dict[str, float]) -> dict[str, str]:
    if STUDENT not in seconds or "multiscale" not in seconds:
        return {}
    ratio = seconds["multiscale"] / seconds[STUDENT]
    verdict = "reached" if ratio <= MOST else "missed"
    return {f"multiscale decoder in at most {MOST:g} x the seconds of the student's GRU": f"{ratio:.2f}: {verdict}"}


Predict = Callable[["MultimodalBatch"], np.ndarray]


def _ridge(train: "MultimodalBatch", arguments: argparse.Namespace) -> Predict:
    from neurodyn.baselines import CausalRidge

    fitted = CausalRidge(smoothed=False).fit(train)
    return lambda batch: fitted.predict(batch)["target"].to_numpy()


def _gru(train: "MultimodalBatch", arguments: argparse.Namespace) -> Predict:
    from dataclasses import replace

    from neurodyn.baselines import CausalGru

    course = _model(arguments).recurrent_config()
    assert course is not None
    fitted = CausalGru(replace(course, members=1), progress=False).fit(train)
    return lambda batch: fitted.predict(batch)["target"].to_numpy()


def _multiscale(train: "MultimodalBatch", arguments: argparse.Namespace) -> Predict:
    fitted = _model(arguments).fit(train)
    return lambda batch: fitted.predict(batch)["target"].to_numpy()


def _model(arguments: argparse.Namespace) -> Any:
    from dataclasses import replace

    from neurodyn.multiscale import MultiscaleDecoder

    model = MultiscaleDecoder(progress=False)
    training = replace(model.training, seed=arguments.seed, epochs=arguments.epochs or model.training.epochs)
    return replace(model, training=training)


def _student(train: "MultimodalBatch", arguments: argparse.Namespace) -> Predict:
    """Train a GRU in PyTorch as a student would."""
    torch: Any = import_extra("torch", "bench")
    torch.manual_seed(arguments.seed)
    stacked, generator = train.stacked(), np.random.default_rng(arguments.seed)
    inputs, target = _z_scored(stacked, train.names), stacked.target
    scored = stacked.scored()
    centre, scale = target[scored].mean(axis=0), target[scored].std(axis=0)
    mean, deviation = inputs[stacked.valid].mean(axis=0), inputs[stacked.valid].std(axis=0)
    deviation[deviation == 0] = 1
    x = torch.as_tensor((inputs - mean) / deviation, dtype=torch.float32)
    y = torch.as_tensor((target - centre) / scale, dtype=torch.float32)
    counted = torch.as_tensor(scored)
    gru = torch.nn.GRU(x.shape[2], 128, batch_first=True)
    out, drop = torch.nn.Linear(128, y.shape[2]), torch.nn.Dropout(0.3)
    parameters = [*gru.parameters(), *out.parameters()]
    adam, best = torch.optim.Adam(parameters, lr=2e-3), (np.inf, [p.detach().clone() for p in parameters])
    split, since = int(x.shape[1] * 5 / 6), 0
    window = min(100, split)
    while since < PATIENCE:
        for _ in range(EPOCH_WINDOWS // 32 if arguments.epochs is None else 1):
            trial = generator.integers(0, len(x), 32)
            first = generator.integers(0, split - window + 1, 32)
            index = first[:, None] + np.arange(window)
            part, weight = x[trial[:, None], index], counted[trial[:, None], index]
            error = (out(drop(gru(drop(part))[0])) - y[trial[:, None], index]) ** 2
            loss = (error.mean(-1) * weight).sum() / weight.sum().clamp(min=1)
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            adam.step()
        with torch.no_grad():
            held = ((out(gru(x)[0]) - y) ** 2).mean(-1)[:, split:][counted[:, split:]].mean().item()
        since = since + 1 if held >= best[0] else 0
        if held < best[0]:
            best = held, [p.detach().clone() for p in parameters]
        if arguments.epochs is not None:
            break
    with torch.no_grad():
        for parameter, kept in zip(parameters, best[1], strict=True):
            parameter.copy_(kept)

    def predict(batch: "MultimodalBatch") -> np.ndarray:
        given = (_z_scored(batch.stacked(), batch.names) - mean) / deviation
        with torch.no_grad():
            return out(gru(torch.as_tensor(given, dtype=torch.float32))[0]).numpy() * scale + centre

    return predict


def _z_scored(stacked: Any, names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([stacked.observations[name] for name in names], axis=2)


METHODS: dict[str, Callable[["MultimodalBatch", argparse.Namespace], Predict]] = {
    "student": _student,
    "ridge": _ridge,
    "gru": _gru,
    "multiscale": _multiscale,
}
"""What can be fitted, by the name on the command line."""
