"""Measuring: our files beside those of others, always from real files.

In reading order::

    codecs      what every codec is here: a picture to bytes at a quality, and back; ours
    measure     one picture through one codec: what all the rest is made of
    sets        how far all decoded pictures are from all originals: KID and FID
    pictures    the pictures of a folder, looked at before anything is measured
    record      what figures depend on, written beside them
    containers  how many bytes of a file are around the picture
    vvc         VVC through the programs of vvenc
    rivals      the classic codecs
    evaluation  figures of a model over a set of pictures
    regions     what another level in a region costs and gains
    results     every codec at every rate, points that go on where they stopped
    compare     curves, BD-rates and intervals from results
    cover       the README's first picture
    syllabus    what the notebooks say of themselves: goals, minutes, what each needs
    pages       what README and docs say in figures, written from the records
    cost        CPU-seconds of a training step
    ablation    trainings that differ in one thing each, in equal CPU-seconds
    enhance     a classic codec and a network that repairs its pictures (paper, section 3.2)
    bench       seconds and memory
"""
