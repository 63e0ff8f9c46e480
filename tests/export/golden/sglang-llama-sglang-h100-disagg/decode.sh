#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 4 × 1 NVIDIA H100 SXM5 80GB → 1 × 4 NVIDIA H100 SXM5 80GB · sglang 0.5.23
# Written by chipwise 0.1.0.
set -eu

exec python3 -m sglang.launch_server \
  --model-path meta-llama/Llama-3.3-70B-Instruct \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tp-size 4 \
  --pp-size 1 \
  --quantization fp8 \
  --kv-cache-dtype bf16 \
  --max-running-requests 2048 \
  --chunked-prefill-size 8192 \
  --context-length 2599 \
  --disaggregation-mode decode \
  --disaggregation-transfer-backend nixl \
  --disaggregation-bootstrap-port 8998 \
  "$@"
