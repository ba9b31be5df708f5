"""What holds for every test: no network, one thread, no hub; and how one runs a command."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support import warm_command
from support.exit_codes import exit_code

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("HF_TOKEN", None)
# Ray has its actors give way to everything else: beside busy tests they would hardly be served.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray reads it so)
# The tests' own runs are nothing that a step of GitHub Actions should show.
for _name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
    os.environ.pop(_name, None)

# On a busy machine an example takes as long as it takes.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

LONGEST = (
    "docs", "spread", "study_spread", "figures", "compare", "scan_engines", "fast_engine", "scan",
    "evidence", "judges_own", "truncation", "gpu_benchmark", "guard_memory", "report_studies",
    "pipelines", "hostile_kills", "run_kill", "judges_rubric_stop", "divided", "capability",
    "report_commands", "cli", "sharing", "gguf", "finetune", "trajectory", "prediction_study",
    "public_names", "adaptive", "attribute", "stopped_studies",
)  # fmt: skip
"""The files that take longest begin first, or one of them would be left to one core at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails, instead of passing on one machine only."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Thousands of files would wait a millisecond or more each; no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def small_pictures() -> Iterator[None]:
    """A picture shows the same in fewer dots, and hundreds are drawn in half the time."""
    from safebasin.report import style

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.unwrap(style.styled), "__defaults__", (style.FONT_SIZE, 50))
        yield


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A folder with a command `safebasin` that starts at once, for the front of PATH."""
    with warm_command.on_path() as folder:
        yield folder


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs `safebasin` with arguments: its exit code, standard output and standard error."""
    from safebasin.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safebasin", *map(str, arguments)])
        capsys.readouterr()
        terminating = signal.getsignal(signal.SIGTERM)
        try:
            code = exit_code(main)
        finally:
            signal.signal(signal.SIGTERM, terminating)
            logging.getLogger("safebasin").setLevel(logging.NOTSET)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray on this machine, for the tests of one file."""
    module = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    module.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield module
    module.shutdown()
