"""One model at one point: what it refuses, what it complies with, what it can still do.

from safebasin.evaluate import EvaluateConfig, evaluate, prepare

found = evaluate(prepare(EvaluateConfig()))
print(found.harmful[found.judge].asr.text())
"""

from __future__ import annotations

from safebasin.evaluate.evaluation import EVALUATION, Evaluation, evaluate, evaluate_shard
from safebasin.evaluate.preparation import Prepared, prepare
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.shares import Shares

__all__ = [
    "EVALUATION",
    "EvaluateConfig",
    "Evaluation",
    "Prepared",
    "Shares",
    "evaluate",
    "evaluate_shard",
    "prepare",
]
