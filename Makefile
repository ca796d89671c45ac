# Two commands for a newcomer, `make demo` and `make test`; the rest is for developers.
# Each does the set-up that is left; the work is in ci/.
.PHONY: demo test check bench bench-gate torture build pythons clean

demo:
	@ci/setup demo
	@ci/build
	@.venv/bin/pystream demo

test:
	@ci/test

check:
	@ci/check

bench:
	@ci/bench

bench-gate:
	@ci/bench_gate

# make torture MINUTES=60 [SEED=1] [ONLY=power] [JOBS=2]
torture:
	@ci/torture $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(JOBS),--jobs $(JOBS))

build:
	@ci/setup build
	@ci/build

pythons:
	@ci/pythons

clean:
	rm -rf build dist *.egg-info
	find pystream -name '*.so' -delete
