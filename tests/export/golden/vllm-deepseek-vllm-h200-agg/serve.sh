#!/bin/sh
# deepseek-ai/DeepSeek-V3 · 1 × 8 NVIDIA H200 SXM 141GB · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec vllm serve \
  deepseek-ai/DeepSeek-V3 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tensor-parallel-size 2 \
  --pipeline-parallel-size 1 \
  --data-parallel-size 4 \
  --enable-expert-parallel \
  --kv-cache-dtype bfloat16 \
  --max-num-seqs 1024 \
  --max-num-batched-tokens 8192 \
  --gpu-memory-utilization 0.92 \
  --max-model-len 5696 \
  "$@"
