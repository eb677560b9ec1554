# Every verb of the project; CI runs `make setup check test`.
VENV ?= .venv
PY = $(VENV)/bin/python

.PHONY: setup check fix test bench docs browser

setup: $(VENV)/.ready browser

$(VENV)/.ready: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt torch
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# also Chromium for the browser tests, by apt as root; each may be missing, which is then said
browser:
	@sh browser/fetch.sh

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PYTHONPATH=src $(VENV)/bin/lint-imports --no-cache
	$(PY) -m pytest tests/test_house.py

fix: setup
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

test: setup
	$(PY) -m pytest --cov=posegram --cov-report=term:skip-covered

bench: setup
	$(PY) bench/bench.py $(ARGS)

docs: setup
	$(PY) -m pytest tests/test_house.py -k readme
