#!/bin/sh
# deepseek-ai/DeepSeek-V3 · 1 × 64 Huawei Ascend 910C · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

if [ "$NODE_RANK" -gt 0 ]; then
  set -- "$@" --headless --data-parallel-start-rank "$((NODE_RANK * 2))"
fi
exec vllm serve \
  deepseek-ai/DeepSeek-V3 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tensor-parallel-size 8 \
  --pipeline-parallel-size 1 \
  --data-parallel-size 16 \
  --enable-expert-parallel \
  --kv-cache-dtype bfloat16 \
  --max-num-seqs 1024 \
  --max-num-batched-tokens 8192 \
  --gpu-memory-utilization 0.92 \
  --max-model-len 5696 \
  --data-parallel-size-local 2 \
  --data-parallel-address "$HEAD" \
  --data-parallel-rpc-port 13345 \
  "$@"
