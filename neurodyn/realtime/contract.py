"""What benchmarks of brain-computer interfaces call a decoder by."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from neurodyn.display import listed
from neurodyn.errors import InputError
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.freezable import Freezable, runner_of
from neurodyn.realtime.runner import Frozen, Runner

Model = RealtimeDecoder | Freezable | Frozen


class BenchmarkDecoder:
    """A decoder of several recordings at once, as the evaluator of the FALCON challenge takes it.

    Arrays are (recording, channel): one row per recording, the channels of all modalities side by side in the order of
    the modality table; NaN is missing. Every row has its own state; tables of gains are shared. The last batch of a
    benchmark may have fewer rows than the others.

    Parameters
    ----------
    model
        A live decoder (``model.realtime()``), whose state is not touched, or what one is made of. For several sessions
        a model each: by what the tags of its recordings have in their name.
    batch_size
        Largest number of recordings decoded at once.

    Raises
    ------
    InputError
        If the batch has no recording, or a model's numbers make no decoder, or those of the sessions have other
        channels or targets.

    Reference: Karpowicz et al. (2024), Few-shot algorithms for consistent neural decoding (FALCON) benchmark, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import BenchmarkDecoder
    >>> from neurodyn.realtime.follower import follower
    >>> decoder = BenchmarkDecoder(follower(["x", "y"]), batch_size=2)  # made by hand; or a fitted model's realtime()
    >>> decoder.reset(dataset_tags=["monday", "tuesday"])
    >>> decoder.predict(np.array([[1.0, -2.0], [3.0, 0.0]])).tolist()
    [[0.5, -1.0], [1.5, 0.0]]
    """

    def __init__(self, model: Model | Mapping[str, Model], *, batch_size: int = 1) -> None:
        models = dict(model) if isinstance(model, Mapping) else {"": model}
        if not models:
            raise InputError("there is no model: give one, or one per session by name")
        self._models = {name: _runner(one) for name, one in models.items()}
        first = next(iter(self._models.values()))
        edges = np.cumsum([0, *(m.channels for m in first.modalities)]).tolist()
        self._columns = {m.name: slice(a, b) for m, a, b in zip(first.modalities, edges[:-1], edges[1:], strict=True)}
        self._channels = edges[-1]
        for name, one in self._models.items():
            for what in ("channel_names", "target_names"):
                if one.frozen.settings[what] != first.frozen.settings[what]:
                    raise InputError(f"the model of session '{name}' has other {what.replace('_', ' ')} than the first")
        self.tags: tuple[str, ...] = ()
        self.set_batch_size(batch_size)

    def set_batch_size(self, batch_size: int) -> None:
        """Have so many rows at most; what they had seen is forgotten.

        Raises
        ------
        InputError
            If it is less than one.
        """
        if batch_size < 1:
            raise InputError(f"the batch must have at least one recording, got {batch_size}")
        self.batch_size = batch_size
        first = next(iter(self._models.values()))
        self._rows = [first.fork() for _ in range(batch_size)]

    def reset(self, dataset_tags: Sequence[str | Path] = ()) -> None:
        """Start new recordings in all rows.

        Parameters
        ----------
        dataset_tags
            Which recording each row is; where sessions have models of their own, it says which one decodes.

        Raises
        ------
        InputError
            If a tag is of no session, or of several, or there are more tags than rows.
        """
        tags = tuple(str(tag) for tag in dataset_tags)
        if len(tags) > self.batch_size:
            raise InputError(f"there are {len(tags)} tags, and the batch has {self.batch_size} recordings at most")
        chosen = [self._model_of(tag) for tag in tags]
        self.tags = tags
        for place, model in enumerate(chosen):
            if self._rows[place].frozen is not model.frozen:
                self._rows[place] = model.fork()
        for row in self._rows:
            row.reset()

    def predict(self, observations: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "recording dim"]:
        """Take in one bin of each recording and return the decoded target of each.

        Parameters
        ----------
        observations
            (recording, channel), counts or field features.

        Raises
        ------
        InputError
            If the array has another shape; no state has changed then.
        """
        self._check(observations)
        rows = zip(self._rows, observations, strict=False)
        return np.stack([row.step(self._split(values)).target for row, values in rows])

    def observe(self, observations: Shaped[np.ndarray, "..."]) -> None:
        """Take in one bin of each recording whose target is not asked for."""
        self.predict(observations)

    def on_done(self, dones: Shaped[np.ndarray, "..."]) -> None:
        """Start afresh the rows whose trial has ended."""
        if np.ndim(dones) != 1 or not 1 <= len(dones) <= self.batch_size:
            raise InputError(f"dones needs one entry per recording ({self.batch_size}), got shape {np.shape(dones)}")
        for row, done in zip(self._rows, np.asarray(dones, np.bool_).tolist(), strict=False):
            if done:
                row.reset()

    def _model_of(self, tag: str) -> Runner:
        """The only model, or that of the session a recording is of."""
        if set(self._models) == {""}:
            return self._models[""]
        if tag in self._models:
            return self._models[tag]
        found = [name for name in self._models if name in tag]
        if len(found) != 1:
            what = "no session" if not found else f"the sessions {listed(found)}"
            raise InputError(f"recording '{tag}' is of {what}, of those there are a model for: {listed(self._models)}")
        return self._models[found[0]]

    def _check(self, observations: np.ndarray) -> None:
        shape = np.shape(observations)
        if len(shape) != 2 or not 1 <= shape[0] <= self.batch_size or shape[1] != self._channels:
            expected = (self.batch_size, self._channels)
            raise InputError(f"observations must be (batch, channels) = {expected}, got {shape}")

    def _split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[columns] for name, columns in self._columns.items()}


def _runner(model: Model) -> Runner:
    return Runner(model.runner.frozen) if isinstance(model, RealtimeDecoder) else runner_of(model)
