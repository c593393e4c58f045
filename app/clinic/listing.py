"""Records as the lists and single pages of the clinic show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.clinic import rules
from app.clinic.records import (
    Analyte,
    Breed,
    Condition,
    DoseRecord,
    Drug,
    Finding,
    Range,
    Records,
    Signalment,
    Source,
    Species,
    Toxin,
)
from app.clinic.units import number

Json = dict[str, Any]


def _sources(sources: Iterable[Source]) -> list[Json]:
    return [source.json for source in sources]


def _range(span: Range | None) -> Json | None:
    if span is None:
        return None
    return {"min": number(span.min), "max": number(span.max), "unit": span.unit, "sources": _sources(span.sources)}


def species(row: Species) -> Json:
    """A species with its names, weights and vital signs."""
    return {
        "object": "clinic.species",
        "name": row.name,
        "names": {language: list(names) for language, names in row.names.items()},
        "food_producing": row.food_producing,
        "hindgut_fermenter": row.hindgut_fermenter,
        "can_vomit": row.can_vomit,
        "glucuronidation": row.glucuronidation,
        "production_classes": list(row.production_classes),
        "weight_kg": _range(row.weight_kg),
        "vitals": [
            {
                "name": vital.name,
                "low": number(vital.low),
                "high": number(vital.high),
                "unit": vital.unit,
                "sources": _sources(vital.sources),
            }
            for vital in row.vitals
        ],
        "breeds": len(row.breeds),
    }


def breed(row: Breed) -> Json:
    """A breed with the variants it carries."""
    return {
        "object": "clinic.breed",
        "name": row.name,
        "species": row.species,
        "names": list(row.names),
        "genes": [
            {"gene": gene.gene, "frequency": number(gene.frequency), "sources": _sources(gene.sources)}
            for gene in row.genes
        ],
        "weight_kg": _range(row.weight_kg),
        "sensitivities": list(row.sensitivities),
    }


def drug(row: Drug) -> Json:
    """A drug in one row."""
    return {
        "object": "clinic.drug",
        "name": row.generic,
        "synonyms": list(row.synonyms),
        "brands": [{"name": brand.name, "country": brand.country or None} for brand in row.brands],
        "class": list(row.classes),
        "atcvet": row.atcvet or None,
        "controlled": row.controlled,
        "human_otc": row.human_otc,
        "species": sorted({dose.species for dose in row.doses}),
        "routes": sorted({dose.route for dose in row.doses}),
    }


def drug_whole(row: Drug, records: Records) -> Json:
    """A drug with everything on record of it."""
    return {
        **drug(row),
        "narrow": row.narrow or None,
        "formulations": [
            {
                "form": form.form,
                "strength": {"value": number(form.strength), "unit": form.unit},
                "broken_into": {1: "whole only", 2: "halves", 4: "quarters"}[form.pieces],
                "sources": _sources(form.sources),
            }
            for form in row.formulations
        ],
        "doses": [_dose(dose) for dose in row.doses if dose.status != "unverified"],
        "rules": [
            {
                "rule": rule.id,
                "severity": rule.severity,
                "severity_label": rules.LABELS[rule.severity],
                "action": rule.action,
                "species": list(rule.trigger.species),
                "jurisdiction": list(rule.trigger.jurisdiction) or None,
                "text": rule.text,
                "alternatives": list(rule.alternatives),
                "sources": _sources(rule.sources),
            }
            for rule in sorted(rules.of_drug(row, records), key=lambda rule: rules.RANKS[rule.severity])
        ],
    }


def _dose(row: DoseRecord) -> Json:
    interval, withdrawal = row.interval_h, row.withdrawal
    return {
        "id": row.id,
        "species": row.species,
        "indication": row.indication,
        "route": row.route,
        "basis": row.basis,
        "kind": row.dose_kind,
        "dose": {"min": number(row.dose.min), "max": number(row.dose.max), "unit": row.dose.unit},
        "per": row.per,
        "interval_h": None if interval is None else {"min": number(interval.min), "max": number(interval.max)},
        "status": row.status,
        "jurisdiction": row.country or None,
        "withdrawal": None
        if withdrawal is None
        else {
            "meat_d": None if withdrawal.meat_d is None else number(withdrawal.meat_d),
            "milk_h": None if withdrawal.milk_h is None else number(withdrawal.milk_h),
            "eggs_d": None if withdrawal.eggs_d is None else number(withdrawal.eggs_d),
        },
        "notes": row.notes or None,
        "sources": _sources(row.sources),
    }


def toxin(row: Toxin) -> Json:
    """A toxin with its products and thresholds."""
    return {
        "object": "clinic.toxin",
        "name": row.name,
        "names": list(row.names),
        "agent": row.agent,
        "category": row.category,
        "no_safe_amount_species": list(row.no_safe_amount_species),
        "products": [
            {
                "name": product.name,
                "content": None
                if product.content is None
                else {"value": number(product.content.value), "unit": product.content.unit},
                "sources": _sources(product.sources),
            }
            for product in row.products
        ],
        "thresholds": [
            {
                "species": list(threshold.species),
                "value": number(threshold.value),
                "unit": threshold.unit,
                "band": threshold.band,
                "effect": threshold.effect,
                "sources": _sources(threshold.sources),
            }
            for threshold in row.thresholds
        ],
    }


def condition(row: Condition) -> Json:
    """A condition with the findings that speak for and against it."""
    return {
        "object": "clinic.condition",
        "name": row.name,
        "names": list(row.names),
        "plain": row.plain or None,
        "species": list(row.species),
        "only": _signalment(row.only),
        "signalment": _signalment(row.signalment),
        "signs": [_finding(finding) for finding in row.signs],
        "against": [_finding(finding) for finding in row.against],
        "urgency": row.urgency,
        "cant_miss": row.cant_miss,
        "first_tests": list(row.first_tests),
        "toxin": row.toxin or None,
        "notes": row.notes or None,
        "sources": _sources(row.sources),
    }


def _finding(row: Finding) -> Json:
    return {
        "sign": row.sign or None,
        "analyte": row.analyte or None,
        "direction": row.direction or None,
        "weight": row.weight or None,
    }


def _signalment(row: Signalment) -> Json:
    return {
        "age_months_min": None if row.age_months_min is None else number(row.age_months_min),
        "age_months_max": None if row.age_months_max is None else number(row.age_months_max),
        "ages": list(row.ages),
        "sex": row.sex or None,
        "neutered": row.neutered,
        "pregnant": row.pregnant,
        "lactating": row.lactating,
        "breeds": list(row.breeds),
    }


def analyte(row: Analyte) -> Json:
    """An analyte with its units and intervals."""
    return {
        "object": "clinic.analyte",
        "name": row.name,
        "names": list(row.names),
        "loinc": row.loinc or None,
        "unit": row.unit,
        "si_unit": row.si_unit,
        "factor": number(row.factor),
        "sources": _sources(row.factor_sources),
        "intervals": [
            {
                "species": interval.species,
                "low": number(interval.low),
                "high": number(interval.high),
                "unit": interval.unit,
                "critical_low": None if interval.critical_low is None else number(interval.critical_low),
                "critical_high": None if interval.critical_high is None else number(interval.critical_high),
                "method_note": interval.method_note or None,
                "sources": _sources(interval.sources),
            }
            for interval in row.intervals
        ],
    }
