#!/bin/sh
# deepseek-ai/DeepSeek-R1 · 1 × 8 NVIDIA H200 SXM 141GB · trtllm 1.2
# Written by chipwise 0.1.0.
set -eu

exec vllm bench serve \
  --backend vllm \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --endpoint /v1/completions \
  --model deepseek-ai/DeepSeek-R1 \
  --dataset-name random \
  --random-input-len 4096 \
  --random-output-len 1024 \
  --random-range-ratio 0.1 \
  --num-prompts 1280 \
  --request-rate inf \
  --max-concurrency 128 \
  --num-warmups 128 \
  --ignore-eos \
  --seed 0 \
  --percentile-metrics ttft,tpot,itl,e2el \
  --metric-percentiles 50,90,95,99 \
  --goodput ttft:3000 tpot:60 \
  --save-result \
  --result-filename "${RESULT:-result.json}" \
  --metadata chipwise_model=deepseek-ai/DeepSeek-R1 chipwise_chip=nvidia-h200-sxm chipwise_tp=1 chipwise_pp=1 chipwise_dp=8 chipwise_ep=8 chipwise_weight_format=fp8 chipwise_kv=bf16 chipwise_backend=trtllm chipwise_backend_version=1.2 chipwise_replicas=1
