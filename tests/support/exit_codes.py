"""What a command leaves with, as its caller sees it."""

from __future__ import annotations

from collections.abc import Callable


def exit_code(command: Callable[[], None]) -> int:
    """Run a command to its end; 0 where it returns, 1 where it leaves with a message."""
    try:
        command()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0
