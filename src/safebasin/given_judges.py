"""Judges as settings give them: by name, as an object, or as a file tells of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from safebasin.errors import UsageError


@runtime_checkable
class GivenJudge(Protocol):
    """What settings know of a judge that is an object; `safebasin.judges.Judge` is the whole."""

    @property
    def name(self) -> str: ...

    def spec(self) -> Mapping[str, object]: ...


@dataclass(frozen=True)
class RecordedJudge:
    """A judge as settings in a file tell of it.

    `given` is the name or the import path that leads to it; None for one that was an object, of
    which `stored` is the specification.
    """

    name: str
    given: str | None = None
    stored: Mapping[str, object] | None = None

    def spec(self) -> Mapping[str, object]:
        return self.stored or {}


def require_several(judges: object) -> None:
    """Raises UsageError for a judge that stands where judges are expected."""
    if isinstance(judges, str) or not isinstance(judges, Sequence):
        raise UsageError(
            f"The judges are one {type(judges).__name__}.",
            "Give several, or one, as in judges=(my_judge,).",
        )


def judge_to_json(judge: str | GivenJudge) -> str | dict[str, Any]:
    """The JSON value of a judge: its name, or an object with what it is rebuilt from."""
    if isinstance(judge, str):
        return judge
    if isinstance(judge, RecordedJudge) and judge.given is not None:
        return {"name": judge.name, "given": judge.given}
    return {"name": judge.name, "spec": dict(judge.spec())}


def judges_from_json(value: object) -> tuple[str | GivenJudge, ...]:
    """The judges that a settings' file tells of. Raises UsageError for what is no judge."""
    if not isinstance(value, list | tuple):
        raise UsageError("The configuration's 'judges' is no list.", "Give a list of names.")
    return tuple(_judge_from_json(item, i) for i, item in enumerate(value))


def _judge_from_json(value: object, index: int) -> str | GivenJudge:
    match value:
        case str() | GivenJudge():
            return value
        case {"name": str(), "given": str(given)}:
            return given
        case {"name": str(name), "spec": dict(spec)}:
            return RecordedJudge(name, stored=spec)
    raise UsageError(
        f"The configuration's 'judges.{index}' is wrong: it is no judge.",
        "Give its name, or an object with its name and spec.",
    )
