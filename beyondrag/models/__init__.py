"""Where models come from and where they live.

`pull` brings a model of the catalogue, or any GGUF file behind an https address, into a `ModelStore`;
the store finds, lists, hashes and removes them.
"""

from beyondrag.models.catalogue import (
    DEFAULT_MODEL,
    KNOWN,
    Address,
    KnownModel,
    Source,
    WheelParts,
    find_known,
)
from beyondrag.models.progress import PullProgress
from beyondrag.models.pull import pull
from beyondrag.models.store import InstalledModel, ModelStore, default_root

__all__ = [
    "DEFAULT_MODEL",
    "KNOWN",
    "Address",
    "InstalledModel",
    "KnownModel",
    "ModelStore",
    "PullProgress",
    "Source",
    "WheelParts",
    "default_root",
    "find_known",
    "pull",
]
