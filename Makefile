# Everything that is done with this checkout. Needs python3 (3.11 to 3.13) with venv, and the
# package index; each target makes the virtual environment that it needs, once.

VENV := .venv
DEPLOY_VENV := .venv-deploy
TFLITE_VENV := .venv-tflite
FLEET_VENV := .venv-fleet
LOWEST_VENV := .venv-lowest
NEWEST_VENV := .venv-newest
# --use-pep517: the pip of bookworm complains of itself else.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --use-pep517 --constraint

# Tests run file by file on as many processors; JOBS=0 runs them one after the other.
JOBS ?= auto
PYTEST = -m pytest -n $(JOBS) --dist loadfile

# The first Python here that runs pi-detector.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)

# Arguments of `make run`, as in: make run ARGS="--source v4l2:/dev/video0"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help new run install deb lock test lint format pytest test-tflite test-lowest test-newest test-deploy models model model-small model-coco fuzz \
	test-system test-v4l2 test-uvc test-picamera2 test-vm test-service test-rtsp test-mqtt test-homeassistant test-metrics test-web test-fleet \
	soak soak-service kill-test bench clean

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(VENV)/.run  ## detect on the first camera found, else on a demo: a status line, or JSON to a pipe
	@$(VENV)/bin/pi-detector run $(ARGS)

SUDO = $(if $(filter-out 0,$(shell id -u)),sudo)

install:  ## install as a service of this device, or upgrade it; asks for sudo
	$(SUDO) systemd/install.sh

# SUITE=bookworm or trixie, ARCH=arm64 or amd64; this device's by default.
deb: $(VENV)/.made  ## a Debian package in dist/, with all that it needs
	PYTHON=$(CURDIR)/$(VENV)/bin/python systemd/deb.sh "$(SUITE)" "$(ARCH)"

lock: $(VENV)/.lock  ## renew the locked versions of install and deb; ARGS=--upgrade takes the newest
	systemd/lock.sh $(CURDIR)/$(VENV)/bin/uv $(ARGS)

test: lint pytest  ## all checks and tests of what runs on the device

lint: $(VENV)/.dev  ## formatting, style, types, import rules, words
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	PYTHONPATH=. $(VENV)/bin/lint-imports
	$(VENV)/bin/python -m pytest tests/unit/docs

format: $(VENV)/.dev  ## put the code in its format
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

pytest: $(VENV)/.dev  ## unit and integration tests; ARGS are pytest's
	$(VENV)/bin/python $(PYTEST) $(ARGS)

KILL_ROUNDS ?= 10000
POWER_CUTS ?= 200

kill-test: $(VENV)/.dev  ## recordings: SIGKILL and power cuts at any moment, for hours; root for all
	KILL_ROUNDS=$(KILL_ROUNDS) POWER_CUTS=$(POWER_CUTS) $(VENV)/bin/python -m pytest -s --timeout 0 \
		tests/integration/test_recordings_kill.py tests/system/power_cut $(ARGS)

test-tflite: $(TFLITE_VENV)/.dev  ## the tests beside tflite-runtime (Python 3.11 only)
	$(TFLITE_VENV)/bin/python $(PYTEST) $(ARGS)

# Python's version decides as well: PYTHON=python3.13. imutils has no wheel.
UV = $(VENV)/bin/uv
define test-resolved
$(UV) venv --quiet --clear --python $(PYTHON) $(1)
$(UV) pip compile --quiet --no-config --no-header --python $(1)/bin/python --resolution $(2) \
	--only-binary :all: --no-binary imutils --extra web --extra clips --extra dev \
	--output-file $(1)/requirements.txt pyproject.toml >/dev/null
$(UV) pip install --quiet --no-config --python $(1)/bin/python -r $(1)/requirements.txt
$(UV) pip install --quiet --no-config --python $(1)/bin/python --no-deps -e .
$(1)/bin/python $(PYTEST) $(ARGS)
endef

test-lowest: $(VENV)/.lock  ## the tests with the lowest versions of all direct dependencies
	$(call test-resolved,$(LOWEST_VENV),lowest-direct)

test-newest: $(VENV)/.lock  ## the tests with the newest versions of today that are allowed
	$(call test-resolved,$(NEWEST_VENV),highest)

test-deploy: $(DEPLOY_VENV)/.dev  ## tests of training and packaging; installs 2.3 GB
	$(DEPLOY_VENV)/bin/python -m pytest tests/deploy $(ARGS)

# NAME is a folder to make, CLASSES what the detector shall detect, KEEP what else of the shipped model.
new: $(DEPLOY_VENV)/.made  ## a folder for a detector of your own: make new NAME=fox CLASSES=fox; 2.3 GB
	@test -n "$(NAME)" -a -n "$(CLASSES)" || { echo "say what: make new NAME=fox CLASSES=fox" >&2; exit 1; }
	@$(DEPLOY_VENV)/bin/python $(PIP_INSTALL) $(DEPLOY_VENV)/constraints.txt -e '.[deploy]' >&2
	@$(DEPLOY) new "$(NAME)" --classes "$(CLASSES)" $(if $(KEEP),--keep-classes "$(KEEP)")

# DATA has train.json, train/, val.json, val/, far.json, far/. COCO is the archive of the network to
# start from, DETECTIONS what other detectors see in the training photos. RUN keeps what is made on
# the way; an interrupted training continues where it stopped.
RUN ?= runs/models
TRAIN_ARGS ?= --bfloat16
DEPLOY = $(DEPLOY_VENV)/bin/python -m deploy
TRAINED_ON = --data $(DATA) --annotations $(RUN)/train.json
STREET = person,bicycle,car,motorcycle,bus,truck,bird,cat,dog,horse
COCO_CLASSES = $(shell $(DEPLOY_VENV)/bin/python -c 'from deploy.data.coco_classes import COCO_IDS; print(",".join(COCO_IDS))')

$(RUN)/train.json: $(DEPLOY_VENV)/.dev
	@test -n "$(DATA)" || { echo "say where the photos are: make models DATA=DIR" >&2; exit 1; }
	$(DEPLOY) pseudo-label --data $(DATA) --detections $(DETECTIONS) --coco-classes --out $@

# What all three share: first what is new learns beside the rest, then all of it, near COCO's weights.
$(RUN)/world.pt: $(RUN)/train.json
	$(DEPLOY) train $(TRAINED_ON) --classes "$(COCO_CLASSES)" --warm-start $(COCO) --teacher $(COCO) \
		--learning-rate 4e-4 --phases 256x3 --out $(RUN)/first $(TRAIN_ARGS)
	$(DEPLOY) derive $(RUN)/first/last.pt --mean-with $(COCO) --share 0.4 --input-size 288 \
		--out $(RUN)/mean.pt
	$(DEPLOY) train $(TRAINED_ON) --classes "$(COCO_CLASSES)" --warm-start $(RUN)/mean.pt \
		--teacher $(COCO) --pull 4 --learning-rate 2e-4 --phases 288x7 --out $(RUN)/second $(TRAIN_ARGS)
	$(DEPLOY) derive $(RUN)/second/last.pt --mean-with $(COCO) --share 0.3 --out $(RUN)/mean2.pt
	$(DEPLOY) train $(TRAINED_ON) --classes "$(COCO_CLASSES)" --warm-start $(RUN)/mean2.pt \
		--only lateral,smooth,classify.0,regress.0 --learning-rate 1e-3 --phases 288x3 \
		--out $(RUN)/third $(TRAIN_ARGS)
	cp $(RUN)/third/last.pt $@

# usage: $(call bundle,CHECKPOINT,NAME,VERSION,DESCRIPTION)
define bundle
$(DEPLOY) qat $(TRAINED_ON) --checkpoint $(1) --out $(RUN)/qat-$(2) $(TRAIN_ARGS)
$(DEPLOY) build $(TRAINED_ON) --checkpoint $(1) --qat $(RUN)/qat-$(2) --work $(RUN)/build-$(2) \
	--name $(2) --version $(3) --description "$(4)" --out models/$(2)
endef

models: model model-small model-coco  ## build all models from photos; hours, and 2.3 GB

model: $(RUN)/world.pt  ## build the default model
	$(DEPLOY) derive $< --classes $(STREET) --out $(RUN)/street.pt
	$(call bundle,$(RUN)/street.pt,street,2.0.0,People and vehicles and animals in the street)

model-small: $(RUN)/world.pt  ## build the model for small processors
	$(DEPLOY) derive $< --classes $(STREET) --input-size 224 --out $(RUN)/small.pt
	$(call bundle,$(RUN)/small.pt,street-small,2.0.0,The same for small processors)

model-coco: $(RUN)/world.pt  ## build the model of all eighty classes of COCO
	$(call bundle,$<,coco,1.0.0,The eighty classes of COCO)

# FUZZ_SECONDS is for each target; FUZZ_TARGETS are some of those that tests/fuzz/fuzz.py names.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

fuzz: $(VENV)/.fuzz  ## damaged settings, manifests, pictures, videos, models; FUZZ_SECONDS each
	$(VENV)/bin/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

test-system: $(VENV)/.dev  ## Debian arm64, cameras of real drivers, a real systemd; installs tools with apt
	PYTHON=$(CURDIR)/$(VENV)/bin/python SUITE=bookworm tests/system/arm64/run.sh $(PICTURE)
	SUITE=bookworm tests/system/arm64/kernel.sh
	PYTHON=$(CURDIR)/$(VENV)/bin/python SUITE=trixie tests/system/arm64/run.sh $(PICTURE)
	$(MAKE) test-rtsp test-mqtt test-homeassistant test-metrics test-web test-v4l2 test-uvc test-picamera2 test-vm
	$(MAKE) test-service SUITE=bookworm
	$(MAKE) test-service SUITE=trixie
	$(MAKE) test-fleet

# CHECKS are the names of some of the checks.
test-v4l2: $(VENV)/.run  ## a camera with a driver of the kernel, and its faults; five minutes
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/v4l2/run.sh

test-uvc: $(VENV)/.run  ## a USB webcam with the kernel's driver, unplugged and plugged in; five minutes
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/uvc/run.sh

test-picamera2: $(VENV)/.run  ## the true picamera2 and libcamera; makes a Debian, once
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/picamera2/run.sh

test-vm: $(VENV)/.run  ## the service with cameras and memory limits, on a machine of its own
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/vm/run.sh

test-service: $(VENV)/.dev  ## the service under a real systemd; SUITE=bookworm or trixie
	PYTHON=$(CURDIR)/$(VENV)/bin/python SUITE=$(or $(SUITE),bookworm) tests/system/service/run.sh $(ARGS)

test-fleet: $(VENV)/.dev $(FLEET_VENV)/.dev  ## a roll-out with Ansible, over ssh, to two machines; SUITE as above
	PYTHON=$(CURDIR)/$(VENV)/bin/python FLEET_VENV=$(CURDIR)/$(FLEET_VENV) SUITE=$(or $(SUITE),bookworm) \
		tests/system/fleet/run.sh $(ARGS)

test-rtsp: $(VENV)/.dev  ## a network camera that freezes, dies and comes back; installs tools with apt
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/rtsp/run.sh $(ARGS)

test-mqtt: $(VENV)/.dev  ## a real MQTT broker and its faults; installs tools with apt
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/mqtt/run.sh $(ARGS)

test-homeassistant: $(VENV)/.dev  ## a real Home Assistant in a Debian of its own; 1.5 GB, once; root
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/homeassistant/run.sh $(ARGS)

test-metrics: $(VENV)/.dev  ## metrics with a real Prometheus and node_exporter; installs tools with apt
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/metrics/run.sh $(ARGS)

test-web: $(VENV)/.browser  ## the page in a real browser; installs Chromium with apt
	PYTHON=$(CURDIR)/$(VENV)/bin/python tests/system/web/run.sh $(ARGS)

# SECONDS=3600 is the long one.
soak: SECONDS ?= 600
soak: $(VENV)/.dev  ## ten minutes at full speed: does it grow, does it lose count
	$(VENV)/bin/python tests/soak/soak.py --seconds $(SECONDS)

# SECONDS=14400 is what a release wants; VIDEO is what the camera sees; RESULTS is a folder.
soak-service: SECONDS ?= 600
soak-service: $(VENV)/.dev  ## camera, recordings, page, MQTT, log, a viewer: does it grow, does it lose
	PYTHONPATH=tests/support $(VENV)/bin/python tests/soak/soak_service.py --seconds $(SECONDS) \
		$(if $(VIDEO),--clip $(VIDEO)) $(if $(RESULTS),--results $(RESULTS))

# CLIP is a video; REFERENCE and REFERENCE_LABELS a COCO SSD MobileNet that ends in
# TFLite_Detection_PostProcess. What is not there is not measured.
CLIP ?=
REFERENCE ?=
REFERENCE_LABELS ?=
BENCH_ROUNDS ?= 11
BENCH = $(VENV)/bin/python -m

bench: $(VENV)/.bench  ## against the loop of the tutorials and other runtimes, and the goals; half an hour
	@test -n "$(CLIP)" || { echo "say which video: make bench CLIP=FILE" >&2; exit 1; }
	$(BENCH) benchmarks.goals $(CLIP) --rounds $(BENCH_ROUNDS) \
		$(if $(REFERENCE),--reference $(REFERENCE) --reference-labels $(REFERENCE_LABELS)) \
		--json docs/goals.json --comparison-json docs/comparison.json $(ARGS)
	$(BENCH) benchmarks.plot docs/comparison.json docs/comparison.svg

clean:  ## remove everything that was made here
	rm -rf .venv $(VENV) $(DEPLOY_VENV) $(TFLITE_VENV) $(FLEET_VENV) $(LOWEST_VENV) $(NEWEST_VENV)
	rm -rf build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Standard output belongs to `make run`, so installation speaks on standard error.
#
# Where apt's picamera2 is installed, the environment sees apt's packages, and pip keeps apt's
# numpy, against which picamera2's parts were compiled.
%/.made: pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 here: install one with venv" >&2; exit 1; }
	@echo "Making $* with $$($(PYTHON) --version); takes a minute, once ..." >&2
	@if $(PYTHON) -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("picamera2"))' 2>/dev/null; then \
		$(PYTHON) -m venv --clear --system-site-packages $* >&2 && \
		$(PYTHON) -c 'import numpy; print("numpy==" + numpy.__version__)' >$*/constraints.txt; \
	else \
		$(PYTHON) -m venv --clear $* >&2 && : >$*/constraints.txt; \
	fi
	@touch $@

$(VENV)/.run: $(VENV)/.made
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[web]' >&2
	@touch $@

$(VENV)/.dev: $(VENV)/.made
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[dev]' >&2
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[dev,bench]' >&2
	@touch $@

$(VENV)/.lock: $(VENV)/.dev
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[dev,lock]' >&2
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[dev,fuzz]' >&2
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	@$(VENV)/bin/python $(PIP_INSTALL) $(VENV)/constraints.txt -e '.[dev,browser]' >&2
	@touch $@

$(TFLITE_VENV)/.made: PYTHON = python3.11
$(TFLITE_VENV)/.dev: $(TFLITE_VENV)/.made
	@$(TFLITE_VENV)/bin/python $(PIP_INSTALL) $(TFLITE_VENV)/constraints.txt -e '.[tflite,dev]' >&2
	@touch $@

$(FLEET_VENV)/.dev: $(FLEET_VENV)/.made deploy/fleet/requirements.txt
	@$(FLEET_VENV)/bin/python $(PIP_INSTALL) $(FLEET_VENV)/constraints.txt -r deploy/fleet/requirements.txt >&2
	@touch $@

$(DEPLOY_VENV)/.dev: $(DEPLOY_VENV)/.made
	@$(DEPLOY_VENV)/bin/python $(PIP_INSTALL) $(DEPLOY_VENV)/constraints.txt -e '.[deploy,dev]' >&2
	@touch $@
