# Two commands do everything on a machine with Python >= 3.11, make and the package index:
#   make demo    runs the main job on generated scenes
#   make test    passes the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One worker more than cores, since tests wait for processes now and then.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
STAMP := $(VENV)/.installed
# Tests of `make test`; each of the others has a target.
UNIT := not parity and not tutorial and not site and not wheel

.PHONY: rows demo test unit browser soak scale parity lint format docs site tutorials wheel clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --no-compile --editable '.[dev,viz]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib > /dev/null 2>&1 || true  # templates are no Python
	touch $@

demo: $(STAMP)
	$(BIN)/splitnest demo --out demo

# Lint and types are checked by one core at a time, beside the tests.
test: $(STAMP)
	$(MAKE) --jobs 2 lint unit

# Assertions are not rewritten, which would take 9 s in each worker; tests that fail are repeated with their values.
unit: $(STAMP)
	$(BIN)/python -m compileall -qq -j 0 src tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal --assert plain -m '$(UNIT)' \
		|| { OMP_NUM_THREADS=1 $(BIN)/pytest --last-failed -m '$(UNIT)'; exit 1; }

# The site in docs/_build/html, without the network once the extra `docs` is installed; a warning is an error.
$(VENV)/.docs: $(STAMP)
	$(BIN)/pip install --quiet --no-compile --editable '.[docs]'
	touch $@

site: $(VENV)/.docs
	$(BIN)/sphinx-build -E -W -n --keep-going --quiet -b html docs docs/_build/html
	$(BIN)/pytest -m site tests/site/test_links.py

# The tutorials of docs/tutorials, cell by cell, and the commands of docs/tasks.
tutorials: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) -m tutorial tests/tutorials

# The wheel, with its version from a tag, in a clean environment. It downloads PyTorch, and trains the demo.
wheel: $(STAMP)
	$(BIN)/pip install --quiet 'build>=1.2'
	$(BIN)/pytest -m wheel --timeout 3600 tests/test_wheel.py

# The page of `splitnest serve` and the site in headless Chromium, which apt-get installs if there is none; and a client of Triton.
browser: site
	command -v chromium chromium-browser google-chrome > /dev/null || apt-get install --yes chromium
	$(BIN)/pip install --quiet 'playwright>=1.45' 'tritonclient[http,grpc]>=2.40'
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/serving tests/site

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
		tests/training/test_extending_networks.py tests/cli/test_upstream_files.py tests/serving/test_triton.py \
		tests/test_distributed.py

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
	$(BIN)/python docs/cli.py

rows: $(STAMP)
	$(BIN)/python tools/upstream_tables.py ../shared/oracles/rescue
	$(BIN)/python tools/upstream_rows.py ../shared/oracles/rescue
	$(BIN)/python tools/detectron2_configs.py ../shared/oracles/rescue

clean:
	rm -rf $(VENV) build dist demo docs/_build
