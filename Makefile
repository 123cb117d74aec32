# limbeck: `make demo` shows it working, `make test` and `make check` say whether it still does.
# Every target creates the virtual environment itself when it is missing or out of date.

PYTHON ?= python3
VENV   ?= .venv
# Test processes. Each runs on one thread, so that they do not fight over the cores.
JOBS   ?= 2

BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
LIMBECK := $(BIN)/limbeck
PYTEST  := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: help demo test test-all check format docs data clean

help:
	@echo "make demo      condense and audit the digits data, write demo/report.html"
	@echo "make test      the tests that take seconds"
	@echo "make test-all  every test, the slow ones too"
	@echo "make check     lint, formatting, types, docs"
	@echo "make format    let ruff fix and format the code"
	@echo "make docs      write the generated page docs/methods.md"
	@echo "make data      fetch Fashion-MNIST"
	@echo "make clean     remove the demo's output and the caches, keep the virtual environment"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# Digits are 8x8: a network of two blocks learns them better than one of three, and cheaper.
demo: $(STAMP)
	rm -rf demo
	$(LIMBECK) condense digits --ipc 10 -o demo/release
	$(LIMBECK) evaluate demo/release --test digits --network convnet2
	$(LIMBECK) audit demo/release --private digits --preset quick --workers 2 \
	  --trainer convnet2 --trainer-set width=16 -o demo/audit
	$(LIMBECK) report demo/audit -o demo/report.html
	@echo "open $(CURDIR)/demo/report.html"

test: $(STAMP)
	$(PYTEST)

test-all: $(STAMP)
	$(PYTEST) -m ""

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_docs.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(LIMBECK) methods --markdown > docs/methods.md.new
	mv docs/methods.md.new docs/methods.md

# The Debian package where apt can install it, limbeck's own checksummed download elsewhere.
data: $(STAMP)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get install --yes dataset-fashion-mnist; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	  sudo apt-get install --yes dataset-fashion-mnist; \
	fi || echo "apt could not install it; downloading instead"
	$(LIMBECK) data fashion-mnist

clean:
	rm -rf demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
