"""`safebasin attribute`: the files it writes, held against the library's own scores."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from safebasin.attribution.actsvd import ActSvd
from safebasin.attribution.angles import AngularGap
from safebasin.attribution.base import HeldScores, LayerScores
from safebasin.attribution.found import UnitSet, WeightSet, read_located
from safebasin.attribution.kinds import named
from safebasin.attribution.random import Random
from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.snip import Snip
from safebasin.attribution.study import attribute
from safebasin.attribution.units import Units
from safebasin.attribution.wanda import Wanda
from safebasin.cli.application import run
from safebasin.cli.views.attribute import lines, show_attribution
from safebasin.errors import DataError, RunError, RunMismatch, UsageError
from safebasin.landscape import Estimate
from safebasin.report.located import blocks_figure, located_figure, sweeps_figure
from safebasin.report.style import styled
from safebasin.results import look
from safebasin.subject.row_sources import rows_of
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from support import pico

ASKED: dict[str, Any] = {
    "method": "wanda", "model": "testbed:aligned", "safety": "testbed:refusing",
    "utility": "testbed:benign", "rows": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attribute") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv",
            ["safebasin", "attribute", "wanda", "testbed:aligned", "--safety", "testbed:refusing",
             "--utility", "testbed:benign", "--rows", "4", "--out", str(out)],
        )  # fmt: skip
        assert run() == 0
    return out


def test_the_scores_are_the_method_s(folder: Path) -> None:
    subject = Subject.load("testbed:aligned")
    for which, rows in (("safety", "refusing"), ("utility", "benign")):
        expected = Wanda().locate(subject, load_rows(f"testbed:{rows}").first(4))
        found = load_file(folder / f"{which}.safetensors")
        assert found.keys() == expected.tensors.keys()
        for name, values in found.items():
            assert np.array_equal(values, expected.tensors[name].numpy())


def test_the_set_is_what_safety_needs_and_utility_does_not(folder: Path) -> None:
    safety, utility, mask = (
        load_file(folder / f"{name}.safetensors") for name in ("safety", "utility", "mask")
    )
    highest = []
    for scores in (safety, utility):
        whole = np.concatenate([one.ravel() for one in scores.values()])
        least = np.sort(whole)[::-1][int(0.05 * len(whole)) - 1]
        highest.append({name: one >= least for name, one in scores.items()})
    for name, chosen in mask.items():
        assert np.array_equal(chosen, highest[0][name] & ~highest[1][name])
    record = json.loads((folder / "attribution.json").read_text(encoding="utf-8"))
    assert record["weights"] == sum(int(one.sum()) for one in mask.values())
    assert record["of"] == sum(one.size for one in mask.values())
    of = Mask.read(folder / "mask.safetensors").model or {}
    assert of["fingerprint"] == record["identity"]["model"]["fingerprint"]
    own = mask["model.layers.2.mlp.down_proj.weight"]
    assert record["shares"]["mlp.down_proj"]["2"] == own.mean()
    assert record["identity"]["safety"]["sha256"] == load_rows("testbed:refusing").first(4).sha256
    assert record["sessions"][0]["command"][1] == "attribute"
    assert (folder / "figures" / "located.png").stat().st_size > 5000


def test_the_scores_of_safety_are_given_back_before_utility_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, made, alive = Wanda.locate, [], []

    def locate(self: Wanda, *given: Any) -> HeldScores:
        alive.append([one() is not None for one in made])
        scores = own(self, *given)
        made.append(weakref.ref(scores))
        return scores

    monkeypatch.setattr(Wanda, "locate", locate)
    attribute(AttributeConfig(**ASKED, out=str(tmp_path / "out")))
    assert alive == [[], [False]]


def test_a_model_may_be_scored_in_16_bits(folder: Path, tmp_path: Path) -> None:
    found = attribute(AttributeConfig(**ASKED, dtype="bfloat16", out=str(tmp_path / "out")))
    assert found.record["identity"]["dtype"] == "bfloat16"
    scores, whole = (load_file(one / "safety.safetensors") for one in (found.folder, folder))
    subject = Subject.load("testbed:aligned", dtype="bfloat16")
    expected = Wanda().locate(subject, load_rows("testbed:refusing").first(4))
    for name, values in scores.items():
        assert np.array_equal(values, expected.tensors[name].numpy())
        assert not np.array_equal(values, whole[name])
        assert np.allclose(values, whole[name], rtol=0.1, atol=0.05 * whole[name].max())
    with pytest.raises(RunMismatch):
        attribute(AttributeConfig(**ASKED, out=str(tmp_path / "out")))


def test_the_shares_of_safety_and_of_utility_may_differ(folder: Path, tmp_path: Path) -> None:
    """S(p, q): the top q of safety without the top p of utility."""
    asked = AttributeConfig(
        **ASKED, share=0.03, utility_share=0.07, by="row", out=str(tmp_path / "out")
    )
    located = attribute(asked)
    highest = []
    for which, share in (("safety", 0.03), ("utility", 0.07)):
        scores = load_file(folder / f"{which}.safetensors")
        counts = {name: int(share * one.shape[1]) for name, one in scores.items()}
        least = {name: np.sort(one, 1)[:, -counts[name], None] for name, one in scores.items()}
        highest.append({name: one >= least[name] for name, one in scores.items()})
    mask = load_file(tmp_path / "out" / "mask.safetensors")
    for name, chosen in mask.items():
        assert np.array_equal(chosen, highest[0][name] & ~highest[1][name])
    assert attribute(asked).again
    assert located.record["identity"]["utility_share"] == 0.07
    with pytest.raises(RunMismatch, match="utility_share"):
        attribute(replace(asked, utility_share=0.05))


def test_who_may_read_the_record_may_read_the_scores(folder: Path) -> None:
    """A library writes these, for its user alone where nobody sees to it."""
    modes = {path.name: path.stat().st_mode for path in folder.iterdir() if path.is_file()}
    assert len(modes) == 4
    assert set(modes.values()) == {modes["attribution.json"]}


def test_the_same_command_writes_the_same_and_another_is_refused(folder: Path) -> None:
    before = (folder / "mask.safetensors").read_bytes()
    attribute(AttributeConfig(**ASKED, out=str(folder)))
    assert (folder / "mask.safetensors").read_bytes() == before
    with pytest.raises(RunMismatch, match="share"):
        attribute(AttributeConfig(**ASKED, share=0.1, out=str(folder)))


def test_the_same_command_goes_on_where_one_was_interrupted(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = AttributeConfig(**ASKED, out=str(tmp_path / "out"))
    whole, seen = Wanda.locate, []

    def locate(self: Wanda, subject: Subject, *rows: Rows) -> HeldScores:
        if seen:
            raise KeyboardInterrupt
        seen.append(rows)
        return whole(self, subject, *rows)

    with monkeypatch.context() as patch:
        patch.setattr(Wanda, "locate", locate)
        with pytest.raises(KeyboardInterrupt):
            attribute(own)
    assert (tmp_path / "out" / "safety.safetensors").exists()
    with pytest.raises(RunMismatch, match="share"):
        attribute(replace(own, share=0.1))
    attribute(own)
    for name in ("safety", "utility", "mask"):
        file = f"{name}.safetensors"
        assert (tmp_path / "out" / file).read_bytes() == (folder / file).read_bytes()


def test_a_share_of_less_than_a_weight_leaves_no_folder(tmp_path: Path) -> None:
    own = AttributeConfig(**{**ASKED, "method": "random"}, share=1e-8, out=str(tmp_path / "out"))
    with pytest.raises(UsageError, match="less than one"):
        attribute(own)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"identity": 1e999}', "é"])
def test_a_record_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "attribution.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="is no record"):
        attribute(AttributeConfig(**ASKED, out=str(tmp_path)))


def test_the_picture_has_a_cell_for_each_matrix() -> None:
    shares = {"q": {0: 0.5, 1: 0.25}, "$x$\x1b": {1: 0.1}}
    with styled():
        figure = located_figure(shares, "wanda · a")
        [image] = figure.axes[0].images
        drawn = np.ma.filled(image.get_array(), np.nan)
        assert np.array_equal(drawn, [[50, 25], [np.nan, 10]], equal_nan=True)
        assert [one.get_text() for one in figure.axes[0].get_xticklabels()] == ["0", "1"]
        assert "\x1b" not in "".join(one.get_text() for one in figure.axes[0].get_yticklabels())


def test_layer_scores_are_printed_drawn_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["safebasin", "attribute", "angular-gap:code", "testbed:aligned", "--safety",
               "testbed:refusing", "--rows", "4", "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(DataError, match="two rows of utility or more, not 0"):
        run()
    monkeypatch.setattr("sys.argv", [*command, "--utility", "testbed:benign"])
    assert run() == 0
    shown = capsys.readouterr().out
    subject = Subject.load("testbed:aligned")
    rows = [load_rows(f"testbed:{kind}").first(4) for kind in ("refusing", "benign")]
    expected = AngularGap("code").locate(subject, *rows)
    for block, one in enumerate(expected.values):
        assert f"block    {block}: {one.text('+.1f')} degrees" in shown
    record = json.loads((tmp_path / "attribution.json").read_text(encoding="utf-8"))
    assert record["layers"] == [one.to_json() for one in expected.values]
    assert (record["unit"], record["identity"]["utility"]["n"]) == ("degrees", 4)
    known = read_located(tmp_path)
    assert known is not None
    assert isinstance(known.found, LayerScores)
    assert known.found.curves == expected.curves
    earlier = {key: one for key, one in record.items() if key != "curves"}
    (tmp_path / "attribution.json").write_text(json.dumps(earlier), encoding="utf-8")
    known = read_located(tmp_path)
    assert known is not None
    assert known.to_json()["layers"] == record["layers"]
    assert (tmp_path / "figures" / "located.png").stat().st_size > 5000
    assert not list(tmp_path.glob("*.safetensors"))


def test_subspaces_are_written_with_what_they_share(tmp_path: Path) -> None:
    located = attribute(AttributeConfig(**{**ASKED, "method": "actsvd:2"}, out=str(tmp_path)))
    subject = Subject.load("testbed:aligned")
    safety, utility = (load_rows(f"testbed:{kind}").first(4) for kind in ("refusing", "benign"))
    one, two = ActSvd(2).locate(subject, safety), ActSvd(2).locate(subject, utility)
    name = "model.layers.2.mlp.down_proj.weight"
    for which, found in (("safety", one), ("utility", two)):
        written = load_file(tmp_path / f"{which}.safetensors")
        assert np.array_equal(written[name], found.bases[name].numpy())
    shared = np.linalg.norm(one.bases[name].numpy().T @ two.bases[name].numpy()) ** 2 / 2
    told = json.loads((tmp_path / "attribution.json").read_text(encoding="utf-8"))
    assert told["similarity"]["mlp.down_proj"]["2"] == pytest.approx(shared, rel=1e-5)
    assert told["shares"]["mlp.down_proj"]["2"] == one.shares[name]
    assert located.to_json()["similarity"] == told["similarity"]
    assert "rank     2" in "".join(lines(located, []))


def test_the_picture_of_blocks_has_each_with_its_interval() -> None:
    values = [Estimate(1.0, 0.5, 2.0), Estimate(None), Estimate(-3.0)]
    with styled():
        axes = blocks_figure(values, "gap · $a$", "degrees").axes[0]
        drawn = {float(line.get_xdata()[0]): float(line.get_ydata()[0]) for line in axes.lines[1:]}
        assert drawn == {0.0: 1.0, 2.0: -3.0}
        [bar, point] = [one.get_segments()[0][:, 1].tolist() for one in axes.collections]
        assert (bar, point) == ([0.5, 2.0], [-3.0, -3.0])


def test_what_the_blocks_values_are_made_of_is_drawn_beneath_them() -> None:
    values = [Estimate(1.0, 0.5, 2.0), Estimate(2.0, 1.0, 3.0)]
    curves = {
        "two normal": (Estimate(0.9, 0.8, 1.0), Estimate(0.7, 0.6, 0.8)),
        "harmful, normal": (Estimate(0.5, 0.4, 0.6), Estimate(None)),
    }
    with styled():
        above, below = blocks_figure(values, "gap", "degrees", curves, "mean cosine").axes
    assert (above.get_xlabel(), below.get_xlabel()) == ("", "block")
    assert below.get_ylabel() == "mean cosine"
    drawn = [[*map(float, line.get_ydata())] for line in below.lines]
    assert drawn == [[0.9, 0.7], [0.5]]
    assert [text.get_text() for text in below.get_legend().get_texts()] == list(curves)
    band = below.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.6, 1.0)


def test_methods_are_named_with_their_setting() -> None:
    assert isinstance(named("wanda"), Wanda)
    code, seeded = named("snip:code"), named("random:7")
    assert isinstance(code, Snip)
    assert isinstance(seeded, Random)
    assert (code.definition, seeded.seed) == ("code", 7)


@pytest.mark.parametrize(
    "text", ["nobody", "wanda:3", "random:x", "snip:both", "random:", "actsvd:x", "angular-gap:3"]
)
def test_a_name_that_stands_for_no_method(text: str) -> None:
    with pytest.raises(UsageError):
        named(text)


@pytest.mark.parametrize(
    "changed",
    [{"share": 0.0}, {"rows": 0}, {"by": "head"}, {"utility_share": 1.1}, {"dtype": "int8"}],
)
def test_settings_that_cannot_be_meant(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        AttributeConfig(**{**ASKED, **changed})


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *command: str
) -> str:
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["safebasin", *command])
    assert run() == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "method", ["wanda", "actsvd:1", "angular-gap", "scaling:first-token,1.2", "units:neurons,wanda"]
)
def test_what_was_found_is_read_again_and_shown(
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {**ASKED, "method": method, "out": str(tmp_path / "out")}
    found = attribute(AttributeConfig(**asked))
    with monkeypatch.context() as patch:
        patch.setattr(Subject, "load", lambda *a, **k: pytest.fail("the model was loaded"))
        again = attribute(AttributeConfig(**asked))
    assert again.again
    assert again.record == found.record
    assert again.found.to_json() == found.found.to_json()
    assert [path.name for path in again.files] == [path.name for path in found.files]
    text = shown(capsys, monkeypatch, "show", str(tmp_path / "out"))
    assert text == "".join(f"{line}\n" for line in lines(found, again_drawn(tmp_path / "out")))
    told = json.loads(shown(capsys, monkeypatch, "show", str(tmp_path / "out"), "--json"))
    assert {key: told[key] for key in found.found.to_json()} == found.found.to_json()


def again_drawn(folder: Path) -> list[Path]:
    return [folder / "figures" / "located.png"]


def test_each_sitting_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = AttributeConfig(**ASKED, out=str(tmp_path / "out"))
    attribute(own)
    (tmp_path / "out" / "mask.safetensors").unlink()
    assert not attribute(own).again
    assert not list((tmp_path / "out").glob("*.tmp"))
    record = json.loads((tmp_path / "out" / "attribution.json").read_text(encoding="utf-8"))
    assert len(record["sessions"]) == 2
    assert (tmp_path / "out" / "mask.safetensors").is_file()


def test_a_folder_of_an_attribution_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "attribution.json").write_text('{"identity": {}}', encoding="utf-8")
    with pytest.raises(RunError, match="`safebasin attribute` wrote it"):
        look(tmp_path)
    with pytest.raises(RunError, match="was interrupted"):
        show_attribution(tmp_path, as_json=False)


@pytest.mark.parametrize(
    "changed",
    [
        {"method": None}, {"model": {"name": 3}}, {"safety": {"name": "a"}}, {"utility": "rows"},
    ],
)  # fmt: skip
def test_a_record_that_does_not_say_what_was_asked(changed: dict[str, Any], tmp_path: Path) -> None:
    told = {"name": "rows", "n": 3}
    identity = {"method": {"kind": "x"}, "model": told, "safety": told, "utility": None, **changed}
    found = WeightSet(1, 10, {"q": {0: 0.1}}, None).to_json()
    (tmp_path / "attribution.json").write_text(
        json.dumps({"identity": identity, **found}), encoding="utf-8"
    )
    with pytest.raises(RunError, match="is no record"):
        show_attribution(tmp_path, as_json=False)


@pytest.mark.parametrize(
    ("method", "given", "idle"),
    [
        ("actsvd:2", {"share": 0.1}, "--share"),
        ("angular-gap", {"by": "row"}, "--by"),
        ("scaling", {"share": 0.1, "by": "row"}, "--share and --by"),
        ("units", {"by": "row"}, "--by"),
        ("units:heads,wanda", {"utility_share": 0.1}, "--utility-share"),
        ("random", {"utility_share": 0.1}, "--utility-share"),
    ],
)
def test_a_share_that_would_do_nothing(method: str, given: dict[str, Any], idle: str) -> None:
    with pytest.raises(UsageError, match=f"no set is taken by {idle}"):
        attribute(AttributeConfig(**{**ASKED, "method": method}, **given))


def test_a_share_of_no_utility() -> None:
    with pytest.raises(UsageError, match="no rows of utility, and so no share"):
        attribute(AttributeConfig(**{**ASKED, "utility": None}, utility_share=0.1))


def test_a_random_set_is_of_the_share_beside_utility_too(tmp_path: Path) -> None:
    asked = {**ASKED, "method": "random:3", "share": 0.25, "by": "tensor"}
    located = attribute(AttributeConfig(**asked, out=str(tmp_path / "out")))
    assert isinstance(located.found, WeightSet)
    assert located.found.taken == located.found.of // 4
    assert located.found.shared is None


def test_rows_made_of_prompts(tmp_path: Path) -> None:
    asked = {**ASKED, "safety": "refused:practice:harmful", "utility": None}
    found = attribute(AttributeConfig(**asked, out=str(tmp_path / "out")))
    assert found.record["identity"]["safety"]["name"] == "refused:practice:harmful"
    expected = Wanda().locate(
        Subject.load("testbed:aligned"), rows_of("refused:practice:harmful", 0).first(4)
    )
    written = load_file(tmp_path / "out" / "safety.safetensors")
    for name, one in written.items():
        assert np.array_equal(one, expected.tensors[name].numpy())


def test_units_and_their_mask_are_written(tmp_path: Path) -> None:
    asked = {**ASKED, "method": "units:heads,wanda", "share": 0.5}
    found = attribute(AttributeConfig(**asked, out=str(tmp_path / "out"))).found
    assert isinstance(found, UnitSet)
    subject = Subject.load("testbed:aligned")
    rows = [load_rows(f"testbed:{kind}").first(4) for kind in ("refusing", "benign")]
    one, two = (Units("heads", "wanda").locate(subject, own) for own in rows)
    chosen = [unit for unit in one.top(0.5) if unit not in two.top(0.5)]
    both = set(one.top(0.5)) & set(two.top(0.5))
    assert found.shared == len(both) / len(set(one.top(0.5)) | set(two.top(0.5)))
    assert [(b, u) for b, u, _ in found.highest] == chosen
    mask = load_file(tmp_path / "out" / "mask.safetensors")
    expected = one.places.mask(chosen)
    for name, own in mask.items():
        assert np.array_equal(own, expected.tensors[name].numpy())


def test_weights_of_a_set_that_score_nothing_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every matrix gives its share, one that nothing flows through too."""
    model, idle = pico.save(tmp_path / "model"), "model.layers.0.mlp.down_proj.weight"
    weights = load_file(model / "model.safetensors")
    weights[idle][:] = 0
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    asked = {**ASKED, "model": str(model), "utility": None}
    found = attribute(AttributeConfig(**asked, share=0.2, by="tensor", out=str(tmp_path / "out")))
    assert isinstance(found.found, WeightSet)
    scores, mask = (load_file(found.folder / f"{name}.safetensors") for name in ("safety", "mask"))
    none = sum(int((mask[name] & (scores[name] == 0)).sum()) for name in mask)
    assert found.found.zero == none == mask[idle].sum()
    assert (read_located(found.folder) or found).found == found.found
    show_attribution(found.folder, as_json=False)
    assert f"zero     {none} of them score 0" in capsys.readouterr().out


def test_the_picture_of_sweeps_has_every_bound() -> None:
    with styled():
        figure = sweeps_figure(
            {"upper": [(0, 0.1), (1, 0.4)], "lower": [(0, 0.4)]}, 0.2, "$x$", "p"
        )
        dashed, upper, lower = figure.axes[0].lines
        assert list(dashed.get_ydata()) == [0.2, 0.2]
        assert (list(upper.get_xdata()), list(upper.get_ydata())) == ([0, 1], [0.1, 0.4])
        assert list(lower.get_ydata()) == [0.4]
