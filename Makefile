# make lab    install what is missing and open JupyterLab on the notebooks
# make test   install what is missing and run the whole test suite
#
# On Linux the package registry's torch brings gigabytes of CUDA libraries;
# on a machine without an NVIDIA GPU say: make lab TORCH=cpu

# $(or ...) because a Windows machine often has python but no python3.
PYTHON ?= $(or $(shell command -v python3 2>/dev/null),python)
EPOCHS ?=
TORCH ?=
# PyTorch's own index of CPU builds, asked only with TORCH=cpu.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(if $(filter Windows_NT,$(OS)),$(VENV)/Scripts,$(VENV)/bin)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# Jupyter refuses to serve as root unless told; in a container one often is.
AS_ROOT := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)
LAB_ARGS ?=
DEMO_ARGS ?=

# Three test files at a time, since some wait for limits of time to pass. The
# slowest go first, as conftest.py sorts them.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

# Where `make bundle` writes, and more options for it: --for windows ...
OUT ?= results/bundle
BUNDLE_ARGS ?=

.PHONY: lab run demo slides test test-browser check bench bundle notebooks clean

lab: $(VENV)/ready
	$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks $(LAB_ARGS)

run: $(VENV)/ready
	$(BIN)/python -m labkit run $(if $(EPOCHS),--epochs $(EPOCHS))

# The lecture's page; DEMO_ARGS="--port 8000 --no-browser".
demo: $(VENV)/ready
	$(BIN)/python -m labkit demo $(DEMO_ARGS)

test: $(VENV)/ready
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# The tests in a real browser alone; screenshots go to results/browser/.
test-browser: $(VENV)/ready-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --screenshots results/browser $(wildcard tests/test_browser*.py)

# The lecture's slides, into results/slides/; they need no network.
slides: $(VENV)/ready
	$(BIN)/python -m labkit slides

# Re-execute the notebooks where they stand, at full epochs, for committing.
notebooks: $(VENV)/ready
	$(BIN)/python -m labkit run --in-place

check: $(VENV)/ready-dev
	$(BIN)/ruff check
	$(BIN)/mypy

# What steps, loaders, the live view, a save and grading cost; on a quiet machine.
bench: $(VENV)/ready
	$(BIN)/python benchmarks/trainings.py
	$(BIN)/python benchmarks/view.py
	$(BIN)/python benchmarks/on_cuda.py
	$(BIN)/python benchmarks/grading.py
	$(BIN)/python benchmarks/student.py

# A folder that installs a room without a network; its text is the book's.
bundle: $(VENV)/ready
	$(BIN)/python -m labkit bundle --out $(OUT) $(if $(filter cpu,$(TORCH)),--torch-index $(TORCH_CPU_INDEX)) $(BUNDLE_ARGS)

# Removes the environment and results/; a text in data/ stays.
clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: pyproject.toml constraints.txt | $(VENV)/made
	@echo "Installing into $(VENV) (about 1.3 GB, some minutes) ..."
	$(if $(filter cpu,$(TORCH)),$(PIP) --no-deps --index-url $(TORCH_CPU_INDEX) -c constraints.txt torch)
	$(PIP) -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {v}. Try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@
