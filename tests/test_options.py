"""Options are made of the fields of settings: a setting is written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import parse_number, required, setting


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
        (["--executor", "slurm"], "The configuration's 'executor' is wrong"),
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
