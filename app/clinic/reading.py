"""What a text says about animals: who they are, what they got or ate, what was measured. Nothing is invented.

Every fact carries the place it was read from, `(start, end)` in characters of the text. English first; names of
species and poisons and the red flags are understood in six languages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from app.base.record import record
from app.clinic import units
from app.clinic.lexicon import (
    BREEDS_CALLED,
    COMMON_BREED_WORDS,
    DAYS,
    NAMES_TOO,
    NEGATORS,
    ORDINARY,
    SEXES,
    VERBS,
    VITALS,
    Lexicon,
    Places,
    Term,
    folded,
    in_portuguese,
    lexicon,
    meant,
    misspelt,
    scan,
    speaks_another_language,
    vocabulary,
)
from app.clinic.records import Records

Json = dict[str, Any]
Span = tuple[int, int]


class Figure(NamedTuple):
    """A number with what it counts.

    Attributes:
        value, top: from and to; equal unless a range was written.
        unit: canonical (mg, kg, mL, h, %, tablet, bar ...), or "" for a bare number.
        dimension: mass, volume, activity, time, age, percent, piece, or "".
        per: what follows the stroke: ("kg",), ("kg", "day"), ("mL",) ...
    """

    value: Decimal
    top: Decimal
    unit: str
    dimension: str
    per: tuple[str, ...]
    start: int
    end: int


@record(frozen=True, slots=True)
class Animal:
    """One animal of a text; each field is None where the text doesn't say.

    Attributes:
        age: value and unit (year, month, week, day). weight: value and unit as written.
        several: the text speaks of more than one of them, or of the kind (`dogs`).
        spans: field -> place.
    """

    species: str | None = None
    breed: str | None = None
    name: str | None = None
    sex: str | None = None
    neutered: bool | None = None
    age: tuple[Decimal, str] | None = None
    weight: tuple[Decimal, str] | None = None
    juvenile: bool = False
    pregnant: bool | None = None
    lactating: bool | None = None
    production_class: str | None = None
    conditions: tuple[str, ...] = ()
    several: bool = False
    spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def weight_kg(self) -> Decimal | None:
        """[kg]"""
        return None if self.weight is None else units.convert(self.weight[0], self.weight[1], "kg")

    @property
    def age_months(self) -> Decimal | None:
        """[months], a year being twelve and a week 7/30.4375 of one."""
        if self.age is None:
            return None
        value, unit = self.age
        days = {"day": Decimal(1), "week": Decimal(7)}
        if unit in days:
            return (value * days[unit] / Decimal("30.4375")).quantize(Decimal("0.1"))
        return value * (12 if unit == "year" else 1)

    def to_json(self) -> Json:
        """The patient of API.md, only what the text says, and `spans`."""
        given: Json = {"species": self.species, "breed": self.breed, "name": self.name, "sex": self.sex}
        given |= {"neutered": self.neutered, "pregnant": self.pregnant, "lactating": self.lactating}
        given["production_class"] = self.production_class
        if self.age is not None and self.age_months is not None and self.age_months <= AGE_MONTHS_MAX:
            given["age"] = {"value": units.number(self.age[0]), "unit": self.age[1]}
            given["age_months"] = units.number(self.age_months)
        if self.weight is not None and self.weight_kg is not None:
            given["weight"] = {"value": units.number(self.weight[0]), "unit": self.weight[1]}
            given["weight_kg"] = round(float(self.weight_kg), 4)
        if self.conditions:
            given["conditions"] = list(self.conditions)
        return {key: value for key, value in given.items() if value is not None}


@record(frozen=True, slots=True)
class Medication:
    """A drug that a text names, with the dose that stands beside it.

    Attributes:
        drugs: generics; several for a brand that holds several, empty for a class.
        amount, amount_max, unit, per: per dose as written: 5, 5, "mg", ("kg",).
        interval_h: from and to [h], None for PRN or none given.
        volume_ml, strength: [mL]; value and unit (`mg/mL`, `mg`, `%`).
        tablets: count, or None.
        status: given | current | intended | asked | stopped | allergy | denied | mentioned.
        animal: index of the animal, or None.
        choice: one of several of which only one is to be given (`carprofen or meloxicam`): the same number for each.
    """

    drugs: tuple[str, ...]
    drug_class: str | None
    text: str
    span: Span
    amount: Decimal | None = None
    amount_max: Decimal | None = None
    unit: str = ""
    per: tuple[str, ...] = ()
    route: str | None = None
    frequency: str | None = None
    interval_h: tuple[int, int] | None = None
    volume_ml: Decimal | None = None
    strength: tuple[Decimal, str] | None = None
    tablets: Decimal | None = None
    status: str = "mentioned"
    animal: int | None = None
    choice: int | None = None

    @property
    def in_play(self) -> bool:
        """Whether the animal has it, may get it, or somebody thinks of giving it."""
        return self.status not in ("stopped", "denied", "allergy")

    def to_json(self) -> Json:
        """As `extract` shows it."""
        unit = "/".join((self.unit, *self.per)) if self.unit else None
        return {
            "name": self.drugs[0] if len(self.drugs) == 1 else self.drug_class or self.text,
            "drugs": list(self.drugs),
            "class": self.drug_class,
            "text": self.text,
            "amount": None if self.amount is None else units.number(self.amount),
            "amount_max": None
            if self.amount_max in (None, self.amount)
            else units.number(self.amount_max or Decimal(0)),
            "unit": unit,
            "route": self.route,
            "frequency": self.frequency,
            "interval_h": None if self.interval_h is None else {"min": self.interval_h[0], "max": self.interval_h[1]},
            "volume_ml": None if self.volume_ml is None else units.number(self.volume_ml),
            "strength": None
            if self.strength is None
            else {"value": units.number(self.strength[0]), "unit": self.strength[1]},
            "tablets": None if self.tablets is None else units.number(self.tablets),
            "status": self.status,
            "patient": self.animal,
            "span": list(self.span),
        }


@record(frozen=True, slots=True)
class Exposure:
    """Something that may poison, and how much of it.

    Attributes:
        substance: the toxin's record.
        amount, unit: as written: 200 g, 0.5 bar, 2 tablet, 5 unit; None where no amount stands there.
        strength: of one piece, where it was written: two 325 mg tablets.
        status: happened | asked | denied | past | mentioned.
    """

    substance: str
    text: str
    span: Span
    amount: Decimal | None = None
    unit: str | None = None
    strength: tuple[Decimal, str] | None = None
    product: str | None = None
    hours_ago: Decimal | None = None
    status: str = "mentioned"
    animal: int | None = None

    def to_json(self) -> Json:
        """As `extract` shows it."""
        return {
            "substance": self.substance,
            "text": self.text,
            "amount": None if self.amount is None else units.number(self.amount),
            "unit": self.unit,
            "strength": None
            if self.strength is None
            else {"value": units.number(self.strength[0]), "unit": self.strength[1]},
            "product": self.product,
            "hours_ago": None if self.hours_ago is None else units.number(self.hours_ago),
            "status": self.status,
            "patient": self.animal,
            "span": list(self.span),
        }


@record(frozen=True, slots=True)
class Measurement:
    """A laboratory value or a vital sign as written.

    Attributes:
        name: of the analyte's record, or temperature, heart_rate, respiratory_rate, capillary_refill,
            systolic_pressure, oxygen_saturation.
        unit: None where a laboratory value has none; vital signs are in Cel, /min, s, mm[Hg] and %.
    """

    name: str
    value: Decimal
    comparator: str | None
    unit: str | None
    span: Span
    animal: int | None = None

    def to_json(self) -> Json:
        """As `extract` shows it."""
        return {
            "name": self.name,
            "value": units.number(self.value),
            "comparator": self.comparator,
            "unit": self.unit,
            "patient": self.animal,
            "span": list(self.span),
        }


@record(frozen=True, slots=True)
class Sign:
    """A sign of the triage list that the text states; `flag` is its place in `records.flags`."""

    flag: int
    sign: str
    span: Span
    species: str | None = None


@record(frozen=True, slots=True)
class Reading:
    """Everything read from one text.

    Attributes:
        needs: {field, why, ask}: what the text leaves ambiguous.
        asks_dose: somebody wants a dose or an amount.
        words: the text as the trie knows it. places: where each of them stands.
    """

    text: str
    animals: tuple[Animal, ...] = ()
    medications: tuple[Medication, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    analytes: tuple[Measurement, ...] = ()
    vitals: tuple[Measurement, ...] = ()
    signs: tuple[Sign, ...] = ()
    needs: tuple[Json, ...] = ()
    asks_dose: bool = False
    words: list[str] = field(default_factory=list)
    places: Places | None = None


_UNITS: dict[str, tuple[str, str]] = {}
for _canonical, _dimension, _names in (
    ("kg", "mass", "kg kgs kilo kilos kilogram kilograms kilogramm kilogramos kilogrammes quilo quilos"),
    ("g", "mass", "g gram grams gm gms gramme grammes gramm gramo gramos grama gramas gr."),
    ("mg", "mass", "mg mgs milligram milligrams"),
    ("ug", "mass", "ug mcg mcgs ugs microgram micrograms"),
    ("lb", "mass", "lb lbs pound pounds # libras"),
    ("oz", "mass", "oz ounce ounces ozs"),
    ("st", "mass", "st stone stones"),
    ("gr", "mass", "gr grain grains"),
    ("mL", "volume", "ml mls cc ccs milliliter milliliters millilitre millilitres"),
    ("L", "volume", "l liter liters litres"),
    ("tsp", "volume", "tsp tsps teaspoon teaspoons teaspoonful"),
    ("tbsp", "volume", "tbsp tbsps tablespoon tablespoons tbs"),
    ("cup", "volume", "cup cups"),
    ("[IU]", "activity", "iu ius units unit u ui uis unidades unites einheiten"),
    ("mEq", "charge", "meq"),
    ("mmol", "amount", "mmol"),
    ("h", "time", "h hr hrs hour hours hora horas heure heures stunde stunden std"),
    ("min", "time", "min mins minute minutes minuto minutos minuten"),
    ("day", "time", "d day days dia dias jour jours tag tage tagen"),
    ("week", "time", "wk wks week weeks semana semanas semaine semaines woche wochen"),
    ("month", "time", "mo mos mth mths month months mes meses mois monat monate monaten mnth"),
    ("year", "time", "y yr yrs year years ano anos ans jahr jahre jahren"),
    ("year", "age", "yo"),
    ("%", "percent", "% percent pc"),
    ("tablet", "piece", "tablet tablets tab tabs pill pills caplet caplets tableta tabletas comprimido comprimidos "
     "comprime comprimes tablette tabletten pastilla pastillas cachet cachets pilule pilules pille pillen"),
    ("capsule", "piece", "capsule capsules cap caps capsula capsulas gelule gelules kapsel kapseln"),
    ("drop", "piece", "drop drops"),
    ("bar", "piece", "bar bars tafel tafeln barra barras"),
    ("square", "piece", "square squares"),
    ("piece", "piece", "piece pieces pcs chunk chunks bit bits stick sticks"),
    ("slice", "piece", "slice slices"),
    ("clove", "piece", "clove cloves"),
    ("bite", "piece", "bite bites mouthful mouthfuls lick licks"),
    ("leaf", "piece", "leaf leaves petal petals"),
    ("handful", "piece", "handful handfuls"),
    ("box", "piece", "box boxes"),
    ("bag", "piece", "bag bags sack sacks"),
    ("pack", "piece", "pack packs packet packets pouch pouches"),
    ("bottle", "piece", "bottle bottles tube tubes jar jars can cans tub tubs"),
    ("block", "piece", "block blocks"),
    ("scoop", "piece", "scoop scoops"),
    ("pump", "piece", "pump pumps squirt squirts"),
    ("pipette", "piece", "pipette pipettes vial vials"),
):  # fmt: skip
    for _name in _names.split():
        _UNITS.setdefault(_name, (_canonical, _dimension))
_PER = {
    "kg": "kg", "kilo": "kg", "kilogram": "kg", "lb": "lb", "lbs": "lb", "pound": "lb", "day": "day", "d": "day",
    "dose": "dose", "h": "h", "hr": "h", "hour": "h", "min": "min", "minute": "min", "ml": "mL", "cc": "mL", "l": "L",
    "dl": "dL", "tablet": "tablet", "tab": "tablet", "capsule": "tablet", "cap": "tablet", "m2": "m2",
    "m": "m2", "cat": "animal", "dog": "animal", "animal": "animal", "head": "animal", "horse": "animal",
    "g": "g", "24": "day", "liter": "L",
}  # fmt: skip
_NUMBERS: dict[str, Decimal] = {
    word: Decimal(value)
    for value, words in enumerate(
        str.split(
            "zero one|una|un|um|une|uma|ein|eine|einen|einer|einem|eins "
            "two|dos|deux|zwei|duas|dois three|tres|trois|drei "
            "four|cuatro|"
            "quatre|vier|quatro five|cinco|cinq|funf six|seis|sechs seven|siete|sept|sieben|sete eight|ocho|huit|"
            "acht|oito "
            "nine|nueve|neuf|neun|nove ten|diez|dix|zehn|dez eleven twelve thirteen fourteen fifteen sixteen seventeen "
            "eighteen nineteen twenty"
        )
    )
    for word in words.split("|")
}
_NUMBERS |= {
    "thirty": Decimal(30), "forty": Decimal(40), "fifty": Decimal(50), "sixty": Decimal(60), "seventy": Decimal(70),
    "eighty": Decimal(80), "ninety": Decimal(90), "couple": Decimal(2), "pair": Decimal(2), "dozen": Decimal(12),
}  # fmt: skip
_ONES_ABROAD = vocabulary("una un une um uma ein eine einen einer einem")
"""Articles that are numbers too: `una pila` says no amount."""
_POINTS = frozenset(("point", "coma", "komma", "virgule", "virgula"))
_SCALES = {"hundred": Decimal(100), "thousand": Decimal(1000)}
_PARTS = {
    "half": Decimal("0.5"), "quarter": Decimal("0.25"), "tenth": Decimal("0.1"), "hundredth": Decimal("0.01"),
    "third": Decimal(1) / 3, "quarters": Decimal("0.25"),
    "thirds": Decimal(1) / 3, "halves": Decimal("0.5"), "\u00bd": Decimal("0.5"), "\u00bc": Decimal("0.25"),
    "\u00be": Decimal("0.75"), "\u2153": Decimal(1) / 3, "\u2154": Decimal(2) / 3, "halb": Decimal("0.5"),
    "halbe": Decimal("0.5"), "halben": Decimal("0.5"),
    "halber": Decimal("0.5"), "halbes": Decimal("0.5"),
    "demie": Decimal("0.5"), "media": Decimal("0.5"), "medio": Decimal("0.5"),
    "demi": Decimal("0.5"), "meia": Decimal("0.5"), "meio": Decimal("0.5"),
}  # fmt: skip
_HAN_NUMBERS = {
    word: Decimal(value)
    for value, words in {
        "0.5": "\u534a", "1": "\u4e00", "2": "\u4e24 \u4e8c", "3": "\u4e09", "4": "\u56db", "5": "\u4e94",
        "6": "\u516d",
        "7": "\u4e03", "8": "\u516b", "9": "\u4e5d", "10": "\u5341",
    }.items()
    for word in words.split()
}  # fmt: skip
_HAN_SIZES = frozenset(("\u6574", "\u5927", "\u5c0f"))
_HAN_MEASURES = {
    "\u516c\u65a4": ("kg", "mass"), "\u5343\u514b": ("kg", "mass"), "\u65a4": ("kg", "mass"), "\u514b": ("g", "mass"),
    "\u6beb\u514b": ("mg", "mass"), "\u6beb\u5347": ("mL", "volume"),
    "\u7247": ("tablet", "piece"), "\u7c92": ("piece", "piece"),
    "\u9897": ("piece", "piece"), "\u5757": ("piece", "piece"),
    "\u6839": ("piece", "piece"), "\u74e3": ("clove", "piece"),
    "\u74f6": ("bottle", "piece"), "\u5305": ("pack", "piece"), "\u76d2": ("box", "piece"), "\u888b": ("bag", "piece"),
    "\u677f": ("bar", "piece"), "\u628a": ("handful", "piece"), "\u4e2a": ("", ""), "\u4e2a\u6708": ("month", "time"),
    "\u4e2a\u5c0f\u65f6": ("h", "time"), "\u4e2a\u661f\u671f": ("week", "time"), "\u5c0f\u65f6": ("h", "time"),
    "\u5206\u949f": ("min", "time"), "\u5468": ("week", "time"), "\u5929": ("day", "time"), "\u5c81": ("year", "age"),
}  # fmt: skip
"""What Chinese counts with; a jin, said of a weight, is half a kilogram."""
_HAN_STARTS = frozenset((*(measure[0] for measure in _HAN_MEASURES), *_HAN_SIZES))
_ARTICLES = frozenset(("a", "an"))
_DURATIONS = frozenset(("history", "duration", "course", "post", "ago", "later", "after", "before"))
_WHOLE = frozenset(("whole", "entire", "full", "single"))
NUMERIC = frozenset((*_NUMBERS, *_PARTS, *_ARTICLES, *_HAN_NUMBERS, "point"))
_ENDS = frozenset((".", "!", "?", "\n", "\u3002", "\uff01", "\uff1f", "|"))
_SOFT = frozenset(("approx", "vs", "dr", "wt", "lb", "lbs", "oz", "yr", "yrs", "mo", "no", "eg", "ie", "esp", "kg"))
_CONTAINERS = frozenset(("bag", "box", "pack", "bottle", "block", "bar"))
_CHANGED = vocabulary("lost gained lose gain losing gaining dropped per every every over")
_WEIGHT_CUES = vocabulary("weighs weigh weighing weighed weight wt bw bodyweight at is pesa pese wiegt pesa")
_NOT_AN_ANIMAL = vocabulary(
    "bag bags box tin sack pack packet tub bottle bar block tube jar heavier lighter loss gain / tablet tablets"
)
_NOT_AGE = vocabulary("for over last past every in after within since q x next during by until")
_HUMAN = vocabulary(
    "husband husbands wife son daughter friend friends neighbor neighbour vet doctor owner client mom mum dad mother "
    "father boyfriend girlfriend kid sister brother lady man woman guy"
)
_PREVENTED = vocabulary(
    "prev prevention preventive preventives preventative preventatives test tests tested negative neg vaccine vaccines "
    "vaccination free pill pills meds medication tablets tablet chew chews"
)
_PRONOUNS = {
    "male": frozenset(("he", "he's", "him", "his", "he'll", "himself")),
    "female": frozenset(("she", "she's", "her", "hers", "she'll", "herself")),
}
_THINGS = vocabulary(
    "food foods treat treats bed park litter shampoo paste flea collar collars product products dewormer wormer "
    "toy toys bowl spot door owner owners people lovers kibble biscuits biscuit chow formula version size sized "
    "dose formulation label tablets medicine medication drench feed proof scan flap tree"
)
_FOODS = vocabulary(
    "jerky meat broth soup stew curry nugget nuggets sandwich burger sausage sausages stock carcass strip strips "
    "flavored flavoured flavor flavour bite antler venom antivenom antivenin mince minced noodles fingers dinner tikka "
    "pellets muesli"
)
"""What follows a species that is no patient: `chicken jerky`, `snake bite`."""
_PARTS_EATEN = vocabulary(
    "poop poo droppings manure dung pee urine feces faeces breast breasts thigh thighs fat hay "
    "wing wings leg legs bone bones foot feet neck necks liver livers heart hearts ear ears skin egg eggs milk head "
    "heads gizzard gizzards hoof hooves hide"
)
_DEVOURED = vocabulary(
    "ate eat eats eating eaten swallowed devoured gobbled scoffed wolfed chewed chewing comio mange gefressen comeu"
)
_CAUGHT = vocabulary("caught catch catches killed kill kills hunted licked drank had")
_FED = vocabulary("fed feed feeding")
_EATING = _DEVOURED | _CAUGHT | _FED | {"rolled", "rolls", "rolling"}
_HELPINGS = vocabulary(
    "a an the some any raw cooked dead whole wild little small boiled piece of leftover fried roast roasted bit "
    "another live baby entire half grilled smoked canned tinned few two three un una une uns ein eine einen um uma"
)
_NEVER_PREY = frozenset(("dog", "cat", "horse", "donkey", "cattle", "ferret"))
_HURT_BY = vocabulary("bitten stung attacked kicked scratched mauled chased trampled gored licked")
_ITS_OWN = vocabulary("a an my our the his her their your pet and or & , this that")
_EATERS = vocabulary("dog dogs puppy puppies pup pups cat cats kitten kittens kitty")
_MEATS = vocabulary("chicken turkey duck goose lamb rabbit goat quail mutton veal")
_HELPINGS_MAX = 5
_BEHIND = frozenset(("is", "weighs", "=", ":", "de", "von", "com", "con", "of", "pesa", "pese", "wiegt"))
_ON = frozenset(("on", "taking", "takes", "receiving"))
_FORMS = vocabulary(
    "transdermal oral iv im sc sq po topical injectable injection tablet tablets capsule capsules liquid gel ointment "
    "cream drops suspension paste spray starting maintenance loading initial"
)
_MEANT = vocabulary("meant intended made designed labeled labelled licensed formulated")
_LAB_WORDS = vocabulary(
    "results result work works test tests values value report data panel panels tech sample samples abnormalities "
    "findings normal numbers coat technician"
)
_BREED_LEADS = vocabulary(
    "my a an our his her this old yo neutered spayed castrated male female intact entire kg lb lbs mn fs mi fi mc "
    "nm sf fn young adult elderly senior yellow black brown red small large big mini miniature year month week"
)
_MODALS = vocabulary(
    "can could may should shall would might if safe ok okay toxic poisonous dangerous puede podria darf kann soll "
    "peut pode pueden podrian peuvent konnen durfen podem \u80fd \u53ef"
)
_BREAKERS = frozenset(
    ("but", "however", "although", "though", "except", "and", "then", "now", "he", "she", "it", "they", "i", "we",
     "(", ")", ":", ";", "because", "since", "so", "yet", "just", "only", "still", "while", "pero", "mais", "aber",
     "mas",
     "\uff0c", "\u3001", "\u4f46")
)  # fmt: skip
_NOT_REALLY = vocabulary("only just sure certain doubt change matter better improving idea longer wonder know")
_GAPS = vocabulary("is was of at : = ( level levels value result about around approx ~ came back measured now a")
_COMPARATORS = {
    "<": "<", ">": ">", "\u2264": "<=", "\u2265": ">=", "over": ">", "above": ">", "below": "<", "under": "<",
}  # fmt: skip
_LAB_ABOVE = {
    "mg": "mg", "g": "g", "ug": "ug", "mcg": "ug", "ng": "ng", "pg": "pg", "mmol": "mmol", "umol": "umol",
    "nmol": "nmol", "pmol": "pmol", "meq": "mEq", "u": "U", "iu": "U", "k": "10*3", "m": "10*6", "uu": "uU",
    "l": "L", "mosm": "mOsm", "miu": "mIU", "cells": "",
}  # fmt: skip
_LAB_BELOW = {"dl": "dL", "l": "L", "ml": "mL", "ul": "uL", "100ml": "dL", "kg": "kg", "mm3": "uL", "liter": "L"}
_VITAL_UNITS = vocabulary("f c fahrenheit celsius degrees bpm brpm rpm sec secs second seconds s mmhg %")
_LAB_WHOLE = {"fl": "fL", "kpa": "kPa", "mmhg": "mmHg", "torr": "mmHg", "ratio": "ratio", "mosm": "mOsm/kg"}
_BLOOD_UNITS = frozenset(
    ("ug/mL", "ng/mL", "pg/mL", "umol/L", "nmol/L", "pmol/L", "mmol/L", "ug/dL", "ng/dL", "mg/dL", "mg/L", "ug/L",
     "uU/mL", "ng/L", "mEq/L")
)  # fmt: skip
_COUNTED_IN_PERCENT = frozenset(
    ("reticulocytes", "neutrophils", "band neutrophils", "lymphocytes", "monocytes", "eosinophils")
)
_VITAL_GAPS = _GAPS | {"up", "to", "down", "rectal", "reading", "rate", "normal", "high", "low", "only", "currently"}
_VITALS: dict[str, tuple[Decimal, Decimal, str]] = {
    "temperature": (Decimal(20), Decimal(46), "Cel"), "heart_rate": (Decimal(4), Decimal(1200), "/min"),
    "respiratory_rate": (Decimal(2), Decimal(500), "/min"), "capillary_refill": (Decimal(0), Decimal(20), "s"),
    "systolic_pressure": (Decimal(20), Decimal(350), "mm[Hg]"), "oxygen_saturation": (Decimal(30), Decimal(100), "%"),
}  # fmt: skip
_FAHRENHEIT = (Decimal(70), Decimal(115))
_POWERS = {"3": "10*3", "6": "10*6", "9": "10*9", "12": "10*12", "103": "10*3", "106": "10*6", "109": "10*9"}
_PAST = vocabulary("last ago back history previously used in as")
_NOW = vocabulary("now today tonight again still currently keeps ongoing worse yesterday")
_WANTS = vocabulary("needs need wants want on due takes taking")
_AGO = frozenset(("ago", "earlier", "back", "prior", "before"))
_LONG_AGO = (
    " ano pasado ", " hace un ano ", " hace anos ", " annee derniere ", " an dernier ", " noel dernier ",
    " il y a un an ", " letztes jahr ", " vor einem jahr ", " vor jahren ", " ano passado ", " ha um ano ",
    " \u53bb \u5e74 ", " \u5e74 \u524d ",
)  # fmt: skip
_COMMAS = frozenset((",", ";", "\uff0c"))
_LONG_AGO_WORDS = vocabulary("pasado hace dernier derniere letztes vor passado ha il \u53bb \u524d")
_NOW_ABROAD = vocabulary("hoy ahora ayer jetzt heute gestern maintenant hier agora hoje ontem \u4eca \u521a \u73b0")
_APART = frozenset(
    (",", "and", "plus", "+", "then", "(", ")", ":", ".", "\n", ";", "with", "for", "has", "is", "or", "?", "!", "but")
)
_GAP_MAX = 3
AGE_MONTHS_MAX = 500 * 12
"""Twice what the oldest tortoise reached; more is a slip of the pen."""
_NO_DOSE_G = 60
"""Nobody gives this much of a drug at once; so many grams are an animal [g]."""
_BESIDE = frozenset((",", "(", ":", "-", "is", "at", "approx", "about", "~", "weighs"))
_REACH = 60
_DULL_WORDS_MAX = 50_000
_DULL_LENGTH_MAX = 40
_NEARBY = 24
_NEEDS_MAX = 20
_ASK_REACH = 6
_FOR_REACH = 5
_NAME_OF_DRUG = frozenset(("dose", "iv", "im", "po", "sc", "sq", "sp", "dosage", "injection", "tablets", "tabs"))
_OVERDOSED = frozenset(("double", "extra", "second", "wrong", "same", "missed", "last", "twice", "his", "her"))
_EVENTS = frozenset(
    ("exposure", "ingestion", "toxicity", "poisoning", "overdose", "od", "intoxication", "bite", "sting")
)
_SUPPOSED = frozenset(("if", "can", "could", "would", "should", "is", "are", "may", "what", "how"))
_ABOUT = frozenset(("about", "approx", "around", "roughly", "maybe", "~", "(", "probably", "almost", "nearly"))
_AT_HAND = frozenset(("have", "has", "using", "stock", "only", "comes", "come", "with", "got", "are"))
_ROLL_UNITS = frozenset(("kg", "lb", "st", "g", "oz"))
_ROLL_JOINTS = frozenset(("(", ",", ":", "is", "at", "weighs", "about", "="))
_NO_NAMES = vocabulary(
    "weight weighing weighs wt now today dog dogs cat cats male female first second one two one's mine about approx "
    "was current last ideal body total from to at and then give gave the my our his her it she he they both each around"
)
_ALL_OF = frozenset(("both", "shared", "all"))
_LEVELS = frozenset(("level", "levels", "trough", "concentration"))
_STRENGTH_MIN = 20
"""`ibuprofen of 600`: so many milligrams and more are a strength, less is a count."""
_COATS = vocabulary("brown point tabby burmese siamese lab labrador labradoodle poodle coat coated colored roan merle")
_EITHER = frozenset(("or", "vs", "versus", "oder", "ou", "o"))
_CHOICE_GAP_MAX = 8
_JOINED = frozenset(("and", ",", "my", "our", "the", "a", "his", "her", "their", "other"))
_TURNS = frozenset((",", "and", "now", "but", ";", "can", "could", "may", "should", "ok", "safe"))
_HAD_REACH = 6
_HAD_BY = frozenset(("had", "has", "have", "having", "got"))
_PUT_INTO = frozenset(("in", "into", "per", "each", "with"))
_BARE = frozenset(("take", "taking", "have", "having", "get", "getting"))


def figure(words: list[str], place: int) -> Figure | None:
    """The quantity that begins at `place`: figures, fractions, number words, ranges, unit and strokes."""
    if words[place] in _HAN_NUMBERS:
        return _han_figure(words, place, _han_number(words, place))
    found = _number(words, place)
    if found is None:
        return None
    value, end = found
    if end < len(words) and words[end] in _HAN_STARTS and (counted := _han_figure(words, place, found)) is not None:
        return counted
    top, last = value, len(words)
    if end + 1 < last and words[end] in ("-", "to"):
        upper = _number(words, end + 1)
        if upper is not None and upper[0] > value:
            top, end = upper
    unit = dimension = ""
    if end < last and words[end] in _UNITS:
        unit, dimension = _UNITS[words[end]]
        if words[end] == "#" and end + 1 < last and words[end + 1][0].isdigit():
            unit = dimension = ""
        else:
            end += 1
    if dimension == "":
        return Figure(value, top, "", "", (), place, end)
    if unit == "year" and words[end : end + 2] == ["/", "o"]:
        dimension, end = "age", end + 2
    elif unit == "lb" and end < last:
        more = _number(words, end)
        if more is not None and more[1] < last and _UNITS.get(words[more[1]], ("",))[0] == "oz":
            value += more[0] / 16
            top, end = value, more[1] + 1
    elif unit == "st" and end < last:
        more = _number(words, end)
        if more is not None and more[1] < last and _UNITS.get(words[more[1]], ("",))[0] == "lb":
            value += more[0] / 14
            top, end = value, more[1] + 1
    elif (
        dimension in ("piece", "mass") and words[end : end + 1] in (["y"], ["et"], ["e"])
        and end + 1 < last and _PARTS.get(words[end + 1]) == _PARTS["media"]
    ):  # fmt: skip
        value, top, end = value + _PARTS["media"], top + _PARTS["media"], end + 2  # `dos pastillas y media`
    per: tuple[str, ...] = ()
    if dimension in ("mass", "activity") and words[end : end + 1] == ["/"] and end + 2 < last:
        below = _decimal(words[end + 1]) if words[end + 1].replace(".", "").isdigit() else None
        if below and words[end + 2] in ("ml", "mls", "cc"):  # 12.5 mg/5 mL
            return Figure(value / below, top / below, unit, dimension, ("mL",), place, end + 3)
    if dimension in ("mass", "volume", "activity", "charge", "amount"):
        while end + 1 < last and words[end] in ("/", "per") and words[end + 1] in _PER and len(per) < 2:
            per += (_PER[words[end + 1]],)
            end += 2
            if end < last and (words[end - 1] == "24" or (per[-1] == "m2" and words[end] == "2")):
                end += 1
    return Figure(value, top, unit, dimension, per, place, end)


def _han_figure(words: list[str], place: int, found: tuple[Decimal, int]) -> Figure | None:
    """`\u4e09\u516c\u65a4`, `\u534a\u7247`, `6\u65a4`: only with what is counted; `\u4e00\u76f4` is none."""
    value, end = found
    sized = end < len(words) and words[end] in _HAN_SIZES
    measure = _han_measure(words, end) or (_han_measure(words, end + 1) if sized else None)
    if measure is None:
        return None
    unit, dimension, end = measure
    if words[end : end + 1] == ["\u534a"] and dimension != "time":
        value, end = value + _HAN_NUMBERS["\u534a"], end + 1
    if "\u65a4" in words[end - 2 : end] and "\u516c" not in words[end - 3 : end]:
        value /= 2
    return Figure(value, value, unit, dimension, (), place, end)


def _han_number(words: list[str], place: int) -> tuple[Decimal, int]:
    """`\u4e09`, `\u5341\u4e94`, `\u4e8c\u5341`."""
    value, end = _HAN_NUMBERS[words[place]], place + 1
    if value >= 1 and words[end : end + 1] == ["\u5341"]:
        value, end = value * 10, end + 1
    ones = _HAN_NUMBERS.get(words[end]) if end < len(words) else None
    return (value + ones, end + 1) if ones is not None and value >= 10 > ones >= 1 else (value, end)


def _han_measure(words: list[str], place: int) -> tuple[str, str, int] | None:
    """The Chinese measure that begins at `place`: its unit, its dimension and where it ends."""
    for size in (3, 2, 1):
        known = _HAN_MEASURES.get("".join(words[place : place + size]))
        if known is not None:
            return (*known, min(place + size, len(words)))
    return None


def _number(words: list[str], place: int) -> tuple[Decimal, int] | None:
    word, last = words[place], len(words)
    if "0" <= word[0] <= "9":
        value = _decimal(word)
        if value is None:
            return None
        end = place + 1
        if end < last:
            following = words[end]
            if following in _PARTS and not following.isalpha():
                return value + _PARTS[following], end + 1
            if following == "/" and end + 1 < last and "0" < words[end + 1][0] <= "9":
                below = _decimal(words[end + 1])
                if below and value == int(value) and below == int(below) and below <= 16:
                    return value / below, end + 2
            fraction = _fraction(words, end)
            if fraction is not None and value == int(value):
                return value + fraction[0], fraction[1]
            if following == "and" and end + 2 < last and words[end + 1] in ("a", "1") and words[end + 2] in _PARTS:
                return value + _PARTS[words[end + 2]], end + 3
            if following in _SCALES:
                return value * _SCALES[following], end + 1
        return value, end
    if word in _PARTS:
        return _PARTS[word], _past_articles(words, place + 1)
    if word in _ARTICLES:
        if place + 1 < last:
            following = words[place + 1]
            if following in _WHOLE and place + 2 < last and words[place + 2] in _UNITS:
                return Decimal(1), place + 2
            if following in _PARTS or following in ("couple", "dozen", "pair"):
                part = _PARTS.get(following) or _NUMBERS[following]
                return part, _past_articles(words, place + 2)
            if following in _SCALES:
                return _SCALES[following], place + 2
            if (
                following in _UNITS
                and _UNITS[following][1] in ("time", "piece", "volume", "mass")
                and len(following) > 1
            ):
                return Decimal(1), place + 1
        return None
    known = _NUMBERS.get(word)
    if known is None:
        return _tenths(words, place, Decimal(0)) if word == "point" else None
    end = place + 1
    while end < last:
        following = words[end]
        if following in _SCALES:
            known, end = known * _SCALES[following], end + 1
        elif following in _POINTS:
            return _tenths(words, end, known) or (known, end)
        elif known >= 100 and not known % 100 and (more := _below_hundred(words, end)) is not None:
            known, end = known + more[0], more[1]
        elif following in _NUMBERS and known >= 20 and 0 < _NUMBERS[following] < 10:
            known, end = known + _NUMBERS[following], end + 1
        elif following == "and" and end + 2 < last and words[end + 1] == "a" and words[end + 2] in _PARTS:
            return known + _PARTS[words[end + 2]], end + 3
        elif known == 1 and following in _PARTS:
            return _PARTS[following], _past_articles(words, end + 1)  # `eine halbe`, `una media`
        elif following in ("y", "et", "e") and end + 1 < last and words[end + 1] in _PARTS:
            return known + _PARTS[words[end + 1]], end + 2
        elif following in ("quarters", "thirds"):
            return known * _PARTS[following], _past_articles(words, end + 1)
        elif following in ("of", "a", "an") and word in ("couple", "pair", "dozen"):
            end += 1
        else:
            break
    return known, end


def _below_hundred(words: list[str], place: int) -> tuple[Decimal, int] | None:
    """`and twenty five` or `twenty` behind a hundred."""
    place += words[place] == "and"
    value = _NUMBERS.get(words[place]) if place < len(words) else None
    if value is None or value >= 100:
        return None
    ones = _NUMBERS.get(words[place + 1]) if place + 1 < len(words) else None
    return (value + ones, place + 2) if ones is not None and value >= 20 and 0 < ones < 10 else (value, place + 1)


def _tenths(words: list[str], point: int, whole: Decimal) -> tuple[Decimal, int] | None:
    """`point two five` behind a whole number or alone; None where no digit follows."""
    end = point + 1
    digits = ""
    while end < len(words) and (one := _NUMBERS.get(words[end])) is not None and one < 10:
        digits, end = digits + str(one), end + 1
    return (whole + Decimal(f"0.{digits}"), end) if digits else None


def _fraction(words: list[str], place: int) -> tuple[Decimal, int] | None:
    """`1/2` after a whole number."""
    if place + 2 < len(words) and words[place + 1] == "/" and words[place].isdigit() and words[place + 2].isdigit():
        above, below = _decimal(words[place]), _decimal(words[place + 2])
        if above and below and above < below <= 16:
            return above / below, place + 3
    return None


def _past_articles(words: list[str], place: int) -> int:
    while place < len(words) and words[place] in ("of", "a", "an", "the", "one"):
        place += 1
    return place


def _decimal(word: str) -> Decimal | None:
    """A written number; None for dates, versions and what is too long to be a figure."""
    if len(word) > 12:
        return None
    commas, points = word.count(","), word.count(".")
    if commas and points:
        word = word.replace(",", "") if word.rfind(".") > word.rfind(",") else word.replace(".", "").replace(",", ".")
    elif commas:
        groups = word.split(",")
        thousands = groups[0] != "0" and len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
        word = "".join(groups) if thousands else word.replace(",", ".")
    if word.count(".") > 1:
        return None
    return Decimal(word)


@dataclass(slots=True)
class _Mention:
    """A substance in the text while it is being understood."""

    start: int
    end: int
    drugs: tuple[str, ...] = ()
    drug_class: str | None = None
    toxin: str | None = None
    product: str | None = None
    figures: list[Figure] = field(default_factory=list)
    route: str | None = None
    frequency: str | None = None
    interval_h: tuple[int, int] | None = None
    hours_ago: Decimal | None = None


@dataclass(slots=True)
class _Draft:
    """An animal being put together: where it is mentioned, and values per field with their places."""

    mentions: list[tuple[int, int]]
    facts: dict[str, Any]
    places: dict[str, tuple[int, int]]
    several: bool = False


def read(text: str, records: Records, names: Mapping[str, str | None] | None = None) -> Reading:
    """Everything that `text` says but its red flags (`triage.stated`); linear in its length, and total.

    Args:
        names: of animals known already, each with its species where that is known.
    """
    words, places = scan(text)
    if not words:
        return Reading(text)
    return _Reader(text, records, lexicon(records), words, places, names).reading()


class _Reader:
    """One text on its way to a Reading."""

    def __init__(
        self,
        text: str,
        records: Records,
        known: Lexicon,
        words: list[str],
        places: Places,
        names: Mapping[str, str | None] | None = None,
    ) -> None:
        self.text = text
        self.records = records
        self.known = known
        self.words = words
        self.bag = frozenset(words)
        self.places = places
        self.sentences = self._sentences()
        self.figures: list[Figure] = []
        self.animals: list[tuple[int, int, Term]] = []
        self.details: list[tuple[int, int, Term]] = []
        self.substances: list[tuple[int, int, list[Term]]] = []
        self.measured: list[tuple[int, int, str]] = []
        self.vital_words: list[tuple[int, int, str]] = []
        self.verbs: list[tuple[int, int, str]] = []
        self.directions: list[tuple[int, int, Term]] = []
        self.drafts: list[_Draft] = []
        self.owners: list[tuple[int, int, int]] = []
        self.owner_starts: list[int] = []
        self.needs: list[Json] = []
        self.rolled: set[int] = set()
        self.names = {folded(name): (name, species) for name, species in (names or {}).items()}

    def span(self, start: int, end: int) -> Span:
        """Characters from token `start` to before token `end`."""
        return self.places.span(start, end)

    def reading(self) -> Reading:
        """The text understood."""
        self._collect()
        if self.animals or self.figures or self.details:
            self._animals()
        if len(self.figures) > 1:
            self._roll()
        if self.names:
            self._called()
        if self.substances and self.figures:
            self._levels()
        if self.measured and "urea" in self.bag and "urea poisoning" in self.records.toxins:
            self._eaten_urea()
        analytes = self._analytes() if self.measured else ()
        vitals = self._vitals() if self.figures and (self.vital_words or "tpr" in self.bag) else ()
        mentions = self._mentions() if self.substances or "%" in self.bag else []
        medications, exposures = self._statements(mentions) if mentions else ((), ())
        if self.figures or self.details:
            self._attributes()
        return Reading(
            text=self.text,
            animals=tuple(self._animal(draft) for draft in self.drafts),
            medications=medications,
            exposures=exposures,
            analytes=analytes,
            vitals=vitals,
            needs=tuple(self.needs),
            asks_dose=any(kind == "dose?" for _, _, kind in self.verbs),
            words=self.words,
            places=self.places,
        )

    def _sentences(self) -> list[int]:
        """The sentence of every word."""
        words = self.words
        numbers: list[int] = []
        current = 0
        for place in [] if _ENDS.isdisjoint(self.bag) else [place for place, word in enumerate(words) if word in _ENDS]:
            if words[place] == "." and place and words[place - 1] in _SOFT and place + 1 < len(words):
                start, _ = self.places.span(place + 1, place + 2)
                if self.text[start : start + 1].islower() or self.text[start : start + 1].isdigit():
                    continue
            numbers += [current] * (place + 1 - len(numbers))
            current += 1
        numbers += [current] * (len(words) - len(numbers))
        return numbers

    def _collect(self) -> None:
        """Sort what the words mean into kinds; one pass over those that mean something."""
        words, known, root = self.words, self.known, self.known.root
        dull = known.dull
        place, foreign = 0, None
        for at in [at for at, word in enumerate(words) if word not in dull]:
            if at < place:
                continue
            place = at
            word = words[place]
            node = root.get(word)
            if node is not None:
                hit = meant(known, words, place)
                if hit is not None:
                    terms, end = hit
                    if terms[-1].foreign or terms[0].foreign:
                        if foreign is None:
                            foreign = speaks_another_language(words)
                        terms = [
                            term
                            for term in terms
                            if not term.foreign or (foreign and term.kind != "sex") or self._capital(term, place, end)
                        ]
                    if terms:
                        self._sort(terms, place, end)
                        place = end
                        continue
            if word in NUMERIC or "0" <= word[0] <= "9":
                found = figure(words, place)
                if found is not None:
                    if words[found.end - 1] == "hr" and self._is_heart_rate(found):
                        found = found._replace(unit="", dimension="", end=found.end - 1)
                    self.figures.append(found)
                    place = found.end
            elif node is None:
                near = misspelt(known, word)
                if near is not None:
                    self.substances.append((place, place + 1, near))
                elif len(dull) < _DULL_WORDS_MAX and len(word) <= _DULL_LENGTH_MAX:
                    dull.add(word)

    def _is_heart_rate(self, found: Figure) -> bool:
        """`T 104.5 HR 180`: not hours."""
        words, end = self.words, found.end
        if end >= len(words) or not "0" <= words[end][0] <= "9":
            return False
        ahead = words[max(0, found.start - 2) : found.start]
        return self._said(end - 1, end) == "HR" or any(VITALS.get(word) == "temperature" for word in ahead)

    def _capital(self, term: Term, place: int, end: int) -> bool:
        """`MN` and `FI` count in capitals, or beside an age, a breed or a species."""
        if term.kind != "sex":
            return False
        if self._said(place, place + 1).isupper():
            return True
        around = (*self.words[max(0, place - 2) : place], *self.words[end : end + 2])
        return any(word in _UNITS and _UNITS[word][1] in ("time", "age") for word in around)

    def _sort(self, terms: list[Term], place: int, end: int) -> None:
        substances = []
        words = self.words
        for term in terms:
            kind = term.kind
            if kind in ("drug", "toxin", "product", "class"):
                if end - place == 1 and words[place] in NAMES_TOO and self._is_called(place):
                    continue
                own = end - place > 1 or words[place] not in ORDINARY or words[place] in self.records.drugs
                if kind != "drug" or own or self._is_brand(place, end):
                    substances.append(term)
            elif kind in ("species", "breed"):
                if self._is_animal(term, place, end):
                    self.animals.append((place, end, term))
            elif kind == "verb":
                if words[place] == "mange" and not speaks_another_language(words):
                    continue  # the mites, not the French meal
                if words[place] == "on" and words[end : end + 1] == ["a"] and speaks_another_language(words):
                    continue  # French for `we have`, not what somebody takes
                self.verbs.append((place, end, term.value))
            elif kind == "analyte":
                self.measured.append((place, end, term.value))
            elif kind == "vital":
                self.vital_words.append((place, end, term.value))
            elif kind in ("route", "frequency"):
                self.directions.append((place, end, term))
            else:
                self.details.append((place, end, term))
        if substances:
            self.substances.append((place, end, substances))

    def _is_called(self, place: int) -> bool:
        """Whether a short name of a drug is the animal's: `Ace ate`, `my dog Theo`, but not `Dex 0.2 mg/kg`."""
        following = self.words[place + 1] if place + 1 < len(self.words) else ""
        dosed = "0" <= following[:1] <= "9" or following in _NAME_OF_DRUG
        return self._said(place, place + 1).istitle() and not dosed

    def _is_brand(self, place: int, end: int) -> bool:
        """A trade name that is an ordinary word too (`Revolution`): written as a name, or given."""
        following = self.words[end : end + 4]
        if self.words[place] in DAYS:
            return not self._said(place, end)[1:].islower() and not self._said(place, end).isupper()
        if not self._said(place, end).islower() or (
            following[:1] in (["for"], ["on"]) and any(self._is_named(word) for word in following[1:])
        ):
            return True
        return any(VERBS.get(word) in ("gave", "give", "take") for word in self.words[max(0, place - 3) : place])

    def _is_named(self, word: str) -> bool:
        """Whether a single word names a species."""
        return any(term.kind == "species" for term in self.known.root.get(word, {}).get("", ()))

    def _is_animal(self, term: Term, place: int, end: int) -> bool:
        words = self.words
        following = words[end] if end < len(words) else ""
        if following in _THINGS or (term.kind == "breed" and end == place + 1 and words[place] in self.names):
            return False
        if self._is_eaten(term, place, end):
            return False
        if term.kind == "breed" and end == place + 1 and words[place] in COMMON_BREED_WORDS:
            if words[place] in BREEDS_CALLED and self._is_called_so(term, place, end):
                return False
            if following in _LAB_WORDS:
                return False
            before = words[place - 1] if place else ""
            listed = before in (",", ".", "(", ";", "\n")
            if listed and ("0" <= following[:1] <= "9" or self._said(place, end).istitle()):
                return "0" <= following[:1] <= "9" or following in ("", ",", ".", ")", ";", "\n")
            if before in _BREED_LEADS or before in _UNITS or self._next_is_animal(end) or before == "":
                return not (before == "a" and words[place - 2 : place - 1] in (["to"], ["from"]))
            return False
        return True

    def _is_owner_of(self, place: int, end: int) -> bool:
        """`ate the cats prednisolone`, `paste meant for cattle`: whose medicine it is, not who is ill."""
        words = self.words
        ahead = [word for word in words[max(0, place - 4) : place] if word not in ("a", "the", "my", "our")]
        if ahead[-1:] == ["for"] and ahead[-2:-1] and ahead[-2] in _MEANT:
            return True
        if not self.animals or end >= len(words):
            return False
        whose = self._said(place, end).endswith("s") and words[end - 1].removesuffix("s") in self.known.root
        hit = meant(self.known, words, end) if whose and words[end] in self.known.root else None
        return hit is not None and any(term.kind in ("drug", "toxin", "product", "class") for term in hit[0])

    def _is_called_so(self, term: Term, place: int, end: int) -> bool:
        """`Rex, labrador 30 kg`, `Rex 12 kg and Luna 8 kg`: a name, where another kind or another name is beside it."""
        if not self._said(place, end).istitle():
            return False
        last = len(self.words) - 2
        if any(
            at != place and self.words[at + 1][0].isdigit() and self.words[at + 2] in _ROLL_UNITS
            and self.words[at] not in self.known.root and self._said(at, at + 1).istitle()
            for at in range(max(0, place - _NEARBY), min(last, end + _NEARBY))
        ):  # fmt: skip
            return True
        return any(
            other.kind in ("species", "breed") and (other.more if other.kind == "breed" else other.value) != term.more
            for at in range(max(0, place - _NEARBY), min(len(self.words), end + _NEARBY))
            if not place <= at < end
            and self.words[at] in self.known.root
            and self.sentences[at] == self.sentences[place]
            for other in (meant(self.known, self.words, at) or ((), 0))[0]
        )

    def _is_eaten(self, term: Term, place: int, end: int) -> bool:
        """Whether it is food, prey or whoever bit the patient: `chicken jerky`, `ate a rabbit`, `bitten by a dog`."""
        words = self.words
        following = words[end] if end < len(words) else ""
        ahead = words[place - 1] if place else ""
        species = str(term.more if term.kind == "breed" else term.value)
        own = ahead in ("my", "our") or self._said(place, end).endswith(("'s", "\u2019s"))
        if following in _FOODS and not own and (following != "bite" or species == "snake" or self.animals):
            return True
        if self._is_owner_of(place, end):
            return True
        at = place - 1
        while at >= max(0, place - _HELPINGS_MAX) and words[at] in _HELPINGS:
            at -= 1
        lead = words[at] if at >= 0 else ""
        if lead == "by" and at and words[at - 1] in _HURT_BY:
            return True
        if species in _NEVER_PREY and following not in _PARTS_EATEN:
            return False
        if following == "gefressen" and ahead in _HELPINGS:
            return True
        helped = words[at + 1 : place]
        if lead in _DEVOURED or (lead in _CAUGHT and helped and self.animals):
            return True
        if lead in _FED and words[place] in _MEATS and _ARTICLES.isdisjoint(helped) and "the" not in helped:
            return True
        if following in _PARTS_EATEN and not _EATING.isdisjoint(words[max(0, place - _NEARBY) : place]):
            return ahead not in ("my", "our")
        return (
            words[place] in _MEATS and end == place + 1 and ahead not in _ITS_OWN
            and not ("0" <= ahead[:1] <= "9" or "0" <= following[:1] <= "9" or ahead in _UNITS)
            and ("my" in self.bag or "our" in self.bag)
            and not _EATERS.isdisjoint(self.bag)
        )  # fmt: skip

    def _next_is_animal(self, end: int) -> bool:
        if end >= len(self.words):
            return False
        hit = meant(self.known, self.words, end)
        return hit is not None and any(term.kind in ("species", "breed", "sex") for term in hit[0])

    # -- animals ----------------------------------------------------------------------------------------------------

    def _animals(self) -> None:
        """One draft an animal: mentions of one species are the same animal unless the text says `other`."""
        words = self.words
        grouped: dict[tuple[int, int], list[Term]] = {}
        for place, end, term in self.animals:
            grouped.setdefault((place, end), []).append(term)
        for (place, end), terms in grouped.items():
            named = {term.more if term.kind == "breed" else term.value for term in terms}
            if len(named) > 1:
                settled = [draft.facts.get("species") for draft in self.drafts if draft.facts.get("species") in named]
                following = bisect_left(self.animals, end, key=_first)
                later = {
                    other.more if other.kind == "breed" else other.value
                    for start, _, other in self.animals[following : following + _NEARBY]
                    if self.sentences[start] == self.sentences[place]
                }
                pick = settled[-1:] or sorted(named & later)[:1]
                if not pick:
                    self._need(
                        "species",
                        f"'{self._said(place, end)}' may be {_or(sorted(str(name) for name in named))}",
                        f"Which species is it: {_or(sorted(str(name) for name in named))}?",
                        place,
                        end,
                    )
                    continue
                terms = [term for term in terms if (term.more if term.kind == "breed" else term.value) == pick[0]]
            term = terms[0]
            species = str(term.more if term.kind == "breed" else term.value)
            breed = term.value if term.kind == "breed" else None
            before = words[max(0, place - 2) : place]
            other = any(word in ("other", "another", "second", "otro", "otra", "autre", "anderer") for word in before)
            other = other or "mine" in words[max(0, place - 5) : place]
            name = self._name_at(place, end)
            owner = None if other else self._same_animal(species, breed, place, name)
            if owner is None:
                owner = len(self.drafts)
                self.drafts.append(_Draft([], {"species": species}, {"species": (place, end)}))
            draft = self.drafts[owner]
            draft.mentions.append((place, end))
            self.owners.append((place, end, owner))
            self.owner_starts.append(place)
            if breed is not None and draft.facts.get("breed") is None:
                draft.facts["breed"] = breed
                draft.places["breed"] = (place, end)
            if term.kind == "species":
                sex, neutered, juvenile = term.more
                kept_for = next((name for name in self.records.species[species].production_classes
                                 if end - place > 1 and name in words[place:end]), None)  # fmt: skip
                for key, value in (
                    ("sex", sex), ("neutered", neutered), ("juvenile", juvenile or None), ("production_class", kept_for)
                ):  # fmt: skip
                    if value is not None:
                        draft.facts.setdefault(key, value)
                        draft.places.setdefault(key, (place, end))
                if words[end - 1].endswith("s") and not any(word in ("my", "our") for word in before):
                    draft.several = draft.several or len(draft.mentions) == 1
                elif draft.several:
                    draft.several = False
            if name is not None and "name" not in draft.facts:
                draft.facts["name"] = self._said(name, name + 1)
                draft.places["name"] = (name, name + 1)

    def _same_animal(self, species: str, breed: str | None, place: int, name: int | None) -> int | None:
        called = None if name is None else self._said(name, name + 1)
        for owner in range(len(self.drafts) - 1, max(-1, len(self.drafts) - 1 - _NEARBY), -1):
            draft = self.drafts[owner]
            if draft.facts.get("species") == species:
                if called is not None and draft.facts.get("name", called) != called:
                    continue
                theirs = draft.facts.get("breed")
                if breed is None or theirs is None or theirs == breed:
                    return owner
                if draft.mentions[-1][1] == place:  # `Labrador Poodle cross`: one animal of two names
                    return owner
        return None

    def _name_at(self, place: int, end: int) -> int | None:
        """Where a name stands behind an animal: `my dog Rex`, `a cat called Luna`."""
        words = self.words
        if end < len(words) and words[end] in ("named", "called"):
            end += 1
        elif not any(word in ("my", "our", "the") for word in words[max(0, place - 4) : place]) and not (
            words[place - 1 : place] == ["and"] and any("name" in draft.facts for draft in self.drafts)
        ):
            return None
        if end >= len(words):
            return None
        said = self._said(end, end + 1)
        known = self.known.root.get(words[end]) is not None and words[end] not in COMMON_BREED_WORDS
        return end if said[:1].isupper() and not said.isupper() and said.isalpha() and not known else None

    def _roll(self) -> None:
        """`Milo 4 kg and Otis 6 kg`: two names, each with a weight, are two animals of the kind that is spoken of."""
        named = [(name, found) for found in self.figures if (name := self._named_before(found)) is not None]
        if len({self.words[name] for name, _ in named}) < 2:
            return
        for name, found in named:
            said = self._said(name, name + 1)
            owner = self._rolled_draft(said, name, found)
            if owner is None:
                continue
            draft = self.drafts[owner]
            draft.several = False
            if "weight" not in draft.facts:
                draft.facts |= {"name": said, "weight": (found.value, found.unit)}
                draft.places |= {"name": (name, name + 1), "weight": (found.start, found.end)}
                self.rolled |= {name, found.start}
                self.names[self.words[name]] = said, draft.facts.get("species")

    def _rolled_draft(self, said: str, name: int, found: Figure) -> int | None:
        """The animal of that name: the one that has it, the nameless one beside, or one more of the kind spoken of."""
        drafts = self.drafts
        known = next((at for at, draft in enumerate(drafts) if draft.facts.get("name") == said), None)
        if known is not None:
            return known
        beside = bisect_left(self.owner_starts, found.end)
        if self.owner_starts[beside : beside + 1] == [found.end]:
            owner = self.owners[beside][2]
            if "name" not in drafts[owner].facts:
                return owner  # `Max 12 kg dog, Luna 4 kg cat`
        kind = 0 if drafts else None
        if len({draft.facts.get("species") for draft in drafts}) > 1:
            ahead = bisect_left(self.owner_starts, name) - 1
            if ahead < 0 or self.sentences[self.owner_starts[ahead]] != self.sentences[name]:
                return None
            kind = self.owners[ahead][2]
        if kind is not None and "name" not in drafts[kind].facts:
            return kind
        shared = ("species", "breed") if kind is not None else ()
        of = drafts[kind] if kind is not None else _Draft([], {}, {})
        facts = {key: of.facts[key] for key in shared if key in of.facts}
        drafts.append(_Draft([], facts, {key: of.places[key] for key in facts}))
        return len(drafts) - 1

    def _named_before(self, found: Figure) -> int | None:
        """Where the name stands that a weight follows: `Milo 4 kg`, `Bella (30 kg)`, `Max is 5 kg`."""
        if found.unit not in _ROLL_UNITS or found.per or found.top != found.value:
            return None
        place = found.start - 1
        while place >= 0 and self.words[place] in _ROLL_JOINTS:
            place -= 1
        if place < 0 or (self.words[place] in self.known.root and self.words[place] not in COMMON_BREED_WORDS):
            return None
        said = self._said(place, place + 1)
        named = said[:1].isupper() and not said.isupper() and said.isalpha() and self.words[place] not in _NO_NAMES
        return place if named else None

    def _called(self) -> None:
        """The animals whose names are known already, wherever the text calls them."""
        words = self.words
        for place, word in enumerate(words):
            if word not in self.names or (word in self.known.root and self._said(place, place + 1).islower()):
                continue
            name, species = self.names[word]
            owner = next((at for at, draft in enumerate(self.drafts) if draft.facts.get("name") == name), None)
            beside = bisect_left(self.owner_starts, place)
            if owner is None and beside and self.owners[beside - 1][1] == place:
                owner = self.owners[beside - 1][2]
                owner = owner if "name" not in self.drafts[owner].facts else None
            if owner is None:
                owner = len(self.drafts)
                self.drafts.append(_Draft([], {"species": species} if species else {}, {}))
            draft = self.drafts[owner]
            draft.facts.setdefault("name", name)
            draft.places.setdefault("name", (place, place + 1))
            draft.mentions.append((place, place + 1))
            self.owners.insert(beside, (place, place + 1, owner))
            self.owner_starts.insert(beside, place)

    def _said(self, place: int, end: int) -> str:
        start, stop = self.places.span(place, end)
        return self.text[start:stop]

    def _need(self, name: str, why: str, ask: str, place: int, end: int) -> None:
        if len(self.needs) < _NEEDS_MAX:
            self.needs.append({"field": name, "why": why, "ask": ask, "span": list(self.span(place, end))})

    def _whose(self, place: int, end: int) -> int | None:
        """The animal that a detail at `place` belongs to: the noun right after it, else the one before it."""
        words, sentence = self.words, self.sentences[place]
        following = bisect_left(self.owner_starts, end)
        if following and words[place - 1] in _BEHIND and self.owners[following - 1][1] == place - 1:
            return self.owners[following - 1][2]  # `cat is 8 pounds dog 40`, `gata de 3 kilos`
        if following < len(self.owners):
            start, _, owner = self.owners[following]
            if start - end <= 4 and self.sentences[start] == sentence and not _apart(words[end:start]):
                return owner
        if following:
            return self.owners[following - 1][2]
        return self.owners[0][2] if self.owners else None

    def _note(self, key: str, value: Any, place: int, end: int) -> None:
        owner = self._whose(place, end)
        if owner is None:
            if not self.drafts:
                self.drafts.append(_Draft([], {}, {}))
            owner = 0
        draft = self.drafts[owner]
        known = draft.facts.get(key)
        if known is None:
            draft.facts[key] = value
            draft.places[key] = (place, end)
        elif key == "conditions":
            draft.facts[key] = (*known, *(name for name in value if name not in known))
        elif key == "weight" and not _alike(known, value):
            first, second = f"{known[0]} {known[1]}", f"{value[0]} {value[1]}"
            self._need(
                "weight", f"two weights are given: {first} and {second}", "Which weight is right now?", place, end
            )
            draft.facts[key] = ()

    def _attributes(self) -> None:
        """Weights, ages, sexes and states, each to its animal."""
        taken = {start for start, _, _ in self.measured}
        for found in self.figures:
            if found.start in taken or found.start in self.rolled:
                continue
            if found.dimension == "mass" and not found.per and self._is_weight(found):
                if found.top != found.value:
                    self._need(
                        "weight",
                        f"the weight is given as {found.value} to {found.top} {found.unit}",
                        "What does the animal weigh exactly?",
                        found.start,
                        found.end,
                    )
                else:
                    self._note("weight", (found.value, found.unit), found.start, found.end)
            elif found.dimension in ("time", "age") and self._is_age(found):
                self._note("age", (found.value, found.unit), found.start, found.end)
        if len(self.drafts) == 1 and "sex" not in self.drafts[0].facts:
            self._pronoun()
        for place, end, term in self.details:
            if term.kind == "sex":
                sex, neutered = term.more
                denied = self._denied(place, end)
                if neutered is not None:
                    self._note("neutered", not neutered if denied else neutered, place, end)
                if sex is not None and not (denied and neutered is None):
                    self._note("sex", sex, place, end)
            elif term.kind == "state":
                self._note(term.value, not self._denied(place, end), place, end)
            elif term.kind == "condition" and not self._denied(place, end) and not self._is_prevented(end):
                self._note("conditions", (term.value,), place, end)
            elif term.kind == "production":
                owner = self._whose(place, end)
                if owner is not None and self.drafts[owner].facts.get("species") == term.more:
                    self._note("production_class", term.value, place, end)

    def _is_prevented(self, end: int) -> bool:
        """`heartworm prevention`, `parvo vaccine`, `heartworm negative`: the animal doesn't have it."""
        return end < len(self.words) and self.words[end] in _PREVENTED

    def _pronoun(self) -> None:
        """`she isn't on any medication`: the sex of the only animal, where nobody else is spoken of."""
        words = self.words
        said = {sex for sex, marks in _PRONOUNS.items() if not marks.isdisjoint(self.bag)}
        draft = self.drafts[0]
        if len(said) != 1 or not draft.mentions or not _HUMAN.isdisjoint(self.bag) or draft.several:
            return
        sex = said.pop()
        if any(term.kind == "sex" and term.more[0] not in (None, sex) for _, _, term in self.details):
            return
        place = next(place for place, word in enumerate(words) if word in _PRONOUNS[sex])
        draft.facts["sex"] = sex
        draft.places["sex"] = (place, place + 1)

    def _is_weight(self, found: Figure) -> bool:
        words, place, end = self.words, found.start, found.end
        if found.unit in ("mg", "ug", "gr") or found.start in self.claimed:
            return False
        lead = words[max(0, place - 4) : place]
        if lead and VERBS.get(lead[-1]) == "ate":
            return False
        if lead[-2:] in (["i", "weigh"], ["i", "weighed"]) or ("weighs" in lead and not _HUMAN.isdisjoint(lead)):
            return False
        following = words[end] if end < len(words) else ""
        if following == "of" and words[end + 1 : end + 2] not in (["body"], ["bodyweight"]):
            return False
        if following in _NOT_AN_ANIMAL or (words[max(0, place - 1)] == "for" and following in ("dogs", "cats")):
            return False
        if not _CHANGED.isdisjoint(words[max(0, place - 3) : place]) or words[max(0, place - 1)] == "/":
            return False
        if found.unit in ("g", "oz"):
            cued = not _WEIGHT_CUES.isdisjoint(words[max(0, place - 3) : place])
            sentence = self.sentences[place]
            owner = bisect_left(self.owner_starts, end)
            start = self.owner_starts[owner] if owner < len(self.owner_starts) else len(words) + 9
            ahead = start <= end + 3 and self.sentences[start] == sentence and not _apart(words[end:start])
            ahead = ahead and self._can_weigh(found, owner)
            beside = cued or ahead or (following not in _THINGS and self._follows_animal(found))
            return beside or (found.unit == "g" and found.value >= _NO_DOSE_G and self._can_only_weigh(found))
        return True

    def _can_only_weigh(self, found: Figure) -> bool:
        """`chinchilla clindamycin abscess 600g`: one animal without a weight, and nothing was eaten."""
        eaten = any(term.kind in ("toxin", "product") for _, _, terms in self.substances for term in terms)
        if len(self.drafts) != 1 or eaten or not self.substances or "weight" in self.drafts[0].facts:
            return False
        return bool(self.owners) and self._can_weigh(found, 0)

    def _is_age(self, found: Figure) -> bool:
        if found.dimension == "age":
            return True
        if found.unit not in ("year", "month", "week", "day") or found.top != found.value:
            return False
        words, place, end = self.words, found.start, found.end
        following = words[end] if end < len(words) else ""
        before = words[place - 1] if place else ""
        if following == "old" or words[end : end + 2] == ["of", "age"] or before in ("age", "aged"):
            return True
        if before == ":" and place > 1 and words[place - 2] == "age":
            return True
        if following in _AGO or before in _NOT_AGE:
            return False
        if (self._right_behind(place) or before in SEXES) and following not in _DURATIONS:
            return True
        if found.unit in ("day", "week"):
            return False
        if self._next_is_animal(end):
            return True
        if before in ("is", "hes", "she's", "he's", "just", "almost", "nearly", "about", "tiene", "a", "hat", "tem"):
            return following in ("", ".", ",", "and", ")", "\n", "neutered", "de", "d", "ans")
        return before in (",", "(", "") and following in (",", ")", ".", "\n", "")

    def _right_behind(self, place: int) -> bool:
        """Whether an animal stands right before, or only a weight between: `pup 12 weeks`, `kitten 3.2 kg 10 wks`."""
        before = next((one for one in reversed(self.figures) if one.end == place), None)
        if before is not None and before.dimension == "mass":
            place = before.start
        place -= 1 if place and self.words[place - 1] in (",", "(") else 0
        at = bisect_left(self.owner_starts, place)
        return bool(at) and self.owners[at - 1][1] == place

    def _animal(self, draft: _Draft) -> Animal:
        facts = {key: value for key, value in draft.facts.items() if value != ()}
        spans = {key: self.span(*place) for key, place in draft.places.items() if key in facts}
        return Animal(**facts, several=draft.several, spans=spans)

    # -- denial and verbs -------------------------------------------------------------------------------------------

    def _denied(self, start: int, end: int) -> bool:
        """Whether a `no`, `not` or `without` reaches what stands from `start` to `end`."""
        words = self.words
        sentence = self.sentences[start]
        comma = False
        place = start - 1
        while place >= 0 and start - place <= 8 and self.sentences[place] == sentence:
            word = words[place]
            if word in NEGATORS and not self._is_within_name(place):
                following = words[place + 1]
                if following in _NOT_REALLY:
                    return False
                return not comma or self._listed(end)
            if word == ",":
                comma = True
            elif word in _BREAKERS or word in ("and", "&"):
                return False
            place -= 1
        rest = words[end : end + 2]
        if rest and (
            rest[0] in ("none", "absent", "denied") or (rest[0] in (":", "=") and rest[1:] in (["no"], ["none"]))
        ):
            return True
        return rest in (["is", "absent"], ["was", "denied"], ["ruled", "out"], ["not", "present"], ["not", "seen"])

    def _is_within_name(self, place: int) -> bool:
        """Whether a negator denies nothing: the `sin` of `chicle sin azúcar`, the `no` of `no quintal`."""
        if self.words[place] == "no" and in_portuguese(self.words):
            return True
        return any(first <= place < last for first, last, _ in self.substances)

    def _is_temperature(self, row: tuple[int, int, str]) -> bool:
        """A lone `T 36.8` or `T: 103.5`."""
        start = row[1] + 1 if self.words[row[1] : row[1] + 1] in ([":"], ["="]) else row[1]
        value = _decimal(self.words[start]) if start < len(self.words) and self.words[start][0].isdecimal() else None
        return row[2] == "temperature" and value is not None and (30 <= value <= 44 or 92 <= value <= 111)

    def _past(self, start: int, end: int) -> bool:
        """Whether the part of the sentence from `start` to `end` tells of years ago: `had a seizure last year`.

        Never where the sentence also speaks of now, so that nothing urgent is taken for history.
        """
        words, sentence = self.words, self.sentences[start]
        first, last = start, end
        while first and start - first < _REACH and self.sentences[first - 1] == sentence:
            first -= 1
        while last < len(words) and last - end < _REACH and self.sentences[last] == sentence:
            last += 1
        if any(
            word in _NOW and not (word == "now" and words[at + 1 : at + 2] and words[at + 1] in _WANTS)
            for at, word in enumerate(words[first:last], first)
        ):
            return False
        if self._long_ago(first, start, last):
            return True
        while first < start and not _BREAKERS.isdisjoint(words[first : start - 1]):
            first += 1
        behind = words[end : min(last, end + 8)]
        cut = next((place for place, word in enumerate(behind) if word in ("but", "and", ";", "so")), len(behind))
        behind, before = behind[:cut], words[first:start]
        if "last" in behind and behind[behind.index("last") + 1 : behind.index("last") + 2] == ["year"]:
            return True
        if not {"years", "year"}.isdisjoint(behind) and not _AGO.isdisjoint(behind):
            return "since" not in behind and "for" not in behind
        if any(len(word) == 4 and word[:2] in ("19", "20") and word.isdigit() for word in behind) and "in" in behind:
            return True
        if before[-2:] == ["history", "of"] or "previously" in before or before[-2:] == ["used", "to"]:
            return True
        return behind[:2] == ["as", "a"] and bool({"puppy", "kitten", "foal", "pup", "baby"} & set(behind[2:3]))

    def _long_ago(self, first: int, start: int, last: int) -> bool:
        """`hace un año se comió...`: between two commas, where nothing there speaks of now."""
        words = self.words
        first = max((at + 1 for at in range(first, start) if words[at] in _COMMAS), default=first)
        last = next((at for at in range(start, last) if words[at] in _COMMAS), last)
        clause = f" {' '.join(words[first:last])} "
        return any(phrase in clause for phrase in _LONG_AGO) and _NOW_ABROAD.isdisjoint(words[first:last])

    def _listed(self, end: int) -> bool:
        """`no vomiting, diarrhoea or blood`: an `or` follows, or precedes, within the sentence."""
        words, sentence = self.words, self.sentences[end - 1]
        for place in range(max(0, end - 3), min(len(words), end + 6)):
            if self.sentences[place] != sentence or (place >= end and words[place] in _BREAKERS):
                continue
            if words[place] in ("or", "nor"):
                return True
        return False

    def _verb(self, mention: _Mention) -> tuple[str, bool, bool]:
        """The verb that rules a substance: its kind, whether it is denied, whether it is asked."""
        sentence = self.sentences[mention.start]
        best: tuple[int, int, str] | None = None
        low = bisect_left(self.verbs, mention.start - _REACH, key=_first)
        high = bisect_right(self.verbs, mention.start + _REACH, key=_first)
        for place, end, kind in self.verbs[low:high]:
            if self.sentences[place] != sentence:
                continue
            if kind == "dose?":
                if place and self.words[place - 1] in _OVERDOSED:
                    continue
                if 0 <= mention.start - end <= _ASK_REACH or self._is_formed(mention.end, place):
                    best = (place, end, "ask")
            elif kind == "take" and end == mention.start and self.words[place] in _ON:
                best = (place, end, kind)  # `mirtazapine dose, on amlodipine`
            elif best is not None and best[2] == "ask":
                continue
            elif place < mention.start:
                if self.words[place] in _HAD_BY and (
                    mention.start - end > _HAD_REACH or self.words[mention.start - 1] in ("is", "are")
                ):
                    continue  # `has a rash, is ivermectin ok`
                if best is None or not _weaker(kind, best[2]) or _turns(self.words[best[1] : place]):
                    best = (place, end, kind)
            elif best is None and not self._rules_another(end, mention):
                best = (place, end, kind)
        words = self.words
        first = place = mention.start
        while place > max(0, first - _REACH) and self.sentences[place - 1] == sentence:
            place -= 1
        last = mention.end
        until = min(len(words) - 1, last + _REACH)
        while last < until and self.sentences[last] == sentence and words[last] not in _ENDS:
            last += 1
        question = words[min(last, len(words) - 1)] in ("?", "\uff1f")
        modal = not _MODALS.isdisjoint(words[place:first])
        if words[max(0, first - 1) : first] in (["is"], ["are"]) and not _MODALS.isdisjoint(
            words[mention.end : mention.end + 2]
        ):
            modal = True  # `is Nexgard ok`
        meant_now = best is not None and best[2] == "take" and not words[best[0]].startswith("med")
        if meant_now and best is not None and words[best[0]] not in _BARE:
            question = modal = False  # `is on prednisolone`, also within a question
        if best is None and first and words[first - 1] in ("after", "following", "since"):
            return "gave", False, False
        if best is None:
            return "", self._denied(mention.start, mention.end), question or modal
        if best[2] == "eat" and best[0] >= mention.end and words[best[0] - 1] in _MODALS:
            modal = True  # `uvas, qué puede comer`
        denied = self._denied(best[0], best[1]) or (
            best[0] < mention.start and self._denied(mention.start, mention.end)
        )
        return best[2], denied, modal or question

    def _is_formed(self, end: int, place: int) -> bool:
        """Whether between a drug and `dose` stands nothing, or its form or route: `mirtazapine transdermal dose`."""
        return end <= place <= end + 2 and _FORMS.issuperset(self.words[end:place])

    def _rules_another(self, end: int, mention: _Mention) -> bool:
        """Whether the verb that ends at `end` has an object of its own: `zonisamide in a dog on phenobarbital`."""
        return any(end <= start <= end + 2 and start != mention.start for start, _, _ in self.substances)

    # -- substances -------------------------------------------------------------------------------------------------

    claimed: frozenset[int] = frozenset()
    all_ate = False

    def _mentions(self) -> list[_Mention]:
        """Substances with the figures, routes and times that stand beside them."""
        found: list[_Mention] = []
        loose: list[tuple[int, int, Term]] = []
        for place, end, terms in self.substances:
            if self.words[place] == "chocolate" and self._is_coat(end):
                continue
            mention = _Mention(place, end)
            drugs = dict.fromkeys(term.value for term in terms if term.kind == "drug")
            mention.drugs = tuple(drugs)
            for term in terms:
                if term.kind == "class" and not drugs:
                    mention.drug_class = term.value
                elif term.kind == "toxin":
                    mention.toxin = mention.toxin or term.value
                elif term.kind == "product":
                    if term.more[1]:
                        mention.toxin, mention.product = mention.toxin or term.value, mention.product or term.more[0]
                    else:
                        loose.append((place, end, term))
            if mention.drugs or mention.drug_class or mention.toxin:
                before = found[-1] if found else None
                if before is not None and self._continues(before, mention):
                    before.end = mention.end
                    before.drugs = before.drugs or mention.drugs
                    before.toxin = before.toxin or mention.toxin
                    before.product = before.product or mention.product
                    continue
                found.append(mention)
        for place, end, term in loose:
            middle = bisect_left(found, place, key=_begin)
            for mention in found[max(0, middle - 2) : middle + 2]:
                near = (
                    mention.start - 3 <= end <= mention.end + 8
                    and self.sentences[place] == self.sentences[mention.start]
                )
                if mention.toxin == term.value and mention.product is None and near:
                    mention.product = term.more[0]
        if not any(mention.toxin for mention in found):
            found += self._bars()
        self._claim(found)
        return found

    def _is_coat(self, end: int) -> bool:
        """`chocolate brown burmese`, `chocolate point`: a colour, no food."""
        return self.words[end : end + 1] != [] and self.words[end] in _COATS

    def _bars(self) -> list[_Mention]:
        """`half a bar of 70 %` is chocolate without the word."""
        if "chocolate" not in self.records.toxins:
            return []
        words = self.words
        return [
            _Mention(one.start, one.end, toxin="chocolate", product=f"{units.number(one.value)} %")
            for one in self.figures
            if one.dimension == "percent" and one.start > 1 and words[one.start - 1] == "of"
            and words[one.start - 2] in ("bar", "bars", "square", "squares")
        ]  # fmt: skip

    def _continues(self, before: _Mention, mention: _Mention) -> bool:
        """`carprofen (Rimadyl)`, `dark chocolate`: one substance under two names."""
        if mention.start - before.end > 1 or self.sentences[before.start] != self.sentences[mention.start]:
            return False
        if any(word not in ("(", ",", "or", "/") for word in self.words[before.end : mention.start]):
            return False
        same_drug = bool(before.drugs) and set(before.drugs) == set(mention.drugs)
        return same_drug or (before.toxin is not None and before.toxin == mention.toxin)

    def _claim(self, mentions: list[_Mention]) -> None:
        """Give each figure to the substance it stands beside: right before it, else after it up to the next."""
        words = self.words
        taken: set[int] = {start for start, _, _ in self.measured}
        usable = [
            found
            for found in self.figures
            if found.start not in taken
            and found.dimension not in ("time", "age")
            and not self._is_own_weight(found, mentions)
        ]
        places = [found.start for found in usable]
        masses = [one for one in self.figures if one.dimension == "mass" and one.unit in ("kg", "lb") and not one.per]
        for mention in mentions:
            end = mention.start
            at = bisect_left(places, end)
            for found in reversed(usable[max(0, at - 4) : at]):
                if found.end > end or found.start in taken:
                    continue
                gap = words[found.end : end]
                if len(gap) > _GAP_MAX or self.sentences[found.start] != self.sentences[mention.start] or _apart(gap):
                    break
                if any(VERBS.get(word) in ("ate", "eat", "gave", "give") for word in gap):
                    break
                if _weighs(found, mention) or (
                    found.unit in ("kg", "lb", "st") and not found.per and "of" not in gap and gap
                ):
                    break
                mention.figures.insert(0, found)
                taken.add(found.start)
                end = found.start
        for index, mention in enumerate(mentions):
            limit = mentions[index + 1].start if index + 1 < len(mentions) else len(words)
            before = bool(mention.figures)
            reach = mention.end + 12
            first = bisect_left(places, mention.end)
            for found in usable[first : first + _NEARBY]:
                if found.start in taken:
                    continue
                if (
                    found.start >= limit
                    or found.start > reach
                    or self.sentences[found.start] != self.sentences[mention.start]
                ):
                    break
                gap = words[mention.end : found.start]
                if found.dimension == "" and gap in (["de"], ["von"], ["a"]) and found.value >= _STRENGTH_MIN:
                    found = found._replace(unit="mg", dimension="mass")  # `ibuprofenos de 600`
                    mention.figures.append(found)
                    taken.add(found.start)
                    continue
                strength = found.per[:1] in (("mL",), ("tablet",))
                aside = found.dimension in ("piece", "percent") and words[found.start - 1] not in (",", "and")
                counted = not any(one.dimension in ("mass", "activity") for one in mention.figures) and (
                    found.start == mention.end or words[mention.end : found.start] in (["bar"], ["("], ["bar", "("])
                )
                sold = found.start == mention.end and any(one.dimension == "volume" for one in mention.figures)
                tablets = any(one.dimension == "piece" and one.unit in ("tablet", "capsule") for one in mention.figures)
                if before and counted and tablets and found.dimension == "" and found.value >= _STRENGTH_MIN:
                    found = found._replace(unit="mg", dimension="mass")  # `one tablet of ibuprofen 600`
                beside = strength or aside or (counted and found.dimension in ("mass", "activity"))
                if before and not beside and not (sold and found.dimension == ""):
                    continue
                if found.dimension == "mass" and found.unit in ("kg", "lb", "st") and not found.per:
                    between = words[mention.end : found.start]
                    if mention.drugs or len(masses) < 2 or not between or not _ABOUT.issuperset(between):
                        continue
                if _weighs(found, mention):
                    continue
                if found.dimension == "" and words[found.end : found.end + 2] in (["of", "them"], ["of", "those"]):
                    found = found._replace(unit="tablet", dimension="piece")
                elif found.dimension == "" and not self._is_tail(found, mention):
                    continue
                mention.figures.append(found)
                taken.add(found.start)
                reach = found.end + 8
            self._direct(mention, min(limit, len(words)))
        if len([one for one in mentions if one.drugs]) == 1:
            self._claim_strength(next(one for one in mentions if one.drugs), usable, taken)
        self.claimed = frozenset(taken)

    def _claim_strength(self, mention: _Mention, usable: list[Figure], taken: set[int]) -> None:
        """What is at hand, told apart from the only drug: `Cerenia for a cat? 10 mg/mL`, `have 100 mg caps`."""
        if any(one.per[:1] in (("mL",), ("tablet",)) for one in mention.figures):
            return
        for found in usable:
            if found.start in taken or found.dimension not in ("mass", "activity") or found.unit in ("kg", "lb", "st"):
                continue
            following = self.words[found.end] if found.end < len(self.words) else ""
            tablets = not found.per and _UNITS.get(following, ("", ""))[0] in ("tablet", "capsule")
            if found.per == ("mL",) or tablets:
                mention.figures.append(found._replace(per=("tablet",)) if tablets else found)
                taken.add(found.start)
                return

    def _is_own_weight(self, found: Figure, mentions: list[_Mention]) -> bool:
        """A mass that an animal stands right behind: `a 12 kg dog`."""
        if found.dimension != "mass" or found.per or found.unit in ("mg", "ug"):
            return False
        owner = bisect_left(self.owner_starts, found.end)
        if owner < len(self.owner_starts):
            start = self.owner_starts[owner]
            if start <= found.end + 3 and not _apart(self.words[found.end : start]) and self._can_weigh(found, owner):
                at = bisect_left(mentions, found.end, key=_begin)
                return not (at < len(mentions) and mentions[at].start < start)
        before = self.words[max(0, found.start - 3) : found.start]
        return self._follows_animal(found) or any(
            word in ("weighs", "weighing", "weighed", "weight", "pesa", "wiegt") for word in before
        )

    def _can_weigh(self, found: Figure, owner: int) -> bool:
        """Whether so many grams can be this animal: nobody's horse weighs 2 g."""
        species = self.drafts[self.owners[owner][2]].facts.get("species")
        if found.unit != "g" or species is None:
            return True
        return found.value >= self.records.species[species].weight_kg.min * 1000

    def _follows_animal(self, found: Figure) -> bool:
        """A mass right behind an animal that no mass stands in front of: `dog 12 kg`, `rabbit, 900 g`."""
        behind = bisect_left(self.owner_starts, found.start)
        if not behind:
            return False
        start, end, _ = self.owners[behind - 1]
        if any(word not in _BESIDE for word in self.words[end : found.start]):
            return False
        ahead = self.figures[
            bisect_left(self.figures, start - 10, key=_from) : bisect_left(self.figures, start, key=_from)
        ]
        return self._can_weigh(found, behind - 1) and not any(
            one.dimension == "mass" and start - 4 <= one.end and not _apart(self.words[one.end : start])
            for one in ahead
        )

    def _is_tail(self, found: Figure, mention: _Mention) -> bool:
        """A bare number right behind the name: `carprofen 50 BID`, `grapes x 5`."""
        return self.words[mention.end : found.start] in ([], ["x"], ["("], [":"], [","])

    def _direct(self, mention: _Mention, limit: int) -> None:
        """Route, frequency and how long ago, behind the substance or in front of it within the sentence."""
        sentence = self.sentences[mention.start]
        behind = bisect_left(self.directions, mention.end, key=_first)
        ahead = bisect_left(self.directions, mention.start - 4, key=_first)
        for place, end, term in (*self.directions[behind : behind + _NEARBY], *self.directions[ahead:behind]):
            if self.sentences[place] != sentence or place >= limit:
                continue
            if term.kind == "route" and mention.route is None and self._is_direction(place, end):
                mention.route = term.value or None
            elif term.kind == "frequency" and mention.interval_h is None and place >= mention.end:
                mention.frequency, mention.interval_h = _frequency(term)
        words = self.words
        for place in range(mention.end, min(limit, len(words))):
            if self.sentences[place] != sentence:
                break
            if words[place] in ("q", "every") and mention.interval_h is None and place + 1 < len(words):
                found = figure(words, place + 1)
                if found is not None and found.unit in ("h", "day", "week", "month"):
                    hours = {"h": 1, "day": 24, "week": 168, "month": 720}[found.unit]
                    mention.interval_h = (int(found.value * hours), int(found.top * hours))
                    mention.frequency = _every(mention.interval_h)
            elif words[place] == "od" and words[place - 1] in ("po", "mg", "tablet", "tab", "kg", "ml"):
                mention.frequency, mention.interval_h = "q24h", (24, 24)

    def _is_direction(self, place: int, end: int) -> bool:
        """Short routes are ordinary words too (`top`, `im`): in capitals, or behind a unit."""
        if end - place > 1 or len(self.words[place]) > 3:
            return True
        said = self._said(place, end)
        return said.isupper() or self.words[place - 1] in _UNITS or self.words[place - 1] in _PER or "." in said

    def _statements(self, mentions: list[_Mention]) -> tuple[tuple[Medication, ...], tuple[Exposure, ...]]:
        medications: list[Medication] = []
        exposures: list[Exposure] = []
        times = self._times()
        alone = len(times) == 1 and len({one.toxin for one in mentions if one.toxin}) == 1
        tells_of_past = not _PAST.isdisjoint(self.bag) or not _LONG_AGO_WORDS.isdisjoint(self.bag)
        self.all_ate = not _ALL_OF.isdisjoint(self.bag)
        choices = self._choices(mentions)
        treated = self._treated(mentions)
        words = self.words
        for place, mention in enumerate(mentions):
            kind, denied, asked = self._verb(mention)
            sentence = self.sentences[mention.start]
            hours = times.get(sentence)
            if hours is None and alone:
                hours = next(iter(times.values()))
            animals = self._eaters(mention)
            if place in treated:
                pass
            elif mention.drugs or mention.drug_class:
                status = _status(kind, denied, asked)
                choice = choices.get(place)
                for animal in animals:
                    made = self._medication(mention, status, animal)
                    medications.append(made if choice is None else replace(made, choice=choice))
            if mention.toxin is None and mention.drugs and kind == "ate" and not denied:
                mention.toxin = mention.drugs[0]
            if mention.toxin is not None:
                counted = any(words[one.start] not in _ONES_ABROAD for one in mention.figures)
                status = _happened(kind, denied, asked, counted)
                if status in ("asked", "mentioned") and (self._is_event(mention, hours) or place in treated):
                    status = "happened"
                if status == "happened" and tells_of_past and self._past(mention.start, mention.end):
                    status = "past"
                medicine = bool(mention.drugs)
                if place in treated or not medicine or kind in ("ate", "eat", "gave") or (asked and kind != "stopped"):
                    exposures += [self._exposure(mention, status, animal, hours) for animal in animals]
        return _merged_medications(medications), _merged_exposures(exposures)

    def _treated(self, mentions: list[_Mention]) -> frozenset[int]:
        """Poisons for which the dose of another drug is asked: `intralipid dose for permethrin`, by their places."""
        if len(mentions) < 2 or all(kind != "dose?" for _, _, kind in self.verbs):
            return frozenset()
        found = []
        given = {one.toxin for one in mentions if one.drugs}
        for place, mention in enumerate(mentions):
            others = given - {mention.toxin}
            ahead = self.words[max(0, mention.start - 1) : mention.start]
            if mention.toxin and others and (ahead in (["for"], ["against"]) or not mention.drugs):
                found.append(place)
        return frozenset(found)

    def _is_event(self, mention: _Mention, hours: Decimal | None) -> bool:
        """`lily exposure, 1 h ago` happened, whatever is asked of it behind."""
        words = self.words
        noun = bool(_EVENTS.intersection(words[mention.end : mention.end + 2])) or words[mention.end - 1] in _EVENTS
        noun = noun or words[max(0, mention.start - 2) : mention.start][:1] in (["exposure"], ["ingestion"])
        ahead = words[max(0, mention.start - 6) : mention.start]
        told = (noun or not mention.drugs) and ahead[-1:] not in (["if"], ["in"], ["without"], ["no"], ["against"])
        return told and (hours is not None or noun) and _SUPPOSED.isdisjoint(ahead)

    def _choices(self, mentions: list[_Mention]) -> dict[int, int]:
        """Drugs of which one is to be chosen, by their place: `carprofen or meloxicam`, `bute vs banamine`."""
        chosen: dict[int, int] = {}
        if _EITHER.isdisjoint(self.bag):
            return chosen
        for place in range(1, len(mentions)):
            before, mention = mentions[place - 1], mentions[place]
            between = self.words[before.end : mention.start]
            if (
                before.drugs and mention.drugs and before.drugs != mention.drugs
                and len(between) <= _CHOICE_GAP_MAX
                and self.sentences[before.start] == self.sentences[mention.start]
                and not _EITHER.isdisjoint(between) and "and" not in between
            ):  # fmt: skip
                chosen[place] = chosen.setdefault(place - 1, place - 1)
        return chosen

    def _eaters(self, mention: _Mention) -> list[int | None]:
        """Everyone who ate or gets it: `my dog and cat licked it` are two."""
        last = self._eater(mention)
        eaters: list[int | None] = [last]
        if last is not None and self.all_ate:
            sentence = self.sentences[mention.start]
            here = bisect_left(self.owner_starts, mention.start)
            near = self.owners[max(0, here - _NEARBY) : here]
            ahead = [row for row in near if self.sentences[row[0]] == sentence]
            if ahead and not _ALL_OF.isdisjoint(self.words[ahead[-1][1] : mention.start]):
                everyone: list[int | None] = [*dict.fromkeys(row[2] for row in ahead)]
                return everyone[-_NEARBY:]
        at = bisect_left(self.owner_starts, mention.start) - 1
        while last is not None and at > 0 and self.owners[at][2] == last:
            _, end, before = self.owners[at - 1]
            between = self.words[end : self.owners[at][0]]
            listed = "and" in between or {self.owners[at - 1][0], self.owners[at][0]} <= self.rolled
            if not listed or not self._is_joined(end, self.owners[at][0]) or before in eaters:
                break
            eaters.insert(0, before)
            last, at = before, at - 1
        return eaters

    def _is_joined(self, end: int, start: int) -> bool:
        """Whether two animals are named together: `bella 6 kg cat and rex 30 kg dog`."""
        words = self.words
        return all(
            word in _JOINED or "0" <= word[0] <= "9" or word in _UNITS or "0" <= words[place + 1][0] <= "9"
            for place, word in enumerate(words[end:start], end)
        )  # fmt: skip

    def _eater(self, mention: _Mention) -> int | None:
        """Who ate or gets it: the animal behind `gave`, else the one named last before, else the next one."""
        if not self.owners:
            return None
        sentence = self.sentences[mention.start]
        behind = bisect_left(self.owner_starts, mention.end)
        if behind < len(self.owners):
            start, _, owner = self.owners[behind]
            between = self.words[mention.end : start]
            meant = self.sentences[start] == sentence and len(between) <= _FOR_REACH and "for" in between
            if meant and not (bisect_left(self.owner_starts, mention.start) and self._ate_before(mention.start)):
                return owner  # unlike `the cat licked the spot-on meant for the dog`
        gave = next(
            (place for place, _, kind in reversed(self.verbs[: bisect_left(self.verbs, mention.start, key=_first)][-4:])
             if kind in ("gave", "give")),
            None,
        )  # fmt: skip
        if gave is not None and self.sentences[gave] == sentence:
            at = bisect_right(self.owner_starts, gave)
            if at < len(self.owners) and self.sentences[self.owner_starts[at]] == sentence:
                return self.owners[at][2]
        at = bisect_left(self.owner_starts, mention.start)
        while at > 1 and "not" in self.words[max(0, self.owners[at - 1][0] - 2) : self.owners[at - 1][0]]:
            at -= 1  # `the cat, not the dog, ate it`
        return self.owners[at - 1][2] if at else self.owners[0][2]

    def _ate_before(self, start: int) -> bool:
        """Whether somebody ate something in the same sentence before this word."""
        began = bisect_left(self.sentences, self.sentences[start])
        low, high = (bisect_left(self.verbs, word, key=_first) for word in (began, start))
        return any(kind == "ate" for _, _, kind in self.verbs[low:high])

    def _times(self) -> dict[int, Decimal]:
        """How long ago, per sentence: [h]."""
        found: dict[int, Decimal] = {}
        words = self.words
        for one in self.figures:
            if one.dimension != "time":
                continue
            following = words[one.end] if one.end < len(words) else ""
            before = words[one.start - 1] if one.start else ""
            if following in _AGO or before in ("hace", "vor") or words[max(0, one.start - 2) : one.start] == ["y", "a"]:
                factor = {"min": Decimal(1) / 60, "h": Decimal(1), "day": Decimal(24), "week": Decimal(168)}.get(
                    one.unit
                )
                if factor is not None:
                    found.setdefault(self.sentences[one.start], one.top * factor)
        for place in range(len(words) - 1):
            if words[place] == "just" and words[place + 1] in ("now", "ate", "eaten", "swallowed", "drank", "licked"):
                found.setdefault(self.sentences[place], Decimal(0))
        return found

    def _medication(self, mention: _Mention, status: str, animal: int | None) -> Medication:
        made = Medication(
            drugs=mention.drugs,
            drug_class=mention.drug_class,
            text=self._said(mention.start, mention.end),
            span=self._reach(mention),
            route=mention.route,
            frequency=mention.frequency,
            interval_h=mention.interval_h,
            status=status,
            animal=animal,
        )
        changes: dict[str, Any] = {}
        masses = [one for one in mention.figures if one.dimension in ("mass", "activity", "charge", "amount", "")]
        pieces = [one for one in mention.figures if one.dimension == "piece" and one.unit in ("tablet", "capsule")]
        for one in mention.figures:
            if one.dimension in ("mass", "activity", "percent") and one.per[:1] in (("mL",), ("tablet",), ("L",)):
                unit = (
                    one.unit + "/mL" if one.per[0] == "mL" else one.unit if one.per[0] == "tablet" else one.unit + "/L"
                )
                changes["strength"] = (one.value, unit)
            elif one.dimension == "percent":
                changes["strength"] = (one.value, "%")
            elif one.dimension == "volume":
                bag = self.words[one.end : one.end + 1] in (["bag"], ["bags"])
                if bag or (not one.per and self.words[max(0, one.start - 1)] in _PUT_INTO):
                    continue  # of the fluid that something is put into
                millilitres = units.convert(one.value, one.unit, "mL")
                if one.per:
                    changes |= {"amount": one.value, "amount_max": one.top, "unit": one.unit, "per": one.per}
                else:
                    changes["volume_ml"] = millilitres
        doses = [one for one in masses if one.unit and one.per[:1] not in (("mL",), ("tablet",), ("L",))]
        at_hand = (
            next(
                (
                    one
                    for one in doses
                    if self._is_at_hand(one, status == "asked" or (len(doses) > 1 and any(row.per for row in doses)))
                ),
                None,
            )
            if not pieces
            else None
        )
        if at_hand is not None:
            changes["strength"] = (at_hand.value, at_hand.unit)
            doses.remove(at_hand)
        bare = [one for one in masses if not one.unit]
        if changes.get("volume_ml") is not None and "strength" not in changes and len(bare) == 1 and not doses:
            if bare[0].start >= mention.end and self._is_sold(mention.drugs, bare[0].value):
                changes["strength"] = (bare[0].value, "mg/mL")  # `0.3 mL Metacam 1.5`
            bare = []
        if pieces:
            changes["tablets"] = pieces[0].value
            if doses and not doses[0].per:
                changes["strength"] = (doses[0].value, doses[0].unit)
                doses = doses[1:]
        elif bare and doses and bare[0].start < doses[0].start and not doses[0].per and doses[0].dimension == "mass":
            changes |= {"tablets": bare[0].value, "strength": (doses[0].value, doses[0].unit)}
            doses = []
        elif len(bare) == 2 and bare[1].value >= 20:
            changes |= {"tablets": bare[0].value, "strength": (bare[1].value, "mg")}
        elif bare and bare[0].end <= mention.start and bare[0].value <= 20:
            changes["tablets"] = bare[0].value
        if doses:
            one = doses[0]
            changes |= {"amount": one.value, "amount_max": one.top, "unit": one.unit, "per": one.per}
        return replace(made, **changes) if changes else made

    def _is_sold(self, drugs: tuple[str, ...], value: Decimal) -> bool:
        """Whether a drug is on record as so many mg/mL."""
        return any(
            row.strength == value and row.unit == "mg/mL"
            for name in drugs
            for row in self.records.drugs[name].formulations
        )

    def _is_at_hand(self, found: Figure, per_kg: bool) -> bool:
        """`have 100 mg caps`, `10 mg/kg, 100 mg tab`: what there is, not what is given."""
        words = self.words
        following = words[found.end] if found.end < len(words) else ""
        ahead = words[max(0, found.start - 2) : found.start]
        solid = _UNITS.get(following, ("", ""))[0] in ("tablet", "capsule")
        return solid and not found.per and (per_kg or not _AT_HAND.isdisjoint(ahead))

    def _reach(self, mention: _Mention) -> Span:
        """From the first figure or name to the last."""
        start = min([mention.start, *(one.start for one in mention.figures)])
        end = max([mention.end, *(one.end for one in mention.figures)])
        return self.span(start, end)

    def _exposure(self, mention: _Mention, status: str, animal: int | None, hours: Decimal | None) -> Exposure:
        made = Exposure(
            substance=mention.toxin or "",
            text=self._said(mention.start, mention.end),
            span=self._reach(mention),
            product=mention.product,
            hours_ago=hours,
            status=status,
            animal=animal,
        )
        count: Figure | None = None
        mass: Figure | None = None
        piece: Figure | None = None
        changes: dict[str, Any] = {}
        for one in mention.figures:
            if one.dimension == "percent":
                percent = f"{units.number(one.value)} %"
                changes["product"] = f"{percent} {mention.product}" if mention.product else percent
            elif one.per:
                if one.per[0] in ("tablet", "mL"):
                    changes["strength"] = (one.value, one.unit + ("/mL" if one.per[0] == "mL" else ""))
            elif one.dimension == "piece":
                piece = piece or one
            elif one.dimension in ("mass", "volume", "activity"):
                mass = mass or one
            elif one.dimension == "":
                count, mass = (count, one) if count is not None and mass is None else (count or one, mass)
        several = piece if piece is not None and piece.unit in ("tablet", "capsule") else count
        if mass is not None:
            unit = mass.unit or "mg"
            amount = mass.top
            if several is not None and (several.start < mass.start or several is piece):
                changes["strength"] = (mass.top, unit)
                amount = mass.top * several.top
            elif piece is not None and piece.unit in _CONTAINERS and piece.start < mass.start:
                amount = mass.top * piece.top
            changes |= {"amount": amount, "unit": unit}
        elif piece is not None:
            changes |= {"amount": piece.top, "unit": piece.unit}
        elif count is not None:
            changes |= {"amount": count.top, "unit": "tablet" if mention.drugs else "unit"}
        return replace(made, **changes) if changes else made

    # -- measurements and signs -------------------------------------------------------------------------------------

    def _levels(self) -> None:
        """`phenobarbital 30 ug/mL` is a level in the blood, `phenobarbital 30 mg` a dose."""
        kept = []
        levels = [] if _LEVELS.isdisjoint(self.bag) else [at for at, word in enumerate(self.words) if word in _LEVELS]
        for place, end, terms in self.substances:
            name = next((row for term in terms for row in (f"serum {term.value}", f"blood {term.value}")
                         if row in self.records.analytes), None)  # fmt: skip
            if name is not None and self._is_level(end):
                self.measured.append((place, end, name))
                continue
            kept.append((place, end, terms))
            if name is not None and levels:
                after = bisect_left(levels, end)
                at = levels[after] if after < len(levels) else None
                if at is not None and self._is_level(at + 1):
                    self.measured.append((at, at + 1, name))
        self.substances = kept
        self.measured.sort()

    def _eaten_urea(self) -> None:
        """`the cow ate 2 kg urea` is feed or fertiliser, not a laboratory value."""
        kept = []
        for row in self.measured:
            place = row[0]
            ahead = self.words[max(0, place - 5) : place] if self.words[place] == "urea" else []
            if any(VERBS.get(word) == "ate" for word in ahead):
                self.substances.append((place, row[1], [Term("toxin", "urea poisoning")]))
            else:
                kept.append(row)
        self.measured = kept
        self.substances.sort(key=_first)

    def _is_level(self, end: int) -> bool:
        """Whether behind the name of a drug stands a concentration that is found in blood."""
        words = self.words
        while end < len(words) and words[end] in _GAPS:
            end += 1
        value = _number(words, end) if end < len(words) else None
        return value is not None and _lab_unit(words, value[1])[0] in _BLOOD_UNITS

    def _value_at(self, end: int, gaps: frozenset[str]) -> tuple[str | None, int]:
        """The comparator behind a name that ends at `end`, and where the number should begin."""
        words = self.words
        comparator = None
        start = end
        while start < len(words) and start - end < 5:
            if words[start] in _COMPARATORS:
                comparator = _COMPARATORS[words[start]]
                if words[start + 1 : start + 2] == ["="]:
                    comparator, start = comparator + "=", start + 1
            elif words[start] not in gaps and not (words[start] == "-" and start == end):
                break
            start += 1
        return comparator, start

    def _analytes(self) -> tuple[Measurement, ...]:
        found = []
        words = self.words
        numbers = {one.start: one for one in self.figures}
        kept: list[tuple[int, int, str]] = []
        for place, end, name in self.measured:
            comparator, start = self._value_at(end, _GAPS)
            one = numbers.get(start)
            short = end - place == 1 and len(words[place]) <= 2
            if short and place > 1 and words[place - 1] in (":", "/") and words[place - 2].isalpha():
                continue  # a ratio: `Na:K 18`
            if one is None or (short and start - end > 1):
                continue
            value = _number(words, start)
            if value is None or one.dimension in ("time", "age", "piece") or one.unit in ("kg", "lb"):
                continue
            if words[place] == "ph" and (value[0].as_tuple().exponent != -2 or not 6 < value[0] < 8):
                continue  # of urine, perhaps
            unit, stop = _lab_unit(words, value[1])
            if unit is None and one.unit and one.dimension != "percent":
                continue  # a dose or an amount: `calcium 500 mg`
            if unit == "%" and self.records.analytes[name].unit != "%" and name not in _COUNTED_IN_PERCENT:
                continue  # a solution: `glucose 5 %`
            kept.append((start, stop, name))
            span = self.span(place, max(stop, one.start + 1))
            found.append(Measurement(name, value[0], comparator, unit, span, self._whose(place, stop)))
        self.measured = kept
        return tuple(found)

    def _vitals(self) -> tuple[Measurement, ...]:
        """Temperature, pulse, breathing and capillary refill: `T 102.5 P 120 R 30`, `HR 180`, `TPR 38.6/44/16`."""
        words = self.words
        found: dict[tuple[str, int | None], Measurement] = {}
        letters = [row for row in self.vital_words if row[1] - row[0] == 1 and len(words[row[0]]) == 1]
        rows = self.vital_words if len({row[2] for row in self.vital_words}) > 1 else [
            row for row in self.vital_words if row not in letters or self._is_temperature(row)
        ]  # fmt: skip
        placed: list[tuple[int, int, str]] = []
        for place, end, name in rows:
            if name.startswith("per "):
                if place and "0" <= words[place - 1][0] <= "9":
                    placed.append((place - 1, place - 1, name[4:]))
                continue
            start = self._value_at(end, _VITAL_GAPS)[1]
            far = len(words[place]) == 1 and start > end + 1
            if start < len(words) and "0" <= words[start][0] <= "9" and not far:
                placed.append((place, start, name))
        for place in [place for place, word in enumerate(words) if word == "tpr"]:
            start = self._value_at(place + 1, _GAPS)[1]
            for name in ("temperature", "heart_rate", "respiratory_rate"):
                if start < len(words) and "0" <= words[start][0] <= "9":
                    placed.append((place if name == "temperature" else start, start, name))
                start += 2
        for place, start, name in placed:
            value = _decimal(words[start])
            measured = None if value is None else _vital(name, value, words[start + 1 : start + 3])
            if measured is None:
                continue
            last = start + 1 + measured[2]
            comparator = _COMPARATORS.get(words[start - 1]) if start else None
            owner = self._whose(place, last)
            span = self.span(place, last)
            found.setdefault((name, owner), Measurement(name, measured[0], comparator, measured[1], span, owner))
            self.measured.append((start, last, name))
        return tuple(found.values())


def _first(row: tuple[int, int, Any]) -> int:
    return row[0]


def _from(found: Figure) -> int:
    return found.start


def _begin(mention: _Mention) -> int:
    return mention.start


def _or(names: list[str]) -> str:
    return " or ".join(names)


def _apart(between: Iterable[str]) -> bool:
    """Whether words between two things keep them apart."""
    return not _APART.isdisjoint(between)


def _weighs(found: Figure, mention: _Mention) -> bool:
    """Whether a mass beside a drug can only be the animal's: nobody measures a drug in kg, lb, st or oz."""
    if not (mention.drugs or mention.drug_class) or found.dimension != "mass" or found.per:
        return False
    return found.unit in ("kg", "lb", "st", "oz") or (found.unit == "g" and found.value >= _NO_DOSE_G)


def _alike(one: Any, other: Any) -> bool:
    """Two weights within 3 %: 12 kg (26 lb)."""
    if not one:
        return True
    first, second = units.convert(one[0], one[1], "kg"), units.convert(other[0], other[1], "kg")
    assert first is not None
    assert second is not None
    return abs(first - second) <= max(first, second) * Decimal("0.03")


def _weaker(kind: str, best: str) -> bool:
    """`on` and `has` don't outrank a verb of eating or giving that stands before them."""
    return kind == "take" and best in ("ate", "gave", "stopped", "give")


def _turns(between: list[str]) -> bool:
    """Whether a new statement begins between two verbs: `used to take carprofen, now on gabapentin`."""
    return any(word in _TURNS for word in between)


def _every(hours: tuple[int, int]) -> str:
    return f"q{hours[0]}h" if hours[0] == hours[1] else f"q{hours[0]}-{hours[1]}h"


def _frequency(term: Term) -> tuple[str, tuple[int, int] | None]:
    interval = term.more
    if interval is None:
        return {"prn": "PRN", "as needed": "PRN", "when needed": "PRN", "stat": "STAT"}.get(term.value, "once"), None
    return _every(interval), interval


def _status(kind: str, denied: bool, asked: bool) -> str:
    if kind in ("stopped", "allergy"):
        return kind
    if denied:
        return "denied"
    if kind in ("ate", "gave"):
        return "given"
    if asked or kind == "ask":
        return "asked"
    return {"take": "current", "give": "intended", "eat": "given"}.get(kind, "mentioned")


def _happened(kind: str, denied: bool, asked: bool, amount: bool) -> str:
    if denied:
        return "denied"
    if kind in ("ate", "gave") or (kind in ("eat", "take") and not asked):
        return "happened"
    if asked or kind == "ask":
        return "asked"
    return "happened" if amount and kind != "give" else "mentioned"


def _merged_medications(listed: list[Medication]) -> tuple[Medication, ...]:
    """One entry a drug: a bare repetition of a name adds nothing."""
    kept: list[Medication] = []
    known: dict[tuple[tuple[str, ...], str | None, int | None], int] = {}
    spans = [(one.drugs, one.span) for one in listed]
    both = len(spans) > len(set(spans))  # one mention, two animals
    for one in listed:
        bare = one.amount is None and one.volume_ml is None and one.tablets is None and one.frequency is None
        key = (one.drugs, one.drug_class, one.animal if both else None)
        same = known.setdefault(key, len(kept))
        if same == len(kept):
            kept.append(one)
            continue
        old = kept[same]
        if bare:
            if old.status in ("mentioned", "asked") and one.status in ("given", "current"):
                kept[same] = replace(old, status=one.status)
        elif old.amount is None and old.volume_ml is None and old.tablets is None:
            kept[same] = replace(one, status=one.status if one.status != "mentioned" else old.status)
        else:
            known[key] = len(kept)
            kept.append(one)
    return tuple(kept)


def _merged_exposures(listed: list[Exposure]) -> tuple[Exposure, ...]:
    """One entry a substance and animal, unless two amounts stand there: those add up."""
    rank = ("denied", "past", "mentioned", "asked", "happened")
    kept: list[Exposure] = []
    known: dict[tuple[str, int | None], int] = {}
    for one in listed:
        key = (one.substance, one.animal)
        same = known.setdefault(key, len(kept))
        if same == len(kept):
            kept.append(one)
            continue
        old = kept[same]
        if one.amount is None or old.amount is None or (one.amount, one.unit) == (old.amount, old.unit):
            fuller = old if one.amount is None else one
            status = max(one.status, old.status, key=rank.index)
            kept[same] = replace(
                fuller,
                product=old.product or one.product,
                hours_ago=old.hours_ago if old.hours_ago is not None else one.hours_ago,
                status=status,
            )
        else:
            known[key] = len(kept)
            kept.append(one)
    return tuple(kept)


def _lab_unit(words: list[str], place: int) -> tuple[str | None, int]:
    """The unit of a laboratory value behind the number that ends at `place`."""
    here = words[place : place + 5]
    if here[:1] == ["%"]:
        return "%", place + 1
    if here[:1] == ["x"]:
        found, end = _lab_unit(words, place + 1)
        return (found, end) if found is not None and found.startswith("10*") else (None, place)
    if here[:1] == ["10"] and len(here) > 3 and here[1] in _POWERS and here[2] == "/" and here[3] in _LAB_BELOW:
        return f"{_POWERS[here[1]]}/{_LAB_BELOW[here[3]]}", place + 4
    if len(here) > 1 and here[0] == "/" and here[1] in ("ul", "mm3"):
        return "/uL", place + 2
    if len(here) > 2 and here[0] in _LAB_ABOVE and here[1] in ("/", "per") and here[2] in _LAB_BELOW:
        return f"{_LAB_ABOVE[here[0]]}/{_LAB_BELOW[here[2]]}", place + 3
    if here and here[0] in ("mmol", "meq", "s", "sec", "seconds"):
        return {"mmol": "mmol/L", "meq": "mEq/L"}.get(here[0], "s"), place + 1
    if here and here[0] in _LAB_WHOLE:
        return _LAB_WHOLE[here[0]], place + 1
    if here[:1] == ["k"] and not (len(here) > 1 and (here[1] == ":" or "0" <= here[1][:1] <= "9")):
        return "10*3/uL", place + 1  # `WBC 42k`, but not `WBC 42 K 5.1`
    return None, place


def _vital(name: str, value: Decimal, following: list[str]) -> tuple[Decimal, str, int] | None:
    """A vital sign in its own unit, and how many words its unit takes; None for what no animal can have.

    A temperature without a unit is Fahrenheit from 70, Celsius below.
    """
    low, high, unit = _VITALS[name]
    took = 1 if following and following[0] in _VITAL_UNITS else 0
    if name == "temperature":
        said = following[0] if took else ""
        if said[:1] == "f" or (not took and value >= _FAHRENHEIT[0]):
            if not _FAHRENHEIT[0] <= value <= _FAHRENHEIT[1]:
                return None
            value = ((value - 32) / Decimal("1.8")).quantize(Decimal("0.1"))
    elif took == 0 and len(following) > 1 and following[0] in ("/", "per") and following[1] in ("min", "minute"):
        took = 2
    return (value, unit, took) if low <= value <= high else None


def to_json(reading: Reading) -> Json:
    """The answer of `extract`."""
    patients = [{**animal.to_json(), "spans": {key: list(place) for key, place in animal.spans.items()}}
                for animal in reading.animals]  # fmt: skip
    return {
        "patients": patients,
        "patient": patients[0] if len(patients) == 1 else None,
        "medications": [one.to_json() for one in reading.medications],
        "exposures": [one.to_json() for one in reading.exposures if one.status != "denied"],
        "analytes": [one.to_json() for one in reading.analytes],
        "vitals": [one.to_json() for one in reading.vitals],
        "signs": [{"sign": one.sign, "span": list(one.span)} for one in reading.signs],
        "needs": list(reading.needs),
    }
