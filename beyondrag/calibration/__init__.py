"""Calibrate a model for the archive codec, and find what was measured.

`texts` chooses what is read, `observing` reads it with the model, `running` does all of it with progress,
`store` keeps the tables beside the models.
"""
