"""Checkpoints of a training run on a plane, over the landscape of that plane.

    from safebasin.trajectory.preparation import prepare
    from safebasin.trajectory.settings import TrajectoryConfig
    from safebasin.trajectory.study import trace
    from safebasin.trajectory.training_run import training_run

    run = training_run(["output"])  # the folder of a training, with its checkpoint-N
    found = trace(prepare(TrajectoryConfig(run.checkpoints, notes=run.notes)))

A projection can lie: each checkpoint says how much of its displacement the plane leaves out, and
is measured twice, where it really is and where it is drawn.
"""
