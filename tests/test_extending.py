"""The page for contributors: its code is run as it stands, and each thing looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.attribution.kinds import ATTRIBUTIONS
from safebasin.cli import summary
from safebasin.defence_bench.base import Setting
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defences.kinds import DEFENCES
from safebasin.directions import KINDS
from safebasin.judges import names
from safebasin.landscape.table import MEASURES
from safebasin.report.card import card
from safebasin.report.measure_table import measure_table
from safebasin.report.page import document
from safebasin.results import rejudge
from safebasin.run import RunFolder, verify

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the names of the page stand for once all of its code has run, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reader"))
        for table in (KINDS, MEASURES, ATTRIBUTIONS, DEFENCES):
            for key in set(table):
                patch.setitem(table, key, table[key])
        known = [(table, set(table)) for table in (KINDS, MEASURES, ATTRIBUTIONS, DEFENCES)]
        found: dict[str, Any] = {"__name__": "extending"}
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"docs/extending.md, block {number + 1}", "exec"), found)
        yield found
        for table, keys in known:
            for key in table.keys() - keys:
                del table[key]


def test_the_judge_is_in_the_run(read: dict[str, Any]) -> None:
    result = read["result"]
    run = RunFolder.read(result.folder)
    assert result.judge == "redirects"
    assert set(run.judges()) >= {"redirects", "outcome"}
    assert verify(result.folder).problems == ()
    assert "redirects" in document([result])
    counted = sum(result.summary.origin.shares[one].value for one in ("refused", "complied"))
    assert counted == 1
    assert rejudge(result.folder, [read["Redirects"]()]).judge == "redirects"
    assert "redirects" not in names(), "given as an object, not listed"


def test_the_direction_moves_and_is_rebuilt(read: dict[str, Any]) -> None:
    assert read["before"] == read["after"] != read["halved"]
    assert read["same"].spec() == read["shrunk"].spec()
    assert type(read["same"]) is KINDS["shrunk"]
    weights = read["weights"]
    for parameter in weights.parameters:
        step = read["same"].tensor(parameter)
        assert torch.equal(step, weights.pristine(parameter.name) * -0.5)
    run = RunFolder.read(read["along"].folder)
    assert [axis.direction for plane in run.manifest.planes for axis in plane.axes] == ["shrunk"]


def test_the_measure_is_told_everywhere(read: dict[str, Any]) -> None:
    again = read["again"]
    said = dict(summary.lines(again))["highest ASR"]
    value = again.to_json()["judges"]["redirects"]["worst"]["value"]
    run, spec = RunFolder.read(again.folder), read["Redirects"]().spec()
    rates = [
        sum(verdict.outcome == "complied" for verdict in verdicts.values()) / len(verdicts)
        for point in run.manifest.planes[0].points
        if (verdicts := run.read_verdicts("redirects", spec, point))
    ]
    assert len(rates) == 3
    assert value == pytest.approx(max(rates))
    assert said.startswith(f"{100 * value:.1f} %")
    assert "highest ASR" in document([again])
    assert "highest ASR" in card(RunFolder.read(again.folder), again.to_json())
    assert "| highest ASR | `worst` | % |" in measure_table()


def test_the_attribution_locates_and_its_set_is_removed(read: dict[str, Any]) -> None:
    subject, alone, control = read["subject"], read["alone"], read["control"]
    assert 0 < alone.count == control.count < 0.05 * alone.numel
    assert type(read["peaks"]) is ATTRIBUTIONS["peaks"]
    own = sum(int((p == 0).sum()) for p in subject.model.parameters())
    assert read["zeros"] == own + alone.count
    for layer in subject.linear[:3]:
        mask = read["for_safety"].tensor(layer.parameter)
        assert int(mask.sum()) == mask.numel() * 5 // 100


def test_the_defences_are_themselves_at_zero_and_the_method_at_one(read: dict[str, Any]) -> None:
    assert {"halfway", "louder"} <= set(DEFENCES)
    tuned, aligned = read["tuned"], read["subject"]
    for name, at_half in read["at_half"].items():
        one, two = (each.weights.pristine(name) for each in (tuned, aligned))
        torch.testing.assert_close(at_half, (one + two) / 2, rtol=1e-5, atol=1e-6)
    assert torch.equal(read["at_zero"], read["itself"])
    assert not torch.equal(read["at_one"], read["itself"])
    assert not any(module._forward_hooks for module in tuned.model.modules())


def test_the_row_of_the_bench_is_the_defence(read: dict[str, Any]) -> None:
    row, tuned = read["in_the_bench"], read["tuned"]
    direction = row.direction(tuned, Setting(BenchConfig(), Path("made")))
    for parameter in tuned.weights.parameters:
        assert torch.equal(direction.tensor(parameter), read["defended"].tensor(parameter))
