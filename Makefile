# Everything a person types. Each target makes what it needs first; `make help` lists them.
# Any pipeline parameter can be given by name: make run-local PROFILE=cifar10 EPOCHS=3 BATCH_SIZE=128

# What is set on make's command line counts, and nothing of the environment but CONV2D_*: PROFILE and NAME mean something
# else on many machines.
OUTPUTS = local_outputs
PORT    = 6006
PYTHON3 = python3
# Of the tests: while one waits for a server or a process of its own, two cores are busy with the others; 9 % sooner.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# The environment is our own and keeps its bytecode, whatever this machine's habit: without, each start of TensorFlow
# compiles its Python again, 11 seconds in place of 4. It finds `pipeline` in this folder, no other Python's packages,
# and a warning of pip's or TensorFlow's is no error.
unexport PYTHONDONTWRITEBYTECODE PYTHONSAFEPATH PYTHONPATH PYTHONHOME PYTHONWARNINGS PYTHONOPTIMIZE

VENV   = .venv
PYTHON = $(VENV)/bin/python
LOCKS  = docker/requirements

# By Python, which knows what each takes: options, and parameters of the pipeline. What another target takes stands above
# it, as `target.takes`; what Python calls it, if that is another name, as `target.called`. All else is refused before
# anything runs: it would be left out in silence.
COMMANDS = run-local sweep model config predict predict-all doctor pipeline-compile pipeline-upload pipeline-run follow \
    schedule schedules unschedule
model.called = model show
pipeline-compile.called = compile
pipeline-upload.called  = upload
pipeline-run.called     = submit
ALWAYS   = PYTHON3 VENV BASE_IMAGE CONV2D_%

# A value for the shell, as it was typed: `value` keeps its dollars. A line break would end the command.
define newline


endef
quote    = '$(subst ','\'',$(subst $(newline), ,$(1)))'
text     = $(call quote,$(value $(1)))
# Names given on make's command line. Each keeps its value as it was typed: make would expand it as it hands it on in the
# environment, and run what stands in a $(shell ...). It hands on none that is overridden, unless told.
GIVEN   := $(foreach name,$(sort $(.VARIABLES)),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
# What NAME was given there, or nothing.
given    = $(if $(filter $(1),$(GIVEN)),$(value $(1)))
# Those of the names that were given, as NAME=VALUE: pipeline/commands/given.py makes options of them.
named    = $(foreach name,$(filter $(1),$(GIVEN)),$(call quote,$(name)=$(value $(name))))
# What the targets that were asked for take, and what is left for Python, whose commands take three of those names too.
TAKEN    = $(sort $(foreach goal,$(MAKECMDGOALS),$($(goal).takes)))
OTHERS   = $(filter-out $(TAKEN) $(ALWAYS),$(GIVEN))
CONV2D   = @$(PYTHON) -m pipeline
SETTINGS = $(call named,$(OTHERS) OUTPUTS REGISTRY NAMESPACE)

.DEFAULT_GOAL := help
TARGETS := $(sort $(shell sed -n 's/^\([a-z-]*\):.* \#\# .*/\1/p' $(firstword $(MAKEFILE_LIST))))
.PHONY: $(TARGETS) gone
# Two targets at once, with -j, would make one environment at once.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(COMMANDS): $(VENV)/local
	$(CONV2D) $(or $($@.called),$@) $(SETTINGS)

run-local: ## run the pipeline on this machine: PROFILE= SOURCE=photos/ IMAGE_SIZE=64 RUNNER=auto|docker|process CACHE=0 and any parameter
sweep: ## train one model per combination, evaluate and export the best: GRID='learning_rate=0.001,0.003 batch_size=50,250' TRIALS=8 SAMPLER=optuna
model: ## print the network's layers, their weights, and the cost of a picture: PROFILE= CLASSES= and any parameter
config: ## print every parameter, its value and its origin: PROFILE= PLACEMENT= or WHAT=prediction
predict: ## classify a picture, or a folder of pictures: IMAGE=cat.png MODEL=digits@champion REGISTRY=gs://bucket TOP=3 OUT=answers.csv
predict-all: ## classify all new pictures, and report drift: MODEL=digits@champion REGISTRY= SOURCE=gs://bucket/new OUT=gs://bucket/answers TOP= ANSWERS_AS=csv MAX_DRIFT=0.2

models.takes = REGISTRY ARGS
models: $(VENV)/local ## list and manage the model registry: REGISTRY=gs://bucket ARGS='list', 'show digits 2', 'champion digits 2', 'rollback digits'
	$(CONV2D) models $(if $(call given,REGISTRY),--registry $(call text,REGISTRY)) $(or $(subst $$,\$$,$(call given,ARGS)),list)

pipeline-compile: ## write build/training.yaml for Kubeflow Pipelines: PROFILE= PLACEMENT=, any parameter, KUBERNETES_MANIFEST=1 for GitOps
pipeline-upload: ## upload the pipeline to Kubeflow's Pipelines page, versioned by the code: PROFILE= ENDPOINT= and any parameter
pipeline-run: ## run on Kubeflow and follow the run: PROFILE= PLACEMENT=k8s/overlays/gke/runs.env ENDPOINT= WATCH=0 CACHE=0 VERBOSE=1, WHAT=prediction MODEL= OUT=
follow: ## follow a submitted run: RUN=id ENDPOINT= VERBOSE=1
schedule: ## run on Kubeflow on a schedule: CRON='0 3 * * *' (UTC) NAME=nightly CACHE=1, VERSION=newest uploaded one, WHAT=prediction
schedules: ## list the schedules
unschedule: ## remove a schedule: NAME=nightly
doctor: ## check this machine, the registry, the store and the cluster, and name a fix for each failure: JSON=1

cluster-up.takes = CLUSTER KFP_VERSION NODE_IMAGE
cluster-up: $(VENV)/local ## create a kind cluster on this machine with Kubeflow Pipelines and our images (needs kind, kubectl, the network)
	$(CONV2D) images build
	@k8s/cluster-up.sh $$($(PYTHON) -m pipeline images names)

cluster-down.takes = CLUSTER
cluster-down: ## remove that cluster
	@k8s/cluster-down.sh

ifneq ($(filter-out 0,$(call given,CLUSTER)),)
tensorboard.takes = CLUSTER NAMESPACE PORT
tensorboard: ## open TensorBoard on all local runs: PORT=, or with CLUSTER=1 on the cluster's runs: NAMESPACE=
	@kubectl -n $(or $(if $(call given,NAMESPACE),$(call text,NAMESPACE)),kubeflow) port-forward service/tensorboard $(call text,PORT):80
else
tensorboard.takes = CLUSTER OUTPUTS PORT
tensorboard: $(VENV)/local
	$(CONV2D) tensorboard $(call named,OUTPUTS PORT)
endif

images.takes = TARGET ACTION SIGN DOCKER
images: $(VENV)/local ## build the container images: TARGET=cpu|gpu|jax; ACTION=push also pushes them and TensorBoard's: SIGN=cosign.key
	$(CONV2D) images $(call named,TARGET SIGN ACTION)
	@$(if $(filter push,$(call given,ACTION)),REGISTRY="$${CONV2D_IMAGE_REPOSITORY%/*}" docker/tensorboard/image.sh push)

base-image.takes = SUITE
base-image: ## build a Python base image from Debian packages, for hosts without an image registry: SUITE=trixie
	@docker/base-image.sh

test.takes = TESTS WORKERS
test: $(VENV)/test ## run the tests, and print the ten slowest: WORKERS= (cores + 1), TESTS=path to run some
	@$(PYTHON) -m pytest $(or $(call given,TESTS),-n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10)

soak.takes = EXAMPLES
soak: $(VENV)/test ## look for rare failures for about two hours, and print what was tried: EXAMPLES=2000
	@CONV2D_SOAK=$(or $(call given,EXAMPLES),2000) $(PYTHON) -m pytest tests/soak --timeout 0

optuna: $(VENV)/optuna ## install Optuna, for SAMPLER=optuna in a sweep

jax: $(VENV)/jax ## install JAX (380 MB), for BACKEND=jax

lint: $(VENV)/test ## check style and types
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy

format: $(VENV)/test ## fix style where ruff can, and format the code
	@$(PYTHON) -m ruff check --fix . && $(PYTHON) -m ruff format .

bench: $(VENV)/test ## run the benchmarks, with the article's own job for comparison
	@for bench in tests/benchmarks/bench_*.py; do echo "== $$bench"; PYTHONPATH=. $(PYTHON) "$$bench" || exit 1; done

golden: $(VENV)/local ## renew tests/pipeline/*.golden.yaml after an intended change of the pipeline
	@$(PYTHON) -m tests.pipeline.golden

lock.takes = UPGRADE
lock: $(VENV)/test ## resolve pyproject.toml into the lock files: UPGRADE=1 upgrades all versions, UPGRADE='kfp numpy' only those
	@UPGRADE=$(call quote,$(call given,UPGRADE)) docker/lock.sh

audit: $(VENV)/test ## ask the package index which locked versions have known vulnerabilities (needs its JSON API)
	@for lock in cpu gpu jax tensorboard local; do \
		$(VENV)/bin/uv tool run pip-audit==2.10.1 --strict --disable-pip --require-hashes --requirement $(LOCKS)/$$lock.txt || exit 1; done

clean: ## remove build outputs and the environment, but no runs
	rm -rf build $(VENV) .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# All that runs leave in OUTPUTS: a mistaken OUTPUTS=~ is to cost nothing.
RUNS = (training|sweep)-[0-9-]+|no-run|latest|tensorboard|\.(cache|checkpoints|downloads|fitting|models)|\.latest\.[0-9]+
clean-runs.takes = OUTPUTS
clean-runs: ## remove all local runs and their cache
	@other=$$(ls -A -- $(call text,OUTPUTS) 2>/dev/null | grep -vxE '$(RUNS)' | head -n 1); test -z "$$other" || \
		{ echo "error: expected runs and nothing else in "$(call text,OUTPUTS)", found $$other; nothing was removed" >&2; exit 1; }
	rm -rf -- $(call text,OUTPUTS)

# One environment; running needs less of it than testing. It is made anew if the Python that it leads to is gone.
$(VENV)/local $(VENV)/test: $(if $(shell test -x $(PYTHON) && echo there),,gone)
$(VENV)/local: $(LOCKS)/local.txt
	@$(call install,local)

$(VENV)/test: $(LOCKS)/test.txt
	@$(call install,test)
	@touch $(VENV)/local

$(VENV)/jax: $(LOCKS)/local-jax.txt | $(VENV)/local
	@$(call install,local-jax)

$(VENV)/optuna: $(LOCKS)/local-optuna.txt | $(VENV)/local
	@$(call install,local-optuna)

# The links of a Python that is gone stop venv; with -L a link is one that leads nowhere.
define install
	set -e; \
	fail() { echo "error: $$1" >&2; exit 1; }; \
	command -v $(PYTHON3) >/dev/null || fail "expected Python 3.11 to 3.13, found no $(PYTHON3); install one, or name it: make PYTHON3=python3.13"; \
	$(PYTHON3) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"error: expected Python 3.11 to 3.13, received {v[0]}.{v[1]}; install one and name it: make PYTHON3=python3.11")'; \
	echo "making the environment $(VENV) (half a minute, once)"; \
	test ! -d $(VENV)/bin || find -L $(VENV)/bin -name 'python*' -type l -exec rm -f {} +; \
	$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON3) -m venv $(VENV) || fail "expected python -m venv to make $(VENV); what it said is above"; \
	$(PYTHON) docker/install.py $(LOCKS)/$(1).txt || \
		fail "expected the packages of $(LOCKS)/$(1).txt from the index that pip knows; what pip said is above; behind a proxy set HTTPS_PROXY"; \
	touch $@
endef

UNKNOWN = $(filter-out $(TARGETS) $(VENV)/%,$(MAKECMDGOALS))
$(if $(UNKNOWN),$(error there is no target $(UNKNOWN); make help lists them, and a value is given as NAME=VALUE))
$(if $(filter-out help,$(MAKECMDGOALS)),$(if $(filter $(COMMANDS),$(MAKECMDGOALS)),,$(if $(OTHERS),$(error $(MAKECMDGOALS) \
    takes no $(addsuffix =,$(OTHERS)); it takes $(or $(addsuffix =,$(TAKEN)),nothing)))))
