"""`safebasin attribute`: which weights, ranks or blocks the answers of some rows depend on."""

from __future__ import annotations

from safebasin.attribution.settings import AttributeConfig
from safebasin.cli.bind import Given, bound
from safebasin.cli.options import JsonResultOption, begin


@bound(AttributeConfig)
def attribute(given: Given[AttributeConfig], json: JsonResultOption = False) -> None:
    """Locate what in a model its safety depends on, by a published method.

    Writes the scores and the set of the highest, or the subspaces, as safetensors; a record; and a
    picture by layer. The angular gap is one number a layer, and scaling an interval of layers; both
    need rows of utility. A folder that holds it already is read.
    """
    config = given.settings()
    begin(config.model, trust_remote_code=config.trust_remote_code)
    from safebasin.cli.views.attribute import run_attribute

    run_attribute(config, as_json=json)
