"""Every error that a user can act on. All derive from ``PlicError``.

The message is one sentence that says what is wrong (of a file: which) and, where there is
something, what to do. Commands print it without a traceback; any other exception that
reaches a command is a fault of plic, and is reported as one. The classes are also
``ValueError`` or ``RuntimeError`` (``FileError``: ``OSError``), so code that knows
nothing of plic catches them as usual.
"""


class PlicError(Exception):
    """What all the others have in common: catch it to catch them all."""


class UsageError(PlicError, ValueError):
    """Arguments that do not fit together; the message says how they would."""


class FileError(PlicError, OSError):
    """A file cannot be read or written; the message says which and why."""


class ImageError(PlicError, ValueError):
    """A picture cannot be read, is too large, or is no picture."""


class RegionError(PlicError, ValueError):
    """A region that cannot be used or found."""


class LevelError(PlicError, ValueError):
    """A level, or a rate to find the level for, that no model has."""


class LevelMapError(PlicError, ValueError):
    """A level map that cannot be used."""


class BitstreamError(PlicError, ValueError):
    """A .plic file that cannot be decoded."""


class CheckpointError(PlicError, ValueError):
    """A model cannot be found, used or frozen."""


class SelftestFailed(PlicError, RuntimeError):
    """This machine does not decode the golden files as all others do."""


class TrainingError(PlicError, RuntimeError):
    """Training cannot start or go on."""


class Diverged(TrainingError):
    """A figure of a training is no finite number any more."""


class WeightsMissing(PlicError, RuntimeError):
    """Weights of a perceptual metric are not on this machine, or do not load; the message says how to get them."""


class CodecMissing(PlicError, RuntimeError):
    """A codec is not on this machine; the message says how to get it."""


class CodecFailed(PlicError, RuntimeError):
    """A codec's own program failed; the message is its last line."""
