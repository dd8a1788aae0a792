"""Speed and memory, each figure from runs of its own.

In reading order::

    inputs    what is timed: pictures of any size, models
    process   a call in a fresh process, so that its largest memory is its own
    zoo       CompressAI's models as codecs
    sizes     our codec beside other codecs, over picture sizes
    serial    coding beside CompressAI's serial context model of the same width
    worker    the process that is timed by ``parts``
    parts     what each part of coding takes, here and in other checkouts of plic
    training  our training loop beside CompressAI's
    busy      a cell of the course beside busy neighbours
"""
