"""How the words of a sentence speak of what they name: whether they warn, recommend, praise, or tell of the past."""

from __future__ import annotations

from app.clinic.dosage import PIECES, UNITS
from app.clinic.lexicon import vocabulary

_COUNTS = vocabulary("1 a an one two three four half quarter whole couple few another extra both each per single")
_MEASURES = vocabulary(
    "teaspoon teaspoons tablespoon tablespoons drop drops pipette pipettes pump pumps spray sprays spoonful capful "
    "squirt squirts ampoule ampoules vial vials syringe syringes dab"
)
_OFTEN = vocabulary("once twice daily every morning evening night bid tid qid sid times hours")
_STOPS = frozenset((".", "!", "?"))

NEGATORS = vocabulary(
    "never not no don't doesn't shouldn't mustn't can't isn't aren't won't wasn't didn't couldn't wouldn't nor "
    "neither without none nothing nunca nicht niemals kein keine nichts jamais pas nao"
)
_PROHIBITIONS = vocabulary(
    "avoid avoided avoiding avoids contraindicate contraindicates contraindicated contraindication contraindications "
    "ld unsafe forbidden prohibited "
    "banned illegal stop discontinue withhold withdraw refrain overdose overdosed overdoses overdosage antidote "
    "poisoned poisoning poisonings toxicosis toxicity intoxication exposure exposures exposed ingested ingestion "
    "swallowed ate eaten eats licked chewed accidentally accidental warning beware destroys kills kill killed die "
    "dies died death evitar vermeiden eviter verboten giftig toxico toxique venenoso unsuitable inappropriate "
    "cause causes caused causing wrong myth false untrue contraindicado contraindicada contraindicados "
    "contraindicadas prohibido prohibida prohibidos prohibidas kontraindiziert vergiftung vergiftungen intoxicacion"
)
_HAZARDS = vocabulary(
    "toxic poisonous dangerous dangerously fatal deadly lethal harmful harm hazardous poison danger risk risks risky "
    "toxica toxicas toxicos toxiques giftig gefahrlich lebensgefahrlich todlich peligroso peligrosa peligrosas mortal "
    "mortales dangereux mortel venenosa venenosas peligrosos letal letales dangereuse dangereuses mortelle mortels "
    "mortelles gefahrliche todliche"
)
_HARMLESS_NOUNS = frozenset(
    ("hurt", "problem", "problems", "trouble", "contraindicated", "contraindication", "damage", "bother", "issue",
     "issues", "emergency", "relevant", "concern", "worrying", "adjustment", "adjustments", "effect", "effects",
     "monitoring", "washout", "withdrawal", "interaction", "interactions", "change", "changes", "alter", "affect",
     "interact", "interfere", "impair")
)  # fmt: skip
_RECOMMENDATIONS = vocabulary(
    "give giving gives administer administering using try start starting offer prescribe dosing take takes "
    "taking safe safely ok okay fine recommend recommended recommends suggest suggested advise suitable "
    "appropriate effective option options choice works helps helpful relief relieves tolerated acceptable repeat "
    "enjoy harmless apply inject continue consider ideal best gib geben geeignet sicher puede dar seguro "
    "administrar donner donnez sur peut alright benefit typical typically combine add crush mix put dissolve hide "
    "spray dele dale administre verabreichen verabreiche work good rub dab smear massage squirt clears cures soothes "
    "eases enough help buena opcion vertraglich angewendet verwendet dosis gabe"
)
_WITH = frozenset(("treat", "treated", "treating", "managed", "ahead", "go", "continue", "proceed", "helped", "sedate"))
_BEFORE_USE = vocabulary("to and then can may you should i would we please just or , . : ; will must could might - | )")
_HELD_BACK = vocabulary("stop avoid withhold hold discontinue adjust reduce monitor wait change delay separate")
_BEFORE_FEED = frozenset(("to", "and", "then", "can", "may", "you", "should"))
INJECTED = frozenset(
    ("inject", "injected", "injecting", "injection", "injections", "injectable", "parenteral", "parenterally")
)
_PASSIVE = vocabulary(
    "given administered used prescribed dosed taken offered applied fed added combined repeated continued started "
    "chosen shared rubbed sprayed injected mixed crushed put treated wormed"
)
_PASSIVE_LEADS = frozenset(("be", "is", "are", "being", "usually", "commonly", "often", "also", "safely", "simply"))
_MODALS = frozenset(("can", "may", "could", "should", "might"))
_AFTER_MODAL = frozenset(("have", "get", "receive", "eat", "take", "considered"))
_PLANS = vocabulary(
    "plan treatment therapy medication medications drugs rx protocol analgesia painkillers prescription options relief"
)
_LIMITS = vocabulary(
    "exceed exceeding more over above worry hesitate afraid panic concerned forget skip miss hesitation preocupe "
    "preocuparse sorge sorgen inquietez"
)
_BREAKS = vocabulary(
    "unlike but however although though yet whereas while if when because since unless whether before after until"
)
CONDITIONS = vocabulary("unlike instead rather if when whether before after unless until")
IMPERATIVES = vocabulary("give use try administer start offer apply inject feed gib")
_CONCESSIONS = frozenset(("although", "though", "while", "whereas", "despite"))
PAST = vocabulary("gave took received got ago yesterday already had")
_ONCE_HELD = frozenset(("allowed", "went", "permitted"))
DESCRIBES = vocabulary(
    "is are was were contains contain called brand belongs found named known means includes include call phone ring "
    "contact drop drops damage damages hurt hurts lead leads affect affects fail fails signs symptoms emergency bring "
    "stain stains discolour discolours discolor upset upsets ulcerate ulcerates irritate irritates weaken weakens slow "
    "slows interfere interferes associated linked reported occur occurs lack show tell packet package packaging label "
    "photo write note ask asked store lock reach "
    "away cupboard"
)
"""Words that tell what a thing is or does; without any, a drug named to an owner is taken to be for the animal."""
_HARMS = vocabulary("harm harms damage damages destroy destroys ulcerate ulcerates poisons fails")
_SHOWS = vocabulary("show shows showed develop develops start starts begin begins occur occurs appear appears seen")
_FROM = frozenset(("above", "over", "from", "beyond", "exceeding"))
_SELDOM = vocabulary("rarely seldom hardly barely scarcely unlikely little not never")
_LOWERS = vocabulary("lower lowers drop drops crash crashes")
EXCEPTIONS = frozenset(
    ("heartworm", "topical", "ophthalmic", "eye", "preventive", "prevention", "half", "halved", "reduced", "lower",
     "held", "tube", "nasogastric", "altogether", "regular", "cri", "infusion", "dextrose", "ketoacidosis", "dka",
     "hyperkalaemia", "hyperkalemia", "postoperative", "postoperatively", "postop", "post")
)  # fmt: skip
"""Words by which a sentence names what a rule excepts."""
ADDED = frozenset(("add", "combine", "continue", "keep"))
TOGETHER = frozenset(("and", "with", "plus", "+", "together", "alongside", "add", "top"))
_STOPS_SIGNS = frozenset(("will", "to", "can", "may", "could", "would", "help", "helps", "should"))
_WILL_NOT = frozenset(("not", "need", "kill", "make", "die", "require", "want"))
_SMALL = vocabulary("concern upset upsets mild mildly little minor slight slightly irritate irritates small")
_SPEAKERS = vocabulary("you owner owners client i she he they re were")
_FRESH = vocabulary("just you so then tell it he she they there this that es sie er el la las los il elle")
HUMANS = vocabulary("people humans human person children adults child adult owners")
POINTERS = vocabulary(
    "it this that them these those half quarter tablet tablets pill pills capsule dose doses mg ml mcg one dosage"
)
ANIMAL_IT = vocabulary("plenty water time some food space rest fluids access lots a the warm calm")
YES = vocabulary("yes sure absolutely certainly definitely yeah yep si oui ja")
PRAISE = vocabulary("safe ok okay fine harmless alright safely")
_TOXIN_PRAISE = vocabulary(
    "safe safely ok okay fine harmless healthy enjoy offer give worry good alright unlikely tolerate tolerated nothing "
    "unbedenklich harmlos ungefahrlich inofensivo inofensivas inofensivos seguro seguras inocuo preocupe preocupes "
    "sorgen"
)
_CARE = vocabulary(
    "adjustment adjustments monitoring washout change changes precaution precautions caution problem problems reason "
    "interaction interactions effect alter affect adjust monitor need risk concern"
)
_TREATS = frozenset(("treat", "treats", "snack", "snacks"))
_BEFORE_TREAT = vocabulary("a as of healthy occasional good safe tasty nice training special favourite favorite great")
NOT_SPECIES = frozenset(("not", "except", "unlike", "excluding", "than", "without"))
LINKS = frozenset(("in", "for", "to", "your", "the", "a", "with", "of", "or", "and", "my"))


_DOES_HARM = frozenset(("schadet", "schaden", "geschadet"))
_HARM_REACH = 5
_SWAPS = {"instead": ("of",), "rather": ("than",), "as": ("long",)}
_CUTTERS = _STOPS | _BREAKS | {";", ",", "and", "instead", "rather", "as", "provided", "there"}


def segments(words: list[str]) -> list[tuple[int, int]]:
    """Parts of a sentence that speak for themselves; each is start and end."""
    last = len(words)
    conditional = bool(words) and (words[0] in CONDITIONS or words[0] in _CONCESSIONS)
    if not conditional and _CUTTERS.isdisjoint(words[: last - 1]):
        return [(0, last)] if words else []
    cuts = [0]
    for place in range(1, last):
        word = words[place]
        if word not in _CUTTERS:
            continue
        following = words[place + 1] if place + 1 < last else ""
        if word in _STOPS:
            cuts.append(place + 1)
            conditional = following in CONDITIONS or following in _CONCESSIONS
        elif (
            word in _BREAKS
            or word in (";", "provided")
            or (word in ("instead", "as", "rather") and following in _SWAPS[word])
        ):
            cuts.append(place)
            conditional = word in CONDITIONS or word in _CONCESSIONS
        elif (word == "," and (following in IMPERATIVES or following in _FRESH or conditional)) or (
            word == "and" and (following in IMPERATIVES or following == "tell")
        ):
            cuts.append(place + 1)
            conditional = False
        elif word == "there" and conditional:
            cuts.append(place)
            conditional = False
    return [(start, end) for start, end in zip(cuts, [*cuts[1:], last], strict=True) if start < end]


def is_conditional(part: list[str]) -> bool:
    """Whether words only set a condition, or name what another thing is given in place of."""
    first = part[0] if part else ""
    return first in CONDITIONS and (first not in ("instead", "rather") or part[1:2] in (["of"], ["than"]))


(_DENIES, _STOPPED, _WARNS, _ADVISES, _FEEDS, _WITH_IT, _WILL, _DONE, _MAY, _PLANNED, _USES) = range(11)
_ROLES: dict[str, int] = {
    **dict.fromkeys(_PLANS, _PLANNED), **dict.fromkeys(_MODALS, _MAY), **dict.fromkeys(_PASSIVE, _DONE),
    "use": _USES, "will": _WILL, "with": _WITH_IT, "feed": _FEEDS, **dict.fromkeys(_RECOMMENDATIONS, _ADVISES),
    **dict.fromkeys(_PROHIBITIONS | _HAZARDS, _WARNS), "stop": _STOPPED, **dict.fromkeys(NEGATORS, _DENIES),
}  # fmt: skip
"""What a word does to its sentence; the later ones here go before."""


def polarity(part: list[str], header: bool = False) -> tuple[bool, bool]:
    """Whether words warn, and whether they recommend; a warning outweighs."""
    prohibits = recommends = False
    settled = -1
    role_of = _ROLES.get
    for place, word in enumerate(part):
        role = role_of(word)
        if role is None or place <= settled:
            continue
        if role == _ADVISES:
            recommends = True
        elif role == _DENIES:
            allowed = _allowed(part, place)
            if allowed:
                recommends, settled = True, allowed
            elif allowed is None:
                prohibits = True
        elif role == _STOPPED and place and part[place - 1] in _STOPS_SIGNS and part[place - 1] != "should":
            recommends = True  # `will stop the diarrhoea`
        elif role in (_WARNS, _STOPPED):
            prohibits = True
        elif recommends:
            continue
        elif role == _USES:
            recommends = place == 0 or part[place - 1] in _BEFORE_USE
        elif role == _FEEDS:
            recommends = place == 0 or part[place - 1] in _BEFORE_FEED
        elif role == _WITH_IT:
            recommends = (place > 0 and part[place - 1] in _WITH) or "treat" in part[:place]
        elif role == _WILL:
            recommends = part[place + 1 : place + 2] not in ([], *([one] for one in _WILL_NOT))
        elif role == _DONE:
            recommends = not _PASSIVE_LEADS.isdisjoint(part[max(0, place - 2) : place])
        elif role == _MAY:
            recommends = not _AFTER_MODAL.isdisjoint(part[place + 1 : place + 4])
        else:
            recommends = header
    return prohibits, recommends


def warns_of(part: list[str], place: int) -> bool:
    """Whether words warn of what stands at `place`: they deny it before, or call it bad behind."""
    before, behind = part[:place], part[place:]
    if not (NEGATORS.isdisjoint(before) and _PROHIBITIONS.isdisjoint(before) and _HAZARDS.isdisjoint(before)):
        return True
    for at, word in enumerate(behind):
        if word in _PROHIBITIONS or word in _HAZARDS:
            return True
        if word in NEGATORS and not (_RECOMMENDATIONS | _PASSIVE).isdisjoint(behind[at + 1 : at + 5]):
            return True
    return False


def _allowed(part: list[str], place: int) -> int | None:
    """Where a negation ends that allows: `not more than`, `no problem`; 0: it says nothing; None: it denies."""
    ahead = part[place + 1 : place + 4]
    if not _DOES_HARM.isdisjoint(part[max(0, place - _HARM_REACH) : place]):
        return place  # `schadet Ihrer Katze nicht`
    if not ahead or ahead[0] == ",":
        return None
    limit = next((count for count, one in enumerate(ahead) if one in _LIMITS), None)
    if limit is not None or ahead[0] in ("only", "just"):
        return place + 1 + (limit or 0)
    if ahead[0] in ("need", "reason") or ahead[:1] == ["a"]:
        if not _HELD_BACK.isdisjoint(part[place + 2 : place + 5]):
            return place + 4
        if ahead[0] in ("need", "reason"):
            return None
    harmless = next((count for count, one in enumerate(ahead) if one in _HAZARDS or one in _HARMLESS_NOUNS), None)
    if harmless is not None and part[place] not in ("never", "don't"):
        return place + 1 + harmless
    return 0 if place and part[place - 1] == "why" else None


def has_dose(part: list[str]) -> bool:
    """Whether a figure with a unit of dose, or a count of tablets, stands in these words."""
    for place, word in enumerate(part):
        if (word in PIECES or word in _MEASURES) and not (
            _COUNTS.isdisjoint(one if one[0].isalpha() else "1" for one in part[max(0, place - 3) : place])
            and _OFTEN.isdisjoint(part[place + 1 : place + 6])
        ):
            return True
        if ("0" <= word[0] <= "9" or word in _COUNTS) and any(one in UNITS for one in part[place + 1 : place + 4]):
            return True
    return False


def is_quoted(text: str, start: int, before: list[str]) -> bool:
    """Whether a name stands inside quotation marks, or in what somebody is said to have asked.

    Args:
        start: where the name stands in the text. before: the words ahead of it.
    """
    ahead = text[:start]
    if ahead.count('"') % 2 == 1 or ahead.count("\u201c") > ahead.count("\u201d"):
        return True
    return any(
        one in ("told", "heard")
        or (one in ("asked", "mentioned", "wrote", "said", "asking") and before[max(0, at - 1)] in _SPEAKERS)
        for at, one in enumerate(before)
    )


def praises(part: list[str]) -> bool:
    """Whether words call something good to eat."""
    if is_granted(part):
        return True
    for place, word in enumerate(part):
        before = part[place - 1] if place else ""
        if word in NEGATORS:
            if not _DOES_HARM.isdisjoint(part[max(0, place - _HARM_REACH) : place]):
                return True
            ahead = part[place + 1 : place + 4]
            if not (_HARMLESS_NOUNS.isdisjoint(ahead) and _HAZARDS.isdisjoint(ahead)):
                return True
        elif word == "feed":
            if not place or before in _BEFORE_FEED:
                return True
        elif word in _TREATS:
            if before in _BEFORE_TREAT:
                return True
        elif word in ("only", "just", "merely"):
            if not _SMALL.isdisjoint(part[place + 1 : place + 4]):
                return True
        elif word in _TOXIN_PRAISE or (word in _MODALS and not _AFTER_MODAL.isdisjoint(part[place + 1 : place + 4])):
            return True
    return False


def is_past(part: list[str]) -> bool:
    """Whether words tell of what was: `gave`, or what a guideline of another year allowed."""
    if not PAST.isdisjoint(part):
        return True
    return not _ONCE_HELD.isdisjoint(part) and any(
        len(word) == 4 and word[:2] in ("19", "20") and word.isdecimal() and UNITS.isdisjoint(part[at + 1 : at + 2])
        for at, word in enumerate(part)
    )


def shows_signs(part: list[str], figure: int) -> bool:
    """Whether words tell that from the amount at `figure` on an animal falls ill: `they show signs above 0.1 mg/kg`."""
    return "signs" in part and not _SHOWS.isdisjoint(part) and not _FROM.isdisjoint(part[max(0, figure - 2) : figure])


def tells_harm(part: list[str]) -> bool:
    """Whether words tell what something does to the body, or does from an amount on, and don't make it small."""
    if not _SELDOM.isdisjoint(part):
        return False
    figure = next((at for at, word in enumerate(part) if word[0].isdigit()), None)
    if figure is not None and _FROM.isdisjoint(part[max(0, figure - 2) : figure]):
        return False
    lowers = ("sugar" in part or "glucose" in part) and not _LOWERS.isdisjoint(part)
    return lowers or not _HARMS.isdisjoint(part)


def is_granted(part: list[str]) -> bool:
    """Whether a cell of a table says yes."""
    return "|" in part and any(word in YES and part[place - 1] == "|" for place, word in enumerate(part) if place)


def eases(part: list[str]) -> bool:
    """Whether words wave a caution aside: `need no adjustment`, `without monitoring`."""
    return not _CARE.isdisjoint(part) and any(
        word in NEGATORS and word != "never" and not _CARE.isdisjoint(part[place + 1 : place + 4])
        for place, word in enumerate(part)
    )


def belittles(part: list[str]) -> bool:
    """Whether words make a poison's harm small: `only causes a mild upset`."""
    return any(
        word in ("only", "just", "merely") and not _SMALL.isdisjoint(part[place + 1 : place + 5])
        for place, word in enumerate(part)
    )
