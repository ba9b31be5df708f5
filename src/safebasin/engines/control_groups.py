"""The memory that a job or a container may still take, by Linux's control groups.

Slurm and container engines limit a job so; what the machine has free says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OWN, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

UNLIMITED = 2**60
"""Version 1 tells a limit that none is set by a number near 2**63."""


class _Names(NamedTuple):
    limit: str
    used: str
    files: str


_NAMES = {
    1: _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: _Names("memory.max", "memory.current", "inactive_file"),
}


def memory_left(own: Path = OWN, root: Path = ROOT) -> int | None:
    """Bytes that this process's groups may still take; None where no limit is to be seen.

    `own` lists the groups of the process, `root` is where they are mounted. A group is limited by
    those above it, too. What it keeps of files that were not read lately counts as free, as the
    system gives that back.
    """
    found = [
        left
        for version, group, top in _groups(own, root)
        for folder in (group, *group.parents)
        if folder.is_relative_to(top) and (left := _left(folder, _NAMES[version])) is not None
    ]
    return min(found, default=None)


def _groups(own: Path, root: Path) -> Iterator[tuple[int, Path, Path]]:
    """The groups that account for the memory of the process: version, folder, topmost folder."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system than Linux, or it is not to be seen
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield 2, root / path.lstrip("/"), root
        elif "memory" in controllers.split(","):
            yield 1, root / "memory" / path.lstrip("/"), root / "memory"


def _left(folder: Path, names: _Names) -> int | None:
    try:
        limit = (folder / names.limit).read_text(encoding="ascii").strip()
        used = int((folder / names.used).read_text(encoding="ascii"))
        rows = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:  # no group, the topmost one, or one outside of a container
        return None
    if limit == "max" or int(limit) >= UNLIMITED:
        return None
    stat = dict(row.split(maxsplit=1) for row in rows)
    return max(0, int(limit) - used + int(stat.get(names.files, 0)))
