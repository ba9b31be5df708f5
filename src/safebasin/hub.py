"""Asking the Hugging Face hub: may this be read, which commit is it, what does it hold.

One question at a time, each with a limit on how long it may take: the hub's own client waits for
ever. Whatever the hub answers is raised as the client's own errors; no answer is `Unreachable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

PATIENCE = 20.0
"""Seconds that one question may take."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Unreachable(Exception):
    """The hub gave no answer, or none that a hub gives; the text says what came instead."""


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit, and the names of the files in it."""

    commit: str
    files: tuple[str, ...]


def is_commit(revision: str) -> bool:
    """Whether a revision is a whole commit, which never means anything else later."""
    return _COMMIT.fullmatch(revision) is not None


def look_up(
    repository: str, kind: Literal["dataset", "model"], revision: str | None = None
) -> Snapshot:
    """The commit that a revision (default: the main branch) means now, once access is granted.

    The gate is the first thing that is asked for. Raises huggingface_hub's GatedRepoError,
    RepositoryNotFoundError, RevisionNotFoundError or HfHubHTTPError for what the hub refuses, and
    Unreachable.
    """
    from huggingface_hub import HfApi

    _ask_for_access(repository, kind)
    try:
        info = HfApi().repo_info(
            repository, repo_type=kind, revision=revision or None, timeout=PATIENCE
        )
        files = tuple(file.rfilename for file in getattr(info, "siblings", None) or ())
    except Exception as error:
        raise _told(error) from error
    if info.sha is None or not is_commit(info.sha):
        raise Unreachable("it names no commit, as no hub does")
    return Snapshot(info.sha, files)


def _ask_for_access(repository: str, kind: str) -> None:
    # As HfApi.auth_check, which has no limit of time.
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = f"{constants.ENDPOINT}/api/{kind}s/{repository}/auth-check"
    try:
        hf_raise_for_status(get_session().get(url, headers=build_hf_headers(), timeout=PATIENCE))
    except Exception as error:
        raise _told(error) from error


def _told(error: Exception) -> Exception:
    """The error itself where the hub answered, else Unreachable with its kind and first line."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError) and status(error) < 500:
        return error
    return Unreachable(described(error))


def status(error: Any) -> int:
    """The HTTP status of one of the client's errors; 0 without an answer."""
    return int(getattr(error.response, "status_code", 0))


def described(error: BaseException) -> str:
    """An error in one line: what it says, or else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
