"""One module a notebook: its exercises, and wrong answers that learners give.

Each module has ``NOTEBOOK``, the notebook's name, and ``EXERCISES``: check -> (the
function's name, {words that the hint has to contain: a wrong answer}).
"""
