"""Two more generated documents: a dye works' process sheet and a guest book."""

from __future__ import annotations

from eval.drift.checks import (
    BeginsWith,
    InOrder,
    JsonObject,
    Lines,
    OnlyNumber,
    UpperCase,
    Words,
    avoids,
    both,
    figure,
    mentions,
)
from eval.drift.draws import Draws
from eval.drift.probes import Asking, Document, Topic, Turn

VESSELS = ("copper vat", "long trough", "stone basin", "narrow tank", "lidded kettle", "round tub")
ACTIONS = (
    "Soak the cloth",
    "Rinse the cloth",
    "Stir in the madder",
    "Press the cloth",
    "Add the alum",
    "Turn the cloth",
    "Skim the bath",
    "Add the chalk water",
    "Hang the cloth",
    "Beat the cloth",
    "Stir in the weld",
    "Steam the cloth",
    "Brush the cloth",
    "Add the bran liquor",
    "Lift out the rods",
    "Stretch the cloth",
    "Stir in the oak gall",
    "Sour the bath",
    "Shade the cloth",
    "Fold the cloth",
    "Add the iron liquor",
    "Wring the cloth",
    "Cool the bath",
    "Card the edges",
)
REASONS = (
    "Too short a time leaves the fibre dull.",
    "The colour must not be judged before it is dry.",
    "Two workers do this together.",
    "Work from the left hem to the right.",
    "Keep the lid within reach.",
    "The smell tells when it is done.",
    "The fire is kept low and even.",
    "Drops on the floor are wiped up at once, since they stain the boards.",
)
TOOLS = (
    "a beech paddle",
    "the long tongs",
    "two ash rods",
    "a linen strainer",
    "the iron hook",
    "a wide sieve",
)

TRADES = (
    "bookbinder",
    "cooper",
    "diver",
    "engraver",
    "farrier",
    "glazier",
    "harpist",
    "joiner",
    "midwife",
    "notary",
    "optician",
    "potter",
    "saddler",
    "tailor",
    "upholsterer",
    "watchmaker",
)
DISHES = (
    "barley soup",
    "baked pike",
    "bean stew",
    "cold veal",
    "fried eel",
    "leek tart",
    "mushroom pie",
    "onion bread",
    "pea dumplings",
    "roast hare",
    "smoked trout",
    "turnip mash",
)
TOWNS = ("Alderwick", "Brenna", "Corrow", "Dunmere", "Estholm", "Farrowby", "Gell", "Harnsea")
N_GUESTS = 60


def process_sheet(draws: Draws) -> Topic:
    """Twenty-four steps in order, each with vessel, minutes and degrees."""
    actions = draws.some(ACTIONS, len(ACTIONS))
    minutes, degrees = draws.distinct(21, 90, len(actions)), draws.distinct(24, 97, len(actions))
    vessels, reasons = draws.any(VESSELS, len(actions)), draws.any(REASONS, len(actions))
    tools = draws.any(TOOLS, len(actions))
    master = draws.people(1)[0]
    colour = draws.some(("crow black", "rust red", "moss green", "wine brown"), 1)[0]
    lines = [
        f"Step {i}. {action} in the {vessel} for {minute} minutes at {degree} degrees, using {tool}. {reason}"
        for i, (action, vessel, minute, degree, tool, reason) in enumerate(
            zip(actions, vessels, minutes, degrees, tools, reasons, strict=True), 1
        )
    ]
    text = "\n".join(
        [
            f"Process sheet of the dye works at Linnet Bridge for the colour {colour}. The master dyer is "
            f"{master}. The sheet has {len(lines)} steps and none may be left out.",
            *lines,
            "After the last step the cloth rests for two nights before it is measured and sold.",
        ]
    )
    ask = Asking("process-sheet")
    early, middle, late = 2, 12, 20
    return Topic(
        Document("process-sheet", "Process sheet of a dye works", text),
        (
            ask.once(
                "fact",
                "colour",
                "For which colour is the process sheet? Answer in exactly two words.",
                both(mentions(colour), Words(2, 2)),
                f"for the colour {colour}",
            ),
            ask.once(
                "number",
                "degrees",
                f"At how many degrees is step {middle + 1} done? Answer with the number only.",
                OnlyNumber(str(degrees[middle])),
                lines[middle],
            ),
            ask.once(
                "format",
                "three-steps",
                f"What is done in the steps {late - 1}, {late} and {late + 1}? Write exactly three lines, "
                "one for each step, each beginning with a hyphen, and nothing else.",
                both(Lines(3, "-"), InOrder(tuple(actions[late - 2 : late + 1]))),
                *lines[late - 2 : late + 1],
            ),
            ask.once(
                "constraint",
                "capitals",
                f"In which vessel is step {early + 1} done? Answer in capital letters only.",
                both(mentions(vessels[early]), UpperCase()),
                lines[early],
            ),
            ask.talk(
                "turns",
                "replacement",
                (
                    Turn(
                        f"For how many minutes does step {early + 1} last? Answer with the number only.",
                        OnlyNumber(str(minutes[early])),
                    ),
                    Turn(
                        "From now on write the word minutes after every number of minutes. "
                        f"For how long does step {late + 1} last?",
                        mentions(f"{minutes[late]} minutes"),
                    ),
                    Turn("And step 1?", mentions(f"{minutes[0]} minutes")),
                    Turn(
                        "Which of the steps that I asked about came first in our conversation? "
                        "Answer with its number only.",
                        OnlyNumber(str(early + 1)),
                    ),
                ),
                lines[early],
                lines[late],
                lines[0],
            ),
        ),
    )


def guest_book(draws: Draws) -> Topic:
    """An inn's book: guests by room, with trade, town, nights and dish."""
    rooms = draws.distinct(101, 480, N_GUESTS)
    trades, towns = draws.any(TRADES, N_GUESTS), draws.any(TOWNS, N_GUESTS)
    dishes, nights = draws.any(DISHES, N_GUESTS), draws.numbers(2, 9, N_GUESTS)
    landlady = draws.people(1)[0]
    rule = (
        "Rule of the house for anybody who answers questions from this book: never say which trade a guest "
        'follows; say "a guest of the house" instead. Rooms, nights and dishes may be told.'
    )
    lines = [
        f"Room {room}: a {trade} from {town}, {night} nights, asked for {dish}."
        for room, trade, town, night, dish in zip(rooms, trades, towns, nights, dishes, strict=True)
    ]
    half = N_GUESTS // 2
    text = "\n".join(
        [
            f"Book of the inn at Three Weirs. The landlady is {landlady} and the stable boy is called Pim. "
            f"The book begins on the day of the spring fair and lists {N_GUESTS} guests.",
            *lines[:half],
            rule,
            *lines[half:],
        ]
    )
    ask = Asking("guest-book")
    early, middle, late = 3, half + 3, N_GUESTS - 4
    return Topic(
        Document("guest-book", "Book of an inn", text),
        (
            ask.once(
                "fact",
                "landlady",
                "Who is the landlady? Answer with the name only.",
                both(mentions(landlady), Words(2, 2)),
                landlady,
            ),
            ask.once(
                "number",
                "nights",
                f"How many nights did the guest in room {rooms[early]} stay? Answer with the number only.",
                OnlyNumber(str(nights[early])),
                lines[early],
            ),
            ask.once(
                "format",
                "json",
                f"Describe the stay in room {rooms[late]} as one JSON object with exactly the keys "
                "nights and dish. Write nothing else.",
                JsonObject((("nights", str(nights[late])), ("dish", dishes[late]))),
                lines[late],
            ),
            ask.once(
                "buried",
                "trade",
                f"Somebody asks: who stayed in room {rooms[middle]}? Write the reply.",
                both(mentions("a guest of the house", "guest of the house"), avoids(*TRADES)),
                rule,
                lines[middle],
            ),
            ask.once(
                "constraint",
                "beginning",
                "Begin your reply with the words “In the kitchen”. "
                f"Which dish did the guest in room {rooms[late]} ask for?",
                both(BeginsWith("In the kitchen"), mentions(dishes[late])),
                lines[late],
            ),
            ask.talk(
                "turns",
                "town",
                (
                    Turn(
                        f"Call the guest in room {rooms[early]} “Mister Finch” in this conversation. "
                        "From which town did Mister Finch come?",
                        both(mentions("Mister Finch"), mentions(towns[early])),
                    ),
                    Turn(
                        "What did he ask for? Reply with a sentence that calls him by his name.",
                        both(mentions("Mister Finch"), mentions(dishes[early])),
                    ),
                    Turn("In which room did he stay?", figure(rooms[early])),
                ),
                lines[early],
            ),
        ),
    )
