#!/bin/sh
# nvidia/DeepSeek-V3-0324-FP4 · 1 × 8 NVIDIA B200 SXM (HGX) · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec vllm serve \
  nvidia/DeepSeek-V3-0324-FP4 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tensor-parallel-size 1 \
  --pipeline-parallel-size 1 \
  --data-parallel-size 8 \
  --enable-expert-parallel \
  --kv-cache-dtype bfloat16 \
  --max-num-seqs 1024 \
  --max-num-batched-tokens 16384 \
  --gpu-memory-utilization 0.92 \
  --max-model-len 5696 \
  "$@"
