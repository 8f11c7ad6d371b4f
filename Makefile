# What people run; everything that is checked is in .ci/run.

.PHONY: test report notebooks notebooks-run notebooks-html

test:
	go test ./...

report:
	go run ./cmd/kernsim report

# Jupyter and the kernel for Go cells, on a bare Debian machine too.
notebooks:
	examples/notebooks/setup

# All notebooks headless, without Jupyter; fails with the first cell that does.
notebooks-run:
	examples/notebooks/run

# All notebooks under Jupyter, as HTML pages in ./notebooks-html.
notebooks-html:
	examples/notebooks/setup html "$(CURDIR)/notebooks-html"
