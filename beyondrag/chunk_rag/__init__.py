"""Chunk-RAG as the comparison runs it: the same model, frame, protocol and check, but chunks to read from."""
