"""What is on disk: documents and their texts, the search index, `.kv` snapshots, reading profiles.

Knows nothing of where documents come from or who asks.  The way in is `library.store.Library`.
"""
