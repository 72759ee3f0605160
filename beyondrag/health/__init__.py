"""Is everything in order?  Small checks of what the program depends on, each for itself."""
