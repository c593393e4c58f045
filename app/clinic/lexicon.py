"""The words that mean something here: a tokenizer that keeps places, and one trie over the names of all records.

Reading, triage and the guard walk the same trie, so a name means the same to all of them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NamedTuple

from app.clinic.records import Records, per_records
from app.clinic.rules import CONDITIONS


def vocabulary(words: str) -> frozenset[str]:
    """The words of a list written with spaces."""
    return frozenset(words.split())


Node = dict[str, Any]
"""Next word -> Node; the terms that end here stand under the empty string."""

_LETTERS = "a-z\u00df-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff"
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff"
TOKEN = re.compile(
    rf"[a-z]++(?![.'{_LETTERS}])"  # most words; the rest only makes the hunt for them longer
    r"|(?:[a-z]\.){2,5}"
    rf"|[{_LETTERS}]+(?:'(?:t|s|re|ve|ll|d|m)(?![{_LETTERS}]))?"
    r"|[0-9]+(?:[.,][0-9]+)*"
    rf"|[{_IDEOGRAPHS}]"
    r"|(?<=[0-9]) ?[-\u2013\u2014] ?(?=[0-9])"
    r"|[%#/\u00bc\u00bd\u00be\u2153\u2154.!?;:,()\n<>=\u2264\u2265~+\"|\u3002\uff01\uff1f\uff0c\uff1b\u3001\u2026]"
)
"""What a text is cut into; hyphens vanish, except between figures, so `amoxicillin-clavulanate` is two words."""


def _folds() -> dict[int, int]:
    """One character for one: accents off, full-width figures to plain ones, typographic apostrophes to '."""
    table: dict[int, int] = {code: ord("'") for code in (0x2019, 0x2018, 0x02BC, 0x0060, 0x00B4)}
    for code in (*range(0xDF, 0x250), *range(0x370, 0x500), *range(0xFF01, 0xFF5F)):
        base = unicodedata.normalize("NFKD", chr(code))[0]
        if base != chr(code) and len(base.lower()) == 1:
            table[code] = ord(base.lower())
    for code in (0xFF0C, 0xFF01, 0xFF1F, 0xFF1B):
        table.pop(code, None)
    table |= {0x03BC: ord("u"), 0x00B5: ord("u"), 0x00A0: ord(" "), 0x202F: ord(" ")}
    return table


_FOLDS = _folds()


def folded(text: str) -> str:
    """The text in lower case without accents, of the same length, so that places stay true."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(small if len(small := mark.lower()) == 1 else mark for mark in text)
    return lower if lower.isascii() and "`" not in lower else lower.translate(_FOLDS)


SAME = {
    "cannot": "can't", "cant": "can't", "couldnt": "couldn't", "dont": "don't", "doesnt": "doesn't", "didnt": "didn't",
    "isnt": "isn't", "wasnt": "wasn't", "wont": "won't", "hasnt": "hasn't", "havent": "haven't", "arent": "aren't",
    "shouldnt": "shouldn't", "wouldnt": "wouldn't", "diarrhoea": "diarrhea", "oesophagus": "esophagus",
    "anaemia": "anemia", "anaemic": "anemic", "haemorrhage": "hemorrhage", "haemorrhaging": "hemorrhaging",
    "shepard": "shepherd", "sheperd": "shepherd", "shephard": "shepherd", "labador": "labrador",
    "labradore": "labrador", "retreiver": "retriever", "retriver": "retriever", "terrior": "terrier",
    "rotweiler": "rottweiler", "rottweiller": "rottweiler", "daschund": "dachshund", "dachsund": "dachshund",
    "dashund": "dachshund", "chihuaha": "chihuahua", "chiuaua": "chihuahua",
    "chihauhau": "chihuahua", "pomeranean": "pomeranian", "poddle": "poodle", "bullldog": "bulldog",
    "yorky": "yorkie", "giunea": "guinea", "guinee": "guinea",
    "guniea": "guinea", "vomitting": "vomiting", "vomitted": "vomited", "vommiting": "vomiting",
    "diarreah": "diarrhea", "diarhea": "diarrhea", "diarrea": "diarrhea", "diarreha": "diarrhea",
    "diahrrea": "diarrhea", "diarhoea": "diarrhea", "siezure": "seizure", "siezures": "seizures",
    "seziure": "seizure", "seziures": "seizures", "lethargik": "lethargic",
    "breathin": "breathing", "choclate": "chocolate", "chocolat": "chocolate", "chocolates": "chocolate",
    "rasins": "raisins", "raisens": "raisins", "rasin": "raisin", "lilly": "lily", "lillies": "lilies",
    "xyletol": "xylitol", "antifreze": "antifreeze", "onoin": "onion", "poisened": "poisoned", "weighes": "weighs",
    "wieghs": "weighs", "wieght": "weight", "hes": "he's", "shes": "she's",
    "grey": "gray", "colour": "color", "tumour": "tumor", "labour": "labor", "paralysed": "paralyzed",
    "driking": "drinking", "drinkin": "drinking", "loosing": "losing", "apetite": "appetite", "lethergic": "lethargic",
    "throwin": "throwing", "pukeing": "puking", "coughin": "coughing", "limpin": "limping", "bleedin": "bleeding",
    "dyspnoea": "dyspnea", "oedema": "edema", "faeces": "feces", "urinating": "urinating", "litre": "liter",
}  # fmt: skip


def plain(word: str) -> str:
    """One token as the trie knows it."""
    if word[-2:] == "'s":
        word = word[:-2]
    elif word[1:2] == "." and word[0].isalpha():
        word = word.replace(".", "")
    return SAME.get(word, word)


_DOTTED = re.compile(r"[a-z]\.[a-z]\.")
_Cut = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]
"""The words of a piece of text, and where each stands in it."""
_CUTS: dict[str, _Cut] = {}
_CUTS_MAX = 50_000
_CUT_CHARACTERS_MAX = 24


class Places:
    """Where the words of a text stand; found out when first asked."""

    __slots__ = ("_cuts", "_letters", "_pieces", "_words")

    def __init__(self, pieces: list[str], cuts: list[_Cut]) -> None:
        self._pieces = pieces
        self._cuts = cuts
        self._words: list[int] = []  # how many words and letters there are before a piece
        self._letters: list[int] = []

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters from word `start` to before word `end`."""
        first = self._span(start)
        return first[0], first[1] if end == start + 1 else self._span(end - 1)[1]

    def _span(self, word: int) -> tuple[int, int]:
        if not self._words:
            self._words = list(accumulate(map(len, map(_WORDS_OF, self._cuts)), initial=0))
            self._letters = list(accumulate(map(len, self._pieces), initial=0))
        piece = bisect_right(self._words, word) - 1
        at = self._letters[piece] + piece
        start, end = self._cuts[piece][1][word - self._words[piece]]
        return at + start, at + end


def scan(text: str) -> tuple[list[str], Places]:
    """Words as the trie knows them, and where each was found in `text`.

    Possessives lose their 's, dotted abbreviations their dots, and one spelling stands for several. What stands between
    two spaces is cut once and kept: most of a text was seen before.
    """
    low = folded(text)
    joined = "-" in low or "\u2013" in low or "\u2014" in low  # `3 - 4`: a dash between figures reaches over spaces
    pieces = [low] if joined else low.split(" ")
    found = list(map(_CUTS.get, pieces))
    cuts = [_cut(piece) if cut is None else cut for piece, cut in zip(pieces, found, strict=True)]
    return list(chain.from_iterable(map(_WORDS_OF, cuts))), Places(pieces, cuts)


_WORDS_OF = itemgetter(0)


def _cut(piece: str) -> _Cut:
    matches = list(TOKEN.finditer(piece))
    words = [SAME.get(match[0], match[0]) for match in matches]
    words = [word[:-2] if word[-2:] == "'s" else word for word in words]
    if "." in piece and _DOTTED.search(piece):
        words = [word.replace(".", "") if word[1:2] == "." and word[0].isalpha() else word for word in words]
    words = ["-" if word[0] in " -\u2013\u2014" else word for word in words]
    cut = tuple(words), tuple(match.span() for match in matches)
    if len(piece) <= _CUT_CHARACTERS_MAX:
        if len(_CUTS) >= _CUTS_MAX:
            _CUTS.clear()
        _CUTS[piece] = cut
    return cut


def tokens(text: str) -> tuple[list[str], list[int], list[int]]:
    """The same, with the start and end of each word."""
    words, places = scan(text)
    spans = [places.span(place, place + 1) for place in range(len(words))]
    return words, [start for start, _ in spans], [end for _, end in spans]


class Term(NamedTuple):
    """What a phrase means.

    Attributes:
        kind: species, breed, drug, class, toxin, product, analyte, condition, production, sex, route, ...
        value: the record's name, or what the word says.
        more: further facts of the kind.
        foreign: a word of another language that may be an ordinary English one.
    """

    kind: str
    value: str
    more: Any = None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Everything a text can mention.

    Attributes:
        root: names and grammar words.
        signs: phrases and group words of the red flags; terms are (flag index, group or -1).
        near: misspellings one letter away -> terms, by deleting one letter from a name.
        fuzzy_heads: first four letters of names that misspellings are looked for.
        hazards: names of drugs, classes and poisons alone: what makes the guard listen.
        hazard_starts: every beginning of their first words.
        harmless: pieces of text that the guard has seen mean nothing -> whether they end inside a word.
        harmless_words: words that the guard has looked up before and that begin no name.
        starters: words that it has looked up and that begin a name of several words -> what may follow.
        harmless_pieces: what stands between two spaces and means nothing to the guard, marks and all.
        harmless_pairs: words that begin names, with what followed them and made no name.
        dull: words that the reader has looked up before and that say nothing on their own or as the first of several.
    """

    root: Node
    signs: Node
    near: dict[str, tuple[str, list[Term]]]
    fuzzy_heads: frozenset[str]
    hazards: Node
    hazard_starts: frozenset[str]
    harmless: dict[str, bool]
    harmless_words: set[str]
    starters: dict[str, Node]
    dull: set[str]
    harmless_pieces: set[str]
    harmless_pairs: set[tuple[str, str]]


FREQUENCIES: dict[str, tuple[int, int] | None] = {
    "sid": (24, 24), "once daily": (24, 24), "once a day": (24, 24), "once per day": (24, 24), "daily": (24, 24),
    "every day": (24, 24), "every 24 hours": (24, 24), "per day": (24, 24), "bid": (12, 12), "twice daily": (12, 12),
    "twice a day": (12, 12), "twice per day": (12, 12), "two times a day": (12, 12), "2 times a day": (12, 12),
    "2x daily": (12, 12), "2 x daily": (12, 12), "morning and night": (12, 12), "tid": (8, 8),
    "three times daily": (8, 8), "three times a day": (8, 8), "3 times a day": (8, 8), "3x daily": (8, 8),
    "thrice daily": (8, 8), "qid": (6, 6), "four times a day": (6, 6), "4 times a day": (6, 6), "eod": (48, 48),
    "every other day": (48, 48), "every second day": (48, 48), "alternate days": (48, 48), "weekly": (168, 168),
    "once weekly": (168, 168), "once a week": (168, 168), "every week": (168, 168), "monthly": (720, 720),
    "once a month": (720, 720), "every month": (720, 720), "prn": None, "as needed": None, "when needed": None,
    "stat": None, "once": None, "single dose": None,
}  # fmt: skip
ROUTES = {
    "po": "PO", "per os": "PO", "orally": "PO", "oral": "PO", "by mouth": "PO", "sc": "SC", "sq": "SC", "subq": "SC",
    "subcut": "SC", "subcutaneous": "SC", "subcutaneously": "SC", "under the skin": "SC", "im": "IM",
    "intramuscular": "IM", "intramuscularly": "IM", "iv": "IV", "intravenous": "IV", "intravenously": "IV",
    "io": "IO", "ip": "IP", "otm": "OTM", "transmucosal": "OTM", "tm": "OTM", "pr": "PR", "rectally": "PR",
    "per rectum": "PR", "topical": "TOP", "topically": "TOP", "top": "TOP", "spot on": "TOP", "inh": "INH",
    "inhaled": "INH", "nebulised": "INH", "nebulized": "INH", "intranasal": "IN", "in the eye": "OPH",
    "in the ear": "OTIC", "cri": "CRI", "injection": "", "injected": "", "intramammary": "IMM",
    "intramammarily": "IMM", "imm": "IMM", "into the udder": "IMM", "in the udder": "IMM", "epidural": "EPI",
    "epidurally": "EPI", "local infiltration": "LOCAL", "local block": "LOCAL", "nerve block": "LOCAL",
    "infiltrated": "LOCAL", "infiltration": "LOCAL", "splash block": "LOCAL", "intra articular": "IA",
    "intraarticular": "IA", "into the joint": "IA", "in the feed": "FEED", "in feed": "FEED", "in the food": "PO",
    "in the water": "WATER", "in water": "WATER", "in drinking water": "WATER", "in the drinking water": "WATER",
    "eye drops": "OPH", "ear drops": "OTIC", "eye ointment": "OPH", "nebulisation": "INH", "nebulization": "INH",
    "into the vein": "IV", "into a vein": "IV", "in the vein": "IV", "in a vein": "IV", "into the jugular": "IV",
    "into the jugular vein": "IV", "in the jugular": "IV", "in the jugular vein": "IV", "into the bloodstream": "IV",
    "into a blood vessel": "IV", "intravenosa": "IV", "intravenoso": "IV", "intravenos": "IV", "intraveneuse": "IV",
    "into the muscle": "IM", "into a muscle": "IM", "in the muscle": "IM", "into muscle": "IM", "intramuskular": "IM",
    "intramusculaire": "IM", "subkutan": "SC", "subcutanea": "SC", "subcutaneo": "SC", "sous cutanee": "SC",
}  # fmt: skip
SEXES: dict[str, tuple[str | None, bool | None]] = {
    "male": ("male", None), "boy": ("male", None), "female": ("female", None), "girl": ("female", None),
    "mn": ("male", True), "nm": ("male", True), "cm": ("male", True), "m/n": ("male", True), "mc": ("male", True),
    "m/c": ("male", True), "fs": ("female", True), "sf": ("female", True), "f/s": ("female", True),
    "fn": ("female", True), "f/n": ("female", True), "mi": ("male", False), "fi": ("female", False),
    "m/i": ("male", False), "f/i": ("female", False), "m/e": ("male", False), "f/e": ("female", False),
    "neutered": (None, True), "desexed": (None, True), "sterilised": (None, True), "sterilized": (None, True),
    "altered": (None, True), "castrated": ("male", True), "gelded": ("male", True), "spayed": ("female", True),
    "speyed": ("female", True), "unneutered": (None, False), "unspayed": ("female", False), "intact": (None, False),
    "entire": (None, False), "uncastrated": ("male", False), "not neutered": (None, False),
    "not spayed": ("female", False), "not castrated": ("male", False), "isn't neutered": (None, False),
    "isn't spayed": ("female", False), "isn't castrated": ("male", False), "not fixed": (None, False),
    "is fixed": (None, True), "macho": ("male", None), "hembra": ("female", None), "mannlich": ("male", None),
    "weiblich": ("female", None), "kastriert": (None, True), "kastrierter": (None, True), "kastrierte": (None, True),
    "castrado": (None, True), "castrada": (None, True), "castre": (None, True), "sterilisee": ("female", True),
    "esterilizada": ("female", True),
}  # fmt: skip
_ORGANS = {"kidney", "renal", "liver", "hepatic", "cardiac", "blocked", "fits"}
"""Words of `CONDITIONS` that are no illness where they stand alone."""
_SEX_NEEDS_CAPITALS = {"mi", "fi", "cm", "nm", "mc", "sf", "fn", "mn", "fs"}
STATES: dict[str, str] = {
    "pregnant": "pregnant", "in foal": "pregnant", "in calf": "pregnant", "in lamb": "pregnant",
    "gestating": "pregnant", "lactating": "lactating", "nursing": "lactating", "in milk": "lactating",
    "milking": "lactating",
}  # fmt: skip
VERBS: dict[str, str] = {}
for _kind, _listed in {
    "ate": "ate shared scarfed eaten swallowed ingested chewed licked drank drunk consumed devoured gobbled scoffed "
    "nibbled chomped "
    "snatched stole munched wolfed overdosed inhaled eats chews nibbling "
    "comio comido trago ingirio lamio bebio mange avale ingere leche bu gefressen fras gegessen geschluckt "
    "verschluckt geleckt abgeleckt aufgeleckt geschleckt abgeschleckt aufgefressen gefuttert getrunken comeu engoliu "
    "ingeriu lambeu bebeu mastigou mastico tragado lamido bebido ingerido croque lape "
    "tomo zampo zampado mordio mordido mordisqueo mordisqueado masco mascado masticado devoro devorado chupo chupado "
    "comieron tragaron bebieron lamieron engullo engullido inhalo inhalado "
    "bouffe machouille mache mordu mordille ronge gobe englouti grignote mangee avalee lechee "
    "geknabbert angeknabbert zerkaut gekaut zerbissen angebissen gebissen genascht verputzt verschlungen "
    "runtergeschluckt gesoffen geschlabbert erwischt geklaut eingeatmet gestochen abbekommen "
    "mordeu tomou devorou roeu abocanhou engolido mastigado comeram beberam engoliram lamberam",
    "eat": "eat eating swallow swallowing ingest ingesting chew lick drink consume eating ingestion exposure "
    "comer manger fressen essen comiendo lamiendo bebiendo mordiendo masticando tragando comendo lambendo bebendo "
    "mordendo mastigando frisst trinkt leckt knabbert mangent chupando",
    "gave": "gave given administered applied dosed injected treated received dio administre donne gegeben deu put "
    "dei demos coloquei passei apliquei botei pinguei puse pusimos aplique eche verabreicht aufgetragen",
    "give": "give giving administer dose dosing use using apply prescribe start try needs need add "
    "adding dar donner geben",
    "take": "on got takes taking take receiving gets getting have having had has medications meds currently takes "
    "tomando prend bekommt nimmt toma",
    "stopped": "stopped discontinued finished ceased previously formerly",
}.items():
    VERBS |= dict.fromkeys(_listed.split(), _kind)
_PHRASES: dict[str, str] = {
    "poisoned with": "ate", "poisoned by": "ate", "envenenada con": "ate", "envenenado con": "ate",
    "intoxicada con": "ate", "intoxicado con": "ate", "envenenada com": "ate", "envenenado com": "ate",
    "intoxicada com": "ate", "intoxicado com": "ate", "empoisonne par": "ate", "empoisonnee par": "ate",
    "intoxique par": "ate", "vergiftet mit": "ate", "overdosed on": "ate", "stung by": "ate",
    "got stung": "ate", "was stung": "ate", "bitten by": "ate", "got bitten": "ate",
    "breathed in": "ate", "breathed": "ate", "breathing in": "ate", "walked through": "ate", "rolled in": "ate",
    "got into": "ate", "gotten into": "ate", "gets into": "ate", "getting into": "ate", "got hold of": "ate",
    "got a hold of": "ate", "got at": "ate", "helped himself to": "ate", "helped herself to": "ate",
    "may have had": "ate", "has had": "ate", "had some": "ate", "just had": "ate", "exposed to": "ate",
    "ha comido": "ate", "a mange": "ate", "hat gefressen": "ate", "\u5403\u4e86": "ate", "\u8bef\u98df": "ate",
    "\u541e\u4e86": "ate", "\u8214\u4e86": "ate", "\u559d\u4e86": "ate", "\u5403\u6389": "ate", "\u5403\u5230": "ate",
    "\u54ac\u4e86": "ate", "\u541e\u4e0b": "ate", "\u541e\u98df": "ate", "\u5077\u5403": "ate", "\u5543\u4e86": "ate",
    "\u56bc\u4e86": "ate", "\u8214\u5230": "ate", "\u8bef\u541e": "ate", "\u8bef\u670d": "ate", "\u8bef\u996e": "ate",
    "\u5582\u4e86": "gave", "\u7ed9\u4e86": "gave",
    "\u6ef4\u4e86": "gave", "\u6ef4\u5230": "gave", "\u6ef4\u5728": "gave",
    "\u6d82\u4e86": "gave", "\u62b9\u4e86": "gave", "\u55b7\u4e86": "gave", "\u7528\u4e86": "gave",
    "le di": "gave", "les di": "gave", "le dimos": "gave",
    "le he dado": "gave", "le dieron": "gave", "he puesto": "gave",
    "le puso": "gave", "ai mis": "gave", "avons mis": "gave",
    "on a mis": "gave", "il a mis du": "gave", "elle a mis du": "gave",
    "drauf gemacht": "gave", "draufgemacht": "gave", "drauf getan": "gave", "drauf getropft": "gave",
    "le pico": "ate", "lo pico": "ate", "la pico": "ate", "picado por": "ate", "picada por": "ate",
    "pique par": "ate", "piquee par": "ate", "piquer par": "ate", "mordu par": "ate", "mordue par": "ate",
    "picou": "ate", "\u8707\u4e86": "ate", "\u86f0\u4e86": "ate",
    "\u6b63\u5728\u5403": "eat", "se metio": "ate", "s est enfile": "ate",
    "used to take": "stopped", "used to be on": "stopped", "used to get": "stopped", "was on": "stopped",
    "was taking": "stopped", "were on": "stopped", "had been on": "stopped", "no longer on": "stopped",
    "no longer takes": "stopped", "no longer taking": "stopped", "came off": "stopped", "in the past": "stopped",
    "taken off": "stopped", "last year": "stopped", "years ago": "stopped", "months ago": "stopped",
    "history of": "stopped", "not any more": "stopped",
    "allergic to": "allergy", "allergy to": "allergy", "allergies": "allergy", "reacted to": "allergy",
    "reaction to": "allergy", "how much": "dose?", "what dose": "dose?", "dosage": "dose?", "dose of": "dose?",
    "the dose": "dose?", "dose for": "dose?", "dosing": "dose?", "dose": "dose?", "how many": "dose?",
    "can i give": "dose?", "can i repeat": "dose?", "can it be repeated": "dose?", "when can i repeat": "dose?",
    "next dose": "dose?", "double dose": "gave", "double the dose": "gave", "twice the dose": "gave",
    "extra dose": "gave", "second dose": "gave", "dose twice": "gave",
    "how often": "dose?", "what is the dose": "dose?", "dosis": "dose?", "posologie": "dose?",
    "cuanto": "dose?", "wie viel": "dose?", "wieviel": "dose?", "combien": "dose?", "quanto": "dose?",
    "\u5242\u91cf": "dose?", "\u591a\u5c11": "dose?",
}  # fmt: skip
VITALS: dict[str, str] = {
    name: kind
    for kind, names in {
        "temperature": "temp|temps|temperature|body temperature|rectal temp|rectal temperature|body temp|t",
        "heart_rate": "hr|heart rate|heartrate|pulse|pulse rate|p",
        "respiratory_rate": "rr|resp rate|resps|respiratory rate|respiration rate|respirations|breathing rate|srr|rrr|"
        "sleeping respiratory rate|resting respiratory rate|resp|r",
        "capillary_refill": "crt|capillary refill|capillary refill time",
        "systolic_pressure": "bp|sbp|nibp|systolic|systolic bp|blood pressure|systolic pressure|doppler bp|doppler",
        "oxygen_saturation": "spo2|sp o2|pulse ox|oxygen saturation|o2 sat|sao2",
        "per heart_rate": "bpm|beats per minute|beats a minute|beats / min",
        "per respiratory_rate": "brpm|breaths per minute|breaths a minute|breaths / min|breaths / minute|breaths",
    }.items()
    for name in names.split("|")
}
"""Vital signs; behind `per` the words that follow the figure."""
NEGATORS = vocabulary(
    "no not never without denies denied deny isn't wasn't doesn't don't didn't hasn't haven't won't can't aren't "
    "couldn't wouldn't neither nor none negative nein nicht kein keine keinen sin pas sans nunca jamais nao sem "
    "\u6ca1 \u65e0 \u672a"
)
_FOREIGN_MARKERS = vocabulary(
    "el la los las mi un una que ha es su con le les mon ma est je ne pas il elle des der die das mein meine hat "
    "ist ein eine und o os meu minha seu um uma que esta ele ela du aux au sur avec dans sont quelle quelles"
)
_ENGLISH_TOO = vocabulary(
    "chat chats pie sale once ail sal sol fin die arm gift rind pain pan hen mare mares ram cob puce rat rate "
    "rats stud kid kids jack jenny toy bulle male queen tom hob jill buck does doe boar sow foal colt filly"
)
ORDINARY = vocabulary(
    "comfort comforts program programs programme revolution advantage advantages frontline reconcile interceptor "
    "stronghold protein proteins seminar marquise entice entire exceed excess excel menthol methyl ethanol "
    "methanol mannitol menstrual currents current raising aspiring morphing insulation insulate protect protects "
    "nicotinic pancreas creation reaction reactions relation practice positive negative capsule capsules tablet "
    "tablets codeine canine canines feline felines equine bovine simple sample samples trial trials medical "
    "medicine medicines remember december november october september february january morning evening actually "
    "basically profound provide provided provides proving program profile improve approve renal clinic clinical "
    "clinics calcium calcified sodium metric metrics panic panicked salivating salivate salt soloing solution "
    "solutions stomach stomachs strong stronger vector vectors direct director directed revealed rabies surgery "
    "surgeon antler antlers anesthetic anaesthetic carpet carpets carbon caramel carrot carrots propose proposed "
    "promise flagged flagging plaques plasma plastic valid validate lateral lantern lantana cider cipher cerebral "
    "today tomorrow quest matrix prohibit bayer marin reglas regla"
)
"""Ordinary words near some drug's name; tests hold the list against a vocabulary."""
DAYS = frozenset(("today", "tomorrow"))
"""Trade names of udder tubes; meant only where they are written as on the box: ToDAY."""
ALSO = {
    "guinea pig": "gpig|gpigs|g pig|ginny pig|ginny pigs|piggie|cavy|guinea|guineas",
    "dog": "doggie|doggy|doggo|pooch|pup|pups|doggies|spaniel|spaniels|terrier|terriers|hound|hounds|retriever|mutt|"
    "mongrel|lurcher|bulldog|mastiff|sheepdog|pitbull|pitbulls",
    "cat": "kitty|kitties|kittie|kitteh|moggie|tomcat|tom cat",
    "chicken": "laying hens|laying hen|layer hens|layer hen|in layers|for layers|broiler|broilers|backyard hens|chook|"
    "chooks",
    "rabbit": "bunny|bunnies|rabit",
    "horse": "ponie|ponys|warmblood|horsey",
    "cattle": "cows|heifers|steers|beef cow|milk cow|dairy cows|dairy cattle",
    "budgerigar": "parakeet|parakeets|parakeat",
    "bearded dragon": "beardie|beardies|bearded dragon lizard",
    "snake": "ball python|corn snake|boa",
}  # fmt: skip
"""Everyday and misspelt words for a species beside those of its record."""
DRUGS_ALSO = {
    "epinephrine": ("epi",), "enrofloxacin": ("enro",), "midazolam": ("midaz",), "hydromorphone": ("hydromorph",),
    "amoxicillin": ("amoxi",), "butorphanol": ("butorph",),
}  # fmt: skip
"""Short names of the treatment room."""
FEMALES_ALSO = {"cattle": ("cow",)}
"""Words for a species that say its sex too."""
BREEDS_ALSO = {"Shih Tzu": ("shitzu", "shihtzu", "shitsu", "shi tzu"), "Chihuahua": ("chiwawa",)}
"""Misspelt words for a breed that are not one word changed into another."""
NAMES_TOO = frozenset(("theo", "ace", "dex", "marin", "marquis", "lev", "salix", "keto"))
"""Short names of drugs that animals are called by too."""
BREEDS_CALLED = vocabulary("rex jack leo morgan angus jersey lassie boston dutch mau tonk cardigan basset devon jenny")
"""Breeds whose names animals are called by too: `Rex, labrador`."""
COMMON_BREED_WORDS = vocabulary(
    "lab labs golden goldens boxer pointer paint mini jack mix mixed x cross rex chow grey gray pit pits mal "
    "boston dutch lop shire morgan leo bp quaker husky setter brit chi springer dane danes dutch heeler akita "
    "shepherd arab mastiff exotic alpine angus jersey oriental welsh cairn bully border standard toy great "
    "maltese friesian fold mau nfc tonk siam devon cornish doodle doodles silken ig pom poms cav wb tb bbb lassie "
    "retic retics chartreux basset cardigan cob afghan corso mops pug pugs trotter pacer"
)
"""Breeds whose names are ordinary words too; they count only where an animal is meant."""
_ENGLISH_ENDINGS = (
    "ing", "ings", "ed", "ly", "ment", "ments", "tion", "tions", "ness", "ous", "ful", "able", "ible", "ally", "ward",
    "wards", "ship", "less", "ism", "ist", "ists", "ers", "ies",
)  # fmt: skip


def _enter(root: Node, words: list[str], term: Any) -> None:
    node = root
    for word in words:
        node = node.setdefault(word, {})
    terms = node.setdefault("", [])
    if term not in terms:
        terms.append(term)


def _shared(node: Node, known: dict[Any, Any]) -> Node:
    """The same trie, with branches that are alike made one: a drug's names all end in the same place."""
    made: Node = {}
    for word, below in node.items():
        if word:
            made[sys.intern(word)] = _shared(below, known)
        else:
            made[""] = known.setdefault(tuple(below), below)
    alike = frozenset((word, id(below)) for word, below in made.items())
    shared: Node = known.setdefault(alike, made)
    return shared


def _words(name: str) -> list[str]:
    return scan(name)[0]


def _with_plurals(name: str) -> Iterable[list[str]]:
    words = _words(name)
    if words:
        yield words
        last = words[-1]
        if len(last) > 3 and last.isalpha() and last.isascii() and last[-1] not in "sxz":
            yield [*words[:-1], last + "s"]


_ABROAD = (("ine", "ina", "in"), ("ide", "ida", "id"), ("one", "ona", "on"), ("ate", "ato", "at"), ("ole", "ol", "ol"),
           ("ane", "ano", "an"), ("ene", "eno", "en"), ("in", "ina", "ine"), ("en", "eno", "ene"), ("il", "ilo", "il"),
           ("ium", "io", "ium"), ("yl", "ilo", "yl"), ("ic", "ico", "isch"), ("ac", "aco", "ac"))  # fmt: skip
"""How the endings of drugs' names read in Spanish, and in German or French."""
_ABROAD_LETTERS_MIN = 7


def abroad(name: str) -> Iterable[str]:
    """A drug's name as Spanish, Portuguese, German and French write it: `amoxicilina`, `furosemid`, `buprenorfina`."""
    if len(name) < _ABROAD_LETTERS_MIN or not (name.isalpha() and name.isascii() and name.islower()):
        return
    for ending, romance, other in _ABROAD:
        if name.endswith(ending):
            stem = name[: -len(ending)]
            plain_stem = stem.replace("ph", "f").replace("th", "t").replace("ll", "l").replace("y", "i")
            found = {plain_stem + romance, stem + other, stem + romance, plain_stem + other}
            yield from sorted(found - {name})
            return


def _deletions(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(1, len(word))}


def build(records: Records) -> Lexicon:
    """The lexicon of these records. Takes a moment; `lexicon` keeps it."""
    root: Node = {}
    hazards: Node = {}
    fuzzy: dict[str, list[Term]] = {}

    def enter(name: str, term: Term, plurals: bool = True, hazard: bool = False) -> None:
        for words in _with_plurals(name) if plurals else [_words(name)]:
            if words:
                _enter(root, words, term)
                if hazard and words[0] not in _BEFORE_NAMES:
                    _enter(hazards, words, term)

    for species in records.species.values():
        for language, names in species.names.items():
            for name in names:
                foreign = language != "en" and _words(name)[:1] and _words(name)[0] in _ENGLISH_TOO
                enter(name, Term("species", species.name, (None, None, False), bool(foreign)), plurals=language == "en")
        enter(species.name, Term("species", species.name, (None, None, False)))
        for listed, facts in (
            (species.juvenile, (None, None, True)),
            ((*species.female, *FEMALES_ALSO.get(species.name, ())), ("female", None, False)),
            (species.male, ("male", None, False)),
            (species.neutered_male, ("male", True, False)),
            (species.neutered_female, ("female", True, False)),
        ):
            for name in listed:
                _drop(root, name, "species", species.name)
                enter(name, Term("species", species.name, facts))
        for breed in species.breeds:
            for name in (breed.name, *breed.names, *BREEDS_ALSO.get(breed.name, ())):
                enter(name, Term("breed", breed.name, species.name))
                if species.name == "dog":
                    enter("chocolate " + name, Term("breed", breed.name, species.name))
        for name in ALSO.get(species.name, "").split("|"):
            words = _words(name)
            if words and not any(term.kind in ("species", "breed") for term in _ends(root, words)):
                _enter(root, words, Term("species", species.name, (None, None, False)))
        for production in species.production_classes:
            enter(production, Term("production", production, species.name), plurals=False)
    for drug in records.drugs.values():
        for name in (*drug.names, *DRUGS_ALSO.get(drug.generic, ())):
            enter(name, Term("drug", drug.generic), hazard=True)
            words = _words(name)
            if len(words) == 1 and len(words[0]) >= 6 and words[0] not in ORDINARY:
                fuzzy.setdefault(words[0], []).append(Term("drug", drug.generic))
        for name in (drug.generic, *drug.synonyms):
            for word in abroad(name):
                if word not in root and word not in ORDINARY:
                    enter(word, Term("drug", drug.generic), plurals=False, hazard=True)
        for name in drug.classes:
            enter(name.replace("_", " "), Term("class", name), hazard=True)
    for toxin in records.toxins.values():
        for name in (toxin.name, *toxin.names):
            enter(name, Term("toxin", toxin.name), hazard=True)
        for names in toxin.other_names.values():
            for name in names:
                words = _words(name)
                foreign = len(words) == 1 and words[0] in _ENGLISH_TOO
                enter(name, Term("toxin", toxin.name, None, foreign), plurals=False, hazard=not foreign)
        own = {name for listed in toxin.all_names for name in [" ".join(_words(listed))]}
        for product in toxin.products:
            for name in (product.name, *product.names):
                joined = " ".join(_words(name))
                full = any(f" {word} " in f" {joined} " for word in own)
                numbered = any(word.isdigit() for word in joined.split()) and "%" not in joined
                if not numbered and (full or not joined[:1].isdigit()):
                    enter(name, Term("product", toxin.name, (product.name, full)), plurals=full, hazard=full)
    for analyte in records.analytes.values():
        for name in (analyte.name, *analyte.names):
            enter(name, Term("analyte", analyte.name), plurals=False)
    if "blood ph" in records.analytes:
        enter("ph", Term("analyte", "blood ph"), plurals=False)
    conditions = {name for rule in records.rules for name in rule.trigger.condition}
    for name in sorted(conditions):
        enter(name.replace("_", " "), Term("condition", name), plurals=False)
    for alike in CONDITIONS:
        if alike & conditions:
            for name in sorted(alike - conditions - _ORGANS):
                enter(name, Term("condition", name), plurals=False)
    _grammar(enter)
    signs: Node = {}
    for index, flag in enumerate(records.flags):
        for names in flag.phrases.values():
            for name in names:
                words = _words(name)
                if words:
                    _enter(signs, words, (index, -1))
        for group, names in enumerate(flag.all_of):
            for name in names:
                words = _words(name)
                if words:
                    _enter(signs, words, (index, group))
    near: dict[str, tuple[str, list[Term]]] = {}
    for word, terms in fuzzy.items():
        for key in {word, *_deletions(word)}:
            near.setdefault(key, (word, terms))
    for advice in _ADVICE:
        _enter(hazards, _words(advice), Term("advice", advice))
    for rule in records.rules:
        for phrase in (rule.deed[0] if not rule.trigger.condition else rule.trigger.condition) if rule.deed else ():
            _enter(hazards, _words(phrase), Term("advice", rule.id))
    starts = {word[:size] for word in hazards for size in range(1, len(word) + 1)}
    heads = frozenset(word[:4] for word in fuzzy)
    known: dict[Any, Any] = {}
    root, signs, hazards = (_shared(one, known) for one in (root, signs, hazards))
    return Lexicon(root, signs, near, heads, hazards, frozenset(starts), {}, set(), {}, set(), set(), set())


_ADVICE = (
    "vomit", "emesis", "throw up", "puke", "induce vomiting", "inducing vomiting", "can wait", "could wait", "may wait",
    "safely wait", "wait until", "wait till", "wait and see", "just wait", "simply wait", "wait a", "wait one",
    "wait two", "wait three", "wait several", "wait another", "no need to", "no reason to", "at home", "overnight",
    "throws up", "vomits", "pukes", "on its own", "on his own",
    "on her own", "on their own", "days before", "week before", "weeks before",
    "not urgent", "not an emergency", "deferred", "postponed", "by itself", "by tomorrow", "vet tomorrow",
    "recheck tomorrow", "examine tomorrow", "von selbst", "no intervention", "no treatment", "vomite", "vomitar",
    "vomito", "erbrechen", "vomir",
)  # fmt: skip
"""What begins advice that may harm without a drug's name: the guard looks at such sentences too."""
_BEFORE_NAMES = vocabulary(
    "a an any my of old one our some the two de du la las les le des un une unas umas um einen eine con com mon mi mis "
    "meu meine muchas algunas varias dos tres cuatro cinco seis diez viele mehrere plusieurs muitas"
)
"""Owners' ways of naming (`my heart pills`): no model's words wait for what may follow these."""


def _ends(root: Node, words: list[str]) -> list[Any]:
    """The terms of exactly these words."""
    node = root
    for word in words:
        node = node.get(word, {})
    return list(node.get("", ()))


def _drop(root: Node, name: str, kind: str, value: str) -> None:
    """Forget a plain meaning of a word that says more (`mare` is also listed among the names of the horse)."""
    for words in _with_plurals(name):
        node = root
        for word in words:
            node = node.get(word, {})
        if "" in node:
            node[""] = [term for term in node[""] if not (term.kind == kind and term.value == value)]


def _grammar(enter: Any) -> None:
    for name, interval in FREQUENCIES.items():
        enter(name, Term("frequency", name, interval), plurals=False)
    for name, route in ROUTES.items():
        enter(name, Term("route", route, name), plurals=False)
    for name, facts in SEXES.items():
        enter(name, Term("sex", name, facts, name in _SEX_NEEDS_CAPITALS), plurals=False)
    for name, state in STATES.items():
        enter(name, Term("state", state), plurals=False)
    for name, sign in VITALS.items():
        enter(name, Term("vital", sign), plurals=False)
    for name, kind in (*VERBS.items(), *_PHRASES.items()):
        enter(name, Term("verb", kind), plurals=False)


def meant(lexicon: Lexicon, words: list[str], place: int) -> tuple[list[Term], int] | None:
    """The longest phrase that begins at `place`: its terms and where it ends."""
    node: Node | None = lexicon.root.get(words[place])
    found: tuple[list[Term], int] | None = None
    end, last = place + 1, len(words)
    while node is not None:
        terms = node.get("")
        if terms:
            found = (terms, end)
        if end == last:
            break
        node = node.get(words[end])
        end += 1
    return found


def misspelt(lexicon: Lexicon, word: str) -> list[Term] | None:
    """The drug that a word of six letters or more is one slip away from; never an ordinary English word."""
    if word[:4] not in lexicon.fuzzy_heads or word in ORDINARY or not 6 <= len(word) <= 24:
        return None
    for key in (word, *_deletions(word)):
        hit = lexicon.near.get(key)
        if hit is None:
            continue
        name, terms = hit
        inflected = word.endswith(_ENGLISH_ENDINGS) and not name.endswith(_ENGLISH_ENDINGS)
        if abs(len(name) - len(word)) <= 1 and not inflected and _one_slip(word, name):
            return terms
    return None


def _one_slip(word: str, name: str) -> bool:
    """Whether one letter put in, left out or changed, or two neighbours swapped, makes one of the other."""
    if len(word) == len(name):
        differs = [place for place, (one, other) in enumerate(zip(word, name, strict=True)) if one != other]
        if len(differs) <= 1:
            return True
        first, second = differs[0], differs[-1]
        return len(differs) == 2 and second == first + 1 and word[first] == name[second] and word[second] == name[first]
    short, long = sorted((word, name), key=len)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


@per_records
def lexicon(records: Records) -> Lexicon:
    """The lexicon of these records, built on first use."""
    return build(records)


def speaks_another_language(words: list[str]) -> bool:
    """Whether a text holds little words of Spanish, French, German or Portuguese."""
    return len(_FOREIGN_MARKERS.intersection(words)) >= 2


_PORTUGUESE = vocabulary("nao meu minha meus minhas ele dele dela uma ta foi pra pro comeu caiu cadela filhote")
_NOT_PORTUGUESE = vocabulary("the my is he she has mi el los le der die")


def in_portuguese(words: list[str]) -> bool:
    """Whether `no` stands for `em o` here, as in `no chão`, and denies nothing."""
    return not _PORTUGUESE.isdisjoint(words) and _NOT_PORTUGUESE.isdisjoint(words)
