# Two commands: `make course` (run the lessons) and `make test`. `make help` lists the others.
# The first one sets up .venv; needs Python 3.11 to 3.13 and nothing else. PYTHON=... chooses which.

SHELL := /bin/sh
PYTHON ?=
export PYTHON

RUN := .venv/bin/python
READY := .venv/ready

# An environment belongs to the folder it was made in, as its programs name it: after a move it is made again.
MOVED := $(shell [ "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" ] || echo moved)

.DEFAULT_GOAL := help
.PHONY: help course test notebooks solutions format lint benchmark lock clean
.PHONY: $(MOVED)

help: ## list these commands
	@echo "Usage: make COMMAND"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

course: $(READY) ## run all lessons on the phantom, write their pages to build/course
	@$(RUN) -m hemokit run --out build/course

test: $(READY) ## run all tests: units, promises at full size, every lesson
	@$(RUN) -m pytest -n 2 --dist loadfile
	@$(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "slow or lessons or promises"

notebooks: $(READY) ## build the learner notebooks from notebooks/sources
	@$(RUN) notebooks/build.py

solutions: $(READY) ## build the solution notebooks for instructors, in build/solutions
	@$(RUN) notebooks/build.py --solutions build/solutions

format: $(READY) ## format the code and repair what ruff can repair
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

lint: $(READY) ## check form and style without changing anything
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

benchmark: $(READY) ## measure the speed of the hot paths
	@$(RUN) benchmarks/run.py

# Universal: one file for Python 3.11 to 3.13 on Linux, macOS and Windows. No index addresses in it.
lock: $(READY) ## resolve requirements.txt anew from pyproject.toml (needs the network)
	@$(RUN) -m pip install --quiet uv
	@$(RUN) -m uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
		--extra tensorflow --extra baselines --extra dicom --extra lessons --extra deploy --extra seg --extra data \
		--extra dev --extra test \
		--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements.txt

clean: ## remove the environment and everything that was made
	rm -rf .venv build dist hemokit_run .pytest_cache .ruff_cache .hypothesis

$(READY): requirements.txt pyproject.toml tools/setup_environment.sh $(MOVED)
	@tools/setup_environment.sh
