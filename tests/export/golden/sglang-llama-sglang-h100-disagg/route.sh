#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 4 × 1 NVIDIA H100 SXM5 80GB → 1 × 4 NVIDIA H100 SXM5 80GB · sglang 0.5.23
# Written by chipwise 0.1.0.
set -eu

set --
for url in $PREFILL; do set -- "$@" --prefill "$url" 8998; done
for url in $DECODE; do set -- "$@" --decode "$url"; done
exec python3 -m sglang_router.launch_router \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --policy round_robin \
  --pd-disaggregation \
  "$@"
