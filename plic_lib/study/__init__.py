"""Measuring: our files beside those of others, always from real files. In reading order::

    evaluation  figures of a model over a folder of pictures
    rivals      other codecs behind one interface
    results     every codec at every rate, points that go on where they stopped
    compare     curves, BD-rates and intervals from results, and the README's section
    ablation    models that differ in one thing each
    enhance     a classic codec and a network that repairs its pictures (paper, section 3.2)
    bench       seconds and memory
"""
