"""What holds for all that can be named: directions, judges, methods, prompt sets, engines.

Whoever adds one and forgets a place finds its name in what fails here.
"""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from safebasin import attribution, defences, directions
from safebasin.attribution.base import LayerScores
from safebasin.attribution.kinds import ATTRIBUTIONS
from safebasin.attribution.scaling import Interval
from safebasin.attribution.units import UnitScores
from safebasin.checkpoint import Checkpoint
from safebasin.cli.commands import listing
from safebasin.config import EngineName, Law
from safebasin.defences import scans_fit
from safebasin.defences.ablation import Ablation
from safebasin.defences.derta import Derta
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.kinds import DEFENCES
from safebasin.defences.lox import Lox
from safebasin.defences.preferences import Pair, Preferences
from safebasin.defences.resta import Resta
from safebasin.defences.restoration import RandomPerturbation, RandomRestoration
from safebasin.defences.safe_lora import SafeLora
from safebasin.defences.safe_merge import SafeMerge
from safebasin.defences.somf import Somf
from safebasin.defences.sppft import Sppft
from safebasin.directions import KINDS, gaussian, rebuild
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.exchange import Exchange
from safebasin.judges import build, names
from safebasin.judges import rebuild as rebuild_judge
from safebasin.judges.guards import GUARDS
from safebasin.judges.rubrics import RUBRICS
from safebasin.plan import ESTIMATES
from safebasin.plane import Point
from safebasin.prompts import CHOICE_SETS, EVERYDAY, PACKAGED, PUBLISHED, Prompt, PromptSet, load
from safebasin.protocol import peng2024
from safebasin.report.page.findings import RANDOM
from safebasin.subject.rows import Message, Row, Rows
from safebasin.subject.subject import Subject
from safebasin.weights import Direction, Weights
from safebasin.weights.masks import Mask
from safebasin.weights.subspaces import HeldSubspace
from support import pico

DOCS = {
    path.name: path.read_text(encoding="utf-8")
    for path in (Path(__file__).parents[1] / "docs").glob("*.md")
}
CITED = re.compile(r"arXiv \d{4}\.\d{4,5}|et al\.")
"""A paper, with or without its section."""

Sample = Callable[[Weights, Path], Direction]


def other(folder: Path) -> Checkpoint:
    return Checkpoint(str(pico.save(folder / "other", seed=3)))


def on_disk(weights: Weights, folder: Path) -> Path:
    tensors = {p.name: torch.full(p.shape, 0.125) for p in weights.parameters}
    save_file(tensors, folder / "d.safetensors")
    return folder / "d.safetensors"


def drawn(weights: Weights, seed: int = 0) -> Direction:
    return directions.Gaussian(seed, weights)


def half(weights: Weights) -> Mask:
    """A mask of every other entry."""
    found = {p.name: torch.arange(math.prod(p.shape)).reshape(p.shape) for p in weights.parameters}
    return Mask({name: numbers % 2 == 0 for name, numbers in found.items()}, name="half")


def subspace(weights: Weights) -> HeldSubspace:
    """The first three coordinates of what enters each matrix."""
    matrices = [p for p in weights.parameters if len(p.shape) == 2]
    return HeldSubspace("first", "input", {p.name: torch.eye(p.shape[1], 3) for p in matrices})


SAMPLES: dict[str, Sample] = {
    "adapter": lambda w, at: directions.Adapter(pico.adapter(at / "base", at / "adapter"), w),
    "combination": lambda w, at: directions.Combination(
        [(0.5, drawn(w)), (-2.0, drawn(w, 1))], name="sum"
    ),
    "difference": lambda w, at: directions.Difference(Checkpoint(str(at / "base")), other(at), w),
    "gaussian": lambda w, at: drawn(w),
    "given": lambda w, at: directions.Given(on_disk(w, at), w, scale=0.3),
    "held": lambda w, at: directions.Held(
        "found", {p.name: torch.full(p.shape, 1 / 3) for p in w.parameters}
    ),
    "masked": lambda w, at: directions.Masked(drawn(w), half(w)),
    "orthogonal": lambda w, at: directions.Orthogonal(drawn(w, 1), drawn(w)),
    "projected": lambda w, at: directions.Projected(drawn(w), subspace(w), complement=True),
    "pruned": lambda w, at: directions.Pruned(half(w), w),
    "restricted": lambda w, at: directions.Restricted(drawn(w), 1, 1, w),
    "rounded": lambda w, at: directions.Resident(drawn(w), w, dtype=torch.bfloat16),
    "scaled": lambda w, at: directions.Scaled(0, 1, w, include_o_proj=False),
    "toward": lambda w, at: directions.Toward(other(at), w),
    "truncated": lambda w, at: directions.Truncated(drawn(w), 2),
}
"""One direction of each kind over the weights of the checkpoint in the folder `base`."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registries")
    pico.save(folder / "base")
    return folder


@pytest.fixture(scope="module")
def weights(home: Path) -> Weights:
    model, _ = Checkpoint(str(home / "base")).load()
    return Weights(model)


class TestDirections:
    def test_each_class_is_listed_under_its_kind(self) -> None:
        modules = [
            importlib.import_module(f"safebasin.directions.{one.name}")
            for one in pkgutil.iter_modules(directions.__path__)
            if one.name != "triton_displacement"  # where there is a GPU only
        ]
        made = {
            found
            for module in modules
            for found in vars(module).values()
            if isinstance(found, type)
            and found.__module__ == module.__name__
            and hasattr(found, "rebuild")
            and not getattr(found, "_is_protocol", False)
        }
        assert {one for one in made if not issubclass(one, tuple(KINDS.values()))} == set()
        assert {kind for kind, one in KINDS.items() if one.kind != kind} == set()
        assert {one.__name__ for one in made} <= set(directions.__all__)

    def test_each_kind_is_held_to_what_follows(self) -> None:
        assert set(SAMPLES) == set(KINDS)

    def test_each_law_of_random_directions_draws(self) -> None:
        assert set(gaussian.LAWS) == set(get_args(Law))

    def test_the_page_knows_the_random_ones(self) -> None:
        assert {kind for kind, one in KINDS.items() if one.random} == RANDOM

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_each_says_what_it_is_and_by_which_paper(self, kind: str) -> None:
        assert CITED.search(KINDS[kind].__doc__ or ""), kind

    @pytest.mark.parametrize("kind", sorted(SAMPLES))
    def test_its_specification_is_it(self, kind: str, weights: Weights, home: Path) -> None:
        direction = SAMPLES[kind](weights, home)
        again = rebuild(json.loads(json.dumps(direction.spec())), weights)
        assert (direction.spec()["kind"], again.name) == (kind, direction.name)
        assert type(again) is KINDS[kind]
        assert again.spec() == direction.spec()
        for view in weights.views():
            one, two = direction.tensor(view), again.tensor(view)
            assert (one is None) == (two is None)
            assert one is None or two is None or torch.equal(one, two)

    @pytest.mark.parametrize("kind", sorted(SAMPLES))
    def test_at_zero_the_model_is_itself(self, kind: str, weights: Weights, home: Path) -> None:
        direction, before = SAMPLES[kind](weights, home), weights.checksum()
        with weights.displaced([(0.0, direction)]):
            assert weights.checksum() == before
        with weights.displaced([(0.5, direction)]):
            assert weights.checksum() != before
        assert weights.checksum() == before

    @pytest.mark.parametrize("kind", sorted(kind for kind, one in KINDS.items() if one.random))
    def test_a_random_one_is_as_long_as_the_weights(
        self, kind: str, weights: Weights, home: Path
    ) -> None:
        direction = SAMPLES[kind](weights, home)
        for parameter in weights.parameters:
            step = direction.tensor(parameter)
            assert step is not None
            own = weights.pristine(parameter.name).double().norm()
            assert float(step.double().norm()) == pytest.approx(float(own), rel=1e-6)


ANSWERS = [
    Exchange(f"p{i}", "Tell me.", text, "eos", 3, 9)
    for i, text in enumerate(["I'm sorry, I can't help with that.", "Sure, here it is.", "a a a a"])
]


class TestJudges:
    @pytest.mark.parametrize("name", names())
    def test_each_is_listed_documented_and_rebuilt(self, name: str) -> None:
        judge = build(name)
        assert name in dict(listing._judges())
        assert f"`{name}`" in DOCS["judges.md"]
        again = rebuild_judge(json.loads(json.dumps(judge.spec())))
        assert (again.name, again.measures) == (name, judge.measures)
        assert again.judge(ANSWERS) == judge.judge(ANSWERS)

    @pytest.mark.parametrize("name", GUARDS)
    def test_each_guard_is_listed_with_its_model(self, name: str) -> None:
        guard = GUARDS[name]
        about = dict(listing._judges())[f"guard:{name}"]
        assert guard.name == name
        assert guard.policy in about
        assert guard.model in about
        assert name.split("-")[0] in DOCS["judges.md"]

    @pytest.mark.parametrize("name", RUBRICS)
    def test_each_rubric_is_listed_with_its_policy(self, name: str) -> None:
        about = {key: text for key, text in listing._judges() if key.startswith(f"rubric:{name}@")}
        assert [RUBRICS[name].policy in text for text in about.values()] == [True]


class TestPromptSets:
    @pytest.mark.parametrize("name", [*PACKAGED, EVERYDAY, *CHOICE_SETS])
    def test_each_packaged_set_is_listed_and_read_by_its_name(self, name: str) -> None:
        assert name in dict(listing._prompts())
        if name not in CHOICE_SETS:
            found = load(name)
            assert found.name == name
            assert (found.licence, bool(found.prompts)) == ("MIT", True)
            assert load(found.name) == found

    @pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.name)
    def test_each_published_set_is_listed_documented_and_has_a_page(self, one: Any) -> None:
        assert dict(listing._prompts())[one.name] == one.text()
        assert any(one.name in text for text in DOCS.values())
        assert one.page.startswith("https://")


class TestEngines:
    def test_each_can_be_named(self) -> None:
        assert {engine.name for engine in get_args(AnyEngine)} == set(get_args(EngineName))
        assert {name for name in get_args(EngineName) if name not in DOCS["speed.md"]} == set()
        assert set(ESTIMATES) == set(get_args(EngineName))

    def test_each_says_what_others_ask_of_it(self) -> None:
        asked = {"own_process", "ends_early", "settle", "plan_text", "close", "free"}
        lacking = {(e.name, one) for e in get_args(AnyEngine) for one in asked if one not in dir(e)}
        assert lacking == set()

    @pytest.mark.parametrize("engine", [PlainEngine, FastEngine])
    def test_at_the_origin_and_after_any_point_the_model_is_itself(
        self, engine: type[PlainEngine] | type[FastEngine], weights: Weights
    ) -> None:
        before, direction = weights.checksum(), drawn(weights)
        made = engine(
            weights.model, weights, {direction.name: direction}, Template.of(pico.tokenizer())
        )
        zero, away = (Point.of({direction.name: c}) for c in (0.0, 0.5))
        prompts, sampling = [Prompt("p", "What is a basin?", "harmful")], Sampling(4)
        [(_, one)] = made.answers([zero], prompts, sampling)
        [_] = made.answers([away], prompts, sampling)
        [(_, two)] = made.answers([Point()], prompts, sampling)
        assert [exchange.response for exchange in one] == [exchange.response for exchange in two]
        assert weights.checksum() == before


def modules_of(package: Any) -> list[Any]:
    return [
        importlib.import_module(f"{package.__name__}.{one.name}")
        for one in pkgutil.iter_modules(package.__path__)
    ]


def classes_with(package: Any, method: str) -> set[type]:
    """The classes of a package that have a method, without its protocols."""
    return {
        found
        for module in modules_of(package)
        for found in vars(module).values()
        if isinstance(found, type)
        and found.__module__ == module.__name__
        and hasattr(found, method)
        and not getattr(found, "_is_protocol", False)
    }


ROWS = [
    Rows(
        name,
        tuple(
            Row((Message("user", asked), Message("assistant", "No.")), asked)
            for asked in (f"{name} 1", f"{name} 2")
        ),
    )
    for name in ("safety", "utility")
]


@pytest.fixture(scope="module")
def tuned(home: Path) -> Subject:
    """An adapter over the model in the folder `base`, beside which `unaligned` lies."""
    pico.save(home / "unaligned", seed=5)
    adapter = pico.adapter(home / "base", home / "tuned")
    return Subject.load(Checkpoint(str(home / "base"), str(adapter)))


class TestAttributions:
    def test_each_class_is_listed_under_its_kind(self) -> None:
        assert classes_with(attribution, "locate") == set(ATTRIBUTIONS.values())
        assert {kind for kind, one in ATTRIBUTIONS.items() if one.kind != kind} == set()

    @pytest.mark.parametrize("kind", sorted(ATTRIBUTIONS))
    def test_each_says_what_it_is_and_by_which_paper(self, kind: str) -> None:
        assert CITED.search(ATTRIBUTIONS[kind].reference)
        assert len(ATTRIBUTIONS[kind].__doc__ or "") > 60
        assert f"`{kind}`" in DOCS["extending.md"]

    @pytest.mark.parametrize("kind", sorted(ATTRIBUTIONS))
    def test_it_leaves_the_model_as_it_was(self, kind: str, tuned: Subject) -> None:
        method, before = ATTRIBUTIONS[kind](), tuned.weights.checksum()
        found: Any = method.locate(tuned, *ROWS)
        assert tuned.weights.checksum() == before
        spec = json.loads(json.dumps(found.spec()))
        assert spec == {**spec, **method.spec(), "kind": kind}
        assert spec["model"] == tuned.checkpoint.name
        again: Any = ATTRIBUTIONS[kind]().locate(tuned, *ROWS)
        if isinstance(found, LayerScores):
            assert found == again
            assert len(found.values) == tuned.model.config.num_hidden_layers
            return
        if isinstance(found, Interval):
            assert found == again
            return
        if isinstance(found, UnitScores):
            assert all(torch.equal(one, again.scores[block]) for block, one in found.scores.items())
            assert len(found.places.units) == sum(map(len, found.scores.values()))
            return
        for parameter in found.parameters:
            if isinstance(found, HeldSubspace):
                assert torch.equal(found.basis(parameter), again.basis(parameter))
                continue
            tensor = found.tensor(parameter)
            assert tensor.dtype == torch.float32
            assert tuple(tensor.shape) == parameter.shape
            assert torch.equal(tensor, again.tensor(parameter))


def fitted(at: Path) -> Any:
    """A steering of the model that `tuned` is."""
    prompts = tuple(Prompt(text, text) for text in ("a", "bc", "def", "ghij"))
    own = Subject.load(Checkpoint(str(at / "base"), str(at / "tuned")))
    return scans_fit.fit(own, *(PromptSet(n, prompts[::s], n) for n, s in (("h", 1), ("b", -1))))


DEFENCE_SAMPLES: dict[str, Callable[[Path], Any]] = {
    "safe-lora": lambda at: SafeLora(str(at / "base"), str(at / "unaligned"), threshold=1.1),
    "lox": lambda at: Lox(str(at / "unaligned"), rank=2),
    "resta": lambda at: Resta(str(at / "base"), str(at / "unaligned"), drop=0.3),
    "safe-merge": lambda at: SafeMerge(str(at / "base"), str(at / "unaligned"), threshold=1.1),
    "random-restoration": lambda at: RandomRestoration(str(at / "base")),
    "random-perturbation": lambda at: RandomPerturbation(),
    "somf": lambda at: Somf(
        str(at / "base"), Preferences("one", (Pair("Hi", "No.", "Yes.", "one"),)), epochs=1
    ),
    "ablation": lambda at: Ablation(*ROWS, block=1),
    "derta": lambda at: Derta({"q": "No."}),
    "scans": lambda at: fitted(at),
    "sppft": lambda at: Sppft("1"),
    "frozen-weights": lambda at: FrozenWeights(Mask({})),
}
"""One defence of each kind, of the model that `tuned` is."""


class TestDefences:
    def test_each_class_is_listed_under_its_kind(self) -> None:
        shapes = ("direction", "applied", "gradients")
        made = set[type]().union(*(classes_with(defences, shape) for shape in shapes))
        assert made == set(DEFENCES.values())
        assert {kind for kind, one in DEFENCES.items() if one.kind != kind} == set()

    def test_each_kind_is_held_to_what_follows(self) -> None:
        assert set(DEFENCE_SAMPLES) == set(DEFENCES)

    @pytest.mark.parametrize("kind", sorted(DEFENCES))
    def test_each_says_what_it_is_and_by_which_paper(self, kind: str) -> None:
        assert CITED.search(DEFENCES[kind].reference)
        assert CITED.search(DEFENCES[kind].__doc__ or "")
        assert f"`{kind}`" in DOCS["extending.md"]

    @pytest.mark.parametrize("kind", sorted(DEFENCES))
    def test_at_zero_the_model_is_itself(self, kind: str, tuned: Subject, home: Path) -> None:
        defence, before = DEFENCE_SAMPLES[kind](home), tuned.weights.checksum()
        assert json.loads(json.dumps(defence.spec()))["kind"] == kind
        if hasattr(defence, "direction"):
            direction = defence.direction(tuned)
            assert direction.name == rebuild(direction.spec(), tuned.weights).name
            around = [tuned.weights.displaced([(c, direction)]) for c in (0.0, 1.0)]
        elif hasattr(defence, "applied"):
            around = [defence.applied(tuned, strength) for strength in (0.0, 1.0)]
        else:
            return
        ids = torch.tensor([tuned.template.encode(Prompt("asked", "go"))])
        answer = tuned.model(ids).logits
        with around[0]:
            assert torch.equal(tuned.model(ids).logits, answer)
            assert tuned.weights.checksum() == before
        with around[1]:
            assert not torch.equal(tuned.model(ids).logits, answer)
        assert torch.equal(tuned.model(ids).logits, answer)
        assert tuned.weights.checksum() == before


def test_the_protocol_is_documented_with_its_paper() -> None:
    text = DOCS["commands.md"]
    assert f"--protocol {peng2024.NAME}" in " ".join(DOCS.values())
    assert peng2024.NAME in text
    assert CITED.search(peng2024.CITED)
