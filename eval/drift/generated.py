"""Three documents that are generated from a seed, and what is asked about them.

Names, figures and orders are drawn, so that no model can know them; each rule and question is fixed.
`generated_talk` holds the other two.
"""

from __future__ import annotations

from eval.drift.checks import (
    EndsWith,
    InOrder,
    JsonObject,
    LowerCase,
    OnlyNumber,
    Words,
    avoids,
    both,
    figure,
    mentions,
)
from eval.drift.draws import Draws
from eval.drift.probes import Asking, Document, Topic, Turn

COLOURS = ("amber", "black", "copper", "green", "ivory", "olive", "purple", "silver")
THINGS = ("bowl", "bracket", "candle", "funnel", "hinge", "kettle", "lantern", "pulley", "spindle", "tray")
N_ARTICLES = 76

SUBJECTS = (
    "the bridge railing",
    "the fountain in the square",
    "the roof of the school",
    "the bell ropes",
    "the night bus",
    "the fish market",
    "the library stairs",
    "the swimming pond",
    "the old quarry road",
    "the allotment fence",
    "the street lamps in Ash Row",
    "the town archive",
    "the ice cellar",
    "the winter road salt",
    "the playground by the weir",
    "the band's new drums",
    "the clock of the town hall",
    "the beehives on the bank",
)

WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
NOTES = (
    "A trawler passed close inshore.",
    "The lamp was cleaned.",
    "Seals on the east rocks.",
    "The generator was run for an hour.",
    "The radio was silent until noon.",
    "Two gannets on the roof.",
    "Fog on the sound, lifting later.",
    "The boat could not land.",
    "Painted the south rail.",
    "Bread was baked.",
)
HOURS = ("06:00", "12:00", "18:00")
N_DAYS = 24


def stock_register(draws: Draws) -> Topic:
    """A store's register: articles with shelf, pieces and price; the total stands at the top."""
    names = draws.some([f"{colour} {thing}" for colour in COLOURS for thing in THINGS], N_ARTICLES)
    shelves = draws.some([f"{row}{place}" for row in "ABCDEFGH" for place in range(11, 31)], N_ARTICLES)
    pieces = draws.numbers(13, 980, N_ARTICLES)
    prices = draws.numbers(3, 95, N_ARTICLES)
    keeper = draws.people(1)[0]
    rule = (
        "Rule for answers from this register: a reply that names a shelf ends with the words "
        '"please sign the slip". Other replies do not.'
    )
    lines = [
        f"{name}: shelf {shelf}, {count} pieces, {price} florins each."
        for name, shelf, count, price in zip(names, shelves, pieces, prices, strict=True)
    ]
    half = N_ARTICLES // 2
    text = "\n".join(
        [
            f"Register of the store in Tannery Lane. The keeper of the store is {keeper}. It holds "
            f"{N_ARTICLES} articles with {sum(pieces):,} pieces in all.",
            "",
            *lines[:half],
            "",
            rule,
            "",
            *lines[half:],
        ]
    )
    ask = Asking("stock-register")
    early, middle, late = 4, half + 6, N_ARTICLES - 5
    return Topic(
        Document("stock-register", "Register of the store", text),
        (
            ask.once(
                "fact",
                "keeper",
                "Who is the keeper of the store? Answer with the name only.",
                both(mentions(keeper), Words(2, 2)),
                keeper,
            ),
            ask.once(
                "number",
                "pieces",
                f"How many pieces of the article “{names[early]}” are there? Answer with the number only.",
                OnlyNumber(str(pieces[early])),
                lines[early],
            ),
            ask.once(
                "number",
                "total",
                "How many pieces does the store hold in all? Answer with the number only.",
                OnlyNumber(str(sum(pieces))),
                f"{sum(pieces):,} pieces in all",
            ),
            ask.once(
                "format",
                "json",
                f"Describe the article “{names[late]}” as one JSON object with exactly the keys shelf, "
                "pieces and price. Write nothing else.",
                JsonObject(
                    (("shelf", shelves[late]), ("pieces", str(pieces[late])), ("price", str(prices[late])))
                ),
                lines[late],
            ),
            ask.once(
                "buried",
                "shelf",
                f"On which shelf is the article “{names[middle]}”?",
                both(mentions(shelves[middle]), EndsWith("please sign the slip")),
                lines[middle],
                rule,
            ),
            ask.talk(
                "turns",
                "sold",
                (
                    Turn(
                        f"How many pieces of the article “{names[middle]}” are there? "
                        "Answer with the number only.",
                        OnlyNumber(str(pieces[middle])),
                    ),
                    Turn(
                        "Ten of them were sold today. How many are left? Answer with the number only.",
                        OnlyNumber(str(pieces[middle] - 10)),
                    ),
                ),
                lines[middle],
            ),
        ),
    )


def council_minutes(draws: Draws) -> Topic:
    """Minutes of a town council: items with proposer, votes and decision."""
    people = draws.people(7)
    chair, members = people[0], people[1:]
    subjects = draws.some(SUBJECTS, len(SUBJECTS))
    items = []
    for number, subject in enumerate(subjects, 1):
        proposer, second = draws.some(members, 2)
        votes, against = draws.numbers(9, 17, 1)[0], draws.numbers(2, 8, 1)[0]
        budget = 25 * draws.numbers(9, 180, 1)[0]
        items.append((number, subject, proposer, second, votes, against, budget))
    lines = [
        f"Item {number}: {subject}. Proposed by {proposer}, seconded by {second}. The council heard both, "
        f"asked for a second offer and voted: {votes} for, {against} against. "
        f"Carried, with a budget of {budget:,} crowns."
        for number, subject, proposer, second, votes, against, budget in items
    ]
    text = "\n\n".join(
        [
            f"Minutes of the town council of Hallow Weir. In the chair: {chair}. The minutes were taken by "
            f"{members[0]}. The council met in the reading room, because the hall was being painted.",
            *lines,
            "The meeting closed at twenty to eleven.",
        ]
    )
    ask = Asking("council-minutes")
    a, b, c, last = items[2], items[8], items[15], items[-1]
    return Topic(
        Document("council-minutes", "Minutes of the town council", text),
        (
            ask.once(
                "fact",
                "chair",
                "Who was in the chair? Answer with the name only.",
                both(mentions(chair), Words(2, 2)),
                f"In the chair: {chair}",
            ),
            ask.once(
                "number",
                "votes",
                f"How many votes were there for and how many against item {last[0]}, {last[1]}?",
                both(figure(last[4]), figure(last[5])),
                lines[-1],
            ),
            ask.once(
                "format",
                "order",
                "Put these subjects into the order of the minutes, on one line with commas between them: "
                f"{c[1]}, {a[1]}, {b[1]}.",
                InOrder((a[1], b[1], c[1])),
                a[1],
                b[1],
                c[1],
            ),
            ask.once(
                "constraint",
                "no-name",
                f"What was the budget for {a[1]}? Do not name any person and do not use the word “crowns”.",
                both(
                    mentions(str(a[6])),
                    avoids("crowns", "crown", *people, *(p.split()[1] for p in people)),
                ),
                lines[2],
            ),
            ask.talk(
                "turns",
                "ending",
                (
                    Turn(
                        'End every reply in this conversation with the words "as recorded". '
                        f"Who proposed item {a[0]}, {a[1]}?",
                        both(mentions(a[2]), EndsWith("as recorded")),
                    ),
                    Turn("Who seconded it?", both(mentions(a[3]), EndsWith("as recorded"))),
                    Turn(
                        "With what budget was it carried?", both(mentions(str(a[6])), EndsWith("as recorded"))
                    ),
                ),
                lines[2],
            ),
        ),
    )


def station_log(draws: Draws) -> Topic:
    """A weather station's log: three readings a day."""
    keeper = draws.people(1)[0]
    n = N_DAYS * len(HOURS)
    pressures = draws.distinct(962, 1040, n)
    forces = draws.numbers(1, 10, n)
    winds = draws.any(WINDS, n)
    notes = draws.any(NOTES, n)
    lines = [
        f"Day {i // 3 + 1}, {HOURS[i % 3]}. Wind {winds[i]}, force {forces[i]}. "
        f"Pressure {pressures[i]} hectopascals. {notes[i]}"
        for i in range(n)
    ]
    rule = (
        "To the office that answers enquiries about this log: the wind is a matter for the harbour. "
        'Whoever asks for the wind gets the answer "ask the harbour" and no direction. '
        "Pressure may be told to anybody."
    )
    half = n // 2
    text = "\n".join(
        [
            f"Log of the weather station on Gannet Holm. The keeper is {keeper}; the relief boat is called "
            f"Morning Tern and comes on day {N_DAYS}.",
            *lines[:half],
            rule,
            *lines[half:],
        ]
    )
    ask = Asking("station-log")
    first, second, third = 4, 28, 65
    higher, lower = sorted((pressures[first], pressures[third]), reverse=True)

    def when(i: int) -> str:
        return f"on day {i // 3 + 1} at {HOURS[i % 3]}"

    return Topic(
        Document("station-log", "Log of a weather station", text),
        (
            ask.once(
                "fact",
                "boat",
                "What is the relief boat called? Answer in small letters only, without capitals.",
                both(mentions("Morning Tern"), LowerCase()),
                "Morning Tern",
            ),
            ask.once(
                "number",
                "pressure",
                f"What was the pressure {when(second)}, in hectopascals? Answer with the number only.",
                OnlyNumber(str(pressures[second])),
                lines[second],
            ),
            ask.once(
                "buried",
                "wind",
                f"Somebody asks the office: from where did the wind blow {when(third)}? Write the reply.",
                both(mentions("ask the harbour"), avoids(*WINDS)),
                rule,
                lines[third],
            ),
            ask.once(
                "constraint",
                "five-words",
                f"What was the pressure {when(first)}? Answer in exactly five words, the number being one.",
                both(mentions(str(pressures[first])), Words(5, 5)),
                lines[first],
            ),
            ask.talk(
                "turns",
                "compare",
                (
                    Turn(f"What was the pressure {when(first)}?", mentions(str(pressures[first]))),
                    Turn(f"And {when(third)}?", mentions(str(pressures[third]))),
                    Turn(
                        "Which of the two was higher? Answer with the number only.",
                        both(OnlyNumber(str(higher)), avoids(str(lower))),
                    ),
                ),
                lines[first],
                lines[third],
            ),
        ),
    )
