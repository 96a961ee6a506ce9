PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RAY_FAULTS := tests/reliability/test_ray_faults.py
BENCHMARKS := cli_startup bootstrap enhancement_scoring whisper_speed text_engine many_adapters leaderboard report long_run
LOWEST := .venv-lowest
LOWEST_TESTS := tests/models/test_causal_lm.py tests/models/test_text_families.py tests/models/test_whisper.py \
	tests/models/test_ctc.py tests/models/test_speech_lora.py tests/engine/test_run.py tests/engine/test_lm_eval.py \
	tests/engine/test_rescore.py tests/tracking/test_mlflow_log.py tests/recipes/test_run.py tests/published

.PHONY: demo test test-slow test-lowest lint format docs board bench clean

$(STAMP): pyproject.toml constraints.txt requirements-no-deps.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25"
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps --requirement requirements-no-deps.txt
	touch $@

demo: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --durations=40 -m "not slow"

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --durations=40 -m slow --ignore $(RAY_FAULTS)
	$(BIN)/python -m pytest --durations=10 -m slow $(RAY_FAULTS)  # two nodes need both cores

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --upgrade "pip>=25"
	$(LOWEST)/bin/pip install --quiet --constraint constraints-lowest.txt torch
	$(LOWEST)/bin/pip install --quiet --constraint constraints-lowest.txt \
		--editable ".[recipes,onnx,gguf,sentencepiece,faster-whisper]" pytest pytest-timeout pytest-xdist hypothesis statsmodels
	touch $@

test-lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest --numprocesses auto --dist loadfile -m "not slow" $(LOWEST_TESTS)

lint: $(STAMP)
	$(BIN)/ruff format --check harness tests benchmarks tasks examples docs
	$(BIN)/ruff check harness tests benchmarks tasks examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format harness tests benchmarks tasks examples docs
	$(BIN)/ruff check --fix harness tests benchmarks tasks examples docs

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

board: $(STAMP)
	$(BIN)/forgetbench leaderboard verify results/smollm2-135m --board smollm2-135m --record
	$(BIN)/forgetbench leaderboard build smollm2-135m --results results/smollm2-135m --output board

bench: $(STAMP)  # all of them, and then those that missed a goal
	@for benchmark in $(BENCHMARKS); do \
		$(BIN)/python benchmarks/$$benchmark.py || missed="$$missed $$benchmark"; \
	done; $(BIN)/python benchmarks/validity.py --quick || missed="$$missed validity"; \
	test -z "$$missed" || { echo "goals missed:$$missed"; exit 1; }

clean:
	rm -rf $(VENV) $(LOWEST) .demo site board
