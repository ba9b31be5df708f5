"""The numbers of a study, whichever it is, counted again from the records of its runs."""

from __future__ import annotations

import importlib

from safebasin.errors import RunError
from safebasin.evidence.study_numbers import Recount
from safebasin.run.kinds import StudyFolder
from safebasin.run.study_file import read_study_file
from safebasin.terminal import printable


def recount(study: StudyFolder) -> Recount:
    """The numbers of a study by the records of its runs.

    Raises:
        RunError: Its file was changed or is damaged, or a run of it is missing or damaged.
    """
    shown = printable(str(study.file))
    try:
        stored = read_study_file(study.file)
        # Only when one is asked for: the studies load torch.
        counter = importlib.import_module(f"{__package__}.{study.kind.replace('-', '_')}")
        found: Recount = counter.recount(study, stored)
        return found
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise RunError(
            f"{shown} is damaged ({type(error).__name__}).",
            "Remove the file and run the same command again; it is made from the records.",
        ) from error
