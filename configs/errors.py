"""The errors of the project, in one tree.

    PanoptrailError
    ├── UsageError (ValueError)      the caller's mistake; the command line prints one line, exit code 2
    │   ├── SettingsError            a configuration file or --set
    │   ├── SourceError              an input that cannot be read
    │   ├── OutputError              a place that cannot be written
    │   └── WeightsError             a weights file that does not fit the model
    ├── MessageError (ValueError)    a message between stages with a wrong shape, dtype or count
    ├── StageError (RuntimeError)    a stage failed; names stage, stream and frame
    ├── ConnectionLostError (RuntimeError)   a server sends no more of a source
    └── ExportError (RuntimeError)   a file for another runtime does not compute what the model does

Every one takes a single string, so that it survives pickling between processes.
"""

from __future__ import annotations


class PanoptrailError(Exception):
    """Base of all errors that the project raises on purpose."""


class UsageError(PanoptrailError, ValueError):
    """The caller's mistake: names the file or value, and the remedy."""


class SettingsError(UsageError):
    """A setting is unknown or has a value that is not allowed."""


class SourceError(UsageError):
    """A source cannot be read."""


class OutputError(UsageError):
    """A place for results cannot be used."""


class WeightsError(UsageError):
    """A weights file does not fit the model."""


class MessageError(PanoptrailError, ValueError):
    """A message between stages breaks its own description."""


class StageError(PanoptrailError, RuntimeError):
    """A stage failed; the message names stage, stream and frame."""


class ConnectionLostError(PanoptrailError, RuntimeError):
    """A server sends no more of a source; what came before is kept."""


class ExportError(PanoptrailError, RuntimeError):
    """A file for another runtime cannot be made, or does not compute what the model does."""
