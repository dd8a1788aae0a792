"""What the notebooks use beside the codec itself.

In reading order::

    alt       alternative text of figures
    figures   one style, pictures in rows, maps, drawings of the method
    curves    rate-distortion curves of many codecs
    painter   a canvas to draw a region on
    widgets   things to turn: rate, region, before and after
    check     exercises that check themselves
    editions  the solutions, made from the notebooks and the exercises
"""
