#!/bin/sh
# deepseek-ai/DeepSeek-V3 · 3 × 8 NVIDIA H200 SXM 141GB → 4 × 8 NVIDIA H200 SXM 141GB · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec vllm bench serve \
  --backend vllm \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --endpoint /v1/completions \
  --model deepseek-ai/DeepSeek-V3 \
  --dataset-name random \
  --random-input-len 4096 \
  --random-output-len 1024 \
  --random-range-ratio 0.1 \
  --num-prompts 10240 \
  --request-rate inf \
  --max-concurrency 1024 \
  --num-warmups 1024 \
  --ignore-eos \
  --seed 0 \
  --percentile-metrics ttft,tpot,itl,e2el \
  --metric-percentiles 50,90,95,99 \
  --goodput ttft:2000 tpot:50 \
  --save-result \
  --result-filename "${RESULT:-result.json}" \
  --metadata chipwise_model=deepseek-ai/DeepSeek-V3 chipwise_chip=nvidia-h200-sxm chipwise_tp=1 chipwise_pp=1 chipwise_dp=8 chipwise_ep=8 chipwise_weight_format=fp8 chipwise_kv=bf16 chipwise_backend=vllm chipwise_backend_version=0.33.0 chipwise_replicas=4 chipwise_apart=yes
