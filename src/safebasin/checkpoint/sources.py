"""Where a checkpoint lies: a local folder, or a snapshot from the hub."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from safebasin.checkpoint import vetting
from safebasin.checkpoint.gguf.files import is_gguf, named_file, refuse_split, the_only
from safebasin.errors import CheckpointError
from safebasin.hub import Unreachable, is_commit, look_up, status
from safebasin.terminal import listed, shorten

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LONGEST_ID = 200
"""Characters; the hub allows 96."""
_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_DESCRIPTIONS = ("*.json",)
# Sub-folders hold the same weights in other formats, as do files of other tools.
_IGNORED = ("*/*", "consolidated*")


def locate(name: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The local folder of a base or an adapter; downloads it from the hub if need be.

    `code` fetches Python files too. Raises CheckpointError where there is nothing of that name, or
    no way to it.
    """
    if is_there(name):
        return Path(name).expanduser()
    if is_gguf(name):
        path = Path(name).expanduser()
        source, file = named_file(name)
        if file is None or Path(source).expanduser().is_dir():
            found = path if file is None else Path(source).expanduser() / file
            if not (found.exists() or found.is_symlink()):
                raise CheckpointError(
                    f"There is no file '{shorten(str(found), 200)}'.",
                    "Give an existing GGUF file, or REPOSITORY:FILE.gguf for one on the hub.",
                )
            return found
        if _HUB_ID.fullmatch(source):
            refuse_split(file)
            return _download(source, revision, code, file)
    if len(name) > _LONGEST_ID or not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"There is no folder '{shorten(name, 200)}'.",
            "Give an existing folder, or the id of a hub model.",
        )
    return _download(name, revision, code)


def _download(repository: str, revision: str | None, code: bool, file: str | None = None) -> Path:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return _snapshot(repository, revision, code, file)
    except GatedRepoError as error:
        message = f"Access to '{repository}' is restricted by its owner."
        hint = f"Accept the terms at https://huggingface.co/{repository}, then run `hf auth login`."
        raise CheckpointError(message, hint) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        message = f"There is no folder and no public hub model named '{repository}'."
        hint = "Check the spelling; for a private model run `hf auth login` first."
        raise CheckpointError(message, hint) from error
    except RevisionNotFoundError as error:
        message = f"'{repository}' has no revision '{revision}'."
        raise CheckpointError(message, "Give a branch, a tag or a commit of it.") from error
    except LocalEntryNotFoundError as error:
        message = f"'{repository}' is not on this machine, and the hub cannot be reached."
        hint = f"Go online, or run `hf download {repository}` where you can and copy the cache."
        raise CheckpointError(message, hint) from error
    except CheckpointError:
        raise
    except Exception as error:  # a download that breaks raises what its HTTP library raises
        if isinstance(error, HfHubHTTPError) and status(error) == 401:
            message = f"The hub refuses the token that is set here, and so '{repository}'."
            raise CheckpointError(message, "Run `hf auth login`, or unset HF_TOKEN.") from error
        message = f"'{repository}' could not be downloaded: {first_line(error)}."
        raise CheckpointError(message, "Try again; a download goes on where it stopped.") from error


def _snapshot(repository: str, revision: str | None, code: bool, file: str | None) -> Path:
    """The folder in the hub's cache; what must not be loaded is refused before any weight comes."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    def take(
        at: str | None, patterns: Sequence[str] = _PATTERNS, *, from_cache: bool = False
    ) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=at,
                allow_patterns=[*patterns, *(["*.py"] if code else [])],
                ignore_patterns=[*_IGNORED],
                local_files_only=from_cache,
            )
        )

    def cached() -> Path:
        folder = take(revision, from_cache=True)
        if file is None:
            return folder
        if not (folder / file).exists():
            raise LocalEntryNotFoundError(f"{file} is not in the cache")
        return folder / file

    if revision is not None and is_commit(revision):
        with contextlib.suppress(LocalEntryNotFoundError):
            return cached()
    try:
        found = look_up(repository, "model", revision)
    except Unreachable:
        return cached()
    except RepositoryNotFoundError:  # a gated one is of this kind
        with contextlib.suppress(LocalEntryNotFoundError):
            return cached()
        raise
    if (wanted := _gguf(repository, found.files, file)) is not None:
        # By its own name, too: a GGUF file needs nothing beside it.
        return take(revision, (glob.escape(wanted),)) / wanted
    _refuse_pickles(repository, found.files)
    if not code:
        vetting.refuse_code(take(found.commit, _DESCRIPTIONS))
    # By its own name, under which the cache finds it again without a hub.
    return take(revision)


def _gguf(repository: str, files: Sequence[str], file: str | None) -> str | None:
    """The GGUF file that is meant, which is the named one or else the only weights there are."""
    names = [name for name in files if "/" not in name]
    ggufs = sorted(name for name in names if is_gguf(name))
    if file is not None:
        if file not in ggufs:
            there = f"; there are {listed(ggufs)}" if ggufs else ""
            raise CheckpointError(
                f"'{repository}' has no file '{file}'{there}.", "Check the spelling."
            )
        return file
    if not ggufs or any(fnmatch(name, "*.safetensors") for name in names):
        return None
    return the_only(ggufs, repository, ":")


def _refuse_pickles(repository: str, files: Sequence[str]) -> None:
    names = [name for name in files if "/" not in name]
    if any(fnmatch(name, "*.safetensors") for name in names):
        return
    pickles = [name for name in names if vetting.is_pickle(name)]
    if pickles:
        raise CheckpointError(
            f"'{repository}' holds its weights as a pickle only ({pickles[0]}), which can run "
            "code.",
            "Convert it to safetensors where you trust it, and give the folder.",
        )
    raise CheckpointError(
        f"'{repository}' has no weights in safetensors.", "Give a model or an adapter that has."
    )


def display(part: str) -> str:
    """The name of a base or an adapter without the folders above it."""
    if is_gguf(part):
        source, file = named_file(part)
        if file is not None and is_there(source) and Path(source).expanduser().is_dir():
            return Path(file).name
        return Path(part).expanduser().name if is_there(part) else part
    return Path(part).expanduser().resolve().name if is_there(part) else part


def is_there(name: str) -> bool:
    """Whether there is a file or a folder of that name; none has one that no path can be."""
    try:
        # os.path takes a path that is too long or holds a NUL for one that is not there.
        return os.path.exists(Path(name).expanduser())  # noqa: PTH110
    except (RuntimeError, ValueError):  # ~ of a user that is none
        return False


def commit(folder: Path) -> str | None:
    """The commit of a snapshot in the hub's cache; None for other folders."""
    resolved = folder.resolve()
    return resolved.name if resolved.parent.name == "snapshots" else None


def first_line(error: BaseException) -> str:
    """What an error says, in one line without the full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # PyTorch puts a title above its reasons.
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:300].rstrip(".")
