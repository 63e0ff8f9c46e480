#!/bin/sh
# /models/llama-2-70b-fp8 · 1 × 1 NVIDIA H200 SXM 141GB · trtllm 1.2
# Written by chipwise 0.1.0.
set -eu

exec trtllm-serve /models/llama-2-70b-fp8 \
  --host 0.0.0.0 \
  --port "${PORT:-8000}" \
  --backend pytorch \
  --tensor_parallel_size 1 \
  --pipeline_parallel_size 1 \
  --max_batch_size 2048 \
  --max_num_tokens 8192 \
  --max_seq_len 2458 \
  --config "${0%/*}/serve.yaml" \
  "$@"
