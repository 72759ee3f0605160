"""The engine in a thread of its own: requests go in, notices come out.  Knows no screens."""
