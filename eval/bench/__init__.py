"""How fast snapshots are made and attached, next to llama.cpp's own ways and to what the memory allows."""
