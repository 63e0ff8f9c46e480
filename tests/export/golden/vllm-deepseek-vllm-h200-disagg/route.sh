#!/bin/sh
# deepseek-ai/DeepSeek-V3 · 3 × 8 NVIDIA H200 SXM 141GB → 4 × 8 NVIDIA H200 SXM 141GB · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

set --
for url in $PREFILL; do set -- "$@" --prefill "$url"; done
for url in $DECODE; do set -- "$@" --decode "$url"; done
exec python3 -m vllm_router.launch_router \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --policy round_robin \
  --vllm-pd-disaggregation \
  "$@"
