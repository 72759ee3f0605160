"""Question answering: the product against chunk-RAG, with the same model, instructions and grader."""
