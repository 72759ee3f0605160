"""`beyondrag library`: what has been read, one document in detail, remove, check, clear away, carry.

One module for each kind of work; each describes its actions to argparse with `add_actions`.
"""

from __future__ import annotations

import argparse

from beyondrag.commands.library.carrying import add_actions as add_carrying
from beyondrag.commands.library.details import add_actions as add_details
from beyondrag.commands.library.listing import add_actions as add_listing
from beyondrag.commands.library.upkeep import add_actions as add_upkeep

_EXAMPLES = """\
examples:
  beyondrag library list
  beyondrag library show handbook.pdf
  beyondrag library remove 4f2a9c0d11aa --yes
  beyondrag library verify --deep
  beyondrag library export /media/disk/contracts.tar
"""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    text = "See, check, mend and carry elsewhere what has been read."
    parser = subparsers.add_parser(
        "library", help="see, check and carry what has been read", description=text, epilog=_EXAMPLES
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for add_actions in (add_listing, add_details, add_upkeep, add_carrying):
        add_actions(actions, parents)
