#!/bin/sh
# deepseek-ai/DeepSeek-R1 · 1 × 8 NVIDIA H200 SXM 141GB · sglang 0.5.23
# Written by chipwise 0.1.0.
set -eu

exec python3 -m sglang.launch_server \
  --model-path deepseek-ai/DeepSeek-R1 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tp-size 8 \
  --pp-size 1 \
  --attn-dp-size 8 \
  --ep-size 8 \
  --kv-cache-dtype bf16 \
  --max-running-requests 16384 \
  --chunked-prefill-size 65536 \
  --context-length 2317 \
  "$@"
