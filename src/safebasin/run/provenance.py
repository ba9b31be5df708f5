"""What a measurement ran with, and nothing that identifies or unlocks the machine it ran on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safebasin.run import strictjson

REDACTED = "[redacted]"
PACKAGES = (
    "safebasin",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "peft",
    "trl",
    "vllm",
    "numpy",
    "scipy",
    "jinja2",
    "lm_eval",
    "datasets",
)

_SECRET = r"(?:token|key|secret|password|passwd|passphrase|pass|credentials?|signature)"
_SECRET_VARIABLE = re.compile(rf"\w*{_SECRET}s?[0-9_]*", re.IGNORECASE)
_SECRET_FLAG = re.compile(rf"--?[\w-]*{_SECRET}", re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"([\w-]*{_SECRET}\s*[=:]\s*)[^\s&#;,]+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
# With one slash it is what a path makes of an address. A drive has one letter.
_USERINFO = re.compile(r"([A-Za-z][\w+.-]+:/{1,2})[^\s/]+@")
# What is left of one where `@` begins a revision. A port is a number.
_CUT_USERINFO = re.compile(r"([A-Za-z][\w+.-]+:/{1,2})[^\s/@:'\"]+:(?!\d{1,5}(?!\w))[^\s/@'\"]+")
_QUERY = re.compile(rf"([?&;][\w.-]*(?:{_SECRET}|auth|sig)=)[^\s&#;'\",]+", re.IGNORECASE)
_TOKEN_SHAPE = re.compile(
    r"\b(?:hf_|sk-|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|AIza)[A-Za-z0-9_-]{12,}"
)
# A shorter value, such as HF_TOKEN=none, is no secret and would blot out ordinary words.
_SHORTEST_SECRET = 8


def session(command: Sequence[str]) -> dict[str, Any]:
    """One sitting at a run: versions, kind of machine, source state, command, time it began."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": redact_command(command),
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "git": git_state(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on, without importing them."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path | None = None) -> dict[str, object] | None:
    """The commit checked out in a folder and whether tracked files differ from it.

    Remote addresses are not recorded. None outside a repository or without git.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def redact_command(command: Sequence[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """The arguments without secrets, also where a flag such as `--api-key` precedes one.

    Of the program only its file name is kept, and `python -m safebasin` is the program.
    """
    names = (Path(program).name for program in command[:1])
    redacted = ["safebasin" if name == "__main__.py" else name for name in names]
    hide = False
    for argument in command[1:]:
        redacted.append(REDACTED if hide else redact(argument, environ))
        hide = _SECRET_FLAG.fullmatch(argument) is not None
    return redacted


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text without secret values, credentials in addresses, and anything token-shaped."""
    text = redact_values(text, environ)
    text = _ASSIGNMENT.sub(rf"\1{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\1 {REDACTED}", text)
    return _TOKEN_SHAPE.sub(REDACTED, text)


def redact_values(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text as `hide` leaves it, and without the home folder, which names the user.

    Unlike `redact` it leaves everything else alone, so two settings that differ stay different.
    """
    return Redaction.of(environ).values(text)


def hide(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text without what nobody else may read, for a terminal or a file.

    That is the values of secret environment variables, credentials in addresses (before the host
    and in the query), and what has the shape of a known kind of key.
    """
    return Redaction.of(environ).hidden(text)


def hide_json(value: object, environ: Mapping[str, str] | None = None) -> Any:
    """A JSON value with `hide` applied to every text in it, names included."""
    return Redaction(Redaction.of(environ).secrets, "").json(value)


def redact_json(value: object, environ: Mapping[str, str] | None = None) -> object:
    """A JSON value with `redact_values` applied to every text in it, names included."""
    return Redaction.of(environ).json(value)


def plain_json(values: Mapping[str, object]) -> dict[str, Any]:
    """Values as they are stored: JSON alone, free of secrets.

    Raises:
        ValueError, TypeError, RecursionError: They hold something that is no JSON value.
    """
    plain: dict[str, Any] = strictjson.loads(strictjson.dumps(redact_json(values)).encode())
    return plain


@dataclass(frozen=True)
class Redaction:
    """What is to be hidden, read from the environment once for many texts."""

    secrets: tuple[str, ...]
    home: str

    @classmethod
    def of(cls, environ: Mapping[str, str] | None) -> Redaction:
        environ = os.environ if environ is None else environ
        home = (environ.get("HOME") or environ.get("USERPROFILE") or "").rstrip("/\\")
        return cls(tuple(_secrets(environ)), home)

    def hidden(self, text: str) -> str:
        for value in self.secrets:
            text = text.replace(value, REDACTED)
        if ":/" in text:
            text = _USERINFO.sub(rf"\1{REDACTED}@", text)
            text = _CUT_USERINFO.sub(rf"\1{REDACTED}", text)
        if "=" in text:
            text = _QUERY.sub(rf"\1{REDACTED}", text)
        return _TOKEN_SHAPE.sub(REDACTED, text)

    def values(self, text: str) -> str:
        text = self.hidden(text)
        if self.home and self.home in text:
            pattern = rf"(?<![\w/.-]){re.escape(self.home)}(?=$|[/\\\s\"',;:])"
            text = re.sub(pattern, "~", text)
        return text

    def json(self, value: object) -> object:
        match value:
            case str():
                return self.values(value)
            case Mapping():
                return {self.values(str(name)): self.json(item) for name, item in value.items()}
            case list() | tuple():
                return [self.json(item) for item in value]
        return value


def _secrets(environ: Mapping[str, str]) -> list[str]:
    values = {
        value.strip()
        for name, value in environ.items()
        if _SECRET_VARIABLE.fullmatch(name) and len(value.strip()) >= _SHORTEST_SECRET
    }
    # The longest first: one secret may contain another.
    return sorted(values, key=lambda value: (-len(value), value))


def _git(folder: Path | None, *arguments: str) -> str | None:
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        return None
    # No lock, no prompt, and no program that the repository's own configuration names.
    command = [git, "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments]
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
