# make demo: set up and run the main job. make test: everything. make check: the fast loop.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test chromium check bench format calibrate flags docs

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/chipwise plan llama-2-70b --chips h20,h100,h200,b200,mi300x,ascend-910c \
	  --isl 2048 --osl 128 --cost own --out out/plan.json

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture chipwise --min-confidence 80
	$(BIN)/cog --check -r README.md docs/*.md
	$(BIN)/python -m pytest -m "not slow and not browser"
	$(BIN)/python tools/size.py

test: $(STAMP) chromium
	$(BIN)/python -m pytest -n 2 --hypothesis-profile=whole

# The page is tested in the system's own Chromium.
chromium:
	@command -v chromium >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq chromium >/dev/null; } \
	  || { echo "make test needs Chromium: install your system's package chromium" >&2; exit 1; }

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py

# Some minutes; equal to what is kept, to 1e-6.
calibrate: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/chipwise calibrate --out chipwise/catalog/data/calibration.json

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/cog -r README.md docs/*.md

# Gigabytes: the engines' wheels, read and not installed.
flags: $(STAMP)
	$(BIN)/python tools/flags.py

# A site in build/site, from the documents and docstrings.
docs: $(STAMP)
	$(BIN)/python tools/pages.py
