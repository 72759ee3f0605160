"""The terminal app: screens over `beyondrag.service`.  Knows no engine, no model and no database."""
