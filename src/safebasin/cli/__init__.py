"""The command line: parsing and printing only."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the `safebasin` command; a user's mistake never shows a traceback."""
    from safebasin.cli.application import application
    from safebasin.cli.console import fail, tell_warnings
    from safebasin.errors import SafebasinError

    tell_warnings()
    try:
        application()
    except SafebasinError as error:
        sys.exit(fail(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
