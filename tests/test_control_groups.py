"""What a job or a container may still take is what is free, however much the machine has."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from safebasin.engines import memory
from safebasin.engines.control_groups import UNLIMITED, memory_left

GIB = 2**30


def group(folder: Path, version: int, limit: object, used: int, files: int = 0) -> Path:
    """A folder as Linux shows a group's."""
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n", encoding="ascii")
    (folder / names[1]).write_text(f"{used}\n", encoding="ascii")
    rows = f"anon 12\n{names[2]} {files}\nactive_file 99\n"
    (folder / "memory.stat").write_text(rows, encoding="ascii")
    return folder


def own(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "own"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_least_of_a_group_and_those_above_it_counts(tmp_path: Path) -> None:
    root, named = tmp_path / "root", own(tmp_path, "0::/slurm/job:7/step")
    root.mkdir()
    assert memory_left(named, root) is None  # no group is to be seen
    group(root / "slurm", 2, "max", 50 * GIB)
    step = group(root / "slurm" / "job:7" / "step", 2, "max", 3 * GIB)
    assert memory_left(named, root) is None
    group(root / "slurm" / "job:7", 2, 8 * GIB, 3 * GIB, GIB)
    assert memory_left(named, root) == 6 * GIB
    group(step, 2, 4 * GIB, 3 * GIB)
    assert memory_left(named, root) == GIB
    group(step, 2, GIB, 3 * GIB)
    assert memory_left(named, root) == 0
    group(tmp_path, 2, 1, 1)  # above the topmost one there is none
    group(step, 2, "max", 0)
    assert memory_left(named, root) == 6 * GIB


def test_version_1_tells_of_no_limit_by_a_large_number(tmp_path: Path) -> None:
    root = tmp_path / "root"
    named = own(tmp_path, "11:cpu,cpuacct:/a", "4:memory:/job", "1:name=systemd:/a")
    job = group(root / "memory" / "job", 1, 9223372036854771712, 5)
    assert int((job / "memory.limit_in_bytes").read_text(encoding="ascii")) > UNLIMITED
    assert memory_left(named, root) is None
    group(job, 1, 2 * GIB, GIB, 10)
    assert memory_left(named, root) == GIB + 10


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    root = tmp_path / "root"
    group(root / "memory", 1, 2 * GIB, GIB)
    assert memory_left(own(tmp_path, "4:memory:/docker/abc"), root) == GIB
    group(root, 2, 3 * GIB, GIB)
    assert memory_left(own(tmp_path, "0::/"), root) == 2 * GIB


def test_where_there_are_no_groups_nothing_is_left_out(tmp_path: Path) -> None:
    assert memory_left(tmp_path / "absent", tmp_path) is None
    assert memory_left(own(tmp_path, "11:cpu:/a"), tmp_path) is None


@pytest.mark.parametrize(("left", "expected"), [(None, 8), (5, 5), (20, 8)])
def test_free_memory_is_no_more_than_is_left(
    monkeypatch: pytest.MonkeyPatch, left: int | None, expected: int
) -> None:
    class Memory:
        available = 8

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(memory, "memory_left", lambda: left)
    assert memory.free_bytes(torch.device("cpu")) == expected
