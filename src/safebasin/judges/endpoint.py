"""An OpenAI-compatible endpoint: where it is, with which key, and how often it may be asked."""

from __future__ import annotations

import importlib
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from safebasin.errors import JudgeError, UsageError
from safebasin.judges.endpoint_health import PATIENCE, Health
from safebasin.judges.endpoint_limits import response_hook
from safebasin.terminal import shorten

OPENAI = "https://api.openai.com/v1"
LONGEST = 86_400
"""Seconds that a try may take."""

_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET)")
_CREDENTIALS = re.compile(r"(?<=//).*@|^(?!\w+://).*@|[?#].*", re.DOTALL)
_TOKEN = re.compile(r"\b(?:sk-|hf_|gh[a-z]_|AIza)[A-Za-z0-9_-]{12,}")
_SENDABLE = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. None of this changes a verdict but `base_url` and `model`.

    `key_name` is the environment variable that holds the key; a loopback endpoint may do without.
    `timeout` in seconds a try, `retries` tries after the first, `max_calls` 0 for no limit,
    `patience` replies in a row that cannot be read before judging stops, 0 for never.
    """

    model: str
    base_url: str
    key_name: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 3
    max_calls: int = 0
    patience: int = PATIENCE
    health: Health = field(default_factory=Health, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.health.patience = self.patience
        if not _KEY_NAME.fullmatch(self.key_name):
            raise UsageError(
                f"'{self.key_name[:40]}' is not the name of a variable for a key.",
                "Name one that ends in KEY, TOKEN or SECRET, such as key_env=OPENAI_API_KEY.",
            )
        self._check_address()
        ranges = {
            "concurrency": (self.concurrency >= 1, "a whole number from 1"),
            "timeout": (0 < self.timeout <= LONGEST, f"seconds above 0 and up to {LONGEST}"),
            "retries": (self.retries >= 0, "a whole number from 0"),
            "max_calls": (self.max_calls >= 0, "a whole number, 0 for no limit"),
            "patience": (self.patience >= 0, "a whole number, 0 for no end"),
        }
        for name, (meant, remedy) in ranges.items():
            if not meant:
                raise UsageError(
                    f"The endpoint's {name}={getattr(self, name)} cannot be meant.",
                    f"Give {name} as {remedy}.",
                )

    def _check_address(self) -> None:
        typed = self.base_url
        try:
            parts = urlsplit(typed)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise self._no_address() from None
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise self._no_address()
        if not typed.isprintable() or any(map(str.isspace, typed)):
            raise self._no_address()
        if parts.username or parts.password or parts.query:
            raise UsageError(
                f"The address of the endpoint at '{host}' carries credentials.",
                "Put the key into an environment variable, and name that with key_env=NAME.",
            )

    def _no_address(self) -> UsageError:
        """The address as it was typed, less whatever in it may be a secret."""
        shown = self.without_secrets(_CREDENTIALS.sub("", self.base_url))
        return UsageError(
            f"The endpoint '{shorten(shown, 100)}' is no web address.",
            "Give base_url=https://HOST/v1, or http://HOST:PORT/v1 with a port from 1 to 65535.",
        )

    def without_secrets(self, text: str) -> str:
        """A text less the key, and less what looks like one."""
        key = os.environ.get(self.key_name, "").strip()
        return _TOKEN.sub("…", text.replace(key, "…") if key else text)

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def exposed(self) -> bool:
        """Whether the key and the texts would travel unencrypted."""
        return not self.local and urlsplit(self.base_url).scheme == "http"

    def key(self) -> str:
        """The key from the environment, "none" where there is none and none is needed.

        Raises JudgeError where one is needed, UsageError for one that no request can carry.
        """
        found = os.environ.get(self.key_name, "").strip()
        if not found and not self.local:
            raise JudgeError(
                f"There is no key for {self.base_url}: {self.key_name} is not set.",
                f"Set {self.key_name} in the environment, or name another variable with key_env=.",
            )
        if not _SENDABLE.fullmatch(found):
            raise UsageError(
                f"The key in {self.key_name} holds a blank or a character that is not ASCII.",
                f"Set {self.key_name} to the key alone, as its provider shows it.",
            )
        return found or "none"

    def client(self) -> Any:
        """A client of the `openai` library.

        Raises JudgeError where it is not installed, UsageError for an address it cannot ask.
        """
        try:
            openai = importlib.import_module("openai")
        except ImportError:
            raise JudgeError(
                "Rubric judges need the openai library, which is not installed.",
                "Run `pip install 'safebasin[rubric]'`.",
            ) from None
        key = self.key()
        try:
            return openai.OpenAI(
                api_key=key,
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=self.retries,
                # A redirect would carry the answers, and perhaps the key, to another host.
                http_client=openai.DefaultHttpxClient(
                    follow_redirects=False,
                    event_hooks={"response": [response_hook(self.timeout)]},
                ),
            )
        except Exception as error:
            # Which package this error is from depends on the version of openai.
            if type(error).__name__ != "InvalidURL":
                raise
            raise self._no_address() from None
