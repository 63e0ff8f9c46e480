#!/bin/sh
# deepseek-ai/DeepSeek-V3 · 3 × 8 NVIDIA H200 SXM 141GB → 4 × 8 NVIDIA H200 SXM 141GB · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

export VLLM_NIXL_SIDE_CHANNEL_HOST="${VLLM_NIXL_SIDE_CHANNEL_HOST:-$(hostname -i | cut -d " " -f 1)}"
exec vllm serve \
  deepseek-ai/DeepSeek-V3 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --tensor-parallel-size 1 \
  --pipeline-parallel-size 1 \
  --data-parallel-size 8 \
  --enable-expert-parallel \
  --kv-cache-dtype bfloat16 \
  --max-num-seqs 1024 \
  --max-num-batched-tokens 8192 \
  --gpu-memory-utilization 0.92 \
  --max-model-len 5696 \
  --kv-transfer-config '{"kv_connector": "NixlConnector", "kv_role": "kv_both"}' \
  "$@"
