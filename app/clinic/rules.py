"""Which safety rules hold for this animal, drug and dose; what is not known is asked for, or taken at its strictest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from app.clinic.patient import Patient, need
from app.clinic.records import Drug, Records, RuleRecord
from app.clinic.units import convert, fold

Json = dict[str, Any]

LABELS = {"absolute": "contraindicated", "high": "major", "moderate": "moderate", "info": "minor"}
RANKS = {"absolute": 0, "high": 1, "moderate": 2, "info": 3}
PRESUMED_FOOD = "it may be eaten one day, since nobody said that it will not"
# Words for the same trouble; a rule and a patient meet when they share a group.
CONDITIONS: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split(","))
    for group in (
        "kidney disease,renal disease,chronic kidney disease,ckd,renal failure,kidney failure,renal insufficiency,"
        "kidney,renal,renal impairment,kidney injury,acute kidney injury,azotemia,azotaemia,aki",
        "liver disease,hepatic disease,hepatopathy,liver failure,hepatic impairment,liver,hepatic,hepatitis,"
        "portosystemic shunt,liver shunt,pss",
        "heart disease,cardiac disease,heart failure,congestive heart failure,chf,mitral disease,mitral valve disease,"
        "mmvd,cardiomyopathy,dcm,hcm,cardiac",
        "dehydration,dehydrated,hypovolemia,hypovolaemia,shock,hypotension,low blood pressure,hypovolemic",
        "seizures,seizure,epilepsy,epileptic,fits,seizure disorder,convulsions",
        "gastrointestinal ulcer,gi ulcer,gastric ulcer,stomach ulcer,gi bleeding,gastrointestinal bleeding,"
        "melena,gastrointestinal disease,gi disease,gi ulceration,gastrointestinal ulceration,gastric ulceration,"
        "gastric ulcers,stomach ulcers,gi ulcers,peptic ulcer,gi bleed,gastric bleeding,stomach bleeding",
        "diabetes,diabetes mellitus,diabetic",
        "bleeding disorder,coagulopathy,von willebrand disease,vwd,von willebrand,thrombocytopenia,bleeding",
        "asthma,bronchoconstriction,feline asthma",
        "glaucoma",
        "hyperthyroidism,hyperthyroid",
        "hypoadrenocorticism,addisons disease,addisons,addison disease",
        "hyperadrenocorticism,cushings disease,cushings,cushing disease",
        "urinary obstruction,blocked bladder,urethral obstruction,urinary blockage,blocked",
        "gastrointestinal obstruction,gi obstruction,foreign body,intestinal obstruction",
        "pancreatitis",
        "anemia,anaemia",
        "laminitis",
        "hypertrophic cardiomyopathy,hypertrophic obstructive cardiomyopathy,hcm,hocm",
        "not eating,not eaten,not been eating,anorexia,anorexic,inappetence,inappetent,eaten nothing,ate nothing,"
        "eats nothing,won't eat,refuses to eat,refused to eat,refuses food,refused food,refuses his food,"
        "refuses her food,off food,off his food,off her food,without food,without eating,skipped his meal,"
        "skipped her meal,skipped breakfast,on an empty stomach",
        "heartworm,heartworm disease,heartworm positive,dirofilariasis",
    )
)


NARROW = (
    frozenset(("heart failure", "congestive heart failure", "chf")),
    frozenset(
        ("hypertrophic cardiomyopathy", "hypertrophic obstructive cardiomyopathy", "hcm", "hocm", "outflow obstruction")
    ),
)
"""Of a group the words that mean no more than each other: a rule on heart failure isn't one on every heart disease."""
VAGUE = {"hcm": ("heart disease", "cardiac disease")}
"""By a word of a narrow group: what may be it, for all that was said."""


@dataclass(frozen=True, slots=True)
class Given:
    """A drug as it is to be given to this animal.

    Attributes:
        dose_mg_per_kg: one dose [mg/kg], or None where it can't be known.
        co_drugs, co_classes: everything else it gets: generics and classes.
        product_of: the kind of animal that the product is made for, where that is said.
    """

    drug: Drug
    route: str | None = None
    dose_mg_per_kg: Decimal | None = None
    co_drugs: frozenset[str] = frozenset()
    co_classes: frozenset[str] = frozenset()
    product_of: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that holds, and what was taken at its strictest for it."""

    rule: RuleRecord
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undecided:
    """A rule that may hold: `why` is the missing fact, `ask` the question for it."""

    rule: RuleRecord
    why: str
    ask: Json


def of_drug(drug: Drug, records: Records) -> Iterator[RuleRecord]:
    """Every rule that names this drug or a class of it, once."""
    seen: set[str] = set()
    lists = [
        records.rules_by_drug.get(drug.generic, ()),
        *(records.rules_by_class.get(name, ()) for name in drug.classes),
    ]
    for rules in lists:
        for rule in rules:
            if rule.id not in seen:
                seen.add(rule.id)
                yield rule


def hold(
    patient: Patient, given: Given, jurisdiction: str | None, records: Records, bans_only: bool = False
) -> tuple[list[Match], list[Undecided]]:
    """The rules on this drug that hold for this animal, gravest first, and those that a missing fact leaves open.

    Args:
        bans_only: only what is absolute or high and forbids or limits: what may stop a sentence.
    """
    matches: list[Match] = []
    open_rules: list[Undecided] = []
    for rule in of_drug(given.drug, records):
        if bans_only and (RANKS[rule.severity] > 1 or rule.action not in ("forbid", "limit")):
            continue
        verdict = _decide(rule, patient, given, jurisdiction)
        if isinstance(verdict, Match):
            matches.append(verdict)
        else:
            open_rules += verdict
    return sorted(matches, key=lambda match: RANKS[match.rule.severity]), open_rules


def exempt(rule: RuleRecord, dose_mg_per_kg: Decimal | None) -> bool:
    """Whether a dose lies below the rule's own exception, like heartworm-dose ivermectin."""
    below = rule.except_dose_below
    if below is None or dose_mg_per_kg is None:
        return False
    bound = convert(below.value, below.unit, "mg/kg")
    return bound is not None and dose_mg_per_kg < bound


def _decide(rule: RuleRecord, patient: Patient, given: Given, jurisdiction: str | None) -> Match | list[Undecided]:
    """A match where every part of the trigger holds; else what is missing, or nothing where a part fails."""
    trigger = rule.trigger
    if exempt(rule, given.dose_mg_per_kg):
        return []
    if trigger.species and "any" not in trigger.species and patient.species_name not in trigger.species:
        return []
    if trigger.jurisdiction and jurisdiction is not None and jurisdiction not in trigger.jurisdiction:
        return []
    if trigger.route and given.route is not None and given.route not in trigger.route:
        return []
    if trigger.product_of and given.product_of not in trigger.product_of:
        return []
    if trigger.co_drug or trigger.co_class:
        others = given.co_drugs.intersection(trigger.co_drug) or given.co_classes.intersection(trigger.co_class)
        if not others:
            return []
    if trigger.condition and not any(same_condition(said, trigger.condition) for said in patient.conditions):
        return []
    assumed: list[str] = []
    missing: list[Undecided] = []
    for part in (_breed, _gene, _age, _weight, _sex, _breeding, _food):
        verdict = part(rule, patient)
        if verdict is False:
            return []
        if isinstance(verdict, str):
            assumed.append(verdict)
        elif isinstance(verdict, Undecided):
            missing.append(verdict)
    if missing:
        return missing
    if trigger.jurisdiction and jurisdiction is None:
        assumed.append(f"law of {', '.join(trigger.jurisdiction)}; no jurisdiction was given, so the strictest holds")
    return Match(rule, tuple(assumed))


Verdict = bool | str | Undecided


def _breed(rule: RuleRecord, patient: Patient) -> Verdict:
    wanted = rule.trigger.breed
    if not wanted:
        return True
    if patient.breed is None:
        if patient.breed_words:
            return any(fold(name) in fold(patient.breed_words) for name in wanted)
        return Undecided(
            rule, "missing_breed", need("breed", f"some breeds react badly ({', '.join(wanted)})", "Which breed is it?")
        )
    names = {fold(name) for name in (patient.breed.name, *patient.breed.names)}
    return any(fold(name) in names for name in wanted)


def _gene(rule: RuleRecord, patient: Patient) -> Verdict:
    """An untested animal of a breed that carries the variant counts as affected."""
    if not rule.trigger.gene:
        return True
    genes = {fold(name) for name in rule.trigger.gene}
    tested = [carries for gene, carries in patient.genes.items() if _same_gene(gene, genes)]
    if tested:
        return any(tested)
    if patient.breed is not None:
        risky = [row for row in patient.breed.genes if fold(row.gene) in genes and row.frequency > 0]
        if risky:
            return f"{patient.breed.name} not tested for {risky[0].gene}: treated as affected"
        return False
    if patient.breed_words:
        return False
    return Undecided(
        rule,
        "missing_breed",
        need(
            "breed", f"some breeds carry a variant of {rule.trigger.gene[0]}", "Which breed is it, and was it tested?"
        ),
    )


def _same_gene(gene: str, wanted: Collection[str]) -> bool:
    aliases = {"mdr1": "abcb1", "mdr 1": "abcb1", "abcb1 1delta": "abcb1", "abcb1 1δ": "abcb1"}
    return aliases.get(gene, gene) in {aliases.get(name, name) for name in wanted}


def _age(rule: RuleRecord, patient: Patient) -> Verdict:
    trigger, age = rule.trigger, patient.age_months
    if trigger.age_months_max is None and trigger.age_months_min is None:
        return True
    if age is None and trigger.age_months_max is None and "20 months plus" in fold(patient.production_class):
        age = Decimal(20)
    if age is not None:
        below = trigger.age_months_max is None or age <= trigger.age_months_max
        return below and (trigger.age_months_min is None or age >= trigger.age_months_min)
    if patient.juvenile and trigger.age_months_max is not None:
        return "age not given, but a young animal"
    return Undecided(rule, "missing_age", need("age", "a rule for this drug depends on age", "How old is it?"))


def _weight(rule: RuleRecord, patient: Patient) -> Verdict:
    trigger, weight = rule.trigger, patient.weight_kg
    if trigger.weight_kg_max is None and trigger.weight_kg_min is None:
        return True
    if weight is None:
        return Undecided(
            rule, "missing_weight", need("weight", "a rule for this drug depends on weight", "What does it weigh?")
        )
    below = trigger.weight_kg_max is None or weight <= trigger.weight_kg_max
    return below and (trigger.weight_kg_min is None or weight >= trigger.weight_kg_min)


def _sex(rule: RuleRecord, patient: Patient) -> Verdict:
    if not rule.trigger.sex:
        return True
    if patient.sex is None:
        return Undecided(
            rule, "missing_sex", need("sex", "a rule for this drug depends on sex", "Is it male or female?")
        )
    return patient.sex in rule.trigger.sex


def _breeding(rule: RuleRecord, patient: Patient) -> Verdict:
    trigger = rule.trigger
    for wanted, fact, name, ask in (
        (
            trigger.pregnant,
            patient.pregnant,
            "pregnancy",
            "Is it a female that could be pregnant?" if patient.sex is None else "Could she be pregnant?",
        ),
        (
            trigger.lactating,
            patient.lactating,
            "lactation",
            "Is it giving milk?" if patient.sex is None else "Is she giving milk?",
        ),
    ):
        if wanted is None:
            continue
        known = False if fact is None and (patient.sex == "male" or patient.neutered) else fact
        if known is None:
            field = "pregnant" if name == "pregnancy" else "lactating"
            return Undecided(rule, f"missing_{name}", need(field, f"a rule for this drug depends on {name}", ask))
        if known != wanted:
            return False
    return True


def _food(rule: RuleRecord, patient: Patient) -> Verdict:
    trigger = rule.trigger
    if trigger.food_producing is not None:
        food = patient.food_producing
        if food is None and patient.species is not None and not patient.species.production_classes:
            food = False
        if food is None:
            ask = need(
                "food_producing", "the law differs for animals that may be eaten", "May it, or its milk, be eaten?"
            )
            return Undecided(rule, "missing_food_producing", ask)
        if fold(patient.production_class) == "companion" and "food_producing" not in patient.shape:
            food = False
        if food != trigger.food_producing:
            return False
        if food and presumed_food(patient) and not trigger.production_class:
            return PRESUMED_FOOD
    if trigger.production_class:
        if not patient.production_class:
            if patient.food_producing is False:
                return False
            known = ", ".join(patient.species.production_classes) if patient.species else ""
            ask = need("production_class", "the law differs by what the animal is kept for", f"Which is it: {known}?")
            return Undecided(rule, "missing_production_class", ask)
        said = set(fold(patient.production_class).split())
        return any(
            set(fold(name).split()) <= said or said <= set(fold(name).split()) for name in trigger.production_class
        )
    return True


def presumed_food(patient: Patient) -> bool:
    """Whether nobody said that it is eaten, and many of its kind never are: horses."""
    kept = patient.species.production_classes if patient.species else ()
    return "food_producing" not in patient.shape and not patient.production_class and "companion" in kept


def same_condition(said: str, wanted: Collection[str]) -> bool:
    """Whether a patient's condition, as written, is one that a rule names."""
    words = f" {_folded(said)} "
    return any(way in words for way in _ways_to_say(tuple(wanted)))


_folded = lru_cache(maxsize=1024)(fold)


@cache
def _ways_to_say(wanted: tuple[str, ...]) -> frozenset[str]:
    """Every way to say one of the conditions that a rule names, between spaces."""
    names = frozenset(map(fold, wanted))
    narrow = [group for group in NARROW if names & group]
    wide = names.difference(*narrow)
    vague = [ways for name, ways in VAGUE.items() if any(name in group for group in narrow)]
    ways = names.union(*narrow, *vague, *(group for group in CONDITIONS if wide & group))
    return frozenset(f" {word} " for word in ways)


def finding(match: Match, drugs: list[str], audience: str) -> Json:
    """A rule that holds, as answers show it."""
    rule = match.rule
    return {
        "rule": rule.id,
        "severity": rule.severity,
        "severity_label": LABELS[rule.severity],
        "action": rule.action,
        "drugs": drugs,
        "text": rule.owner_text if audience == "owner" else rule.text,
        "mechanism": rule.mechanism,
        "except": rule.except_words or None,
        "assumed": list(match.assumed),
        "alternatives": list(rule.alternatives),
        "jurisdiction": list(rule.trigger.jurisdiction) or None,
        "source": rule.sources[0].json,
        "sources": [source.json for source in rule.sources],
    }
