"""The archive codec: prediction across layers and from token to token, query-weighted KLT, rANS.

`tables` is what calibration measures once per model, `entropy` the probability model, `reference` the
definition in NumPy, `codec` what `kvfiles.codecs` knows.
"""
