"""The commands, one module each: `add_parser` describes it to argparse, `run` does it.

Only what argparse needs is imported at the top of a command's module; the rest inside `run`, so that
`beyondrag --help` stays quick.
"""
