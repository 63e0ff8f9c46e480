#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 4 × 4 NVIDIA H100 SXM5 80GB · sglang 0.5.23
# Written by chipwise 0.1.0.
set -eu

exec python3 -m sglang.benchmark.serving \
  --backend sglang-oai \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --model meta-llama/Llama-3.3-70B-Instruct \
  --dataset-name generated-shared-prefix \
  --gsp-num-groups 1 \
  --gsp-prompts-per-group 1500 \
  --gsp-system-prompt-len 512 \
  --gsp-question-len 1536 \
  --gsp-output-len 256 \
  --num-prompts 1500 \
  --request-rate 20 \
  --warmup-requests 192 \
  --seed 0 \
  --goodput ttft:2000 tpot:50 \
  --output-file "${RESULT:-result.jsonl}" \
  --tag 'chipwise model=meta-llama/Llama-3.3-70B-Instruct chip=nvidia-h100-sxm tp=4 pp=1 dp=1 ep=1 weight_format=fp8 kv=bf16 backend=sglang backend_version=0.5.23 replicas=4'
