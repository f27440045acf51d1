# Two commands do everything on a machine with Python >= 3.11, make and the package index:
#   make demo    runs the main job on generated scenes
#   make test    passes the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One worker more than cores, since tests wait for processes now and then.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
STAMP := $(VENV)/.installed

.PHONY: rows demo test unit browser soak scale parity lint format docs clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --no-compile --editable '.[dev,viz]'
	-$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib > /dev/null 2>&1  # pip compiles on one core
	touch $@

demo: $(STAMP)
	$(BIN)/splitnest demo --out demo

# Lint and types are checked by one core at a time, beside the tests.
test: $(STAMP)
	$(MAKE) --jobs 2 lint unit

unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m 'not parity'

# The page of `splitnest serve` in headless Chromium, which apt-get installs if there is none; and a client of Triton.
browser: $(STAMP)
	command -v chromium chromium-browser google-chrome > /dev/null || apt-get install --yes chromium
	$(BIN)/pip install --quiet 'playwright>=1.45' 'tritonclient[http,grpc]>=2.40'
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/serving

soak: $(STAMP)
	OMP_NUM_THREADS=1 SPLITNEST_SOAK=50 $(BIN)/pytest --timeout 3600 tests/training/test_kills.py \
		tests/data/loading/test_workers.py tests/scanning/test_kills.py tests/scanning/test_scan.py \
		tests/cli/test_machines.py
	OMP_NUM_THREADS=1 SPLITNEST_FUZZ=2000 $(BIN)/pytest -n auto tests/fuzz

scale: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[scan,ray]' s3fs 'moto[server]'
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/scanning tests/cli/test_scan.py

parity: $(STAMP)
	$(BIN)/pytest tests/parity tests/models/test_rows.py tests/exporting tests/training/test_own_networks.py \
		tests/training/test_extending_networks.py tests/cli/test_upstream_files.py tests/serving/test_triton.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/model_zoo.py
	$(BIN)/python docs/recipe.py

rows: $(STAMP)
	$(BIN)/python tools/upstream_tables.py ../shared/oracles/rescue
	$(BIN)/python tools/upstream_rows.py ../shared/oracles/rescue
	$(BIN)/python tools/detectron2_configs.py ../shared/oracles/rescue

clean:
	rm -rf $(VENV) build dist demo
