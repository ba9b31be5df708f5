"""`safebasin trajectory`: the checkpoints of a training run over the landscape."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, NoProbeOption, begin
from safebasin.trajectory.settings import TrajectoryConfig


@bound(
    TrajectoryConfig,
    STUDY | {"radius", "steps", "seeds"},
    model={
        "help": "The model that the training began with: as for scan.",
        "name": "base",
        "default": ...,
    },
    steps={"help": "Cells along the longer axis of the map.", "default": 10},
    radius={
        "help": "How far a random axis goes, relative to each tensor's norm.",
        "default": 0.3,
    },
    seeds={
        "help": "The seed of a random axis.",
        "name": "--seed",
        "reads": int,
        "parse": lambda seed: (seed,),
        "default": 0,
    },
)
def trajectory(
    given: Given[TrajectoryConfig],
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonResultOption = False,
) -> None:
    """Draw a training run's checkpoints on a plane, over the landscape of that plane.

    Each checkpoint is measured where it is and where it is drawn. The same command resumes.
    """
    if given.raw["plane"] != "random":
        given.refuse({"seeds", "radius"}, "--plane random")
    scan = given.scan()
    begin()
    from safebasin.cli.views.trajectory import run_trajectory
    from safebasin.trajectory.training_run import training_run

    run = training_run(given.raw["checkpoints"], trust_remote_code=scan.trust_remote_code)
    config = given.settings(checkpoints=run.checkpoints, notes=run.notes)
    run_trajectory(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
