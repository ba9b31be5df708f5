"""Published prompt sets from the hub: at one commit, the gate checked before anything else."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from safebasin.errors import GatedError, PromptError
from safebasin.hub import Unreachable, described, is_commit, look_up, status
from safebasin.prompts.published import Published


def fetch(published: Published, revision: str = "") -> tuple[list[Path], str]:
    """The files of a set, downloaded unless they are in the hub's cache, and their commit.

    `revision` "" takes the pinned one, else what the main branch is now; a branch or a tag is
    resolved to its commit, so that the commit alone says what was read. Raises GatedError, naming
    the page, where terms have to be accepted; PromptError where the set cannot be had.
    """
    if not published.repository:
        raise PromptError(
            f"'{published.name}' is not on the hub.",
            f"Save {published.page} and give --prompts {published.name}=FILE.",
        )
    wanted = revision or published.revision
    if is_commit(wanted):
        cached = _cached(published, wanted)
        if cached:
            return cached, wanted
    return _download(published, wanted)


def _cached(published: Published, commit: str) -> list[Path]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            published.repository,
            repo_type="dataset",
            revision=commit,
            allow_patterns=list(published.files),
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return []
    return matching(Path(folder), published)


def _download(published: Published, revision: str) -> tuple[list[Path], str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, repository = published.name, published.repository
    by_hand = f"save {published.page} and give --prompts {name}=FILE"
    try:
        commit = look_up(repository, "dataset", revision).commit
        folder = snapshot_download(
            repository,
            repo_type="dataset",
            revision=commit,
            allow_patterns=list(published.files),
        )
    except GatedRepoError as error:
        raise GatedError(
            f"The prompt set '{name}' is gated: its publisher asks to accept terms first.",
            f"Accept them at {published.hub_page()}, then run `hf auth login`.",
        ) from error
    except RevisionNotFoundError as error:
        raise PromptError(
            f"'{repository}' has no revision '{revision}'.", "Give a commit, a tag or a branch."
        ) from error
    except RepositoryNotFoundError as error:
        login = "" if published.gate == "open" else "Run `hf auth login` if you have access, or "
        raise PromptError(
            f"The hub has no data set '{repository}' for you.",
            (login or "Instead ") + by_hand + ".",
        ) from error
    except Unreachable as error:
        kept = kept_commits(published)
        again = f"give {name}@{kept[0]}, which is in the cache, or " if kept else ""
        raise PromptError(
            f"The prompt set '{name}' cannot be fetched: the hub cannot be reached ({error}).",
            f"Go online, {again}{by_hand}.",
        ) from error
    except HfHubHTTPError as error:
        if status(error) == 401:
            raise PromptError(
                f"The hub refuses the token that is set here, and so the prompt set '{name}'.",
                "Run `hf auth login`, or unset HF_TOKEN.",
            ) from error
        raise _failed(published, error, by_hand) from error
    except Exception as error:  # a download that breaks raises what its HTTP library raises
        raise _failed(published, error, by_hand) from error
    files = matching(Path(folder), published)
    if not files:
        raise PromptError(
            f"'{repository}' at {commit[:12]} has no file named {' or '.join(published.files)}.",
            f"Give --prompts {name}@REVISION, or {by_hand}.",
        )
    return files, commit


def _failed(published: Published, error: Exception, by_hand: str) -> PromptError:
    return PromptError(
        f"The prompt set '{published.name}' cannot be fetched: {described(error)}.",
        f"Try again, or {by_hand}.",
    )


def kept_commits(published: Published) -> list[str]:
    """The commits of a set that the hub's cache holds whole, the last fetched first."""
    from huggingface_hub import constants

    name = f"datasets--{published.repository.replace('/', '--')}"
    snapshots = Path(constants.HF_HUB_CACHE, name, "snapshots")
    if not snapshots.is_dir():
        return []
    folders = sorted(snapshots.iterdir(), key=lambda folder: -folder.stat().st_mtime)
    return [one.name for one in folders if is_commit(one.name) and matching(one, published)]


def matching(folder: Path, published: Published) -> list[Path]:
    """The files below a folder that hold the rows: those of the first pattern that any has.

    In a flat copy of a repository the folders of a pattern may be missing.
    """
    inside = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    flat = {name: path for name, path in inside.items() if "/" not in name}
    tries = [(inside, pattern) for pattern in published.files]
    tries += [(flat, pattern.rsplit("/", 1)[-1]) for pattern in published.files]
    for files, pattern in tries:
        found = [path for name, path in files.items() if fnmatch(name, pattern)]
        if found:
            return found
    return []
