"""Two checkpoints of one architecture: what changed, how close to the edge, and may it pass?

from safebasin.compare.preparation import prepare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare

found = compare(prepare(CompareConfig("testbed:harmful-100")))
print(found.verdict, found.margin.text())
"""
