# `make demo` and `make test` are all a newcomer needs; each sets itself up in .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out
DEMO := $(OUT)/demo-513x1025-os16

# What is known to work together: `make constraints` looks for newer versions, `make test-matrix` takes the newest.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

SECONDS ?= 180
KILLS ?= 4

.PHONY: demo test test-long fuzz test-pi test-matrix lint types bench train-demo release constraints clean

demo: .venv/.convert
	$(BIN)/convert-model demo --quantize float32,int8 --output $(OUT)
	$(BIN)/run-model $(DEMO)-float32.tflite --source demo --limit 100 --output null
	$(BIN)/run-model $(DEMO)-int8.tflite --source demo --limit 100 --output $(OUT)/demo-overlay.mp4 --stats $(OUT)/demo-stats.json
	$(BIN)/run-model $(DEMO)-int8.tflite --source demo --limit 1 --view side-by-side --output $(OUT)/demo-side-by-side.png
	$(BIN)/compare-models $(DEMO)-float32.tflite $(DEMO)-int8.tflite --source demo --seconds 2
	@echo
	@echo "Look at $(OUT)/demo-overlay.mp4 and $(OUT)/demo-side-by-side.png; $(DEMO)-int8.tflite is what goes to the Pi."

test: .venv/.readers
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not long"

# What takes a process more than ten seconds by itself: a training, the official sizes, large graphs.
test-long: .venv/.readers
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m long

# Damaged models, graphs, pictures and addresses for so many seconds, then kills at so many moments of each command. For a
# night: make fuzz SECONDS=30000 KILLS=200. What breaks the rule is said with the command that plays it again.
fuzz: .venv/.dev
	$(BIN)/python tests/fuzz/attack.py --seconds $(SECONDS)
	$(BIN)/python tests/fuzz/kills.py $(KILLS)

# Every promised Python that is on this machine, with the newest dependencies and with the oldest.
test-matrix: .venv/.dev
	$(BIN)/python tests/matrix/run.py

# As root: Debian for arm64 under emulation, with the real libcamera and picamera2.
test-pi: .venv/.convert
	$(BIN)/python tests/pi/run.py

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.dev
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini

# Measures everything but benchmarks/soak.py, which takes days, and namespaces.py, which needs root, again, into benchmarks/results.json and README.md; each runs alone too.
bench: .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements-peers.txt
	for name in conversion ancestors peers overhead stages postprocess cold_start live scaling slow_board motion archive; do \
		$(BIN)/python benchmarks/$$name.py || exit; \
	done

train-demo: .venv/.convert
	$(BIN)/python -m convert.demo.train
	$(BIN)/python -m convert.demo.publish

# Both archives, checked, installed and tried, with their sums in dist/: docs/releasing.md.
release: .venv/.dev
	tests/release.sh $(BIN)/python

constraints: .venv/.dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-annotate \
		--extra cluster --extra convert --extra dev --extra heif --extra mqtt --extra openvino --extra report \
		--custom-compile-command "make constraints" --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv out build dist *.egg-info

.venv/.convert: pyproject.toml constraints.txt
	@.ci/venv "$(PYTHON)"
	@echo "Installing TensorFlow and the rest into .venv, this once: 0.8 GB to download, 2.7 GB on the disk, some minutes."
	$(PIP) --quiet setuptools
	$(PIP) --no-build-isolation -e ".[convert]"
	touch $@

.venv/.dev: .venv/.convert
	@echo "Installing what the tests need into .venv, this once: another 0.5 GB."
	$(PIP) --no-build-isolation -e ".[cluster,convert,dev,heif,mqtt,openvino,report]"
	touch $@

# Other programs that read our files, each in a folder of its own: they want other versions than the project, and one
# brings an OpenCV that would take the place of ours. Those without wheels for this machine are left out.
.venv/.readers: .venv/.dev $(wildcard tests/readers/*.txt)
	@echo "Installing other programs that read .tflite files, for the tests, this once: another 0.2 GB."
	for name in mediapipe onnx tflite_support; do \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --upgrade \
			--target .venv/readers/$$name -r tests/readers/$$name.txt || exit; \
	done
	touch $@
