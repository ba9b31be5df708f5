"""What a comparison will cost, and one job's share of it beside other jobs on its folder."""

from __future__ import annotations

from dataclasses import replace

from safebasin.compare.comparison import Comparison
from safebasin.compare.foreseen import foreseen
from safebasin.compare.preparation import Prepared
from safebasin.compare.study import compare
from safebasin.plane import outward
from safebasin.scanning.preparation import prepare as prepare_scan
from safebasin.scanning.scan import scan_shard
from safebasin.spread.shards import Shard
from safebasin.study.loop import measure
from safebasin.study.observer import Observer, Silent
from safebasin.study.parts import finished, unmeasured
from safebasin.study.plan import StudyPlan, study_plan


def plan(prepared: Prepared, *, probe: bool) -> StudyPlan:
    """What the comparison will cost, by a measured batch if `probe`. Writes nothing."""
    config = prepared.config
    further = ["finer places where the path leaves the basin"] if config.refine else []
    if config.landscape:
        lines = prepared.tuned_scan.planes()
        further.append(
            f"the tuned model's own landscape: {len(outward(lines))} points on {len(lines)} lines"
        )
    found = study_plan(prepared, prepared.parts, further, probe=probe)
    asked = len(prepared.parts[0].prompts)
    notes = (*prepared.notes, *foreseen(config, prepared.distances[0], asked))
    return replace(found, notes=notes)


def compare_shard(
    prepared: Prepared, shard: Shard, observer: Observer | None = None
) -> Comparison | None:
    """Measure one shard; the one that completes the even steps finishes the comparison.

    The finer places follow from the even steps, so that last shard asks them alone. Shards may run
    at the same time, on machines that share the folder. Returns None where other shards are still
    missing or at work.
    """
    observer = observer or Silent()
    parts = [part.with_recorded(prepared.folder) if part.grows else part for part in prepared.parts]
    measure(prepared, parts, observer, shard=shard)
    if prepared.config.landscape:
        prepared.engine.close()  # another vLLM starts, and wants its memory
        if scan_shard(prepare_scan(prepared.tuned_scan), shard, observer) is None:
            return None
    return finished(unmeasured(prepared.folder, parts), lambda: compare(prepared, observer))
