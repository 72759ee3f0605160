"""A thin runtime over llama-cpp-python's low-level API: model, context, decode, state."""

from kvfiles.runtime.context import Context
from kvfiles.runtime.model import Model, ModelShape

__all__ = ["Context", "Model", "ModelShape"]
