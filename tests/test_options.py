"""Options are made of the fields of settings: a setting is written once."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import pytest
import typer
import typer.main
from typer.testing import CliRunner

import safebasin
from safebasin.cli.application import application
from safebasin.cli.bind import STUDY, Bound, Given, bound
from safebasin.cli.reference import leaves
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import parse_number, required, setting, settings_of

NO_OPTION = {
    "BenchConfig.scan": "holds settings that are options",
    "CompareConfig.scan": "holds settings that are options",
    "ConditionsConfig.scan": "holds settings that are options",
    "DefendConfig.scan": "holds settings that are options",
    "EvaluateConfig.scan": "holds settings that are options",
    "TrajectoryConfig.scan": "holds settings that are options",
    "WorstCaseConfig.scan": "holds settings that are options",
    "ScanConfig.first": "said by --limit first:N",
    "TrajectoryConfig.notes": "found in the folder of the training, not asked for",
}
"""The settings that are no options of their own, and why."""

ROOT = Path(safebasin.__file__).parent
COMMANDS: dict[str, Any] = {
    name: command
    for name, command in leaves(typer.main.get_command(application), "safebasin")
    if hasattr(command.callback, "options")
}
BOUND: list[Bound] = [one for command in COMMANDS.values() for one in command.callback.options]


def settings_classes() -> dict[str, type]:
    paths = [ROOT / "config.py", *sorted(ROOT.rglob("settings.py"))]
    names = [".".join(("safebasin", *p.relative_to(ROOT).with_suffix("").parts)) for p in paths]
    return {
        found.__name__: found
        for module in map(importlib.import_module, names)
        for found in vars(module).values()
        if is_dataclass(found)
        and isinstance(found, type)
        and found.__module__ == module.__name__
        and found.__name__.endswith("Config")
    }


def test_each_setting_is_an_option_or_it_is_said_why_not() -> None:
    """A new field is to have `setting(default, "what it is")`, or a reason in NO_OPTION."""
    classes = settings_classes()
    assert len(classes) >= 7
    every = {f"{name}.{one.name}" for name, kind in classes.items() for one in fields(kind)}
    options = {f"{one.owner.__name__}.{one.field}" for one in BOUND}
    assert sorted(every - options - set(NO_OPTION)) == []
    assert sorted(set(NO_OPTION) - every) == []
    assert sorted(set(NO_OPTION) & options) == []


def test_each_command_takes_all_of_its_own_settings() -> None:
    for command in COMMANDS.values():
        taken = {(one.owner, one.field) for one in command.callback.options}
        own = {one.owner for one in command.callback.options} - {ScanConfig} or {ScanConfig}
        assert {(kind, name) for kind in own for name in settings_of(kind)} <= taken


@pytest.mark.parametrize("name", COMMANDS)
def test_what_an_option_is_given_arrives_in_its_setting(name: str) -> None:
    """By the command's own parser, with the first of some texts that it takes."""
    command = COMMANDS[name]
    parameters = {one.name: one for one in command.params}
    places = ["x" for one in command.params if one.param_type_name == "argument"]
    needed = {one.name: [one.opts[0], "x"] for one in command.params if one.required}

    def read(one: Bound, *words: str) -> Any:
        others = [needed[key] for key in needed if key != one.parameter]
        options = [word for pair in others for word in pair if pair[0].startswith("--")]
        parsed = command.make_context(name, [*words, *options, *places]).params
        return one.read(parsed[one.parameter])[one.field]

    def taken(one: Bound, text: str) -> bool:
        try:
            read(one, parameters[one.parameter].opts[0], text)
        except (UsageError, typer.BadParameter):
            return False
        return True

    for one in command.callback.options:
        parameter = parameters[one.parameter]
        assert one.option.help in parameter.help
        if one.option.argument:
            assert read(one) in ("x", ("x",)), one.field
        elif parameter.is_flag:
            assert read(one, parameter.opts[0]) is True, one.field
        else:
            words = get_args(get_type_hints(one.owner)[one.field])
            text = next(text for text in ("7", "benign", *words[1:]) if taken(one, text))
            assert read(one, parameter.opts[0], text) != settings_of(one.owner)[one.field][1]


def test_the_default_that_an_option_shows_is_that_of_its_field() -> None:
    """Of `scan`, which changes no option."""
    options = COMMANDS["safebasin scan"].callback.options
    shown = [one for one in options if one.default is not None]
    assert {one.field for one in options} == set(settings_of(ScanConfig))
    assert len(shown) > 20
    for one in shown:
        assert one.read(one.default)[one.field] == settings_of(ScanConfig)[one.field][1], one.field


@dataclass(frozen=True)
class Study:
    """What a command that is no longer than this can be told."""

    files: tuple[str, ...] = field(metadata=required("Files.", argument=True))
    scan: ScanConfig = field(default_factory=ScanConfig)
    reach: float = setting(1.5, "How far.")
    way: Literal["up", "down"] = setting("up", "Which way.")
    most: float | None = setting(0.5, "The most, or none.", parse=parse_number)
    names: tuple[str, ...] = setting(("all",), "Names; repeatable.", name="--name")
    whole: bool = setting(False, "Whole answers.")
    found: int = 0


Run = Callable[..., tuple[Given[Study], bool, str]]


@pytest.fixture
def run() -> Run:
    """What a command has of its command line, its own option, and its help."""
    application, seen = typer.Typer(rich_markup_mode=None), []

    @bound(
        Study,
        STUDY - {"system"} | {"seeds", "radius"},
        model={"name": "base", "default": ...},
        seeds={"name": "--seed", "parse": lambda seed: (seed,), "reads": int, "default": 0},
        limit={"help": "How many.", "default": "first:9"},
    )
    def study(given: Given[Study], json: bool = False) -> None:
        """Do nothing."""
        seen[:] = [given, json]

    application.command()(study)

    def of(*arguments: str) -> tuple[Given[Study], bool, str]:
        runner = CliRunner()
        result = runner.invoke(application, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return (*seen, runner.invoke(application, ["--help"], env={"COLUMNS": "200"}).output)

    return of


def test_what_is_not_given_is_as_the_field_has_it(run: Run) -> None:
    given, json, _ = run("testbed:base", "a", "b")
    scan = ScanConfig(model="testbed:base", seeds=(0,), limit=9, first=True)
    assert given.settings() == Study(("a", "b"), scan)
    assert set(given.named) == {"model", "files"}
    assert not json


def test_what_is_given_arrives(run: Run) -> None:
    given, json, _ = run(
        *("base", "a", "--reach", "2", "--way", "down", "--most", "none", "--name", "x", "--name"),
        *("y", "--whole", "--seed", "7", "--radius", "0.25", "--limit", "3", "--judge", "a,b"),
        *("--json", "--out", "runs//x/", "--batch", "4", "--trust-remote-code"),
    )
    scan = ScanConfig(
        "base", radius=0.25, seeds=(7,), limit=3, judges=("a", "b"), out="runs/x", batch=4,
        trust_remote_code=True,
    )  # fmt: skip
    assert given.settings() == Study(("a",), scan, 2.0, "down", None, ("x", "y"), True)
    assert given.settings(found=3).found == 3
    assert given.values(ScanConfig, {"limit"}) == {"limit": 3, "first": False}
    assert json


def test_the_help_has_the_words_of_the_fields(run: Run) -> None:
    text = " ".join(run("base", "a")[2].split())
    assert 0 < text.index("base") < text.index("files") < text.index("Do nothing.")
    for words in (
        "How far. [default: 1.5]", "The most, or none. [default: 0.5]", "--name", "Names; repeat",
        "How many. [default: first:9]", "llm-landscape,outcome]", "--shard", "Do nothing.",
    ):  # fmt: skip
        assert words in text
    for other in ("--found", "--system", "--scan", "--no-whole", "--axes", "--first"):
        assert other not in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--most", "much"], "--most was given 'much'. Give a number, or none"),
        (["--limit", "few"], "The limit of prompts 'few' is no number."),
        (["--shard", "1of2"], "The shard '1of2' is not of the form i/N."),
        (["--executor", "slurm"], "--executor was given 'slurm'. Give one of local, ray."),
        (["--way", "back"], "--way was given 'back'. Give one of up, down."),
        (["--judge", "outcome,"], "A judge has no name."),
    ],
)
def test_a_bad_value_is_one_sentence(run: Run, given: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("base", "a", *given)[0].settings()
    assert words in str(caught.value)


def test_two_settings_of_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Other:
        steps: int = setting(1, "Steps.")

    with pytest.raises(ValueError, match="a setting of the same name"):
        bound(Other, {"steps"})


def test_an_option_that_a_field_does_not_have_is_refused() -> None:
    wrong: dict[str, Any] = {"reach": {"hint": "How far."}}
    with pytest.raises(TypeError):
        bound(Study, **wrong)


@pytest.mark.parametrize(
    ("scan", "changes"), [({"radus"}, {}), ({"radius"}, {"radus": {}}), ({"first"}, {})]
)
def test_a_setting_that_is_none_is_refused(scan: set[str], changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no options of (radus|first)"):
        bound(Study, scan, **changes)


def test_the_description_of_settings_has_each_of_them() -> None:
    for name, kind in settings_classes().items():
        for field_name, (option, _) in settings_of(kind).items():
            assert f"\n    {field_name}: {option.help}" in (kind.__doc__ or ""), name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("scan --direction-scale 2", "Without --directions, --direction-scale would do nothing."),
        ("scan --directions a --law counter", "Without random directions, --law would do nothing."),
        ("scan --capability-limit 5", "Without --capability, --capability-limit would do nothing."),
        ("compare a b --seeds 1", "Without --landscape, --seeds would do nothing."),
        (
            "trajectory a b c --seed 1 --radius 1",
            "Without --plane random, --radius and --seed would do nothing.",
        ),
        ("finetune a --recipe benign --data b --limit 2", "--limit would do nothing."),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(line: str, words: str) -> None:
    result = CliRunner().invoke(application, line.split(), standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)
