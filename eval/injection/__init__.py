"""Do instructions inside documents change what the product answers?

Small documents, each with a planted instruction and a question that the document answers, are taken in by the
product's own ingest and asked through its engine, once as they are and once without what was planted.
"""
