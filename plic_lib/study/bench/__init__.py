"""Speed and memory, each figure from runs of its own. In reading order::

    process     a call in a fresh process, so that its largest memory is its own
    compressai  coding and training beside CompressAI's of the same width
    codecs      our codec beside other codecs, over picture sizes
"""
