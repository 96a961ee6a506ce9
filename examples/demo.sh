#!/usr/bin/env bash
# What did a hearing assistant lose when its parts were post-trained? Everything lies under .demo/.
set -euo pipefail

export FORGETBENCH_CACHE="$PWD/.demo/cache"
export FORGETBENCH_OUTPUT_PATH=".demo/results"
export MLFLOW_TRACKING_URI="sqlite:///.demo/mlflow.db"
export HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
data=tasks/hearing/mini/data

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    printf '\n\033[36m$ %s\033[0m\n' "$*"
    "$@"
}

mkdir -p .demo
start=$SECONDS

say "1. Post-train the ears: Whisper tiny.en learns short hearing-aid commands in babble"
run forgetbench recipe run lora --model openai/whisper-tiny.en --data "$data/commands_train.jsonl" \
    --output .demo/assistant/asr --steps 18 --save-steps 6,12,18 --noise babble --snr-db 15,10,5

say "2. Post-train the mind: SmolLM2-135M-Instruct learns to answer hearing-aid wearers"
run forgetbench recipe run lora --model HuggingFaceTB/SmolLM2-135M-Instruct --data "$data/hearing_care_train.jsonl" \
    --output .demo/assistant/lm --steps 20 --save-steps 5,10,20

say "3. The two adapters are one assistant"
cat > .demo/assistant/system.yaml <<'YAML'
components:
  asr: asr
  lm: lm
YAML
run cat .demo/assistant/system.yaml

say "4. What did it lose?"
assistant="--model .demo/assistant --tasks hearing-mini,retention-mini,safety-mini"
# On a slow or busy machine 8 minutes are too few for a verdict, and the command says so.
# shellcheck disable=SC2086
run forgetbench run $assistant --budget 8m || run forgetbench run $assistant --budget 30m

say "5. See it in MLflow"
printf 'MLFLOW_TRACKING_URI=%s %s mlflow ui   # then open http://127.0.0.1:5000\n' \
    "$MLFLOW_TRACKING_URI" "$(realpath --relative-to=. "$(command -v forgetbench)")"
printf '\nDone in %d min %d s. Run it again: nothing is computed anew.\n' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
