"""What kind of folder one is, and which run folders lie in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from safebasin.run.folder import MANIFEST
from safebasin.run.no_run import ATTRIBUTION, no_run

STUDY_FILES = {
    "comparison": "comparison.json",
    "evaluation": "evaluation.json",
    "trajectory": "trajectory.json",
    "conditions": "conditions.json",
    "worst-case": "worst-case.json",
}
"""Each kind of study by the file that it writes once it is whole."""


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study: its result in one JSON file, and the runs that it was read from."""

    path: Path
    kind: str
    file: Path
    runs: tuple[Path, ...]

    def run(self, name: str) -> Path | None:
        """The run folder of this name, or None."""
        return next((path for path in self.runs if path.name == name), None)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of one run."""
    return os.path.lexists(folder / MANIFEST)


def is_attribution(folder: Path) -> bool:
    """Whether a folder is that of an attribution, and no run."""
    return not is_run(folder) and (folder / ATTRIBUTION).is_file()


def study_folder(folder: Path) -> StudyFolder | None:
    """The folder of a study; None for that of a run, and for any other."""
    if is_run(folder):
        return None
    for kind, name in STUDY_FILES.items():
        if (folder / name).is_file():
            return StudyFolder(folder, kind, folder / name, runs_beneath(folder))
    return None


def runs_beneath(folder: Path) -> tuple[Path, ...]:
    """The run folders in a folder, by their names; a link to one is none."""
    found = (path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return tuple(sorted(path for path in found if not path.is_symlink()))


def run_or_study(folder: Path) -> StudyFolder | None:
    """The study of a folder, None where it is a run.

    Raises:
        RunError: It is neither; the runs in it are named.
    """
    study = study_folder(folder)
    if study is None and not is_run(folder):
        raise no_run(folder, MANIFEST)
    return study
