# `make lab` opens the course, `make test` runs all its tests. Both set up .venv first.
.PHONY: setup lab test notebooks bench clean

setup:
	@./setup.sh

lab: setup
	.venv/bin/jupyter lab notebooks/00_tour.ipynb

test: setup
	.venv/bin/ruff check plic_lib tests notebooks
	.venv/bin/python -m pytest
	.venv/bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

# execute all notebooks and save them with their outputs
notebooks: setup
	.venv/bin/python notebooks/run.py

bench: setup
	.venv/bin/plic bench

clean:
	rm -rf .venv
