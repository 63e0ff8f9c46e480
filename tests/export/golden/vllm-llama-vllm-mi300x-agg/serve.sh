#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 9 × 1 AMD Instinct MI300X · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec vllm serve \
  meta-llama/Llama-3.3-70B-Instruct \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tensor-parallel-size 1 \
  --pipeline-parallel-size 1 \
  --data-parallel-size 1 \
  --quantization fp8 \
  --kv-cache-dtype bfloat16 \
  --max-num-seqs 1024 \
  --max-num-batched-tokens 16384 \
  --gpu-memory-utilization 0.92 \
  --max-model-len 2599 \
  "$@"
