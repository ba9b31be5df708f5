"""`safebasin bench-defences`: all defences over the same fine-tunes, in one table."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, begin
from safebasin.defence_bench.settings import BenchConfig

TAKEN = STUDY & {
    "model", "prompts", "prompts_kind", "column", "limit", "template", "max_new_tokens", "dtype",
    "device", "batch", "judges", "tolerance", "trust_remote_code", "out",
}  # fmt: skip
"""Of a study's options those that all models of a bench have alike."""


@bound(
    BenchConfig,
    TAKEN | {"radius", "steps"},
    radius={"default": 0.3},
    steps={"default": 6},
    limit={"default": "40"},
)
def bench_defences(
    given: Given[BenchConfig],
    dry_run: DryRunOption = False,
    json: JsonResultOption = False,
) -> None:
    """Run all defences over the same fine-tunes: attack success, over-refusal, KL, capability,
    basin, margin and cost of each, with intervals over seeds.

    The same command resumes, and tries again what could not be measured; run several times at
    once, the processes share the cells. Exit code 1 where something could not. Needs the extra
    `train`.
    """
    config = given.settings()
    begin()
    from safebasin.cli.views.bench_defences import run_bench

    run_bench(config, as_json=json, dry_run=dry_run)
