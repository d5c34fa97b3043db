"""Settings of a frozen estimator by name, as scikit-learn asks for them, without needing it."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from neurodyn.errors import unknown_name

Settings = TypeVar("Settings", bound="HasParameters")


class HasParameters:
    """Parameters by name, for a frozen dataclass whose fields without a trailing underscore are its settings.

    Examples
    --------
    >>> import neurodyn as nd
    >>> ridge = nd.CausalRidge()
    >>> ridge.get_params()["smoothed"], ridge.set_params(blocks=4).blocks
    (True, 4)
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name.

        Parameters
        ----------
        deep
            Whether the entries of settings that are configurations themselves are listed too, as ``training__seed``.

        Returns
        -------
        What the class takes to make an equal, unfitted one; with ``deep`` more than that.
        """
        return _parameters(self, deep)

    def set_params(self: Settings, **parameters: Any) -> Settings:
        """An unfitted copy with other settings; ``training__seed=1`` changes one entry of a configuration.

        Raises
        ------
        InputError
            If there is no such setting.
        """
        fitted: dict[str, Any] = {each.name: None for each in fields(self) if each.name.endswith("_")}  # type: ignore[arg-type]
        return replace(_with_parameters(self, parameters), **fitted)


def _parameters(settings: Any, deep: bool) -> dict[str, Any]:
    found = {each.name: getattr(settings, each.name) for each in fields(settings) if not each.name.endswith("_")}
    if not deep:
        return found
    nested = {
        f"{name}__{inner}": entry
        for name, value in found.items()
        if is_dataclass(value)
        for inner, entry in _parameters(value, True).items()
    }
    return found | nested


def _with_parameters(settings: Any, parameters: dict[str, Any]) -> Any:
    """A copy of a dataclass with other entries, those of dataclasses inside it too."""
    known = _parameters(settings, False)
    changes: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in parameters.items():
        name, _, rest = key.partition("__")
        if name not in known or (rest and not is_dataclass(known[name])):
            raise unknown_name("setting", key, _parameters(settings, True))
        if rest:
            inner.setdefault(name, {})[rest] = value
        else:
            changes[name] = value
    for name, entries in inner.items():
        changes[name] = _with_parameters(changes.get(name, known[name]), entries)
    return replace(settings, **changes)
