"""How a checkpoint is named, and where what is named lies on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from safebasin.checkpoint.gguf.description import describe
from safebasin.checkpoint.gguf.files import local_file
from safebasin.checkpoint.sources import is_there, locate
from safebasin.errors import UsageError

TESTBED = "testbed:"


class Named(NamedTuple):
    """What a name says: a base and an adapter, each with its revision."""

    base: str
    adapter: str | None
    revision: str | None
    adapter_revision: str | None


def named(text: str) -> Named:
    """Read `base[@revision][+adapter[@revision]]`.

    An existing local path wins over any reading of `+` and `@` in it. Raises UsageError where
    a part is empty or a local folder is given a revision.
    """
    readings = [(text, None), *((text[:i], text[i + 1 :]) for i in _positions(text, "+"))]
    # The first reading of those in which most parts exist; a whole that exists comes first.
    known = [sum(part is not None and _exists(part) for part in parts) for parts in readings]
    if known[0] or len(readings) == 1:
        base, adapter = readings[0]
    else:
        base, adapter = readings[1:][max(range(len(known) - 1), key=lambda i: known[i + 1])]
    base, revision = _split_revision(base)
    adapter_revision = None
    if adapter is not None:
        adapter, adapter_revision = _split_revision(adapter)
    if not base or adapter == "" or "" in (revision, adapter_revision):
        raise UsageError(
            f"'{text}' does not name a model.", "Write BASE[@REVISION][+ADAPTER[@REVISION]]."
        )
    for part, at in ((base, revision), (adapter, adapter_revision)):
        if part and at and is_here(part):
            raise UsageError(
                f"'{part}' is on this machine and has no revision '{at}'.", "Leave it out."
            )
    return Named(base, adapter, revision, adapter_revision)


def is_here(name: str) -> bool:
    """Whether what is named so is on this machine, packaged models included."""
    return is_there(name) or name.startswith(TESTBED)


def folder_of(name: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The folder of a packaged model, or where `locate` finds another."""
    if name.startswith(TESTBED):
        from safebasin import testbed

        return Path(testbed.model_path(name.removeprefix(TESTBED)))
    found = locate(name, revision, code=code)
    file = local_file(found)
    return found if file is None else describe(file)


def _positions(text: str, mark: str) -> list[int]:
    return [i for i, character in enumerate(text) if character == mark]


def _exists(part: str) -> bool:
    base, revision = _split_revision(part)
    return revision is None and bool(base) and is_there(base)


def _split_revision(part: str) -> tuple[str, str | None]:
    if "@" not in part or is_there(part):
        return part, None
    base, _, revision = part.rpartition("@")
    return base, revision
