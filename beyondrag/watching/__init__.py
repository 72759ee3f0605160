"""Folders that are kept up to date: changes are noticed, wait until they rest, and are read."""
