# {name}: a detector of your own. Put photos and their label files into photos/, then run `make`.
# This file is yours: change what you like.

PI_DETECTOR := {checkout}
PYTHON := $(PI_DETECTOR)/.venv-deploy/bin/python
DEPLOY := PYTHONPATH='$(PI_DETECTOR)' '$(PYTHON)' -m deploy

VERSION := 1.0.0
DESCRIPTION := {name}, trained on photos of its owner
# The weights that training starts from.
START := $(PI_DETECTOR)/models/world.pt
# The share of the photos that only measures.
VAL := 0.2
# More options of `dataset import`, `dataset split`, `train` and `build`.
IMPORT_ARGS :=
SPLIT_ARGS :=
TRAIN_ARGS := {keep}
BUILD_ARGS :=

# A type for training that pays on processors that compute with it.
BFLOAT16 := $(shell grep -qsE 'amx_bf16|avx512_bf16' /proc/cpuinfo && echo --bfloat16)

.DEFAULT_GOAL := model
.PHONY: help model check show clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

model: model/manifest.toml  ## train, quantize, measure, and write the bundle model/

check: data/train.json  ## what is wrong with the photos, and how the classes are spread
	$(DEPLOY) dataset check data

show: data/train.json  ## a contact sheet of the photos with their boxes: sheet.jpg
	$(DEPLOY) dataset show all/all.json --out sheet.jpg

all/all.json: photos labels.txt
	rm -rf all
	$(DEPLOY) dataset import photos --classes labels.txt --out $@ $(IMPORT_ARGS)

data/train.json: all/all.json
	rm -rf data
	$(DEPLOY) dataset split $< --out data --val $(VAL) $(SPLIT_ARGS)

# A training that was interrupted continues; one of other photos begins again.
run/.trained: data/train.json
	[ run/last.pt -nt data/train.json ] || rm -rf run
	$(DEPLOY) train --data data --warm-start '$(START)' $(BFLOAT16) --out run $(TRAIN_ARGS)
	touch $@

model/manifest.toml: run/.trained
	$(DEPLOY) build --data data --checkpoint run/last.pt --work build --out model \
		--name '{name}' --version '$(VERSION)' --description '$(DESCRIPTION)' $(BUILD_ARGS)

clean:  ## remove everything that was made from the photos, but not model/
	rm -rf all data run build sheet.jpg
