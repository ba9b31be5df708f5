"""A checkpoint as what it is made of, for what asks only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Parts(Protocol):
    """A base and, maybe, an adapter over it; `Checkpoint` says what each is."""

    @property
    def base(self) -> str: ...
    @property
    def adapter(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def trust_remote_code(self) -> bool: ...
    @property
    def folders(self) -> tuple[Path, Path | None]: ...
    def config(self) -> Any: ...
