# make lab       install what a lesson needs, open JupyterLab on the notebooks
# make test      install what is missing, re-run the notebooks, quick tests
# make test-all  these and the slow tests: browsers, sandboxes, a whole class
# make test-device  what depends on the device, on the best one found here
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

# PyTorch's threads on Linux soon sleep while they wait for one another: a loop
# beside a busy process can take ten times as long otherwise, or more.
export GOMP_SPINCOUNT ?= 20000

# Intel's MKL computes the same, to the last bit, on any number of threads, so
# that a training can change theirs on the way.
export MKL_CBWR ?= AUTO,STRICT

# The files in conftest.py's order: what takes longest goes first.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

# Where `make bundle` writes, and more options for it: --for windows ...
OUT ?= results/bundle
BUNDLE_ARGS ?=

.PHONY: lab teach run demo site slides test test-all test-device check bench bundle notebooks clean

lab: $(VENV)/ready-lab
	$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks $(LAB_ARGS)

# For the instructors' commands: labutils release, labutils grade.
teach: $(VENV)/ready-teach

run: $(VENV)/ready-teach
	$(BIN)/python -m labkit run $(if $(EPOCHS),--epochs $(EPOCHS))

# The explorer, a page in which three networks run, in a browser.
demo: $(VENV)/ready-teach
	$(BIN)/python -m labkit site --open

# The course as a website, into results/site/; it opens from the disk.
site: $(VENV)/ready-site
	$(BIN)/python -m labkit site --out results/site

# The lecture's slides, into results/slides/; they need no network.
slides: $(VENV)/ready-teach
	$(BIN)/python -m labkit slides

# Several share the processors, where threads wait for one another.
test test-all test-device: export OMP_NUM_THREADS = 1

test: $(VENV)/ready-test
	$(PYTEST) -n 2 -m "not slow"

# These, and what `make test` leaves out. Four at a time, since many wait: for
# limits of time, for browsers, for kernels.
test-all: $(VENV)/ready-dev
	$(PYTEST) -n 4 --durations=25

# With a GPU, run this first. The header says which device it is.
test-device: $(VENV)/ready-test
	LABUTILS_DEVICE=$$($(BIN)/python -c "from labutils import settings; print(settings.device())") \
	    $(PYTEST) -n 2 -m device

# Re-execute the notebooks where they stand, at full epochs, for committing.
notebooks: $(VENV)/ready-teach
	$(BIN)/python -m labkit run --in-place

check: $(VENV)/ready-dev
	$(BIN)/ruff check
	$(BIN)/mypy

# What steps, loaders, the live view, a save and grading cost; on a quiet machine.
bench: $(VENV)/ready-test
	$(BIN)/python benchmarks/trainings.py
	$(BIN)/python benchmarks/threads.py
	$(BIN)/python benchmarks/view.py
	$(BIN)/python benchmarks/on_cuda.py
	$(BIN)/python benchmarks/grading.py
	$(BIN)/python benchmarks/student.py

# A folder that installs a room without a network; its text is the book's.
bundle: $(VENV)/ready-teach
	$(BIN)/python -m labkit bundle --out $(OUT) $(if $(filter cpu,$(TORCH)),--torch-index $(TORCH_CPU_INDEX)) $(BUNDLE_ARGS)

# Removes the environment and results/; a text in data/ stays.
clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The extras of pyproject.toml; each holds those that are named here.
IN_teach := lab
IN_site := lab teach
IN_test := lab teach
IN_dev := lab teach site test

$(VENV)/ready-%: pyproject.toml constraints.txt | $(VENV)/made
	@echo "Installing into $(VENV) (the first time about 1.3 GB, some minutes) ..."
	$(if $(filter cpu,$(TORCH)),$(PIP) --no-deps --index-url $(TORCH_CPU_INDEX) -c constraints.txt torch)
	$(PIP) --no-compile -c constraints.txt -e '.[$*]'
	@# What pip does with one core, with all, but for what a lesson never
	@# imports, a third of it; a package may hold odd files.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(tests?|sympy|networkx|_inductor)/' $(VENV)/lib || true
	@touch $@ $(IN_$*:%=$(VENV)/ready-%)

$(VENV)/made:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {v}. Try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@# Python 3.11's own pip takes twice as long; where there is no other, it does.
	@$(PIP) pip==26.3 || true
	@touch $@
