"""How deep into a complying answer a model still turns back, and how far from its weights.

    python benchmarks/derta_depth.py --out benchmarks/results/derta_depth.json

The aligned packaged model, and the same after DeRTa as the bench makes it, are asked along random
directions while their answers begin with the first words of the grammar's own complying answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from safebasin.config import ScanConfig
from safebasin.defence_bench.base import Setting
from safebasin.defence_bench.methods import DertaBefore
from safebasin.defence_bench.settings import BenchConfig
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.subject.row_sources import rows_of

DEPTHS = (0, 1, 2, 4, 8, 12)
"""Words of the complying answer that stand there already; 0 for none."""
SEED = 7
"""Of the requests: DeRTa learnt from those of another seed."""
ASKED = {"radius": 0.2, "steps": 8, "seeds": (0, 1, 2)}


def measured(model: str, prompts: Path, folder: Path, limit: int) -> list[dict[str, Any]]:
    """By depth: the mean ASR over directions at each place, with its interval."""
    found = []
    for depth in DEPTHS:
        config = ScanConfig(
            model=model,
            prompts=str(prompts),
            limit=limit,
            prefill=f"target:{depth}" if depth else None,
            out=str(folder / str(depth)),
            **ASKED,  # type: ignore[arg-type]
        )
        survey = scan(prepare(config)).surveys[str(config.judges[0])]
        band = survey.mean_asr()
        found.append(
            {
                "depth": depth,
                "alpha": list(survey.plane.axes[0].values),
                **{
                    end: [round(float(one), 4) for one in getattr(band, end)]
                    for end in ("value", "low", "high")
                },
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        prompts = work / "prompts.jsonl"
        rows = [row.messages for row in rows_of("testbed:harmful", SEED).rows]
        prompts.write_text(
            "".join(
                json.dumps({"prompt": asked.content, "target": told.content, "kind": "harmful"})
                + "\n"
                for asked, told in rows
            ),
            encoding="utf-8",
        )
        derta = DertaBefore().base(Setting(BenchConfig(), work))
        models = {"aligned": "testbed:aligned", "derta": derta}
        result = {
            "asked": {**ASKED, "limit": given.limit, "depths": DEPTHS, "rows": f"seed {SEED}"},
            "models": {
                name: measured(model, prompts, work / f"scan-{name}", given.limit)
                for name, model in models.items()
            },
        }
    given.out.write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
