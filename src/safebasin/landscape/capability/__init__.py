"""What a model can still do at every point: accuracies and perplexities, each with its interval.

A capability is measured by the same items everywhere: questions that are answered right or not,
windows of a text with their likelihood, or one number that another harness made. So items are
resampled together at all points, as the prompts of a landscape are, and directions beside them.
"""

from __future__ import annotations

from safebasin.landscape.capability.capability import Capability, Reading
from safebasin.landscape.capability.extents import KEPT, Extent
from safebasin.landscape.capability.items import Item, Measure

__all__ = ["KEPT", "Capability", "Extent", "Item", "Measure", "Reading"]
