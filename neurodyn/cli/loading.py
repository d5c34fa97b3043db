"""A fitted decoder from a file, saved or exported, for commands that decode live."""

from pathlib import Path
from typing import Any

from neurodyn.binning.modality import Modality
from neurodyn.errors import InputError
from neurodyn.realtime import RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of


def load_decoder(path: Path, **settings: Any) -> tuple[RealtimeDecoder, tuple[Modality, ...]]:
    """Live decoder and its table of modalities, from a saved or an exported model.

    Parameters
    ----------
    path
        What ``model.save()`` or ``model.export()`` wrote.
    settings
        Of the `RealtimeDecoder`: ``output``, ``intervals``, ``recalibration``.

    Raises
    ------
    InputError
        If the file is neither.
    """
    if not path.exists():
        raise InputError(f"there is no model '{path}': give what model.save() or model.export() wrote")
    if path.suffix == ".npz":
        decoder = RealtimeDecoder.load(path, **settings)
        return decoder, modalities_of(decoder)
    from neurodyn.multiscale import MultiscaleDecoder

    fitted = MultiscaleDecoder.load(path).fitted_
    assert fitted is not None
    return RealtimeDecoder(fitted, **settings), fitted.modalities
