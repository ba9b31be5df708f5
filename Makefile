# make scan: set up and draw the packaged model's safety landscape.   make test: set up and test.
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
INSPECT_VENV := .venv-inspect
SOURCES := $(shell find src -type f -not -name '*.pyc') pyproject.toml README.md

AXE := build/axe-core/package/axe.min.js

.PHONY: scan test tests test-hostile test-lm-eval test-vllm test-inspect test-browser gallery study \
  study-real attribution attribution-real bench-defences bench-defences-real real real-quick \
  real-adapter lint clean

scan: $(VENV)/installed
	$(BIN)/safebasin scan

# The linters run beside the tests, whose processes wait for one another now and then.
test: $(VENV)/installed
	$(MAKE) --no-print-directory -j 2 lint tests

# One process more than there are cores, of one thread each: a quarter of their time tests wait, for
# processes and for browsers. The tests of one file stay together, since some build on others, and
# files begin in the order of tests/conftest.py.
TESTERS = $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
tests: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder \
	  --durations 10

# Tasks of lm-evaluation-harness, whose dependencies take about 140 MB beside the others.
test-lm-eval: $(VENV)/lm-eval
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m lm_eval tests/test_capability.py

$(VENV)/lm-eval: $(VENV)/installed
	$(BIN)/pip install --quiet $(PIP_ARGS) -c constraints.txt 'lm-eval>=0.4.13'
	touch $@

# What `make test` does a little of, at length (hours on one core): commands killed at random moments,
# folders of models and runs that try to do harm, fuzzed replies of judge models, shards that die.
KILLS ?= 300
FOLDERS ?= 300
REPLIES ?= 30000
SHARDS ?= 64
test-hostile: $(VENV)/installed
	OMP_NUM_THREADS=1 HOSTILE_KILLS=$(KILLS) HOSTILE_FOLDERS=$(FOLDERS) HOSTILE_REPLIES=$(REPLIES) \
	  HOSTILE_SHARDS=$(SHARDS) $(BIN)/python -m pytest -s --timeout 36000 tests/test_hostile_replies.py \
	  tests/test_hostile_folders.py tests/test_hostile_kills.py tests/test_many_shards.py

# The page of a run in a real Chromium, with axe-core's check of its accessibility.
test-browser: $(VENV)/browser $(AXE)
	AXE_CORE=$(AXE) $(BIN)/python -m pytest tests/test_report_browser.py tests/test_report_study_browser.py \
	  tests/test_report_access_browser.py

# The pictures of docs/gallery.md, by the commands that the page names.
gallery: $(VENV)/browser
	$(BIN)/python benchmarks/gallery.py

# The study of docs/what-predicts.md: about an hour on one core; stopped, it goes on.
study: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/what_predicts.py \
	  --out benchmarks/results/what_predicts.json
	$(BIN)/python benchmarks/what_predicts_picture.py
	$(BIN)/python benchmarks/what_predicts_page.py > docs/what-predicts.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m study

# The same question on checkpoints of a real model, after `make real`; stopped, it goes on.
study-real: $(VENV)/installed
	$(BIN)/python benchmarks/what_predicts_real.py $(if $(ADVBENCH),--advbench $(ADVBENCH)) \
	  --out benchmarks/results/what_predicts_real.json
	$(BIN)/python benchmarks/what_predicts_page.py > docs/what-predicts.md

# The study of docs/attribution.md: some minutes on one core; stopped, it goes on.
attribution: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/attribution.py --out benchmarks/results/attribution.json
	$(BIN)/python benchmarks/attribution_picture.py
	$(BIN)/python benchmarks/attribution_page.py > docs/attribution.md

# The same of the aligned SmolLM2, after `make real` and `make real-adapter` (which asks the model for
# its own answers), with ADVBENCH and XSTEST as there.
attribution-real: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/attribution.py --model runs/real/aligned \
	  --base runs/real/smollm2 --own runs/real/own $(if $(ADVBENCH),--advbench $(ADVBENCH)) \
	  $(if $(XSTEST),--xstest $(XSTEST)) --out benchmarks/results/attribution_real.json
	$(BIN)/python benchmarks/attribution_picture.py
	$(BIN)/python benchmarks/attribution_page.py > docs/attribution.md

# The study of docs/bench-defences.md: about an hour on one core; stopped, it goes on.
bench-defences: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/safebasin bench-defences --rate 5e-3 --epochs 5 --limit 30 \
	  --line-limit 12 --out runs/bench-defences
	OMP_NUM_THREADS=1 $(BIN)/safebasin bench-defences --tunes over-refusing --rate 1e-3 --epochs 4 \
	  --settings 1 --line-limit 8 --path-steps 3 --out runs/bench-over-refusing --defences \
	  system-prompt,random-restoration,safe-lora,safe-merge,resta,scans,scans-random,scans-opposite
	$(BIN)/python benchmarks/bench_defences.py runs/bench-defences \
	  --out benchmarks/results/bench_defences.json
	$(BIN)/python benchmarks/bench_defences.py runs/bench-over-refusing \
	  --out benchmarks/results/bench_defences_over_refusing.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/scans_over_refusing.py \
	  --out benchmarks/results/scans_over_refusing.json
	$(BIN)/python benchmarks/bench_defences_page.py > docs/bench-defences.md

# The same on the aligned model of `make real`, which comes first.
bench-defences-real: $(VENV)/installed
	$(BIN)/python benchmarks/bench_defences_real.py $(if $(ADVBENCH),--advbench $(ADVBENCH)) \
	  $(if $(XSTEST),--xstest $(XSTEST))
	$(BIN)/python benchmarks/bench_defences.py runs/bench-defences-real \
	  --out benchmarks/results/bench_defences_real.json
	$(BIN)/python benchmarks/bench_defences_page.py > docs/bench-defences.md

# The story of docs/real-model.md. AdvBench, XSTest and HarmBench come from the hub, or from files:
# ADVBENCH=harmful_behaviors.csv XSTEST=xstest_prompts.csv HARMBENCH=harmbench_behaviors_text_all.csv.
# Stopped, it goes on.
MODEL ?=
ADVBENCH ?=
XSTEST ?=
HARMBENCH ?=
REAL = $(BIN)/python benchmarks/real_steps.py $(if $(MODEL),--model $(MODEL)) \
  $(if $(ADVBENCH),--advbench $(ADVBENCH)) $(if $(XSTEST),--xstest $(XSTEST)) \
  $(if $(HARMBENCH),--harmbench $(HARMBENCH))

real: $(VENV)/installed
	$(REAL)
	$(BIN)/python benchmarks/real_results.py --out benchmarks/results/real.json
	$(BIN)/python benchmarks/real_picture.py
	$(BIN)/python benchmarks/real_model_page.py > docs/real-model.md

# One line and one comparison of it.
real-quick: $(VENV)/installed
	$(REAL) --quick

# The shipped adapter anew, into runs/real/adapter.
real-adapter: $(VENV)/installed
	$(REAL) --remake

$(VENV)/browser: $(VENV)/installed
	command -v chromium || command -v google-chrome \
	  || { echo "needs Chromium: apt-get install chromium"; exit 1; }
	$(BIN)/pip install --quiet $(PIP_ARGS) -c constraints.txt playwright
	touch $@

$(AXE):
	mkdir -p build/axe-core
	cd build/axe-core && npm pack --silent axe-core@4 && tar xzf axe-core-*.tgz

# The engine `vllm` with vLLM itself, on the CPU (Linux, x86_64): an environment of its own, since
# vLLM wants other versions. torch has to be the CPU build: where pip would take another, give
# PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'.
test-vllm: $(VLLM_VENV)/installed
	OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest -m vllm tests/test_vllm_engine.py tests/test_vllm_lora.py

$(VLLM_VENV)/dependencies: requirements-vllm.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet $(PIP_ARGS) torch==2.13.0
	$(VLLM_VENV)/bin/pip install --quiet $(PIP_ARGS) --no-deps -r requirements-vllm.txt
	touch $@

$(VLLM_VENV)/installed: $(VLLM_VENV)/dependencies $(SOURCES)
	$(VLLM_VENV)/bin/pip install --quiet $(PIP_ARGS) --no-deps --force-reinstall .
	touch $@

# A log that Inspect itself opens: an environment of its own, since inspect-ai wants older fsspec
# and python-dateutil than constraints.txt holds.
test-inspect: $(INSPECT_VENV)/installed
	OMP_NUM_THREADS=1 $(INSPECT_VENV)/bin/python -m pytest tests/test_sharing.py -k Inspect

$(INSPECT_VENV)/dependencies: pyproject.toml
	$(PYTHON) -m venv $(INSPECT_VENV)
	$(INSPECT_VENV)/bin/pip install --quiet $(PIP_ARGS) -c constraints.txt torch
	$(INSPECT_VENV)/bin/pip install --quiet $(PIP_ARGS) '.[inspect]' \
	  'hypothesis>=6.100' 'pytest>=8.3' 'pytest-timeout>=2.3'
	touch $@

$(INSPECT_VENV)/installed: $(INSPECT_VENV)/dependencies $(SOURCES)
	$(INSPECT_VENV)/bin/pip install --quiet $(PIP_ARGS) --no-deps --force-reinstall .
	touch $@

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# pip compiles one file after the other, compileall by every core (templates, no Python, fail).
$(VENV)/dependencies: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "safebasin needs Python 3.11 to 3.13; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/pip install --quiet --no-compile $(PIP_ARGS) -c constraints.txt '.[test]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	$(BIN)/pip install --quiet $(PIP_ARGS) --no-deps --force-reinstall .
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(INSPECT_VENV) dist build
