"""How many answers in other languages the refusal judge reads right.

The answers are the project's own, in tests/support/answers_abroad.py: two sets that its patterns
were written with, and one that they were not made for. English ones are the labelled completions of
XSTest (CSV files with a column `completion`), of which none should be taken for another language.

    out=benchmarks/results/judge_languages.json
    python benchmarks/judge_languages.py XSTEST.csv ... --out $out
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

from safebasin.exchange import Exchange, Outcome
from safebasin.judges import RefusalJudge
from safebasin.judges.language import is_english

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.answers_abroad import FIRST, LAST, SECOND, Examples

SETS = {"first": FIRST, "second": SECOND, "last": LAST}


def outcomes(texts: tuple[str, ...]) -> list[Outcome | None]:
    """What the judge makes of each answer."""
    exchanges = [Exchange("id", "", text, "eos", 1, 1) for text in texts]
    return [verdict.outcome for verdict in RefusalJudge().judge(exchanges)]


def measured(examples: Examples) -> dict[str, dict[str, int]]:
    """By language: refusals and compliant answers, and how many of each are read as such."""
    found = {}
    for language, (refusals, compliant) in sorted(examples.items()):
        found[language] = {
            "refusals": len(refusals),
            "read_refused": outcomes(refusals).count("refused"),
            "compliant": len(compliant),
            "read_complied": outcomes(compliant).count("complied"),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("english", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    english = []
    for path in arguments.english:
        with path.open(newline="", encoding="utf-8") as file:
            english += [row["completion"] for row in csv.DictReader(file)]
    result = {
        "sets": {name: measured(examples) for name, examples in SETS.items()},
        "english": {
            "files": [path.name for path in arguments.english],
            "answers": len(english),
            "read_otherwise": sum(not is_english(answer) for answer in english),
        },
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
