"""Runs are kept on file systems with locks: object stores and other file systems are refused."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from safebasin.addresses import local_path
from safebasin.cli.application import application
from safebasin.cli.reference import leaves
from safebasin.config import ScanConfig
from safebasin.errors import RunError, UsageError
from safebasin.run import RunFolder
from safebasin.run.atomic import prepare_folder
from safebasin.run.lock import lock_folder, lock_shard
from safebasin.study.preparation import folder_of

ADDRESS = "s3://user:secret-word@bucket/run"


def kind(parameter: Any) -> str:
    """What typer reads for a parameter; its versions keep it under two names."""
    return str(getattr(parameter, "type_descriptor", None) or parameter.type)


def given(parameter: Any, value: str) -> list[str]:
    return [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]


def lines(tree: Any) -> Iterator[list[str]]:
    """A command line for every place of every command where a path is asked for."""
    for name, command in leaves(tree, ""):
        for one in command.params:
            if "Path" in kind(one):
                asked = [p for p in command.params if p.required or p is one]
                values = [given(p, ADDRESS if p is one else "1") for p in asked]
                yield [*name.split(), *(word for words in values for word in words)]


def test_every_path_of_every_command_refuses_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = typer.main.get_command(application)
    asked = list(lines(tree))
    assert {"--out", "--junit", "--eval-results"} <= {word for line in asked for word in line}
    assert len({line[0] for line in asked}) > 15
    for line in asked:
        with pytest.raises(UsageError, match="is an address"):
            tree(line, standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_an_address_is_one_sentence_without_its_password(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("scan", "--out", ADDRESS)
    assert (code, out) == (2, "")
    assert "'s3://" in err
    assert "Give a path" in err
    assert "secret-word" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["s3://bucket/x", "gs://b", "hdfs:///x", "file:///tmp/x", "memory://x", "s3:/b/x"]
)
def test_the_library_refuses_an_address(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[Callable[[Path], object]] = [
        local_path, RunFolder.read, RunFolder.reopen, lock_folder, prepare_folder,
        lambda path: folder_of(ScanConfig(out=str(path)), "model", {}),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(UsageError, match="is an address") as caught:
            call(Path(address))
        assert "://" in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["runs/a", "C:/runs", "C:\\runs", "a:b", "runs/s3://x", "s3:"])
def test_paths_are_no_addresses(path: str) -> None:
    assert local_path(path) == Path(path)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for take in (lock_folder, lambda root: lock_shard(root, "1-of-2")):
        with pytest.raises(RunError, match="has no file locks") as caught:
            take(tmp_path / "run")
        assert "-o flock" in caught.value.hint
    assert not any(path.is_file() and path.stat().st_size for path in tmp_path.rglob("*"))
