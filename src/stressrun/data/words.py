"""Readable text of an exact length."""

from __future__ import annotations

from random import Random

_VOCABULARY = (
    "about above after again air all along also always and another any answer around ask away "
    "back because before began below between big book both boy build but call came can car carry "
    "change children city close cold come country could cut day did different does done door "
    "down draw each early earth eat end enough even every example eye face family far father "
    "feet few find fire first five follow food for form found four from full gave get girl give "
    "good great green ground group grow had half hand hard has have head hear help her here high "
    "him his home horse hour house how idea inch just keep kind king knew know land large last "
    "late learn leave left let letter life light like line list little live long look made make "
    "man many map may mean measure men might mile more most mother mountain move much music must "
    "name near need never new next night north note now number off often old once one only open "
    "order other our out over own page paper part people piece place plain plan plant play point"
)
_WORDS = _VOCABULARY.split()
_SHORTEST = min(map(len, _WORDS)) + 1


def readable_text(random: Random, length: int) -> str:
    """Words of English, cut to so many characters."""
    words = random.choices(_WORDS, k=length // _SHORTEST + 1)
    return " ".join(words)[:length].rstrip().ljust(length, ".")
