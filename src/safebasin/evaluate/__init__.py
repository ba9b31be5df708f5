"""One model at one point: what it refuses, what it complies with, what it can still do.

from safebasin.evaluate.preparation import prepare
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.study import evaluate

found = evaluate(prepare(EvaluateConfig()))
print(found.harmful[found.judge].asr.text())
"""
