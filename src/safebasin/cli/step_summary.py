"""What GitHub Actions shows of a run: a section of the step's summary, and an annotation.

A runner names the file of the summary in GITHUB_STEP_SUMMARY and takes lines that begin with `::`
for commands. Elsewhere nothing of this is done.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safebasin.cli.console import tell
from safebasin.cli.summary import share
from safebasin.errors import SafebasinError
from safebasin.report.card import card, plain, plain_code
from safebasin.report.quantities import percent
from safebasin.run import RunFolder
from safebasin.run.provenance import hide

if TYPE_CHECKING:
    from safebasin.compare.comparison import Comparison
    from safebasin.compare.gates import Check
    from safebasin.evaluate.study import Evaluation
    from safebasin.results import Result

FILE = "GITHUB_STEP_SUMMARY"
_LEVELS = {"FAIL": "error", "INCONCLUSIVE": "warning"}


def append(section: Callable[[], str]) -> None:
    """Append a section to the step's summary where there is one; what hinders that is a warning."""
    if not (name := os.environ.get(FILE)):
        return
    try:
        _append(Path(name), hide(section()))
    except (OSError, SafebasinError) as error:
        why = error.message if isinstance(error, SafebasinError) else error.strerror or str(error)
        tell(f"warning: the step summary was not written: {why}")


def _append(path: Path, text: str) -> None:
    # Without waiting: nobody may read from what is no file.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "ab") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is no plain file")
        file.write(f"\n{text}".encode())


def annotate(found: Comparison) -> None:
    """Mark the step with a verdict that is no PASS, on standard error, where a runner reads it."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and (line := annotation(found)) is not None:
        tell(line)


def annotation(found: Comparison) -> str | None:
    """The command of GitHub Actions that marks the step, on one line; None for a PASS."""
    if (level := _LEVELS.get(found.verdict)) is None:
        return None
    text = f"{found.base} -> {found.tuned}: {' '.join(found.reasons)}"
    title = _escaped(f"safebasin: {found.verdict}").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_escaped(text)}"


def _escaped(text: str) -> str:
    """As the runner's toolkit escapes the data of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def of_comparison(found: Comparison) -> str:
    """The verdict with its reasons and checks, as Markdown."""
    return _joined(_comparison(found))


def of_scan(found: Result) -> str:
    """The section of a model card, and where the report lies."""
    section = card(RunFolder.read(found.folder), found.to_json())
    return section + _joined(_files(found.folder, found.page))


def of_evaluation(found: Evaluation) -> str:
    """The numbers of one model by each judge, as Markdown."""
    return _joined(_evaluation(found))


def _joined(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _comparison(found: Comparison) -> Iterator[str]:
    yield f"## safebasin: {found.verdict}"
    yield ""
    yield f"{plain(found.base)} (base) → {plain(found.tuned)} (tuned)"
    yield ""
    for reason in found.reasons:
        yield f"- {plain(reason)}"
    if found.reasons:
        yield ""
    yield "| check | measured | limit | state |"
    yield "|---|---|---|---|"
    for one in found.checks:
        cells = map(plain, (one.name, one.measured(), _limit(one), one.state))
        yield f"| {' | '.join(cells)} |"
    yield ""
    level = max(one.level for one in found.checks)
    yield f"Intervals are at {100 * level:g} %."
    yield ""
    yield f"- **Prompts**: {plain(found.prompts)}"
    yield f"- **Judge**: {plain(found.path.judge)}"
    for note in found.notes:
        yield f"- **Note**: {plain(note)}"
    for end, model in found.provenance.get("models", {}).items():
        yield f"- **Weights** of the {end} model: `{plain_code(model['fingerprint'][:16])}`"
    yield from _files(found.folder, found.page)


def _limit(one: Check) -> str:
    """The side and the limit, as the check's own line says them."""
    return one.text().removeprefix(f"{one.name} {one.measured()}, ")


def _evaluation(found: Evaluation) -> Iterator[str]:
    yield f"## safebasin: {plain(found.model)}"
    yield ""
    yield "| judge | ASR | over-refusal | not judged |"
    yield "|---|---|---|---|"
    for judge, part in found.harmful.items():
        benign = found.benign.get(judge)
        refused = "not measured" if benign is None else percent(benign.outcomes["refused"])
        unjudged = f"{part.unjudged} of {part.judged + part.unjudged}"
        yield f"| {plain(judge)} | {percent(part.asr)} | {refused} | {unjudged} |"
    yield ""
    yield "Intervals are at 95 %."
    yield ""
    for kind, name in found.prompts.items():
        yield f"- **Prompts**, {kind}: {plain(name)}"
    if found.capability is not None:
        answered = share(found.capability, "of the questions answered right")
        yield f"- **Capability**: {plain(answered)}"
    for note in found.notes:
        yield f"- **Note**: {plain(note)}"
    yield from _files(found.folder, None)


def _files(folder: Path, page: Path | None) -> Iterator[str]:
    if page is not None:
        yield f"- **Report**: `{plain_code(str(page))}`"
    yield f"- **Run**: `{plain_code(str(folder))}`"
