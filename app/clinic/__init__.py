"""What is medically true: species, doses, poisons, rules. Pure; reads species_data/ once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from app.base.errors import Invalid, NotFound
from app.base.messages import Ask, Facts, Message, Text, Written
from app.clinic import assessment, calculators, differentials, listing, reading, triage
from app.clinic.check import check, unique_needs
from app.clinic.exposure import Exposed, assess
from app.clinic.findings import VitalSaid, signs_in, vital, vitals_said
from app.clinic.formulas import Formulas
from app.clinic.kept import kept_all
from app.clinic.labs import Measured, judge
from app.clinic.lexicon import lexicon
from app.clinic.patient import Patient, PatientShape, need, normalise
from app.clinic.prescribing import DoseQuestion, prescribe
from app.clinic.questions import (
    CalculateBody,
    CheckBody,
    DifferentialsBody,
    DoseBody,
    ExposureBody,
    ExposureShape,
    ExtractBody,
    FigureShape,
    GuardBody,
    LabsBody,
    Question,
    TriageBody,
    body,
)
from app.clinic.records import Records, ruleset
from app.clinic.safety import Prompts, SafetyGuard, load_prompts, render_prompt
from app.clinic.units import shown

if TYPE_CHECKING:
    from app.clinic.drafting import Draft
    from app.clinic.labsheets import LabSheet

Json = dict[str, Any]
TEXT_MAX = 200_000


def open_clinic(root: Path) -> Clinic:
    """The clinic over `root/species_data` and `root/prompts`.

    Raises:
        BadData: a file is wrong; names file and key.
    """
    content = ruleset(root)
    records, formulas = kept_all(root, content)
    return Clinic(records, content, load_prompts(root), formulas)


class Clinic:
    """Answers of the clinic, each JSON-ready with exactly the fields of API.md. Holds nothing that changes.

    Every method takes its body as a checked model or as the plain JSON of it, `jurisdiction` for where the body names
    none, and `today` for ages from a date of birth.

    Raises:
        Invalid: from any of them; names the field.
    """

    def __init__(self, records: Records, ruleset: str, prompts: Prompts, formulas: Formulas | None = None) -> None:
        self.records = records
        self.formulas = formulas or Formulas()
        self.ruleset = ruleset
        self._prompts = prompts

    def warm_up(self) -> None:
        """Make now what the first question would wait for."""
        lexicon(self.records)
        signs_in("", self.records)

    def facts_for(
        self, ask: Ask, jurisdiction: str | None = None, today: date | None = None, written: Sequence[Written] = ()
    ) -> Facts:
        """The assessment of a conversation before any model speaks; `jurisdiction` where the ask names none.

        Args:
            written: what stands in the pictures of the conversation.
        """
        law = ask.jurisdiction or jurisdiction
        return assessment.facts_for(
            ask.messages, ask.patients, ask.audience, law, ask.language, self.records, today, self.formulas, written
        )

    def render_prompt(self, facts: Facts, has_pictures: bool, has_tools: bool = False) -> str:
        """Our system message: fixed rules, these animals' rules, then what was read and computed."""
        return render_prompt(facts, self._prompts, has_pictures, has_tools)

    def animal_named(self, species: str | None, breed: str | None) -> Json:
        """Species and breed by the records' names; None for words that no record knows."""
        kind = self.records.species_named(species or "")
        breeds = self.records.breeds_named(breed or "", kind.name if kind else None)
        one = breeds[0] if len({row.species for row in breeds}) == 1 else None
        return {"species": kind.name if kind else one and one.species, "breed": one and one.name}

    def sheet_of(self, written: Written) -> LabSheet | None:
        """The laboratory sheet that stands in a picture; None where none does."""
        from app.clinic import labsheets

        printed = labsheets.printed(written.picture, written.words or written.text, self.records)
        return None if printed is None else printed.sheet

    def guard(self, facts: Facts) -> SafetyGuard:
        """A guard for one answer of any model."""
        return SafetyGuard(facts, self.records, facts.audience)

    def guarded(
        self, given: GuardBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """What chat's guard does with any model's words, for the animal of the body or of the words they answer."""
        asked = body(GuardBody, given)
        law = asked.jurisdiction or jurisdiction
        messages = (Message("user", (Text(asked.context),)),) if asked.context else ()
        patients = (asked.patient.model_dump(exclude_unset=True),) if asked.patient is not None else ()
        try:
            facts = assessment.facts_for(
                messages, patients, asked.audience, law, asked.language, self.records, today, self.formulas
            )
        except Invalid as error:
            raise Invalid(
                error.message, code=error.code, param=(error.param or "").replace("patients[0]", "patient")
            ) from None
        guard = self.guard(facts)
        corrected = guard.feed(asked.text) + guard.finish()
        findings = [
            {"span": list(span), "rule": row.rule, "severity": row.severity, "action": row.action, "text": row.why,
             "source": row.source}
            for span, row in zip(guard.spans, guard.interventions, strict=True)
        ]  # fmt: skip
        alone = dict(facts.patients[0]) if len(facts.patients) == 1 else None
        needs = [row for row in facts.needs if row["field"] != "jurisdiction"]
        if law is None:
            needs.append(need("jurisdiction", "drug law differs; the strictest rule is shown", "US, EU, UK, CA or AU?"))
        return {
            "object": "clinic.guard",
            "ruleset": self.ruleset,
            "jurisdiction": law,
            "audience": asked.audience,
            "patient": alone,
            "verdict": "unsafe" if findings else None if guard.not_checked else "safe",
            "findings": findings,
            "corrected": corrected,
            "covered": not guard.not_checked,
            "not_checked": list(guard.not_checked),
            "needs": unique_needs(needs),
        }

    def draft(
        self,
        name: str,
        facts: Facts,
        said: Sequence[str],
        today: date | None = None,
        headlines: Mapping[str, str] | None = None,
    ) -> Draft:
        """The document of that name (`soap`, …) of an assessed conversation.

        Args:
            said: the user's messages.
            headlines: for each level of triage how the reader's language says it; none for English.

        Raises:
            Invalid: there is no such document.
        """
        from app.clinic import documents, drafting  # shapes that only documents need take 10 ms to make

        if name not in documents.KINDS:
            names = ", ".join(documents.PREFIX + kind for kind in documents.KINDS)
            raise Invalid(
                f"There is no document of that name; there are {names}.", param="response_format.json_schema.name"
            )
        text, alone = "\n".join(said)[:TEXT_MAX], dict(facts.patients[0]) if len(facts.patients) == 1 else None
        given = {"text": text, "patient": alone, "audience": facts.audience}
        weighs = name in ("soap", "differentials")
        case = drafting.Case(
            facts=facts,
            said=said,
            labs=_asked(self.labs, given | _of_sheets(facts), today) if facts.analytes and alone is not None else {},
            differentials=_asked(self.differentials, given, today) if weighs and len(facts.patients) < 2 else {},
            records=self.records,
            ruleset=self.ruleset,
            headlines=headlines or {},
        )
        return drafting.draft(name, case)

    def schemas(self) -> list[Json]:
        """Every document: its name, and the name that `response_format` takes."""
        from app.clinic import documents

        return [
            {"id": kind.name, "object": "schema", "name": documents.PREFIX + kind.name, "description": kind.about}
            for kind in documents.KINDS.values()
        ]

    def schema(self, name: str) -> Json:
        """The JSON Schema of a document, by its name with or without `vetx_`.

        Raises:
            NotFound: there is no such document.
        """
        from app.clinic import documents

        plain = name.removeprefix(documents.PREFIX)
        if plain not in documents.KINDS:
            raise NotFound("There is no such schema; GET /v1/schemas lists what there is.", param="name")
        return documents.schema(plain)

    def extract(self, given: ExtractBody | Mapping[str, Any], today: date | None = None) -> Json:
        """What a text says of its animals, drugs, poisons, values and signs, each with its place in the text."""
        asked = body(ExtractBody, given)
        answer = reading.to_json(triage.stated(reading.read(asked.text, self.records), self.records)[0])
        patients = []
        needs = list(answer["needs"])
        for found in answer["patients"]:
            spans = found.get("spans")
            patient = normalise(_readable(found), self.records, today)
            needs += [row for row in patient.needs if row["field"] == "weight"]
            patients.append({**patient.shape, "spans": spans})
        answer["patients"] = patients
        answer["patient"] = patients[0] if len(patients) == 1 else None
        answer["needs"] = unique_needs(needs)
        return {"object": "clinic.extract", "ruleset": self.ruleset, **answer}

    def dose(
        self, given: DoseBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """Every recorded dose of a drug for a patient, computed."""
        asked = body(DoseBody, given)
        law = asked.jurisdiction or jurisdiction
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        drug, strength = asked.drug, asked.strength
        if drug is None:
            named = [row for row in said.medications if row.in_play and row.drugs] if said else []
            if not named:
                raise Invalid("Name the drug.", code="missing_required_parameter", param="drug")
            drug = named[0].drugs[0] if len(named[0].drugs) == 1 else named[0].text
            if strength is None and named[0].strength is not None:
                strength = FigureShape(value=named[0].strength[0], unit=named[0].strength[1])
        question = DoseQuestion(
            drug=drug,
            route=_route(asked.route),
            indication=asked.indication,
            strength=None if strength is None else (strength.value, strength.unit),
            tablet_strengths_mg=tuple(asked.tablet_strengths_mg),
            per_kg=None if asked.per_kg is None else (asked.per_kg.value, asked.per_kg.unit),
            weight_basis=asked.weight_basis,
        )
        answer = prescribe(patient, question, self.records, law, asked.audience)
        return self._whole("clinic.dose", asked, patient, law, answer)

    def exposure(
        self, given: ExposureBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """How grave something swallowed is, and what to do."""
        asked = body(ExposureBody, given)
        law = asked.jurisdiction or jurisdiction
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        met = [_exposed(row) for row in asked.exposures]
        if asked.substance is not None:
            fields = asked.model_dump(
                include=set(ExposureShape.model_fields), exclude_unset=True, exclude={"text", "patient"}
            )
            met.insert(0, _exposed(ExposureShape.model_validate(fields)))
        if not met and said is not None:
            met = [_met(row) for row in said.exposures if row.status not in ("denied",)]
        if not met:
            raise Invalid("Name what it swallowed or met.", code="missing_required_parameter", param="substance")
        answer = assess(patient, met, self.records, law, asked.audience)
        return self._whole("clinic.exposure", asked, patient, law, answer, ask_law=False)

    def check(
        self, given: CheckBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """Drugs against the patient, each other and their doses."""
        asked = body(CheckBody, given)
        law = asked.jurisdiction or jurisdiction
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        lines = [*asked.drugs, *(_line(row) for row in (said.medications if said else ()) if row.in_play)]
        if not lines and not patient.medications:
            raise Invalid("Name at least one drug.", code="missing_required_parameter", param="drugs")
        answer = check(patient, lines, self.records, law, asked.audience, today)
        return self._whole("clinic.check", asked, patient, law, answer)

    def triage(
        self, given: TriageBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """How soon an animal must be seen, by what is told of it."""
        asked = body(TriageBody, given)
        if not asked.text and not asked.vitals:
            raise Invalid("Say what is the matter.", code="missing_required_parameter", param="text")
        law = asked.jurisdiction or jurisdiction
        read = reading.read(asked.text or "", self.records)
        patient = self._patient(asked, read, today)
        said, other = triage.stated(read, self.records)
        shape = patient.shape
        said = replace(said, signs=(*said.signs, *triage.of_illness(shape, signs_in(read, self.records), self.records)))
        not_checked: list[Json] = []
        vitals, unjudged = triage.judged(_vitals(asked, read, not_checked), shape, self.records)
        met = [row for row in said.exposures if row.status == "happened"]
        exposures = [assess(patient, [_met(row)], self.records, law, asked.audience) for row in met]
        for row, answer in zip(met, exposures, strict=True):
            answer["span"] = list(row.span)
        level = triage.triage(said, shape, self.records, exposures, law, vitals)
        needs = [row for answer in exposures for row in answer["needs"]] + list(patient.needs)
        if patient.species is None and not (patient.species_words or len(read.animals) > 1):
            needs.insert(0, need("species", "which signs are red flags depends on it", "What kind of animal is it?"))
        not_checked += [*unjudged, *(row for answer in exposures for row in answer["not_checked"])]
        not_checked += self._uncovered(patient)
        answer = {
            "covered": not self._uncovered(patient),
            "level": level.level,
            "urgency": level.level,
            "see_within_min": level.see_within_min,
            "vtl_colour": level.vtl_colour,
            "reason": level.reason,
            "red_flags": list(level.red_flags),
            "ask_next": list(level.ask_next or triage.questions(shape, self.records)),
            "contacts": list(level.contacts),
            "vitals": vitals,
            "not_raised": list(other),
            "needs": unique_needs(needs),
            "not_checked": not_checked,
        }
        return self._whole("clinic.triage", asked, patient, law, answer, ask_law=False)

    def differentials(
        self, given: DifferentialsBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """Conditions to think of, with what speaks for and against each."""
        asked = body(DifferentialsBody, given)
        if not (asked.text or asked.signs or asked.analytes):
            raise Invalid("Name at least one sign or value.", code="missing_required_parameter", param="signs")
        law = asked.jurisdiction or jurisdiction
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        evidence = differentials.Evidence()
        differentials.signs_given(asked.signs, self.records, evidence)
        for row in asked.analytes:
            words = row.name or row.analyte or row.loinc
            if words is None:
                raise Invalid("Name the analyte.", code="missing_required_parameter", param="analytes")
            fields = row.model_dump(include={"value", "unit", "comparator", "flag"})
            fields["reference"] = None if row.reference is None else (row.reference.low, row.reference.high)
            differentials.value_given(self.records.analyte_named(words), words, fields, patient, evidence)
        for line in (*asked.signs, asked.text or ""):
            read = reading.read(line, self.records)
            evidence.poisons += [row.substance for row in read.exposures if row.status not in ("denied", "asked")]
            for one in read.analytes:
                fields = {"value": one.value, "unit": one.unit, "comparator": one.comparator, "span": list(one.span)}
                differentials.value_given(self.records.analytes.get(one.name), one.name, fields, patient, evidence)
        if asked.text:
            differentials.text_given(asked.text, self.records, evidence)
        if said is not None:
            vitals, unjudged = triage.judged(vitals_said(said), patient.shape, self.records)
            differentials.vitals_given(vitals, self.records, evidence)
            evidence.not_checked += unjudged
        uncovered = self._uncovered(patient)
        covered = not uncovered
        found = list(evidence.given.values()) if covered else []
        answer = differentials.differentials(patient, found, evidence.poisons, self.records, asks_species=covered)
        any_of = patient.species is None or any(
            patient.species_name in row.species for row in self.records.conditions.values()
        )
        answer |= {
            "covered": covered and any_of,
            "findings": [one.shown for one in evidence.given.values()],
            "needs": unique_needs([*answer["needs"], *evidence.needs, *patient.needs]),
            "not_checked": [*evidence.not_checked, *uncovered],
        }
        return self._whole("clinic.differentials", asked, patient, law, answer, ask_law=False)

    def conditions(self, species: str | None = None) -> list[Json]:
        """Every condition on record, of one species where it is named.

        Raises:
            NotFound: no such species.
        """
        wanted = None if species is None else self._species_named(species)
        rows = self.records.conditions.values()
        return [listing.condition(row) for row in rows if wanted is None or wanted in row.species]

    def labs(
        self, given: LabsBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """Laboratory values against the animal's intervals, and what they say together."""
        asked = body(LabsBody, given)
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        measured = []
        for place, row in enumerate(asked.analytes):
            name = row.name or row.loinc
            if name is None:
                param = f"analytes[{place}].name"
                raise Invalid(f"{param} is missing.", code="missing_required_parameter", param=param)
            if row.loinc and self.records.analyte_named(row.loinc) is not None:
                name = row.loinc if row.name is None else row.name
            limits = row.reference
            if limits and limits.low is not None and limits.high is not None and limits.low > limits.high:
                raise Invalid("reference.low is more than high.", param=f"analytes[{place}].reference")
            measured.append(
                Measured(
                    name=name,
                    value=row.value,
                    unit=(row.unit or "").strip() or None,
                    comparator=row.comparator or "",
                    low=None if limits is None else limits.low,
                    high=None if limits is None else limits.high,
                    specimen=(row.specimen or "").strip(),
                )
            )
        read, apart = self._measured(said, asked.text)
        measured += read
        if not measured and not apart:
            raise Invalid("Name at least one value.", code="missing_required_parameter", param="analytes")
        answer = judge(patient, measured, self.records, self.formulas)
        if apart:
            answer["not_checked"] += [{"text": name, "why": "another_patient"} for name in apart]
            ask = need("patient", "the text gives values of several animals", "Whose values are these?")
            answer["needs"] = unique_needs([*answer["needs"], ask])
        return self._whole("clinic.labs", asked, patient, asked.jurisdiction or jurisdiction, answer, ask_law=False)

    def calculate(
        self, given: CalculateBody | Mapping[str, Any], jurisdiction: str | None = None, today: date | None = None
    ) -> Json:
        """One calculator's answer; inputs that are analytes are read from the text too."""
        asked = body(CalculateBody, given)
        calculator = calculators.named(asked.calculator)
        said = self._read(asked)
        patient = self._patient(asked, said, today)
        inputs = dict(asked.inputs)
        for row in calculator.inputs if said is not None else ():
            for value in self._measured(said, asked.text)[0]:
                found = self.records.analyte_named(value.name)
                same = found is not None and row.analyte == found.name and row.name == found.name.replace(" ", "_")
                if same and row.name not in inputs and not value.comparator:
                    inputs[row.name] = {"value": value.value, "unit": value.unit or row.unit}
        answer = calculators.calculate(calculator, inputs, patient, self.records, self.formulas)
        law = asked.jurisdiction or jurisdiction
        return self._whole("clinic.calculate", asked, patient, law, answer, ask_law=False)

    def calculators(self) -> list[Json]:
        """Every calculator with its inputs, formula, sources and a worked example."""
        return calculators.listing(self.records, self.formulas)

    def species(self) -> list[Json]:
        """Every species on record."""
        return [listing.species(row) for row in self.records.species.values()]

    def breeds(self, species: str | None = None) -> list[Json]:
        """Every breed on record, of one species where it is named.

        Raises:
            NotFound: no such species.
        """
        wanted = None if species is None else self._species_named(species)
        every = (breed for row in self.records.species.values() for breed in row.breeds)
        return [listing.breed(row) for row in every if wanted is None or row.species == wanted]

    def drugs(self) -> list[Json]:
        """Every drug with a record of its own."""
        return [listing.drug(row) for row in self.records.drugs.values() if row.has_record]

    def drug(self, name: str) -> Json:
        """One drug by any of its names, with its formulations, doses and rules.

        Raises:
            NotFound: no record has that name.
        """
        found = [row for row in self.records.drugs_named(name) if row.has_record]
        if not found:
            near = ", ".join(self.records.near_drugs(name))
            raise NotFound("No drug of that name is on record." + (f" Near it: {near}." if near else ""), param="name")
        return {"object": "clinic.drug", "ruleset": self.ruleset, **listing.drug_whole(found[0], self.records)}

    def toxins(self) -> list[Json]:
        """Every toxin on record."""
        return [listing.toxin(row) for row in self.records.toxins.values()]

    def analytes(self) -> list[Json]:
        """Every analyte on record, with its intervals."""
        return [listing.analyte(row) for row in self.records.analytes.values()]

    def _uncovered(self, patient: Patient) -> list[Json]:
        """The species that was named and that no record knows, as a row of `not_checked`."""
        if patient.species is not None or not patient.species_words:
            return []
        near = self.records.near_species(patient.species_words)
        return [{"text": patient.species_words, "why": "no_record_for_species", "nearest": near}]

    def _species_named(self, name: str) -> str:
        found = self.records.species_named(name)
        if found is None:
            raise NotFound("No such species is on record; GET /v1/clinic/species lists them.", param="species")
        return found.name

    def _read(self, asked: Question) -> reading.Reading | None:
        return reading.read(asked.text, self.records) if asked.text else None

    def _measured(self, said: reading.Reading | None, text: str | None) -> tuple[list[Measured], list[str]]:
        """The laboratory values of a text, each with its name as written, and the names of those of other animals."""
        rows = [row for row in said.analytes if row.name in self.records.analytes] if said is not None else []
        owners = {row.animal for row in rows}
        if said is not None and len(said.animals) > 1 and len(owners) > 1:
            return [], [row.name for row in rows]
        return [Measured(_written(text or "", row), row.value, row.unit, row.comparator or "") for row in rows], []

    def _patient(self, asked: Question, said: reading.Reading | None, today: date | None) -> Patient:
        """The patient of the body, with what only the text says filled in."""
        given = asked.patient or PatientShape.model_validate({})
        animals = said.animals if said else ()
        if len(animals) > 1:
            animals = _meant(said, animals)
        if animals:
            own = given.model_dump(exclude_unset=True)
            words = _readable(animals[0].to_json()).model_dump(exclude_unset=True)
            for group in (("weight", "weight_kg"), ("age", "age_months", "birth_date"), ("species", "breed")):
                if any(own.get(name) is not None for name in group):
                    words = {name: value for name, value in words.items() if name not in group}
            given = PatientShape.model_validate({**words, **own})
        return normalise(given, self.records, today)

    def _whole(
        self, kind: str, asked: Question, patient: Patient, law: str | None, answer: Json, ask_law: bool = True
    ) -> Json:
        """An answer with what every answer carries."""
        if law is None and ask_law:
            ask = need("jurisdiction", "drug law differs; the strictest rule is shown", "US, EU, UK, CA or AU?")
            answer["needs"] = unique_needs([*answer["needs"], ask])
        return {
            "object": kind,
            "ruleset": self.ruleset,
            "jurisdiction": law,
            "audience": asked.audience,
            "patient": patient.shape,
            **answer,
        }


_ROUTES = {
    "oral": "PO", "orally": "PO", "by mouth": "PO", "mouth": "PO", "per os": "PO", "subcutaneous": "SC", "sq": "SC",
    "subcut": "SC", "intramuscular": "IM", "intravenous": "IV", "topical": "TOP", "spot-on": "TOP", "rectal": "PR",
    "inhaled": "INH", "eye": "OPH", "ear": "OTIC", "skin": "TOP",
}  # fmt: skip


def _readable(found: Json) -> PatientShape:
    """A patient out of a text, without what can't be a fact: `0 lb`, an age of a thousand years."""
    try:
        return PatientShape.model_validate(found)
    except ValidationError as error:
        wrong = {str(row["loc"][0]) for row in error.errors()}
        wrong |= {"weight", "weight_kg"} if wrong & {"weight", "weight_kg"} else {"age", "age_months"}
        return PatientShape.model_validate({name: value for name, value in found.items() if name not in wrong})


def _meant(said: reading.Reading | None, animals: tuple[reading.Animal, ...]) -> tuple[reading.Animal, ...]:
    """The one of several animals that the text gives something to; none where that is not one."""
    places: set[int | None] = set()
    if said is not None:
        places = {row.animal for row in said.exposures} | {row.animal for row in said.medications}
        if not places - {None}:
            places = {row.animal for row in said.analytes}
    named = [place for place in places if place is not None]
    return (animals[named[0]],) if len(named) == 1 else ()


def _asked(question: Callable[..., Json], given: Json, today: date | None) -> Json:
    """The answer to a question of the clinic's; {} where the words give it nothing to answer."""
    try:
        return question(given, today=today)
    except Invalid:
        return {}


def _of_sheets(facts: Facts) -> Json:
    """The values of photographed sheets as `labs` takes them; what was typed stands in the text anyway."""
    rows = [row for sheet in facts.sheets if sheet["picture"] is not None for row in sheet["rows"] if row["sure"]]
    named = ("value", "comparator", "unit", "reference")
    return (
        {"analytes": [{"name": row["analyte"], **{name: row[name] for name in named}} for row in rows]} if rows else {}
    )


def _written(text: str, row: reading.Measurement) -> str:
    """The analyte's name as the text has it where that says more than the record's, else the record's."""
    start, end = row.span
    word = re.split(r"[\d:=<>]", text[start:end], maxsplit=1)[0].strip()
    return word if word.lower() in ("urea", "harnstoff", "urée", "ureia") else row.name


def _route(given: str | None) -> str | None:
    """A route in our words."""
    return None if given is None else _ROUTES.get(given.strip().lower(), given.strip().upper())


def _exposed(row: ExposureShape) -> Exposed:
    return Exposed(
        substance=row.substance,
        amount=None if row.amount is None else row.amount.value,
        unit=(row.amount.unit if row.amount else None) or row.unit or "",
        product=row.product,
        hours_ago=row.hours_ago,
        route=(row.route or "").strip(),
        strength=None if row.strength is None else (row.strength.value, row.strength.unit),
    )


def _met(row: reading.Exposure) -> Exposed:
    """Something a text says that an animal met."""
    return Exposed(
        substance=row.text if row.text and row.product is None else row.product or row.substance,
        amount=row.amount,
        unit=row.unit or "",
        hours_ago=row.hours_ago,
        strength=row.strength,
    )


def _vitals(asked: TriageBody, read: reading.Reading, not_checked: list[Json]) -> list[VitalSaid]:
    """The vital signs of a body, then those of its text that the body does not give; unknown ones are noted."""
    found: dict[str, VitalSaid] = {}
    for row in asked.vitals:
        one = vital(row.name, row.value, row.unit or "")
        if one is None:
            not_checked.append(
                {"text": f"{row.name} {shown(row.value)} {row.unit or ''}".strip(), "why": "unknown_vital"}
            )
        else:
            found.setdefault(one.name, one)
    for one in vitals_said(read):
        found.setdefault(one.name, one)
    return list(found.values())


def _line(row: reading.Medication) -> str:
    """A medication that was read, as a line that `check` reads."""
    parts = [row.drugs[0] if len(row.drugs) == 1 else row.text]
    if row.strength is not None:
        parts.append(
            f"{format(row.strength[0], 'f')} {row.strength[1]}" + ("" if "/" in row.strength[1] else " tablet")
        )
    if row.tablets is not None:
        parts.append(f"{format(row.tablets, 'f')} tablets")
    if row.volume_ml is not None:
        parts.append(f"{format(row.volume_ml, 'f')} mL")
    elif row.amount is not None and row.tablets is None and (row.per or row.unit not in ("kg", "lb", "st")):
        unit = "/".join((row.unit, *row.per)).replace("[IU]", "IU")
        parts.append(f"{shown(row.amount_max or row.amount, 8)} {unit}")
    parts += [row.route or "", row.frequency or ""]
    return " ".join(part for part in parts if part)
