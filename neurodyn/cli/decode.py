"""``neurodyn decode FILE``: fit a decoder to a recording and show how well it decodes what was held out."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from neurodyn.baselines import BASELINES
from neurodyn.binning import (
    DEFAULT_BANDS,
    FEATURES,
    BandPower,
    Field,
    MultimodalBatch,
    SignalMean,
    Spikes,
    TargetOptions,
    time_folds,
    to_bins,
)
from neurodyn.binning.count_targets import without_counted
from neurodyn.binning.targets import target_sources
from neurodyn.cli import COMMANDS
from neurodyn.cli.options import DecodeOptions, add_options, merge, read_config
from neurodyn.cli.parsers import Subparsers
from neurodyn.cli.reading import add_reading_options, file_help, read_given
from neurodyn.cli.study import MULTIMODAL, Study, run_study
from neurodyn.errors import InputError, require_extras, unknown_name
from neurodyn.evaluation import Method
from neurodyn.recording import Intervals, Recording
from neurodyn.report import WITHOUT_TARGET, on_one

MOST_SAMPLES_RAW = 2.0
"""Samples of a field per bin up to which it is taken as it is: there are no oscillations to see in so few."""
MODEL = "model"
"""Folder of the saved model, below that of the study."""
MODEL_METHOD = "multiscale"
"""What ``--methods`` calls the model itself, on all modalities and on each alone."""
MODELS = (MODEL_METHOD, WITHOUT_TARGET)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("decode", help=COMMANDS["decode"])
    parser.add_argument("file", metavar="FILE", type=Path, help=file_help())
    add_reading_options(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for report.html, summary.json")
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML file with any of the options below")
    parser.add_argument(
        "--json", action="store_true", help="print the summary as JSON, nothing else, on standard output"
    )
    parser.add_argument(
        "--save-model", action="store_true", help="also fit to the whole recording, for neurodyn serve: DIR/model"
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, then fit, report and print."""
    config = {} if arguments.config is None else read_config(arguments.config)
    options = merge(config, vars(arguments))
    if not options.target:
        raise InputError("there is no target to decode: name one or more with --target, for example position")
    recording = read_given(arguments.file, options)
    study = build_study(recording, options)
    place = arguments.out / MODEL
    if arguments.save_model:
        _check_place(place)
    summary = run_study(study, arguments.out, console=Console(quiet=True) if arguments.json else None)
    if arguments.save_model:
        save_model(study, place)
    if arguments.json:
        print(json.dumps(summary, indent=2, allow_nan=False))
    elif arguments.save_model:
        print(f"model: {place}")
    return 0


def _check_place(place: Path) -> None:
    from neurodyn.training.store import may_hold_model

    if place.exists() and not (place.is_dir() and may_hold_model(place)):
        raise InputError(f"'{place}' is there already and is no model: choose another folder with --out")


def save_model(study: Study, place: Path) -> None:
    """Fit the richest model once more, to all of the data, and write it to a folder.

    No held-out score belongs to this very fit; those of the folds are what to expect of it.
    """
    from neurodyn.multiscale import MultiscaleDecoder

    decoder = next(method.decoder for method in study.methods if method.stream)
    assert isinstance(decoder, MultiscaleDecoder)
    replace(decoder, progress=True).fit(study.batch).save(place)


def build_study(recording: Recording, options: DecodeOptions) -> Study:
    """Bins, folds and methods for a recording; nothing is fitted or written.

    Raises
    ------
    InputError
        For everything about the recording or the options that makes decoding impossible.
    """
    check_methods(options)
    _check_anything(recording)
    target_sources(recording, options.target)  # what is wrong with the target is told first
    modalities = chosen_modalities(without_counted(recording, options.target, options.modalities or ()), options)
    batch = to_bins(
        recording,
        width=options.width,
        modalities=modalities,
        target=options.target,
        interval=chosen_interval(recording, options),
        target_options=TargetOptions(smoothing=options.smoothing),
    )
    folds = time_folds(batch, options.folds, gap=options.gap, lead_in=options.lead_in)
    return Study(
        title=recording.name,
        batch=batch,
        folds=tuple(folds),
        methods=methods_of(batch, options),
        seed=options.seed,
        jobs=options.jobs,
        settings=_settings(options, modalities),
    )


def chosen_modalities(recording: Recording, options: DecodeOptions) -> list[Spikes | Field]:
    """What the decoder sees: the modalities named, or spikes and the field where there is one.

    A modality is called 'spikes' or 'field' when it is the only one of its kind, else by the name it has in the file.
    """
    asked = options.modalities or _all_there_is(recording)
    sources = [_source(recording, name) for name in asked]
    if len(set(sources)) < len(sources):
        raise InputError(f"modalities name the same data twice: {', '.join(asked)}")
    kinds = [kind for kind, _ in sources]
    result: list[Spikes | Field] = []
    for kind, source in sources:
        name = kind if kinds.count(kind) == 1 else source
        if name in (MULTIMODAL, WITHOUT_TARGET, *BASELINES):
            raise InputError(f"a modality cannot be called '{name}', which is the name of a method: rename the series")
        if kind == "spikes":
            result.append(Spikes(name, source))
        else:
            result.append(_field(recording, name, source, options))
    return result


def _field(recording: Recording, name: str, source: str, options: DecodeOptions) -> Field:
    """A field with the feature asked for, band powers if none was.

    Raises
    ------
    InputError
        If bands were asked for as well, and the feature has none.
    """
    if options.feature is None or FEATURES[options.feature] is BandPower:
        return Field(name, source, bands=_bands(recording, source, options), width=options.field_width)
    if options.bands:
        raise InputError(f"--bands are of band_power, and --feature says {options.feature}: give one of the two")
    return Field(name, source, bands=None, width=options.field_width, feature=FEATURES[options.feature]())


def chosen_interval(recording: Recording, options: DecodeOptions) -> str | tuple[float, float] | Intervals | None:
    """Which part of the recording: rows of a table where there is a condition for them.

    Raises
    ------
    InputError
        If the condition has no table, or holds for none of its rows.
    """
    if options.where is None:
        return options.interval
    if isinstance(options.interval, tuple):
        raise InputError("--where chooses rows of a table of intervals: name the table with --interval, not seconds")
    if options.interval is None and "trials" not in recording.intervals:
        tables = ", ".join(sorted(recording.intervals)) or "no table of intervals"
        raise InputError(
            f"--where chooses rows of the table 'trials', which recording '{recording.name}' lacks; it has {tables}:"
            " name the table with --interval"
        )
    return recording.find_intervals(options.interval or "trials").where(options.where)


def _check_anything(recording: Recording) -> None:
    """Refuse a recording that has nothing to decode from.

    Raises
    ------
    InputError
        If it has neither spikes nor a field.
    """
    if recording.spikes or recording.counts or recording.fields:
        return
    recording.check_usable(None, "spikes", "counts")
    recording.check_usable(None, "fields")
    there = [*recording.behaviour, *recording.intervals, *(f"{n} {kind}" for kind, n in recording.unread.items())]
    raise InputError(
        f"recording '{recording.name}' has neither spikes nor a field potential to decode from; it has "
        f"{', '.join(there) or 'nothing that is read'}"
    )


def _all_there_is(recording: Recording) -> tuple[str, ...]:
    """Spikes, and the field where there is one; what is not clear is left to the user.

    Raises
    ------
    InputError
        If there are no spikes, or more than one field.
    """
    _check_anything(recording)
    groups, fields = [*recording.spikes, *recording.counts], list(recording.fields)
    if not groups:
        recording.check_usable(None, "spikes", "counts")
    if not groups:
        raise InputError(
            f"recording '{recording.name}' has no units: to decode from the field alone say  --modalities "
            f"{'field' if len(fields) == 1 else ','.join(fields)}"
        )
    spikes = ("spikes",) if len(groups) == 1 or "spikes" in groups else ()
    if len(fields) > 1 or not spikes:
        several = "field" if spikes else "group of units"
        raise InputError(
            f"recording '{recording.name}' has more than one {several} ({', '.join(fields if spikes else groups)}): "
            f"choose with  --modalities, for example  --modalities {','.join((*(spikes or groups[:1]), *fields[:1]))}"
        )
    return (*spikes, "field") if fields else spikes


def _bands(recording: Recording, source: str, options: DecodeOptions) -> tuple[tuple[float, float], ...] | None:
    """Bands of a field; unless asked for, the usual ones that its rate allows.

    None for the signal itself, which it also is where it has only a sample or two per bin, or is too slow for bands.
    """
    if options.bands is not None:
        return options.bands or None
    rate = recording.field(source).typical_rate
    if rate * options.width <= MOST_SAMPLES_RAW:
        return None
    return tuple(band for band in DEFAULT_BANDS if band[1] < rate / 2) or None


def check_methods(options: DecodeOptions) -> None:
    """Refuse names of methods that there are not.

    Raises
    ------
    InputError
        If there is no such method, or the model itself is not among them.
    MissingExtraError
        If a method needs an optional package that is not installed.
    """
    for name in options.methods:
        if name not in (*MODELS, *BASELINES):
            raise unknown_name("method", name, (*MODELS, *BASELINES))
    rows = [BASELINES[name] for name in options.methods if name in BASELINES]
    require_extras({module: extra for row in rows for module, extra in row.needs.items()})
    if MODEL_METHOD not in options.methods:
        raise InputError(
            f"--methods needs '{MODEL_METHOD}' among them: the report streams it, and compares the others with it; in"
            " Python, cross_validate(...) takes any methods"
        )


def methods_of(batch: MultimodalBatch, options: DecodeOptions) -> tuple[Method, ...]:
    """All modalities together, each alone, and the baselines."""
    from neurodyn.multiscale import MultiscaleDecoder

    model = MultiscaleDecoder(progress=False)
    if options.latent is not None:
        model = replace(model, latent=options.latent)
    training = replace(model.training, seed=options.seed)
    if options.epochs is not None:
        training = replace(training, epochs=options.epochs)
    model = replace(model, training=training, choose=options.choose)
    recurrent = model.recurrent_config()
    baselines = {name: row.make(recurrent) for name, row in BASELINES.items() if name in options.methods}
    if WITHOUT_TARGET in options.methods:
        baselines = {WITHOUT_TARGET: model.without_target(), **baselines}
    return comparison(batch.names, model, baselines)


def comparison(names: Sequence[str], model: Any, baselines: Mapping[str, Any]) -> tuple[Method, ...]:
    """The methods of a study, the slowest first; the richest model is the one that is streamed.

    Baselines that cost little are also fitted to each modality alone.

    Parameters
    ----------
    names
        Of the modalities.
    model
        The decoder, not fitted.
    baselines
        Estimators, not fitted, by their names in `neurodyn.baselines.BASELINES`; and the model without the target.
    """
    single = tuple(Method(name, model, (name,), stream=len(names) == 1) for name in names)
    together = (Method(MULTIMODAL, model, tuple(names), stream=True),) if len(names) > 1 else ()
    on_all = tuple(Method(baseline, decoder, tuple(names)) for baseline, decoder in baselines.items())
    alone = tuple(
        Method(on_one(baseline, name), decoder, (name,))
        for baseline, decoder in baselines.items()
        if baseline in BASELINES and BASELINES[baseline].alone and len(names) > 1
        for name in names
    )
    return (*together, *single, *on_all, *alone)


def _source(recording: Recording, name: str) -> tuple[str, str]:
    """Kind of a modality and the name of its data in the recording."""
    if name in recording.fields:
        return "field", name
    if name in recording.spikes or name in recording.counts:
        return "spikes", name
    recording.check_usable(name)
    if name == "field":
        if len(recording.fields) > 1:
            raise InputError(
                f"recording '{recording.name}' has more than one field ({', '.join(recording.fields)}):"
                f" name them in  --modalities, for example  --modalities {next(iter(recording.fields))}"
            )
        return "field", recording.field().name
    if name == "spikes":
        groups = [*recording.spikes, *recording.counts]
        return "spikes", groups[0] if len(groups) == 1 else recording.spike_trains("spikes").name
    raise unknown_name("modality", name, {"spikes", "field", *recording.spikes, *recording.counts, *recording.fields})


def _settings(options: DecodeOptions, modalities: Sequence[Spikes | Field]) -> dict[str, str]:
    """Options as a reader of the report wants to see them."""
    fields = [modality for modality in modalities if isinstance(modality, Field)]
    made = dict.fromkeys(modality.made for modality in fields)
    bands = dict.fromkeys(band for one in made if isinstance(one, BandPower) for band in one.bands)
    others = ", ".join(one.label for one in made if not isinstance(one, BandPower | SignalMean)) or "raw"
    shown = {
        "target": ", ".join(options.target),
        "smoothing of the target": f"{1e3 * options.smoothing:g} ms" if options.smoothing else "none",
        "bin width": f"{1e3 * options.width:g} ms",
        "field": " ".join(f"{low:g}-{high:g}" for low, high in bands) + " Hz log power" if bands else others,
        "field sample": "every bin" if options.field_width is None else f"{1e3 * options.field_width:g} ms",
        "interval": _interval_text(options.interval or ("trials" if options.where else None))
        + (f" where {options.where}" if options.where else ""),
        "folds": f"{options.folds} in order of time, {options.gap:g} s gaps, {options.lead_in:g} s of context",
    }
    if options.choose is not None:
        shown["sizes"] = f"chosen in {options.choose:g} s inside each training part"
    return shown


def _interval_text(interval: str | tuple[float, float] | None) -> str:
    if interval is None:
        return "whole recording"
    return interval if isinstance(interval, str) else f"{interval[0]:g} to {interval[1]:g} s"
