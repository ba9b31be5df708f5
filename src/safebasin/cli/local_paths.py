"""Commands whose paths are those of a file system: an address is refused before anything begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from safebasin.addresses import local_path

F = TypeVar("F", bound=Callable[..., Any])


class LocalCommand(TyperCommand):
    """A command that takes no address, such as `s3://bucket/run`, where it asks for a path."""

    def invoke(self, ctx: Any) -> Any:
        for value in ctx.params.values():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(one, Path):
                    local_path(one)
        return super().invoke(ctx)


class LocalTyper(typer.Typer):
    """An application of such commands."""

    def command(self, name: str | None = None, **how: Any) -> Callable[[F], F]:
        return super().command(name, **{"cls": LocalCommand, **how})
