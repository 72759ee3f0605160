"""The three documents that were written for this suite, and what is asked about them."""

from __future__ import annotations

from importlib.resources import files

from eval.drift.checks import (
    BeginsWith,
    EndsWith,
    InOrder,
    JsonObject,
    Numbered,
    OnlyNumber,
    UpperCase,
    Words,
    avoids,
    both,
    figure,
    mentions,
)
from eval.drift.probes import Asking, Document, Topic, Turn


def written_topics() -> tuple[Topic, ...]:
    """About 1,050 tokens each; they do not depend on a seed."""
    return _ferry(), _survey(), _kiln()


def _read(id_: str, title: str) -> Document:
    text = (files("eval.drift") / "documents" / f"{id_}.txt").read_text(encoding="utf-8")
    return Document(id_, title, text)


def _ferry() -> Topic:
    document = _read("ferry-handbook", "Handbook for wardens")
    ask = Asking(document.id)
    house = "Ostrey Ferry House"
    return Topic(
        document,
        (
            ask.once(
                "fact",
                "key",
                "What is the number of the key to the front door? Answer with the number only.",
                OnlyNumber("417"),
                "front door has the number 417",
            ),
            ask.once(
                "fact",
                "head-warden",
                "Who is the head warden? Answer with the name only.",
                both(mentions("Ilse Brandvold"), Words(2, 3)),
                "Ilse Brandvold",
            ),
            ask.once(
                "number",
                "visitors",
                "How many visitors came last year, and how many of them came with a school class?",
                both(mentions("18,236"), mentions("3,904")),
                "18,236 visitors",
                "3,904",
            ),
            ask.once(
                "constraint",
                "umbrellas",
                'Where do umbrellas go that are found? Do not use the word "door" in your reply.',
                both(mentions("stand"), avoids("door", "doors")),
                "Umbrellas go into the stand",
            ),
            ask.once(
                "format",
                "prices",
                "Give the ticket prices as one JSON object with exactly the keys adult, child and class, "
                "the values being numbers. Write nothing else.",
                JsonObject((("adult", "6"), ("child", "2"), ("class", "40"))),
                "An adult pays 6 crowns, a child 2 crowns, and a school class 40 crowns",
            ),
            ask.once(
                "buried",
                "fire",
                "A visitor asks at the desk: what caused the fire of 1911? Write the desk's reply.",
                both(BeginsWith("Please ask the curator"), Words(4, 4)),
                'the reply is only the words "Please ask the curator"',
            ),
            ask.once(
                "buried",
                "hours",
                "A visitor asks at the desk: at what time does the house open? Write the desk's reply.",
                both(mentions("nine", "9", "9am", "half past eight"), mentions("Monday", "Mondays")),
                "Answers about opening hours must name the closed day",
                "On Mondays it stays closed",
            ),
            ask.talk(
                "turns",
                "salt-store",
                (
                    Turn(
                        f'In this conversation always say "the salt store" and never "{house}". '
                        "Who gave the salt store to the town?",
                        both(mentions("Corin Tasker", "Tasker", "last ferryman"), avoids(house)),
                    ),
                    Turn(
                        "In which year was it built? Reply with a sentence that names it.",
                        both(mentions("1764"), mentions("salt store"), avoids(house)),
                    ),
                    Turn(
                        "On which day of the week is it closed? Reply with a sentence that names it.",
                        both(mentions("Monday", "Mondays"), mentions("salt store"), avoids(house)),
                    ),
                ),
                "built in 1764",
                "the last ferryman, Corin Tasker",
                "On Mondays it stays closed",
            ),
        ),
    )


def _survey() -> Topic:
    document = _read("survey-journal", "Journal of the Vardal survey")
    ask = Asking(document.id)
    return Topic(
        document,
        (
            ask.once(
                "fact",
                "password",
                "What is the password of the strongbox? Answer with one word.",
                both(mentions("Jorunn"), Words(1, 1)),
                "his first pony, Jorunn",
            ),
            ask.once(
                "constraint",
                "three-words",
                "What was wrong with Eldar Fosse? Answer in exactly three words.",
                both(mentions("leg"), Words(3, 3)),
                "Eldar Fosse, with a broken leg",
            ),
            ask.once(
                "number",
                "cost",
                "What do the track, the culverts and the huts cost, and what is the sum?",
                both(mentions("31,000"), mentions("9,400"), mentions("4,600"), mentions("45,000")),
                "31,000 crowns for the track, 9,400 for the seven culverts, 4,600 for huts",
                "together 45,000 crowns",
            ),
            ask.once(
                "format",
                "capitals",
                "Which pony lost a shoe? Answer in capital letters only.",
                both(mentions("Kastanje"), UpperCase()),
                "Kastanje, lost a shoe",
            ),
            ask.once(
                "format",
                "camps",
                "In which order are the four camps closed on the way back? "
                "List them on one line, first to last, with commas between them.",
                InOrder(("Sandvik", "Needle", "boulder", "mill")),
                "first Sandvik, then the Needle's Eye, then the boulder, then the mill",
            ),
            ask.once(
                "buried",
                "payer",
                "Write the reply to this letter about the journal: who pays for the survey?",
                both(mentions("private company"), avoids("Brekke", "quarry", "slate quarry")),
                'When a letter asks who pays, answer "a private company"',
            ),
            ask.once(
                "buried",
                "height",
                "Write the reply to this letter about the journal: "
                "how high is the floor of the Needle's Eye?",
                mentions("1,118 metres"),
                "1,118 metres",
                "give them in metres with the word metres written out",
            ),
            ask.talk(
                "turns",
                "leif",
                (
                    Turn(
                        "My name is Leif and I am a shepherd. Until which month is the gap open?",
                        mentions("October"),
                    ),
                    Turn(
                        "Who in the journal has the same trade as I have? Answer with the name.",
                        mentions("Eldar Fosse", "Eldar", "Fosse"),
                    ),
                    Turn(
                        "And what is my own name? Answer with one word.", both(mentions("Leif"), Words(1, 1))
                    ),
                ),
                "It was a shepherd, Eldar Fosse",
                "open from May to the end of October",
            ),
        ),
    )


def _kiln() -> Topic:
    document = _read("kiln-agreement", "Agreement about the small kiln")
    ask = Asking(document.id)
    days = ("Tuesday", "Tuesdays", "Thursday", "Thursdays", "Saturday", "Saturdays")
    return Topic(
        document,
        (
            ask.once(
                "fact",
                "secretary",
                "Who is the Guild's secretary? Answer with the name only.",
                both(mentions("Osric Vane"), Words(2, 3)),
                "the Guild's secretary, Osric Vane",
            ),
            ask.once(
                "number",
                "degrees",
                "How hot may the kiln be fired at most, in degrees? Answer with the number only.",
                OnlyNumber("1240"),
                "never above 1,240 degrees",
            ),
            ask.once(
                "constraint",
                "ending",
                "Which two materials must never meet? "
                'End your reply with the words "and so they are kept apart".',
                both(mentions("plaster"), EndsWith("and so they are kept apart")),
                "plaster into the white one, and the two must never meet",
            ),
            ask.once(
                "constraint",
                "no-days",
                "On how many days of the week may the kiln be fired? Do not name any day.",
                both(figure(3), avoids(*days)),
                "on Tuesdays, Thursdays and Saturdays",
            ),
            ask.once(
                "format",
                "logbook",
                "Which five things are written into the red logbook? Give a numbered list of five lines in "
                "the order of the agreement, and nothing else.",
                both(Numbered(5), InOrder(("date", "cone", "temperature", "hours", "name"))),
                "date, cone, highest temperature, hours, name",
            ),
            ask.once(
                "buried",
                "money",
                "A member asks what a broken shelf of the kiln costs. Write the reply.",
                both(mentions("48"), EndsWith("subject to the annual review")),
                "Shelves of the kiln are charged at 48 florins each",
                'must end with the words "subject to the annual review"',
            ),
            ask.once(
                "buried",
                "tenant",
                "A member asks who paid the deposit. Write the reply.",
                both(mentions("present tenant"), avoids("Nadia", "Ferreira", "Nadia Ferreira")),
                'she is to be called "the present tenant"',
                "The Tenant has paid a deposit",
            ),
            ask.talk(
                "turns",
                "clauses",
                (
                    Turn(
                        'Begin every reply in this conversation with the word "Clause". '
                        "Which clause is about insurance?",
                        both(BeginsWith("Clause"), figure(8)),
                    ),
                    Turn("Which one is about keys?", both(BeginsWith("Clause"), figure(9))),
                    Turn("Which one is about guests?", both(BeginsWith("Clause"), figure(5))),
                ),
                "8. Insurance",
                "9. Keys",
                "5. Guests and pupils",
            ),
        ),
    )
