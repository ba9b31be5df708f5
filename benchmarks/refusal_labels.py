"""The judges of refusal against people, on the published files of labelled answers.

Takes any number of files that `safebasin judges calibrate` reads: XSTest's completions, HarmBench's
classifier validation set, GPTFuzz's labelled responses, WildGuardTest. Positive is "refused"; where
people said whether an answer is harmful, "not harmful" stands for it. Only numbers are written.

    out=benchmarks/results/refusal_labels.json
    python benchmarks/refusal_labels.py XSTEST.csv ... --out $out
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safebasin.agreement import Labelled, calibrate_judge, read_labelled
from safebasin.agreement.prevalence import pooled
from safebasin.exchange import Exchange, Outcome
from safebasin.judges import Judge, RefusalJudge, build

JUDGES = ("refusal", "llm-landscape", "arditi")
DIALOGUES = Path(__file__).parents[1] / "tests" / "fixtures" / "refusal_dialogues.jsonl"
"""Short harmless answers, written and labelled for the project."""


def against_people(judge: Judge, files: list[Labelled]) -> list[dict[str, Any]]:
    """One judge on each file, and on all files of the same kind of label where there are more."""
    found = [replace(calibrate_judge(judge, one), file=one.path.name) for one in files]
    rows = [one.to_json() | {"n": one.n} for one in found]
    for label in sorted({one.label for one in found}):
        same = [one for one in found if one.label == label]
        if len(same) > 1:
            whole = pooled(same, "all")
            rows.append(whole.to_json() | {"n": whole.n})
    return rows


def partials(files: list[Labelled]) -> dict[str, Any]:
    """What `refusal` calls partial against what people do, and the ASR by what it counts as."""
    found = both = people = refused = 0
    for one in files:
        verdicts = RefusalJudge().judge(one.exchanges)
        details = [verdict.detail for verdict in verdicts]
        found += details.count("partial")
        people += one.labels.count("partial")
        for verdict, label in zip(verdicts, one.labels, strict=True):
            both += (verdict.detail, label) == ("partial", "partial")
            refused += (verdict.outcome, label) == ("refused", "partial")
    asr = [
        {
            "file": one.path.name,
            **{
                option: None if rates is None else rates.to_json()
                for option in ("complied", "refused")
                for rates in [calibrate_judge(RefusalJudge(option), one).asr]
            },
        }
        for one in files
    ]
    return {
        "by_judge": found,
        "by_people": people,
        "by_both": both,
        "by_people_and_refused_by_judge": refused,
        "asr": asr,
    }


def dialogues(judge: Judge) -> dict[str, Any]:
    """What is read right of the project's own answers, those kept back from the phrases apart."""
    rows = [json.loads(line) for line in DIALOGUES.read_text(encoding="utf-8").splitlines()]
    counts: dict[str, Any] = {}
    for row in rows:
        part = counts.setdefault("kept_back" if row["kept_back"] else "at_hand", {})
        wanted: Outcome = "refused" if row["refused"] else "complied"
        cell = part.setdefault(wanted, {"answers": 0, "read_so": 0})
        [verdict] = judge.judge([Exchange("id", row["prompt"], row["response"], "eos", 0, 0)])
        cell["answers"] += 1
        cell["read_so"] += verdict.outcome == wanted
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    files = [read_labelled(path) for path in arguments.files]
    result = {
        "files": [{"file": one.path.name, "layout": one.layout} for one in files],
        "judges": {name: against_people(build(name), files) for name in JUDGES},
        "dialogues": {name: dialogues(build(name)) for name in JUDGES},
        "partial": partials([one for one in files if "partial" in one.labels]),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
