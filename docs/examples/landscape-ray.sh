#!/bin/bash
# Maps a landscape with the actors of a Ray cluster, as a Ray job from the head node:
#
#   ray job submit --address http://127.0.0.1:8265 --working-dir . -- bash landscape-ray.sh
#
# This process deals out the points, and alone writes to RUN: a full path, since the job's working
# directory is a copy. MODEL has to be known under the same name on every machine. A job that was
# killed is submitted again as it is, and goes on.

set -euo pipefail

MODEL=${MODEL:-testbed:aligned}
RUN=${RUN:-$HOME/runs/landscape}
SETTINGS=(--seeds "${SEEDS:-3}" --steps "${STEPS:-20}" --limit "${LIMIT:-0}")

# A model that is larger than a GPU is divided over so many of one machine by vLLM.
if [ "${TENSOR_PARALLEL:-1}" -gt 1 ]; then
  SETTINGS+=(--engine vllm --tensor-parallel "$TENSOR_PARALLEL")
fi

# In place of the shell, so that the request to stop reaches it. Ray names its cluster to its jobs.
exec safebasin scan "$MODEL" "${SETTINGS[@]}" \
  --out "$RUN" --executor ray --ray-address "${RAY_ADDRESS:-auto}"
