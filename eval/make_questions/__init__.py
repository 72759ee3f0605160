"""Drafting questions about one's own documents, with the local model."""
