#!/bin/sh
# deepseek-ai/DeepSeek-R1 · 1 × 8 NVIDIA H200 SXM 141GB · sglang 0.5.23
# Written by chipwise 0.1.0.
set -eu

exec python3 -m sglang.benchmark.serving \
  --backend sglang-oai \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --model deepseek-ai/DeepSeek-R1 \
  --dataset-name random-ids \
  --random-input-len 1127 \
  --random-output-len 1127 \
  --random-range-ratio 0.8182 \
  --num-prompts 3840 \
  --request-rate inf \
  --max-concurrency 384 \
  --warmup-requests 384 \
  --seed 0 \
  --goodput ttft:3000 tpot:60 \
  --output-file "${RESULT:-result.jsonl}" \
  --tag 'chipwise model=deepseek-ai/DeepSeek-R1 chip=nvidia-h200-sxm tp=1 pp=1 dp=8 ep=8 weight_format=fp8 kv=bf16 backend=sglang backend_version=0.5.23 replicas=1'
