"""GGUF files with a header and nothing else: what a check without llama.cpp sees of a model."""

from __future__ import annotations

from pathlib import Path

import gguf

N_VOCAB = 1000


def write_header(path: Path, *, arch: str = "llama", context: int = 4096, **extra: int) -> Path:
    """10 layers, 2 KV heads of 32: 1,280 K and V values a token.  `extra`: uint32 keys of its kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(10)
    writer.add_context_length(context)
    writer.add_embedding_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list([f"t{i}" for i in range(N_VOCAB)])
    for key, value in extra.items():
        writer.add_uint32(f"{arch}.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path
