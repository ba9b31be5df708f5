"""File names made from names that people, datasets and models chose."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

from safebasin.errors import RunError
from safebasin.run import strictjson
from safebasin.run.provenance import redact_json
from safebasin.terminal import shorten

RUNS = Path("runs")
"""Where the runs lie whose folder is not given."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,=+-]{0,199}")


def digest(data: bytes, length: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:length]


def slug(name: str) -> str:
    """A file name that is safe everywhere and differs whenever the name differs."""
    unique = digest(name.encode("utf-8", "surrogatepass"), 8)
    return f"{_words(name)[:60]}-{unique}".lstrip("-")


def default_name(label: str, identity: Mapping[str, object], axes: int) -> str:
    """The run name that the same command always finds again.

    Args:
        label: What people call the model, such as its repository id.
        identity: The manifest's identity; another one gives another name.
        axes: How many axes the widest plane has.
    """
    return _of_model(label, axes) + digest(canonical(identity).encode(), 8)


def may_be_begun(label: str, planes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any run of this model, of so many axes, has its `default_folder` here."""
    return any(RUNS.glob(f"{_of_model(label, _axes(planes))}*"))


def default_folder(label: str, identity: Mapping[str, Any]) -> Path:
    """`runs/<name>` for a run of this identity; the same identity always gives the same folder.

    On which day a chat template that asks for the date was told it does not matter: the same
    command goes on in the same folder tomorrow.
    """
    plain = redact_json(_undated(identity))
    axes = _axes(identity.get("planes", ()))
    return RUNS / default_name(label, cast(Mapping[str, Any], plain), axes)


def _axes(planes: Sequence[Mapping[str, Any]]) -> int:
    return max((len(plane["axes"]) for plane in planes), default=0)


def _of_model(label: str, axes: int) -> str:
    """What the names of all runs of a model begin with."""
    words = _words(label.rstrip("/").rsplit("/", 1)[-1]).lower()[:60] or "model"
    return f"{words}-{axes}d-"


def _undated(value: Any) -> Any:
    match value:
        case {"template": {"date": _, **rest}, **others}:
            return {**{name: _undated(one) for name, one in others.items()}, "template": rest}
        case Mapping():
            return {name: _undated(one) for name, one in value.items()}
        case list() | tuple():
            return [_undated(one) for one in value]
    return value


def canonical(value: object) -> str:
    """One text for equal JSON values, whatever the order of their names."""
    return strictjson.dumps(_ordered(strictjson.loads(strictjson.dumps(value).encode())))


def inner_path(name: str) -> PurePosixPath:
    """A relative path such as `figures/line.svg` that cannot leave the folder it is put in.

    Raises:
        RunError: The name is absolute, climbs, is hidden, or holds unusual characters.
    """
    parts = name.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise RunError(
            f"'{shorten(name)}' cannot name a file in a run folder.",
            "Use letters, digits, '.', '_' and '-', and '/' between folders.",
        )
    return PurePosixPath(*parts)


def _words(text: str) -> str:
    return re.sub("[^A-Za-z0-9._]+", "-", text).strip("-._")


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value
