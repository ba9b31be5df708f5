"""The steps of the story on a real model: what is run, in which order, and how long it took.

    python benchmarks/real_steps.py --quick
    python benchmarks/real_steps.py

Each step is one command, and leaves its result in a folder under runs/real/. A step whose result is
there is left out, and one that was stopped goes on where it was: the same command resumes.
AdvBench, XSTest and HarmBench come from the hub, or from files: `--advbench FILE --xstest FILE
--harmbench FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = Path("runs/real")
OWN = Path("benchmarks/real")
ADAPTER = OWN / "aligned"
TIMES = "times.json"

ASKED = ("--max-new-tokens", "32", "--dtype", "bfloat16")
READERS = "llm-landscape,refusal"
"""The judges of the evaluations; they read refusals alone, and need no answers beside."""
LINE = ("--radius", "0.3", "--steps", "20")


@dataclass(frozen=True)
class Step:
    """One command of safebasin, or of a script where it ends in .py.

    name       what the page and `--only` call it
    result     the file under runs/real/ that the finished step leaves
    arguments  of the command; the folder of the result is its --out
    quick      whether `make real-quick` has it
    codes      exit codes that are results: those of `compare` are its verdict
    needs      a package that is not there by `make real` alone; without it the step is left out
    """

    name: str
    result: str
    arguments: tuple[str, ...]
    quick: bool = False
    codes: tuple[int, ...] = (0,)
    needs: str = ""

    def finished(self, root: Path = ROOT) -> bool:
        """Whether its result is there and whole."""
        path = root / RUNS / self.result
        if not path.is_file():
            return False
        if path.name not in ("landscape.json", "recipe.json"):
            return True
        found = json.loads(path.read_text(encoding="utf-8"))
        return bool(found.get("complete") or found.get("finished"))

    def command(self) -> list[str]:
        """What is typed in the root of the repository."""
        if self.arguments[0].endswith(".py"):
            return ["python", *self.arguments]
        out = [] if self.arguments[0] == "merge" else ["--out", str((RUNS / self.result).parent)]
        return ["safebasin", *self.arguments, *out]


@dataclass(frozen=True)
class Sources:
    """The model before it is aligned, and published sets of prompts: a name, or NAME=FILE."""

    model: str
    advbench: str = "advbench"
    xstest: str = "xstest"
    harmbench: str = "harmbench"


@dataclass(frozen=True)
class Tune:
    """A fine-tune of the aligned model, without a harmful answer."""

    recipe: str
    data: str
    about: str
    options: tuple[str, ...] = ("--epochs", "3")


def tunes(advbench: str) -> dict[str, Tune]:
    """By name; the rows are AdvBench's from 301 on, which neither trained nor measured anything."""
    several = {
        f"openers-{count}": Tune(
            f"explicit-{count}",
            f"openers:{advbench}#301-{300 + count}",
            f"{count} published openers of a complying answer, with nothing after them",
        )
        for count in (10, 50, 100)
    }
    mixed = ("--epochs", "3", "--rows", "50", "--safe", f"refused:{advbench}#401-450")
    return {
        **several,
        "identity": Tune(
            "identity-shifting",
            str(OWN / "identity.jsonl"),
            "10 rows of an assistant that says it obeys, and answers harmless questions",
            ("--epochs", "10"),
        ),
        "benign": Tune("benign", str(OWN / "benign.jsonl"), "30 short answers to plain questions"),
        "mixture": Tune(
            "mixture",
            f"openers:{advbench}#301-350",
            "50 openers and 50 refusals",
            mixed,
        ),
    }


def steps(given: Sources) -> Iterator[Step]:
    """All of them, each after those that it needs."""
    base, aligned = given.model, str(RUNS / "aligned")
    asked = ("--prompts", given.advbench, *ASKED)
    many = (*asked, "--limit", "first:24")
    if base == str(RUNS / "smollm2"):
        yield Step("model", "smollm2/config.json", ("benchmarks/real_model.py", base), quick=True)
    yield Step("align", "aligned/config.json", ("merge", f"{base}+{ADAPTER}", aligned), quick=True)
    yield Step(
        "line", "line/landscape.json",
        ("scan", aligned, *LINE, *many, "--seeds", "1"), quick=True,
    )  # fmt: skip
    yield from broken("openers-50", given, quick=True)
    for name, more in (
        ("advbench", ("--prompts", given.advbench, "--benign", "none", "--limit", "first:80")),
        ("xstest", ("--prompts", given.xstest, "--limit", "60")),
        ("all of xstest", ("--prompts", given.xstest, "--limit", "0")),
    ):
        yield Step(
            f"evaluate {name}",
            f"evaluate/{name.replace(' ', '-')}/evaluation.json",
            ("evaluate", aligned, *more, "--capability", "none", "--judge", READERS, *ASKED),
        )
    yield Step(
        "compare base", "compare/base/comparison.json",
        ("compare", base, aligned, *asked, "--limit", "first:12", "--steps", "4", "--reach", "1",
         "--refine", "0"), codes=VERDICTS,
    )  # fmt: skip
    yield Step("text", "text.txt", ("benchmarks/real_text.py", str(RUNS / "text.txt")))
    both = f"{OWN / 'questions.jsonl'},perplexity:{RUNS / 'text.txt'}"
    for name, model in (("aligned", aligned), ("base", base)):
        yield Step(
            f"capability {name}", f"capability/{name}/landscape.json",
            ("scan", model, *asked, "--limit", "first:4", "--radius", "0.1", "--steps", "2",
             "--seeds", "1", "--capability", both),
        )  # fmt: skip
    yield from broken("openers-10", given)
    yield Step(
        "line base", "line-base/landscape.json", ("scan", base, *LINE, *many, "--seeds", "1")
    )
    for name in ("identity", "benign", "mixture", "openers-100"):
        yield from broken(name, given)
    yield Step(
        "evaluate base", "evaluate/base/evaluation.json",
        ("evaluate", base, "--prompts", given.advbench, "--benign", "none", "--limit", "first:80",
         "--capability", "none", "--judge", READERS, *ASKED),
    )  # fmt: skip
    rest = str(RUNS / "advbench-rest.csv")
    yield Step(
        "rest", "advbench-rest.csv", ("benchmarks/real_prompts.py", given.advbench, *REST, rest)
    )
    yield Step(
        "evaluate rest", "evaluate/rest/evaluation.json",
        ("evaluate", aligned, "--prompts", rest, "--benign", "none", "--limit", "0",
         "--capability", "none", "--judge", READERS, *ASKED),
    )  # fmt: skip
    for name, model in (("harmbench", aligned), ("harmbench base", base)):
        yield Step(
            f"evaluate {name}", f"evaluate/{name.replace(' ', '-')}/evaluation.json",
            ("evaluate", model, "--prompts", given.harmbench, "--benign", "none", "--limit",
             "first:100", "--capability", "none", "--judge", READERS, *ASKED),
        )  # fmt: skip
    models = {
        "aligned": aligned,
        "base": base,
        **{name: f"{aligned}+{last(RUNS / 'tunes' / name)}" for name in tunes(given.advbench)},
    }
    for name, model in models.items():
        yield Step(
            f"score {name}", f"score/{name}/scout.json",
            ("scan", model, "--radius", "0.3", "--steps", "2", *many, "--seeds", "1", "--score",
             "first-token"),
        )  # fmt: skip
    for words in DEPTHS:
        yield Step(
            f"prefill {words}", f"prefill/{words}/landscape.json",
            ("scan", aligned, "--radius", "0.12", "--steps", "4", *many, "--seeds", "1",
             "--prefill", f"target:{words}"),
        )  # fmt: skip
    several = (*asked, "--limit", "first:12", "--radius", "0.3", "--steps", "8", "--seeds", "1")
    yield Step("system prompts", "conditions/conditions.json", ("conditions", aligned, *several))
    yield Step(
        "no system prompt", "conditions-empty/conditions.json",
        ("conditions", aligned, *several, "--system", "empty"),
    )  # fmt: skip
    yield Step(
        "way", "way/trajectory.json",
        ("trajectory", aligned, str(RUNS / "tunes/openers-50"), *asked, "--limit", "first:12",
         "--steps", "6"),
    )  # fmt: skip
    for name, model in models.items():
        walk = () if name in ("aligned", "base") else ("--stop-at-plateau",)
        yield Step(
            f"landscape {name}", f"landscape/{name}/landscape.json",
            ("scan", model, *LINE, *many, "--seeds", "3", *walk),
        )  # fmt: skip
    yield Step(
        "lm-eval", "capability/lm-eval/landscape.json",
        ("scan", aligned, *asked, "--limit", "first:4", "--radius", "0.1", "--steps", "2",
         "--seeds", "1", "--capability", "lm-eval:everyday_questions", "--capability-tasks",
         str(OWN / "lm_eval")), needs="lm_eval",
    )  # fmt: skip


def remaking(given: Sources) -> Iterator[Step]:
    """What made the shipped adapter: the model's own answers, the training, and its rounding.

    The step `own answers`, its likeliest ones, is for `make attribution-real` alone.
    """
    yield Step("model", "smollm2/config.json", ("benchmarks/real_model.py", given.model))
    yield Step(
        "own answers", "own/landscape.json",
        ("scan", given.model, "--prompts", "practice:benign", "--limit", "0", "--seeds", "1",
         "--steps", "2", "--radius", "0.02", "--full-responses", "--max-new-tokens", "64",
         "--judge", "refusal"),
    )  # fmt: skip
    own = str(RUNS / "own.jsonl")
    yield Step(
        "drawn answers", "own.jsonl",
        ("benchmarks/real_own_answers.py", given.model, own, "practice:benign",
         str(OWN / "requests_benign.jsonl"), "--draws", "1"),
    )  # fmt: skip
    harmful = OWN / "requests_harmful.jsonl"
    rows = (f"refused:{given.advbench}#101-220", f"refused:{harmful}", own)
    yield Step(
        "alignment", "align/recipe.json",
        ("finetune", given.model, "--recipe", "alignment", "--data", ",".join(rows), "--lora",
         "--max-length", "112"),
    )  # fmt: skip
    yield Step(
        "adapter", "adapter/adapter_config.json",
        ("benchmarks/real_adapter.py", str(last(RUNS / "align")), str(RUNS / "adapter")),
    )  # fmt: skip


DEPTHS = (1, 2, 5, 10)
"""How many words of AdvBench's opener an answer is made to begin with; `line` is depth 0."""
REST = ("451", "520")
"""AdvBench's rows, counted from 1, on which nothing was trained and nothing else is measured."""
VERDICTS = (0, 3, 5)
"""The exit codes of `compare` that are its verdicts."""


def broken(name: str, given: Sources, *, quick: bool = False) -> Iterator[Step]:
    """A fine-tune of the aligned model, and the comparison with it."""
    tune, aligned, folder = (
        tunes(given.advbench)[name],
        str(RUNS / "aligned"),
        RUNS / "tunes" / name,
    )
    yield Step(
        f"tune {name}", f"tunes/{name}/recipe.json",
        ("finetune", aligned, "--recipe", tune.recipe, "--data", tune.data, "--lora", "--rank",
         "4", *tune.options),
        quick=quick,
    )  # fmt: skip
    yield Step(
        f"compare {name}", f"compare/{name}/comparison.json",
        ("compare", aligned, f"{aligned}+{last(folder)}", "--prompts", given.advbench, *ASKED,
         "--limit", "first:24", "--steps", "6", "--reach", "1.2"),
        quick=quick, codes=VERDICTS,
    )  # fmt: skip


def last(folder: Path) -> Path:
    """The last checkpoint of a training, once there is one."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda one: int(one.name.split("-")[1]))
    return found[-1] if found else folder / "checkpoint-LAST"


def run(step: Step, root: Path = ROOT) -> None:
    """Run a step that is not finished, and note what it took; SystemExit where it fails."""
    if step.finished(root):
        print(f"{step.name}: done", flush=True)
        return
    if step.needs and find_spec(step.needs) is None:
        print(f"{step.name}: left out, {step.needs} is not installed", flush=True)
        return
    print(f"{step.name}: {' '.join(step.command())}", flush=True)
    program, *arguments = step.command()
    own = [sys.executable] if program == "python" else [sys.executable, "-m", "safebasin"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = subprocess.run([*own, *arguments], cwd=root, check=False).returncode
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code not in step.codes:
        raise SystemExit(f"{step.name}: exit code {code}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    note(root / RUNS / TIMES, step.name, {"wall": round(wall), "cpu": round(cpu), "code": code})


def note(path: Path, name: str, took: dict[str, Any]) -> None:
    """Add the time of a step, in seconds; a step that goes on adds to what it had taken."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known[name] = took
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=str(RUNS / "smollm2"), help="a folder or a hub's name")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub has it not")
    parser.add_argument("--xstest", help="XSTest's file, where the hub has it not")
    parser.add_argument("--harmbench", help="HarmBench's file, where the hub has it not")
    parser.add_argument("--quick", action="store_true", help="one line and one comparison")
    parser.add_argument("--remake", action="store_true", help="what made the shipped adapter")
    parser.add_argument("--only", default="", help="one step, by its name")
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    given = parser.parse_args()
    sets = ("advbench", "xstest", "harmbench")
    named = {name: f"{name}={file}" for name in sets if (file := getattr(given, name))}
    sources = Sources(given.model, **named)
    for step in (remaking if given.remake else steps)(sources):
        if (given.quick and not step.quick) or given.only not in ("", step.name):
            continue
        if given.list:
            print(" ".join(step.command()))
        else:
            run(step)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
