#!/bin/sh
# deepseek-ai/DeepSeek-R1 · 1 × 8 NVIDIA H200 SXM 141GB · trtllm 1.2
# Written by chipwise 0.1.0.
set -eu

exec trtllm-serve deepseek-ai/DeepSeek-R1 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --backend pytorch \
  --tensor_parallel_size 8 \
  --pipeline_parallel_size 1 \
  --moe_expert_parallel_size 8 \
  --max_batch_size 2048 \
  --max_num_tokens 8192 \
  --max_seq_len 5696 \
  --config "${0%/*}/serve.yaml" \
  "$@"
