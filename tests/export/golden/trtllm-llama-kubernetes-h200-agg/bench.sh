#!/bin/sh
# /models/llama-2-70b-fp8 · 1 × 1 NVIDIA H200 SXM 141GB · trtllm 1.2
# Written by chipwise 0.1.0.
set -eu

exec vllm bench serve \
  --backend vllm \
  --base-url "${URL:-http://127.0.0.1:8000}" \
  --endpoint /v1/completions \
  --model /models/llama-2-70b-fp8 \
  --dataset-name random \
  --random-input-len 2048 \
  --random-output-len 128 \
  --random-range-ratio 0.1 \
  --num-prompts 1280 \
  --request-rate inf \
  --max-concurrency 128 \
  --num-warmups 128 \
  --ignore-eos \
  --seed 0 \
  --percentile-metrics ttft,tpot,itl,e2el \
  --metric-percentiles 50,90,95,99 \
  --save-result \
  --result-filename "${RESULT:-result.json}" \
  --metadata chipwise_model=meta-llama/Llama-2-70b-hf chipwise_chip=nvidia-h200-sxm chipwise_tp=1 chipwise_pp=1 chipwise_dp=1 chipwise_ep=1 chipwise_weight_format=fp8 chipwise_kv=fp8 chipwise_backend=trtllm chipwise_backend_version=1.2 chipwise_replicas=1
