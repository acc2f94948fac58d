# make demo, make run, make test: install what is missing, then open the window on a made-up room /
# open the console / run all tests.
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE :=

TEST := QT_QPA_PLATFORM=$${QT_QPA_PLATFORM:-offscreen} $(BIN)/python -m pytest -n auto --dist loadgroup

.PHONY: run demo test test-quick test-long lint bench install system system-window lock screenshots rights-page translations clean

run: install
	@$(BIN)/ggnet-console $(ARGS)

demo: system-window $(VENV)/.installed
	@$(BIN)/ggnet-console --demo $(ARGS)

test: install
	@$(TEST) $(ARGS)

# Of what differs from what has landed: all that needs no server, and what belongs to it in tests/db.
test-quick: install
	@$(TEST) $(ARGS) $$($(BIN)/python -m tests.quick)

test-long: install
	@$(TEST) --hypothesis-profile=long --timeout=7200 -o faulthandler_timeout=7300 $(ARGS)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

bench: install
	@QT_QPA_PLATFORM=$${QT_QPA_PLATFORM:-offscreen} $(BIN)/python -m bench $(ARGS)

screenshots: install
	@$(BIN)/python tests/screenshots.py docs/screenshots

rights-page: install
	@$(BIN)/python -m tests.rights_page docs/rights.md

translations: install
	@$(BIN)/python packaging/translations.py

install: system $(VENV)/.installed

system:
	@packaging/install-system.sh

# Of a workstation that only looks: no server, no iSCSI, no tests.
system-window:
	@packaging/install-system.sh debian-packages-window

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "GGnet Console needs Python 3.11 to 3.13: make %s PYTHON=python3.11" % "install")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Re-resolve the locked environment. Needs uv; the result names no package index.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --all-extras --output-file requirements.txt pyproject.toml

clean:
	rm -rf .venv .venv-* build dist
