"""Something swallowed: how much of the agent per kg, how grave, what to do. Where a fact is missing, the worst case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.clinic import dosing
from app.clinic.check import unique_needs
from app.clinic.patient import Patient, need
from app.clinic.records import BANDS, NoThreshold, Product, Records, Source, Threshold, Toxin
from app.clinic.units import canonical, convert, dimensions, fold, number, shown, spelt

Json = dict[str, Any]

RANK = {band: place for place, band in enumerate(BANDS)}
URGENCY = {
    "life_threatening": "emergency",
    "severe": "emergency",
    "moderate": "urgent",
    "mild": "routine",
    "minimal": "home_care",
}
NEAR = Decimal("1.02")
"""A dose within 2 % below a threshold counts as having reached it: weights and amounts are never better known."""
_PIECES = frozenset(
    ("unit", "units", "tablet", "tablets", "pill", "pills", "capsule", "capsules", "caplet", "caplets", "piece",
     "pieces", "stick", "sticks", "count", "item", "items")
)  # fmt: skip
_AGENT_WORDS_LENGTH_MIN = 5
_MEAL_G_PER_KG = 100
"""More than a tenth of its weight no animal eats at once."""
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")
_SWALLOWED = ("PO", "oral", "swallowed", "eaten", "ingested", "")
_LATE_SIGNS = frozenset(("pesticide",))
"""Of these a small dose is urgent as well: when signs show, the time in which something helps is over."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """One thing an animal met.

    Attributes:
        amount, unit: as given; None where nobody knows.
        strength: of one piece, as given: `(325, "mg")`.
        route: as given; "" means swallowed.
    """

    substance: str
    amount: Decimal | None = None
    unit: str = ""
    product: str | None = None
    hours_ago: Decimal | None = None
    route: str = ""
    strength: tuple[Decimal, str] | None = None


@dataclass(slots=True)
class _Dose:
    """What one exposure adds up to, before it is divided by the weight.

    Attributes:
        product: what was assumed or named. agent_mg: of the agent. mass_g, volume_ml: of the product itself.
    """

    toxin: Toxin
    given: Exposed
    product: Product | None
    agent_mg: Decimal | None = None
    mass_g: Decimal | None = None
    volume_ml: Decimal | None = None
    formula: str = ""
    assumptions: list[str] = field(default_factory=list)

    @property
    def known(self) -> bool:
        return self.agent_mg is not None or self.mass_g is not None or self.volume_ml is not None


def find(substance: str, records: Records) -> tuple[Toxin, Product | None] | None:
    """The toxin of some words, and its product where the words name one; None for words nobody knows."""
    name = _percent_joined(fold(substance))
    if name in records.products_by_name:
        return records.products_by_name[name]
    if name in records.toxins_by_name:
        toxin = records.toxins_by_name[name]
        return toxin, product_named(toxin, name)
    padded = f" {name} "
    inside = [
        known
        for known in records.toxins_by_name
        if f" {known} " in padded or f" {known}s " in padded or f" {known.removesuffix('s')} " in padded
    ]
    if not inside:
        return None
    toxin = records.toxins_by_name[max(inside, key=len)]
    return toxin, product_named(toxin, name)


def _words_of(toxin: Toxin) -> set[str]:
    """Every full name of a toxin and of its products."""
    products = (name for product in toxin.products for name in (product.name, *product.names))
    return {fold(name) for name in (*toxin.all_names, *products)}


def _percent_joined(name: str) -> str:
    return re.sub(r"\s+%", "%", name.replace("percent", "%"))


def product_named(toxin: Toxin, words: str) -> Product | None:
    """The product that words name: by percentage (the next higher one on record), else by the longest name in them."""
    name = _percent_joined(fold(words))
    percent = _PERCENT.search(name)
    if percent is not None:
        above = []
        for product in toxin.products:
            stated = [Decimal(found) for text in (product.name, *product.names) for found in _PERCENT.findall(text)]
            above += [(figure, product) for figure in stated if figure >= Decimal(percent[1])]
        if above:
            return min(above, key=lambda pair: pair[0])[1]
    found: list[tuple[int, Decimal, Product]] = []
    for product in toxin.products:
        for known in (fold(text) for text in (product.name, *product.names)):
            if re.search(rf"(?<!\w){re.escape(known)}(?!\w)", name):
                found.append((len(known), product.content.value if product.content else Decimal(0), product))
    return max(found, key=lambda row: row[:2])[2] if found else None


def worst_product(toxin: Toxin) -> Product | None:
    """What to assume when no product is named."""
    marked = [product for product in toxin.products if product.worst_case]
    if marked:
        return marked[0]
    with_content = [product for product in toxin.products if product.content is not None]
    return max(with_content, key=lambda product: product.content.value if product.content else Decimal(0), default=None)


def _measure(toxin: Toxin, named: Product | None, given: Exposed) -> _Dose:
    """Agent and product mass of one exposure; nothing known where the amount can't be turned into either."""
    product = named
    if given.product:
        product = product_named(toxin, given.product) or named
    product = _by_activity(toxin, given) or product
    known = canonical(given.unit) if given.unit else "unit"
    measured = dimensions(known) if known else None
    pure = measured == ("mass",) and not given.product and _is_agent(toxin, product, given.substance, known)
    if pure:
        product = None
    dose = _Dose(toxin, given, product)
    if given.amount is not None and measured == ("volume",) and (product is None or _counted(product)):
        served = _served(toxin if product is None else None, product, known or "")
        if served is not None:
            dose.product = served
            _content_of_pieces(dose, served, Exposed(given.substance, given.amount))
            return dose
    if product is None and not pure:
        dose.product = product = worst_product(toxin)
        if product is not None and given.amount is not None and len(toxin.products) > 1:
            dose.assumptions.append(f"no product was named: taken as {product.name}, the worst on record")
    if given.amount is None:
        return dose
    if measured == ("mass",):
        grams = convert(given.amount, given.unit, "g")
        assert grams is not None
        if pure or (toxin.category == "medicine" and (product is None or _counted(product))):
            dose.agent_mg, dose.mass_g = grams * 1000, grams
            dose.formula = f"amount of {toxin.agent} / weight_kg"
            return dose
        dose.mass_g = grams
        _content_of_mass(dose, product, grams)
    elif measured == ("volume",):
        millilitres = convert(given.amount, given.unit, "mL")
        assert millilitres is not None
        dose.volume_ml = millilitres
        _content_of_volume(dose, product, millilitres)
    elif measured == ("activity",):
        dose.agent_mg = _activity_mg(product, given.amount, given.unit)
        dose.formula = "units x mass of one unit / weight_kg" if dose.known else ""
    elif measured == ("count",) or known is None:
        _content_of_pieces(dose, product, given)
    return dose


def _by_activity(toxin: Toxin, given: Exposed) -> Product | None:
    """What says how much one unit weighs, where the amount or the strength is in units: IU of vitamin D."""
    if all(dimensions(unit) != ("activity",) for unit in (given.unit, given.strength[1] if given.strength else "")):
        return None
    return next((row for row in toxin.products if _activity_mg(row, Decimal(1), "[IU]") is not None), None)


def _activity_mg(product: Product | None, amount: Decimal, unit: str) -> Decimal | None:
    """An activity in mass [mg]."""
    content, units = product.content if product else None, convert(amount, unit, "[IU]")
    each = None if content is None else convert(content.value, content.unit, "mg/[IU]")
    return None if each is None or units is None else units * each


def _is_agent(toxin: Toxin, product: Product | None, substance: str, unit: str | None) -> bool:
    """Whether a mass is of the agent itself (600 mg of ibuprofen), not of something that holds it (50 g of bait).

    Nobody weighs food or bait in milligrams, and taking the agent for its product would under-call a thousandfold.
    """
    if unit in ("mg", "ug", "ng"):
        return True
    agent = set(fold(toxin.agent).split())
    return product is None and bool(agent & set(fold(substance).split())) and toxin.category != "plant"


def _served(toxin: Toxin | None, product: Product | None, unit: str) -> Product | None:
    """The strongest product counted in this measure: coffee by the cup, whose content is on record for a cup."""
    among = toxin.products if toxin is not None else (product,) if product is not None else ()
    found = [
        row for row in among if _counted(row) and any(canonical(word) == unit for word in fold(row.name).split())
    ]  # fmt: skip
    return max(found, key=lambda row: row.content.value if row.content else Decimal(0), default=None)


def _counted(product: Product) -> bool:
    return product.content is not None and dimensions(product.content.unit) == ("mass", "count")


def _content_of_mass(dose: _Dose, product: Product | None, grams: Decimal) -> None:
    content = None if product is None else product.content
    if product is None or content is None:
        dose.formula = "mass / weight_kg"
        return
    per_gram = convert(content.value, content.unit, "mg/g")
    if per_gram is None and _counted(product) and product.unit_mass_g is not None:
        per_piece = convert(content.value, content.unit, "mg/unit")
        per_gram = None if per_piece is None else per_piece / product.unit_mass_g.value
    if per_gram is None:
        per_gram = convert(content.value, content.unit, "mg/mL")
        if per_gram is not None:
            dose.assumptions.append("1 g of the liquid is taken as 1 mL")
    if per_gram is not None:
        dose.agent_mg = grams * per_gram
        dose.formula = f"mass_g x {shown(per_gram)} mg/g / weight_kg"


def _content_of_volume(dose: _Dose, product: Product | None, millilitres: Decimal) -> None:
    content = None if product is None else product.content
    per_ml = None if content is None else convert(content.value, content.unit, "mg/mL")
    if per_ml is None and content is not None:
        per_ml = convert(content.value, content.unit, "mg/g")
        if per_ml is not None:
            dose.assumptions.append("1 mL is taken as 1 g")
    if per_ml is not None:
        dose.agent_mg = millilitres * per_ml
        dose.formula = f"volume_ml x {shown(per_ml)} mg/mL / weight_kg"
        return
    dose.mass_g = millilitres
    dose.formula = "volume / weight_kg"
    dose.assumptions.append("1 mL is taken as 1 g")


def _content_of_pieces(dose: _Dose, product: Product | None, given: Exposed) -> None:
    """Tablets, grapes, squares: by the strength given, the content of one piece, or its mass."""
    assert given.amount is not None
    word = fold(given.unit) or "unit"
    strength = None
    if given.strength is not None:
        strength = convert(*given.strength, "mg") or _activity_mg(product, *given.strength)
    if strength is not None:
        dose.agent_mg = given.amount * strength
        dose.formula = "pieces x strength_mg / weight_kg"
        return
    if product is None or not _is_piece(word, dose.toxin, product):
        return
    mass = product.unit_mass_g
    if product.content is not None and _counted(product):
        each = convert(product.content.value, product.content.unit, "mg/unit")
        assert each is not None
        dose.agent_mg = given.amount * each
        dose.formula = f"pieces x {shown(each)} mg / weight_kg"
        dose.assumptions.append(f"one piece is taken as {product.name}: {shown(each)} mg")
    elif mass is not None:
        dose.mass_g = given.amount * mass.value
        _content_of_mass(dose, product, dose.mass_g)
        dose.formula = f"pieces x {shown(mass.value)} g = mass_g; {dose.formula}"
        dose.assumptions.append(f"{mass.what or 'one piece'}: {shown(mass.value)} g")


def _is_piece(word: str, toxin: Toxin, product: Product) -> bool:
    """Whether a counted word is the piece that the record knows: a tablet, a grape; not a bag of them."""
    if word in _PIECES:
        return True
    what = product.unit_mass_g.what if product.unit_mass_g else ""
    texts = (product.name, *product.names, *toxin.all_names, what)
    words = {part for text in texts for part in fold(text).split()}
    return word in words or word.removesuffix("s") in words


def assess(
    patient: Patient, exposures: Sequence[Exposed], records: Records, jurisdiction: str | None, audience: str
) -> Json:
    """The whole answer: the gravest of what was met on top, every part in `exposures`, each agent in `agents`."""
    needs, not_checked = list(patient.needs), []
    doses: list[_Dose] = []
    near: list[str] = []
    for given in exposures:
        found = find(given.substance, records)
        if found is None:
            near += [name for name in records.near_toxins(given.substance) if name not in near]
            why = "no_toxin_record" if records.drugs_named(given.substance) else "unknown_substance"
            not_checked.append({"text": given.substance, "why": why})
        else:
            dose = _measure(*found, given)
            if _percent_joined(fold(given.substance)) not in _words_of(found[0]):
                dose.assumptions.append(f"{given.substance} is taken as {found[0].title}")
            doses.append(dose)
    contacts = _contacts(records, jurisdiction)
    if not doses:
        ask = need("substance", "only what is known by name can be judged", "What exactly is on the packet or label?")
        return _nothing_known(near, unique_needs([*needs, ask]), not_checked, contacts)
    weight_kg, assumed_weight = _weight(patient, needs)
    agents = []
    for toxin in {dose.toxin.name: dose.toxin for dose in doses}.values():
        own = [dose for dose in doses if dose.toxin.name == toxin.name]
        shared = [dose for dose in doses if dose.toxin.name != toxin.name and _share(toxin, dose.toxin)]
        agents.append(
            _agent(toxin, own, shared, patient, weight_kg, assumed_weight, audience, needs, not_checked)
        )  # fmt: skip
    if patient.species is None:
        ask = need("species", "species differ in what harms them; the strictest is taken", "What kind of animal is it?")
        needs.append(ask)
    agents.sort(key=lambda row: -RANK[row["severity"]])
    worst = agents[0]
    return {
        "covered": True,
        "nearest": near,
        **worst,
        "urgent": any(row["urgent"] for row in agents),
        "exposures": [_part(dose) for dose in doses],
        "agents": agents if len(agents) > 1 else [],
        "contacts": contacts,
        "needs": unique_needs(needs),
        "not_checked": not_checked,
    }


def _nothing_known(near: list[str], needs: list[Json], not_checked: list[Json], contacts: list[Json]) -> Json:
    """The answer where no record fits: no severity is claimed, and somebody is to be called."""
    return {
        "covered": False,
        "nearest": near,
        "substance": None,
        "agent": None,
        "dose": None,
        "severity": None,
        "urgency": "urgent",
        "urgent": True,
        "no_safe_amount": None,
        "thresholds": [],
        "effects": [],
        "onset_h": None,
        "emesis": {
            "advised": "no",
            "why": "nothing is on record for this substance; ask a vet or a poison line first",
            "window_h": None,
            "sources": [],
        },
        "antidotes": [],
        "actions": ["Call a vet or an animal poison line with the packet in hand."],
        "assumptions": [],
        "calculation": None,
        "sources": [],
        "exposures": [],
        "agents": [],
        "amounts": [],
        "contacts": contacts,
        "needs": needs,
        "not_checked": not_checked,
    }


def _contacts(records: Records, jurisdiction: str | None) -> list[Json]:
    own = [row for row in records.contacts if jurisdiction is None or row.country == jurisdiction]
    return [row.json for row in own or records.contacts]


def _weight(patient: Patient, needs: list[Json]) -> tuple[Decimal | None, bool]:
    """The weight to compute with; without one, the lightest this animal can be."""
    if patient.weight_kg is not None:
        return patient.weight_kg, False
    needs.append(need("weight", "the dose per kg depends on it; the worst case is shown", "What does it weigh?"))
    if patient.breed is not None and patient.breed.weight_kg is not None and not patient.juvenile:
        return patient.breed.weight_kg.min, True
    if patient.species is None:
        return None, True
    grown = [breed.weight_kg.min for breed in patient.species.breeds if breed.weight_kg is not None]
    return (min(grown) if grown and not patient.juvenile else patient.species.weight_kg.min), True


def _share(toxin: Toxin, other: Toxin) -> bool:
    """Whether two toxins hold a common agent: caffeine in chocolate and in coffee."""
    words = [
        {
            word
            for word in fold(" ".join([row.agent, *_component_names(row)])).split()
            if len(word) >= _AGENT_WORDS_LENGTH_MIN
        }
        for row in (toxin, other)
    ]
    common = {"unknown", "compounds", "suspected", "similar", "other", "various", "fruit", "plant", "plants", "toxin"}
    return bool((words[0] & words[1]) - common)


def _component_names(toxin: Toxin) -> list[str]:
    return [part.agent for product in toxin.products for part in product.components]


def _agent(
    toxin: Toxin,
    own: list[_Dose],
    shared: list[_Dose],
    patient: Patient,
    weight_kg: Decimal | None,
    assumed_weight: bool,
    audience: str,
    needs: list[Json],
    not_checked: list[Json],
) -> Json:
    """The answer for one toxin."""
    species = patient.species_name
    assumptions = [text for dose in own for text in dose.assumptions]
    thresholds, unbounded = _bands(toxin, species, assumptions, not_checked)
    severity = "minimal" if thresholds or unbounded else "moderate"
    reached: list[Threshold | NoThreshold] = list(unbounded)
    for bare in unbounded:
        severity = _graver(severity, bare.band)
    unknown = [dose for dose in own if not dose.known]
    dose_json, formula = None, "; ".join(dict.fromkeys(dose.formula for dose in own if dose.formula))
    if unknown:
        bands = [row.band for row in thresholds] or ["moderate"]
        severity = max([severity, *bands], key=lambda band: RANK[band])
        reached += thresholds
        said = ", ".join(
            dict.fromkeys(
                dose.toxin.title if dose.given.substance == dose.toxin.name else dose.given.substance
                for dose in unknown
            )
        )
        assumptions.append(f"the amount of {said} is not known: the worst case is taken")
        ask = "How much, in grams, millilitres or tablets with their strength? Read the packet."
        needs.append(need("amount", "the dose depends on it; the worst case is shown", ask))
    if weight_kg is not None and any(dose.known for dose in own):
        liquid = any(dimensions(row.unit.split("/")[0]) == ("volume",) for row in thresholds)
        if liquid and any(dose.volume_ml is None and dose.mass_g is not None for dose in own):
            assumptions.append("1 g of the liquid is taken as 1 mL")
        if assumed_weight:
            assumptions.append(f"the weight is not known: {shown(weight_kg)} kg, the lightest it can be, is taken")
        for row in sorted(thresholds, key=lambda row: RANK[row.band]):
            value = _in_unit(own, shared, row.unit, weight_kg)
            if value is not None and value * NEAR >= row.value:
                severity = _graver(severity, row.band)
                reached.append(row)
            elif value is None and not unknown:
                severity = _graver(severity, row.band)
                assumptions.append(
                    f"the amount can't be compared with {shown(row.value)} {spelt(row.unit)}: taken as reached"
                )
        dose_json = _shown_dose(own, shared, thresholds, weight_kg)
    elif weight_kg is None and not unknown:
        severity = max([severity, *(row.band for row in thresholds)], key=lambda band: RANK[band])
        assumptions.append("neither species nor weight is known: the worst case is taken")
    if shared:
        names = ", ".join(dict.fromkeys(dose.toxin.title for dose in shared))
        assumptions.append(f"the agent of {names} is added: they share it")
    assumptions += _stronger(own, weight_kg, thresholds, severity)
    no_safe = species in toxin.no_safe_amount_species or "any" in toxin.no_safe_amount_species
    if no_safe:
        assumptions.append("no amount is known to be safe: the amount does not predict the outcome")
    elif patient.species is None and toxin.no_safe_amount_species:
        no_safe = True
        assumptions.append(f"for {', '.join(toxin.no_safe_amount_species)} no amount is safe")
    urgent = no_safe or RANK[severity] >= RANK["mild" if toxin.category in _LATE_SIGNS else "moderate"]
    urgency = "emergency" if no_safe and RANK[severity] >= RANK["moderate"] else URGENCY[severity]
    hours_ago = max((dose.given.hours_ago for dose in own if dose.given.hours_ago is not None), default=None)
    emesis = _emesis(toxin, patient, hours_ago, own[0].given.route, needs)
    if urgency == "routine" and emesis["advised"] == "yes":
        urgency = "urgent"  # the stomach can be emptied only now
    inputs: Json = {"weight_kg": None if weight_kg is None else number(round(weight_kg, 6))}
    inputs["exposures"] = [_part(dose) for dose in [*own, *shared]]
    sources = _sources(own, thresholds, unbounded, toxin)
    return {
        "substance": toxin.name,
        "title": toxin.title,
        "agent": toxin.agent,
        "category": toxin.category,
        "dose": dose_json,
        "severity": severity,
        "urgency": "urgent" if urgent and urgency in ("routine", "home_care") else urgency,
        "urgent": urgent,
        "no_safe_amount": no_safe,
        "thresholds": [
            *(_threshold(row, None if unknown else row in reached) for row in thresholds),
            *(_threshold(row, True) for row in unbounded),
        ],
        "effects": list(dict.fromkeys([*(row.effect for row in reached), *toxin.effects])),
        "onset_h": None
        if toxin.onset_h is None
        else {
            "min": number(toxin.onset_h.min),
            "max": number(toxin.onset_h.max),
            "sources": [source.json for source in toxin.onset_h.sources],
        },
        "emesis": emesis,
        "antidotes": list(toxin.antidotes),
        "actions": list(toxin.owner_actions if audience == "owner" else toxin.actions),
        "differences": toxin.differences or None,
        "amounts": [] if assumed_weight or no_safe or not unknown else _amounts(toxin, own, thresholds, weight_kg),
        "assumptions": list(dict.fromkeys(assumptions)),
        "calculation": None
        if not formula
        else {"name": "exposure", "inputs": inputs, "formula": formula, "result": dose_json, "sources": sources},
        "sources": sources,
    }


def _bands(
    toxin: Toxin, species: str | None, assumptions: list[str], not_checked: list[Json]
) -> tuple[list[Threshold], list[NoThreshold]]:
    """The thresholds for a species; where none is on record, those of others, said so."""
    if species is None:
        return list(toxin.thresholds), list(toxin.no_thresholds)
    thresholds = [row for row in toxin.thresholds if species in row.species or "any" in row.species]
    unbounded = [row for row in toxin.no_thresholds if species in row.species or "any" in row.species]
    if not thresholds and not unbounded:
        others = ", ".join(dict.fromkeys(name for row in toxin.thresholds for name in row.species))
        not_checked.append({"text": toxin.title, "why": "no_record_for_species"})
        assumptions.append(f"nothing is on record for {species}: the figures of {others or 'other species'} are taken")
        return list(toxin.thresholds), [] if toxin.thresholds else list(toxin.no_thresholds)
    return thresholds, unbounded


def _graver(one: str, other: str) -> str:
    return one if RANK[one] >= RANK[other] else other


def _in_unit(own: list[_Dose], shared: list[_Dose], unit: str, weight_kg: Decimal) -> Decimal | None:
    """All exposures together in a threshold's unit; None where one of the known ones can't be put in it."""
    total: Decimal | None = None
    for dose in [*own, *shared]:
        value = _one_in_unit(dose, unit, weight_kg)
        if value is not None:
            total = value if total is None else total + value
        elif dose.known and dose in own:
            return None
    return total


def _one_in_unit(dose: _Dose, unit: str, weight_kg: Decimal) -> Decimal | None:
    """One exposure in a threshold's unit: of the agent where its content is known, else of the product itself."""
    numerator, *per = unit.split("/")
    kind = dimensions(numerator)
    amount: Decimal | None
    if kind == ("volume",):
        # A product without its volume: 1 g is taken as 1 mL.
        millilitres = dose.volume_ml if dose.volume_ml is not None else dose.mass_g
        amount = None if millilitres is None else convert(millilitres, "mL", numerator)
    elif dose.agent_mg is not None:
        amount = convert(dose.agent_mg, "mg", numerator)
    elif dose.mass_g is not None:
        amount = convert(dose.mass_g, "g", numerator)
    else:
        amount = None
    if amount is None or not per:
        return amount
    return convert(amount / weight_kg, f"{numerator}/kg", unit)


def _shown_dose(own: list[_Dose], shared: list[_Dose], thresholds: list[Threshold], weight_kg: Decimal) -> Json | None:
    """The dose in the thresholds' own unit, else mg/kg of the agent or g/kg of the product."""
    units = [*dict.fromkeys(row.unit for row in thresholds), "mg/kg"]
    values = ((_in_unit(own, shared, unit, weight_kg), unit) for unit in units)
    known = ({"value": dosing.significant(value, 4), "unit": unit} for value, unit in values if value is not None)
    return next(known, None)


def _amounts(toxin: Toxin, own: list[_Dose], thresholds: list[Threshold], weight_kg: Decimal | None) -> list[Json]:
    """Of an amount nobody named: how much reaches each threshold at this weight, rounded down.

    Of the product that was named, else of the weakest, a middling and the strongest one, else of the thing itself.
    """
    contents = sorted(
        ((row.content.value, row.content.unit, row.name) for row in toxin.products if row.content is not None),
        key=lambda row: convert(row[0], row[1], "mg/g") or row[0],
    )
    named = [product_named(toxin, dose.given.product or dose.given.substance) for dose in own]
    chosen = [row for row in contents if row[2] in [product.name for product in named if product is not None]]
    if not chosen and contents:
        chosen = [contents[len(contents) // 4], contents[len(contents) // 2], contents[-1]]
    rows: list[Json] = []
    for value, unit, name in dict.fromkeys(chosen or [(Decimal(1), "", toxin.title)]):
        for row in sorted(thresholds, key=lambda row: row.value):
            agent, _, per = unit.partition("/") if unit else (row.unit.split("/")[0], "", row.unit.split("/")[0])
            needed = convert(row.value, row.unit, f"{agent}/kg")
            exact = None if weight_kg is None or needed is None else needed * weight_kg / value
            if exact is None or weight_kg is None or (convert(exact, per, "g") or 0) > weight_kg * _MEAL_G_PER_KG:
                continue
            amount = dosing.significant_down(exact, 2)
            rows.append({"product": name, "amount": {"value": amount, "unit": per}, "band": row.band})
    return rows


def _stronger(own: list[_Dose], weight_kg: Decimal | None, thresholds: list[Threshold], severity: str) -> list[str]:
    """A note where a stronger product goes by the same words: `dark chocolate` may be 85 % cocoa."""
    notes = []
    for dose in own:
        if dose.product is None or dose.product.content is None or dose.given.product or dose.agent_mg is None:
            continue
        words = set(fold(dose.product.name).split())
        alike = [
            product
            for product in dose.toxin.products
            if product.content is not None
            and words < set(fold(product.name).split())
            and convert(product.content.value, product.content.unit, dose.product.content.unit) is not None
        ]
        best = max(alike, key=lambda product: product.content.value if product.content else Decimal(0), default=None)
        if (
            best is None
            or best.content is None
            or best.content.value <= dose.product.content.value
            or weight_kg is None
        ):
            continue
        value = dose.agent_mg * best.content.value / dose.product.content.value / weight_kg
        reached = [row for row in thresholds if row.unit == "mg/kg" and value >= row.value]
        band = max((row.band for row in reached), key=lambda name: RANK[name], default="minimal")
        notes.append(
            f"taken as {dose.product.name}; {best.name} would be {shown(value, 3)} mg/kg ({_graver(severity, band)})"
        )
    return notes


def _emesis(toxin: Toxin, patient: Patient, hours_ago: Decimal | None, route: str, needs: list[Json]) -> Json:
    """Whether to make it vomit: never where it can't, where the poison forbids it, or where it is too late."""
    window = None if toxin.emesis_window_h is None else number(toxin.emesis_window_h.value)
    advice = toxin.emesis
    sources = [] if advice is None else [source.json for source in advice.sources]
    if patient.species is not None and not patient.species.can_vomit:
        why = f"{patient.species.one.capitalize()} can't vomit; never try to make it."
        return {"advised": "contraindicated", "why": why, "window_h": window, "sources": sources}
    if route not in _SWALLOWED:
        why = "It was not swallowed."
        return {"advised": "no", "why": why, "window_h": window, "sources": sources}
    if advice is None:
        why = "Nothing is on record for this poison; ask a vet or a poison line."
        return {"advised": "no", "why": why, "window_h": window, "sources": []}
    if advice.advised == "yes" and toxin.emesis_window_h is not None:
        sources += [source.json for source in toxin.emesis_window_h.sources]
        if hours_ago is not None and hours_ago > toxin.emesis_window_h.value:
            useful = f"{shown(toxin.emesis_window_h.value)} h in which it helps"
            why = f"{shown(hours_ago)} h ago is past the {useful}. {advice.why}"
            return {"advised": "no", "why": why, "window_h": window, "sources": sources}
    if advice.advised == "yes" and hours_ago is None:
        needs.append(
            need("hours_ago", "emptying the stomach only helps early", "When was it, and are there signs already?")
        )
    return {"advised": advice.advised, "why": advice.why, "window_h": window, "sources": sources}


def _threshold(row: Threshold | NoThreshold, reached: bool | None) -> Json:
    bound = (
        {"value": number(row.value), "unit": row.unit} if isinstance(row, Threshold) else {"value": None, "unit": None}
    )
    return {
        **bound,
        "band": row.band,
        "effect": row.effect,
        "species": list(row.species),
        "reached": reached,
        "sources": [source.json for source in row.sources],
    }


def _part(dose: _Dose) -> Json:
    """One exposure as it was understood."""
    given = dose.given
    content = dose.product.content if dose.product else None
    return {
        "substance": given.substance,
        "toxin": dose.toxin.name,
        "product": dose.product.name if dose.product else None,
        "content": None if content is None else {"value": number(content.value), "unit": content.unit},
        "amount": None if given.amount is None else {"value": number(given.amount), "unit": given.unit or "unit"},
        "agent_mg": None if dose.agent_mg is None else dosing.significant(dose.agent_mg),
        "mass_g": None if dose.mass_g is None else dosing.significant(dose.mass_g),
        "hours_ago": None if given.hours_ago is None else number(given.hours_ago),
    }


def _sources(own: list[_Dose], thresholds: list[Threshold], unbounded: list[NoThreshold], toxin: Toxin) -> list[Json]:
    """Every source behind a figure of the answer, once."""
    every: list[Source] = [source for dose in own if dose.product for source in dose.product.sources]
    every += [source for row in thresholds for source in row.sources]
    every += [source for row in unbounded for source in row.sources]
    return list({(source.url, source.title): source.json for source in every}.values())
