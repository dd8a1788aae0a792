# `make lab` opens the course, `make test` runs all its tests. Both set up .venv first.
.PHONY: setup lab app test test-browser test-all notebooks solutions student results pages site slides bench constraints clean

# threads that wait for work sleep, so that a busy machine stays quick (see plic_lib/__init__.py); who set one has chosen
ifeq ($(OMP_WAIT_POLICY)$(GOMP_SPINCOUNT)$(KMP_BLOCKTIME)$(KMP_LIBRARY),)
export OMP_WAIT_POLICY = passive
export KMP_BLOCKTIME = 0
endif

setup:
	@./setup.sh

lab: setup
	.venv/bin/jupyter lab notebooks/00_tour.ipynb

test: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/python -m pytest
	.venv/bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

# the widgets in a real JupyterLab; needs Chromium or Chrome and installs it where apt can
test-browser: setup
	tests/browser/run.sh

# all there is: long draws of the checks, the site, and a browser on it and on the widgets
test-all: export PLIC_FULL = 1
test-all: test site test-browser

# the port beside the original, in an environment of its own: MindSpore needs an older NumPy, and 3 GB.
# PLIC_MINDSPORE=all adds the Kodak photographs (PLIC_KODAK names their folder)
test-mindspore: setup
	tests/mindspore/run.sh

# the two widgets as a page without code, for a lecture
app: setup
	.venv/bin/python -m pip install -q voila
	.venv/bin/voila --theme=light notebooks/app/app.ipynb

# execute all notebooks and save them with their outputs
notebooks: setup
	.venv/bin/python -m plic_lib.course.editions
	.venv/bin/python notebooks/run.py

# the solutions: made from the notebooks' statements and from plic_lib/course/check, then run
solutions: setup
	.venv/bin/python -m plic_lib.course.editions
	.venv/bin/python notebooks/run.py notebooks/solutions/*.ipynb

# for a class: student/ with tasks and exercises to be solved, lecturer/ the same with solutions
student: setup
	.venv/bin/python -m plic_lib.course.editions student lecturer

# every codec over a folder of pictures, as in: make results PICTURES=~/kodak; a folder named kodak renews the pages too
PICTURES ?= kodak
results: setup
	.venv/bin/plic results $(PICTURES) $(if $(filter kodak,$(notdir $(PICTURES))),--pages)

# the README's first picture, curves, and every figure that README, docs and cards quote, from data/results
pages: setup
	.venv/bin/python -m plic_lib.study.cover
	.venv/bin/python -m plic_lib.course.curves
	.venv/bin/python -m plic_lib.study.pages

# the pages, the notebooks with their outputs and the reference as a site: build/site/html/index.html
site: slides
	.venv/bin/python -c "import furo, latex2mathml, myst_nb" 2> /dev/null || .venv/bin/python -m pip install -q '.[site]'
	.venv/bin/python site/assemble.py build/site/source
	.venv/bin/python -m sphinx -q -W --keep-going -c site -d build/site/doctrees build/site/source build/site/html
	rm -rf build/site/html/slides && cp -R build/slides/html build/site/html/slides

# the lesson of ninety minutes, from the notebooks' pictures: build/slides/html/index.html; nothing is executed
slides: setup
	.venv/bin/python slides/assemble.py build/slides/source
	.venv/bin/python -m sphinx -q -W --keep-going -b revealjs -c slides -d build/slides/doctrees build/slides/source build/slides/html

bench: setup
	.venv/bin/plic bench

# the versions that setup.sh falls back to: what .venv has now, where all tests passed
constraints: setup
	.venv/bin/python .ci/constraints.py

clean:
	rm -rf .venv .venv-mindspore
