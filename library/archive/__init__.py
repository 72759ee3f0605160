"""A library, or some of its documents, in one file that can be carried to another machine.

The file is an uncompressed tar (snapshots do not compress further).  Every member is a regular file
named ``<kind>/<SHA-256 of its bytes>``, so every byte is covered and no name is ever used as a path::

    manifest/...   JSON: archive format, catalogue format, counts, reading profiles     (first)
    calibration/.. files of calibrations that snapshots name                            (then, if any)
    document/...   JSON: title, files, text sizes, volumes and snapshots of a document
    text/...       its text, deflated                                                   (follows)
    pages/...      its page map, deflated                                               (follows)
    snapshot/...   its `.kv` files, in the order in which the document names them       (follow)
    end/...        JSON: what the archive really holds                                  (last)

Not in it: the search index and prefix snapshots (made again in seconds; a prefix holds the speed of
the machine that made it), failures, conversations.
"""
