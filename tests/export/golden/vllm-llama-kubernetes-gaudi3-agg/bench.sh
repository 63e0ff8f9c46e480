#!/bin/sh
# meta-llama/Llama-3.3-70B-Instruct · 8 × 2 Intel Gaudi 3 (OAM) · vllm 0.33.0
# Written by chipwise 0.1.0.
set -eu

exec vllm bench serve \
  --backend vllm \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --endpoint /v1/completions \
  --model meta-llama/Llama-3.3-70B-Instruct \
  --dataset-name random \
  --random-input-len 2048 \
  --random-output-len 256 \
  --random-range-ratio 0.1 \
  --num-prompts 1500 \
  --request-rate 30 \
  --num-warmups 1536 \
  --ignore-eos \
  --seed 0 \
  --percentile-metrics ttft,tpot,itl,e2el \
  --metric-percentiles 50,90,95,99 \
  --save-result \
  --result-filename "${RESULT:-result.json}" \
  --metadata chipwise_model=meta-llama/Llama-3.3-70B-Instruct chipwise_chip=intel-gaudi3 chipwise_tp=2 chipwise_pp=1 chipwise_dp=1 chipwise_ep=1 chipwise_weight_format=fp8 chipwise_kv=bf16 chipwise_backend=vllm chipwise_backend_version=0.33.0 chipwise_replicas=8
