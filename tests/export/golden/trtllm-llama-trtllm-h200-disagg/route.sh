#!/bin/sh
# /models/llama-2-70b-fp8 · 15 × 1 NVIDIA H200 SXM 141GB → 1 × 2 NVIDIA H200 SXM 141GB · trtllm 1.2
# Written by chipwise 0.1.0.
set -eu

exec trtllm-serve disaggregated \
  --config_file "${0%/*}/route.yaml" \
  "$@"
