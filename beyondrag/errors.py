"""Errors of the application.

::

    AppError                  exit code 1
    └── UsageError                the command line or a setting asks for something impossible (2)
    ModelError                (kvfiles.errors, exit code 5)
    ├── ModelNotFound             no model of this name has been pulled
    └── DownloadError             a model could not be had; the message holds every source's reason
        └── SourceUnavailable         one source failed; the next one is tried
"""

from __future__ import annotations

from kvfiles.errors import BeyondragError, ModelError


class AppError(BeyondragError):
    """Something is wrong in the application itself."""


class UsageError(AppError):
    """The request makes no sense as it stands; nothing was done."""

    exit_code = 2


class ModelNotFound(ModelError):
    """No model of this name is installed; the remedy is the command that pulls it."""


class DownloadError(ModelError):
    """No source gave the model."""


class SourceUnavailable(DownloadError):
    """One source did not give the model."""
