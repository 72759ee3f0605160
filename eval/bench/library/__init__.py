"""How a library of many documents feels: opening, searching, listing, ingesting, memory."""
