"""The archive codec: prediction across layers, query-weighted KLT, uniform steps, rANS.

`tables` is what calibration measures once per model, `entropy` the probability model, `reference` the
definition in NumPy, `codec` what `kvfiles.codecs` knows.
"""
