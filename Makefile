# Each target does its own set-up: on a fresh Debian 12, `make demo` or `make test` is all there is.
.PHONY: help demo sample test full check docs bench drill lock clean

help:
	@echo "make demo    measure on an emulated ARM board and on this machine; ends with a report"
	@echo "make sample  measure what reports/sample.html shows, and render it; on a quiet machine"
	@echo "make test    checks, unit tests, and one end-to-end path for each feature"
	@echo "make full    the same, and what takes many minutes"
	@echo "make check   formatting, lint, types, import rules, documentation's links"
	@echo "make docs    build the documentation site into docs/_build/html"
	@echo "make bench   benchmarks, each figure beside its bound; BENCH=benchmarks/test_NAME.py one part"
	@echo "make drill   campaigns with faults of every kind, judged by the devices' journals; SEED=N again"
	@echo "make lock    resolve the locked requirements anew"
	@echo "make clean   remove what was built in this checkout; the cache outside stays"

demo:
	scripts/setup
	scripts/demo

sample:
	scripts/setup
	scripts/sample

test: check
	.venv/bin/pytest --numprocesses 2

full: check
	.venv/bin/pytest --numprocesses 2 -m ""

check:
	scripts/setup test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python scripts/check-cpp
	.venv/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html

docs:
	scripts/setup test
	.venv/bin/sphinx-build -b html docs docs/_build/html

bench:
	scripts/setup test
	.venv/bin/pytest --durations=0 --durations-min=10 $(or $(BENCH),benchmarks)

drill:
	scripts/setup test
	.venv/bin/python -m drill $(if $(SEED),--seed $(SEED))

lock:
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade \
		--extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
