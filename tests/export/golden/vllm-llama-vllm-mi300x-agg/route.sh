#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 9 × 1 AMD Instinct MI300X · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec python3 -m vllm_router.launch_router \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --policy round_robin \
  --worker-urls $SERVERS
