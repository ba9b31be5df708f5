"""How `safebasin scan --sequential` runs: each point is asked until it is decided."""

from __future__ import annotations

from safebasin.certify.scanning import scan_until_decided
from safebasin.certify.sequential import Stopping
from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.threads import spare_threads
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.cli.views.scan import budget_lines
from safebasin.config import ScanConfig
from safebasin.report.quantities import percent
from safebasin.scanning.preparation import prepare


def run_sequential(config: ScanConfig, *, as_json: bool) -> None:
    """Scan with valid stopping and print each cell.

    Exit code 4 where more than 2 % of the answers could not be judged.
    """
    tell(f"loading {config.model}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    for line in budget_lines(prepared, "; fewer where a point is decided sooner"):
        tell(line)
    with resumable(prepared.folder), AnswerCount() as progress:
        found = scan_until_decided(prepared, Stopping(config.tolerance), progress)
    if as_json:
        emit(found.to_json() | {"run": str(found.folder)})
    else:
        say(f"judge    {found.judge}; intervals hold at any stopping time, at 95 %")
        for point, cell in found.cells.items():
            words = f"{cell.decision:<7} after {cell.asked} prompts, ASR {percent(cell.asr)}"
            say(f"{point.label:<24} {words}")
        say(f"asked    {found.answers} answers of the {found.whole} of a whole scan")
        say(f"run      {found.folder}")
    end_where_unjudged({found.judge: found.unjudged}, [found.folder])
