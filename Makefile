# Two commands do all the set-up:  make demo  runs the main job,  make test  passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-lowest lint docs clean

$(BIN)/neurodyn: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(BIN)/neurodyn
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(BIN)/neurodyn
	$(BIN)/neurodyn demo --out demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -q

# Whether the lower bounds in pyproject.toml are true: an environment of exactly these versions, and the tests that meet
# other libraries most.  What  make test  installs are the newest ones.
LOWEST := .venv-lowest
$(LOWEST)/.done: pyproject.toml .ci/lowest_constraints.py
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) .ci/lowest_constraints.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt \
		--editable '.[all]' pytest pytest-xdist hypothesis beartype hmmlearn
	@touch $@

test-lowest: $(LOWEST)/.done
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -q -m "not slow" tests/recording tests/binning \
		tests/markov/test_inference.py tests/markov/test_model.py tests/multiscale/test_storage.py \
		tests/realtime/test_runner.py tests/cli/test_inspect.py tests/cli/test_convert.py tests/test_compilation.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The site: docs/_build/html/index.html.  EXECUTE=1 runs the notebooks, which takes a quarter of an hour.
$(VENV)/.docs: $(BIN)/neurodyn
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	rm -rf docs/_build docs/api/generated
	JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -q -W --keep-going -j 2 docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

clean:
	rm -rf docs/_build docs/api/generated demo build dist .pytest_cache .ruff_cache
