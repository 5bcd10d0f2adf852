# make demo    set up .venv, segment a motorway clip, say where the results are
# make test    everything: style, types, all tests
# make check   what a developer runs most: style, types, the fast tests
# make bench   the tables of the README

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
CLIP = $(shell $(BIN)/python -c "import importlib.util as u; print(u.find_spec('pycsr_cv').submodule_search_locations[0])")/assets/sample_car_video.mp4

.PHONY: setup demo test check lint bench clean

setup: .venv/installed

.venv/installed: pyproject.toml requirements.lock
	@echo "setting up .venv (about 5 GB, some minutes the first time)"
	@$(if $(UV),test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	@$(INSTALL) --constraint requirements.lock ".[demo,dev]"
	@touch $@

demo: setup
	$(BIN)/python run_pipeline.py run "$(CLIP)" --output out/demo --executor ray --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

check: lint
	$(BIN)/python -m pytest -q -m "not slow and not gpu"

test: lint
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -q -m alone

bench: setup
	$(BIN)/python -m benchmarks.throughput "$(CLIP)"

clean:
	rm -rf out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
