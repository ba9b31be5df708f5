"""Where the `safebasin` command begins, and where every error of it ends."""

from __future__ import annotations

import sys
import traceback
from typing import Any


def main() -> None:
    """The entry point of the `safebasin` command; a user's mistake never shows a traceback.

    With `--json` whatever goes wrong is an object on standard output, too.
    """
    from safebasin.cli.application import run
    from safebasin.cli.console import emit_error, fail, tell_warnings
    from safebasin.cli.threads import yield_soon
    from safebasin.errors import SafebasinError

    yield_soon()
    tell_warnings()
    try:
        sys.exit(run())
    except SafebasinError as error:
        sys.exit(fail(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        emit_error("interrupted", "nothing had begun that could be resumed", "", 130)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        emit_error("internal", what, "Report it with the traceback on standard error.", 1)
        sys.excepthook = _without_secrets
        raise


def _without_secrets(*raised: Any) -> None:
    """Print a traceback as Python does, with addresses and keys in its texts hidden."""
    from safebasin.run.provenance import hide

    sys.stderr.write(hide("".join(traceback.format_exception(*raised))))
