"""What the notebooks use beside the codec itself.

In reading order::

    alt       alternative text of figures
    figures   one style, pictures in rows, maps, drawings of the method
    curves    rate-distortion curves of many codecs
    canvas    a picture, a second one left of a line, a region drawn on it; in the browser
    widgets   things to turn: rate, before and after
    painter   a region of interest, drawn and paid for
    lattice   how strong a lattice is, and toys that learn with and without pooling
    judge     a small discriminator, trained while one reads
    turns     how long a turn of them takes
    floats    a codec whose probabilities are computed in float32, as notebook 05 breaks it
    optional  notebooks about a package that not everybody has
    random_curves   what the exercises on curves and intervals are tried on
    check     exercises that check themselves
    tasks     parts of the library that a student edition asks for
    editions  solutions and student edition, made from the notebooks and the exercises
    grading   marking submitted notebooks
"""
