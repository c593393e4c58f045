"""The bodies of the clinic's questions, and the words of a text put in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from app.base.errors import Invalid
from app.clinic.calculators import ALL as CALCULATORS
from app.clinic.patient import Figure, Line, Medications, PatientShape, Positive, Shape, Span, Word

Jurisdiction = Literal["US", "EU", "UK", "CA", "AU"]
Route = Annotated[str, Field(min_length=1, max_length=40)]
Free = Annotated[str, Field(max_length=200_000), AfterValidator(str.strip)]


class Question(Shape):
    """What every clinic question takes."""

    patient: PatientShape | None = Field(None, description='The animal, like {"species": "dog", "weight_kg": 12}.')
    text: Free | None = Field(None, description="Free words to read the same facts from.")
    jurisdiction: Jurisdiction | None = Field(None, description="Whose drug law holds: US, EU, UK, CA or AU.")
    audience: Literal["clinician", "owner"] = Field("clinician", description="Whom the answer is for.")
    language: str | None = Field(None, max_length=35, description="BCP 47, like en or de-AT.")


class ExtractBody(Shape):
    """`text` to read facts from."""

    text: Free = Field(description="Free words to read facts from.")
    jurisdiction: Jurisdiction | None = Field(None, description="Whose drug law holds: US, EU, UK, CA or AU.")
    audience: Literal["clinician", "owner"] = Field("clinician", description="Whom the answer is for.")
    language: str | None = Field(None, max_length=35, description="BCP 47, like en or de-AT.")


class FigureShape(Shape):
    """`{"value": 1.5, "unit": "mg/mL"}`."""

    value: Positive
    unit: Word


class AmountShape(Shape):
    """`{"value": 200, "unit": "g"}`; nothing at all is an amount too."""

    value: Figure
    unit: Word | None = None


def _bare(unit: str | None, written: Any) -> BeforeValidator:
    """A bare number stands for its figure with `unit`; `written` is the type of both forms."""

    def figure(value: object) -> object:
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        return {"value": value, "unit": unit} if bare else value

    return BeforeValidator(figure, json_schema_input_type=written)


class DoseBody(Question):
    """A drug for a patient. `per_kg` is the caller's own figure, in mg/kg where it is a bare number."""

    drug: Word | None = Field(None, description="Its name, generic or brand.")
    route: Route | None = Field(None, description="PO, SC, IM, IV, ...; all on record where left out.")
    indication: Word | None = Field(None, description="What it is given for; all on record where left out.")
    strength: FigureShape | None = Field(
        None, description='Of the product in hand, like {"value": 1.5, "unit": "mg/mL"}.'
    )
    tablet_strengths_mg: list[Positive] = Field(
        default_factory=list, max_length=50, description="Of the tablets in hand [mg], like [25, 75]."
    )
    per_kg: Annotated[FigureShape | None, _bare("mg/kg", FigureShape | Positive | None)] = Field(
        None, description='Your own figure, to be checked, like {"value": 0.1, "unit": "mg/kg"}.'
    )
    weight_basis: Literal["actual", "ideal"] = Field("actual", description="Which weight is dosed: actual or ideal.")


class ExposureShape(Shape):
    """One thing met; `amount` is `{value, unit}`, or a number with `unit` beside it as `extract` gives it."""

    substance: Word
    amount: Annotated[AmountShape | None, _bare(None, AmountShape | Figure | None)] = None
    unit: str | None = Field(None, max_length=60)
    strength: FigureShape | None = None
    product: str | None = Field(None, max_length=200)
    hours_ago: Figure | None = None
    route: Route | None = None
    text: str | None = Field(None, max_length=2000)
    status: str | None = Field(None, max_length=40)
    patient: Annotated[int, Field(strict=True)] | None = None
    span: Span | None = None


class ExposureBody(Question):
    """One substance, or several in `exposures`."""

    substance: Word | None = Field(None, description="What it swallowed or met.")
    amount: Annotated[AmountShape | None, _bare(None, AmountShape | Figure | None)] = Field(
        None, description='Like {"value": 200, "unit": "g"}, or a number with `unit` beside it.'
    )
    unit: str | None = Field(None, max_length=60, description="Of an amount that is a bare number.")
    strength: FigureShape | None = Field(None, description='Of the product, like {"value": 325, "unit": "mg"}.')
    product: str | None = Field(None, max_length=200, description="Which kind, like 70 % cocoa.")
    hours_ago: Figure | None = Field(None, description="When it was [h].")
    route: Route | None = Field(None, description="How it got in: PO, skin, ...")
    exposures: list[ExposureShape] = Field(
        default_factory=list, max_length=100, description="Several at once; what they share adds up."
    )


class CheckBody(Question):
    """Drugs as written, dose and all."""

    drugs: list[Medications] = Field(
        default_factory=list, max_length=200, description='As written, dose and all: "prednisolone 5 mg PO BID".'
    )


class ReferenceShape(Shape):
    """The laboratory's own range, in the unit of the value."""

    low: Figure | None = None
    high: Figure | None = None


class VitalShape(Shape):
    """`{"name": "temperature", "value": 40.2, "unit": "C"}`."""

    name: Word
    value: Figure
    unit: str | None = Field(None, max_length=40)


class TriageBody(Question):
    """What somebody tells of an animal, and its vital signs."""

    vitals: list[VitalShape] = Field(
        default_factory=list, max_length=20, description='Like [{"name": "temperature", "value": 40.2, "unit": "C"}].'
    )


class FindingShape(Shape):
    """A laboratory finding: a value, or only its `flag` (high, low; L, H as `labs` gives them)."""

    name: Word | None = None
    analyte: Word | None = None
    loinc: Word | None = None
    value: Figure | None = None
    comparator: Literal["<", "<=", ">", ">="] | None = None
    unit: str | None = Field(None, max_length=40)
    reference: ReferenceShape | None = None
    specimen: str | None = Field(None, max_length=80)
    flag: Literal["high", "low", "normal", "LL", "L", "N", "H", "HH"] | None = None


class GuardBody(Question):
    """What a model wrote, and the words that it answered."""

    text: Free = Field(description="What any model wrote, to be judged as chat's own answers are.")
    context: Free | None = Field(None, description="The words that it answers; facts of the animal are read from them.")


class DifferentialsBody(Question):
    """Signs and laboratory findings to think about."""

    signs: list[Line] = Field(
        default_factory=list, max_length=100, description='Ids of signs or free words: "vomiting", "no fever".'
    )
    analytes: list[FindingShape] = Field(
        default_factory=list,
        max_length=100,
        description='Like [{"name": "potassium", "value": 7.1, "unit": "mmol/L"}].',
    )


class LabShape(Shape):
    """A laboratory value: `{"name": "creatinine", "value": 3.1, "unit": "mg/dL"}`; rows of `extract` are taken too."""

    name: Word | None = None
    loinc: Word | None = None
    value: Figure
    comparator: Literal["<", "<=", ">", ">="] | None = None
    unit: str | None = Field(None, max_length=40)
    reference: ReferenceShape | None = None
    specimen: str | None = Field(None, max_length=80)
    patient: Annotated[int, Field(strict=True)] | None = None
    span: Span | None = None


class LabsBody(Question):
    """Laboratory values, in either unit system."""

    analytes: list[LabShape] = Field(
        default_factory=list,
        max_length=200,
        description='Like [{"name": "creatinine", "value": 3.1, "unit": "mg/dL"}].',
    )


class CalculateBody(Question):
    """A calculator by name, with its inputs."""

    calculator: Word = Field(
        description="Its name, as GET /v1/clinic/calculators lists it.", json_schema_extra={"enum": [*CALCULATORS]}
    )
    inputs: Annotated[dict[str, Any], Field(max_length=50)] = Field(
        default_factory=dict,
        description='By name: a number, {"value", "unit"} or words, like {"dose": "5 mcg/kg/min"}.',
    )


Body = TypeVar("Body", bound=Shape)


def body(kind: type[Body], given: Body | Mapping[str, Any]) -> Body:
    """The checked body.

    Raises:
        Invalid: names the field by its path.
    """
    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError) -> Invalid:
    """The first thing wrong with a body, as the one error envelope says it."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    path = ""
    for part in first["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in ("str", "json"):
            path += f".{part}" if path else part
    if first["type"] == "missing":
        return Invalid(f"{path} is missing.", code="missing_required_parameter", param=path)
    if first["type"] == "extra_forbidden":
        return Invalid(f"{path} is not a field here; leave it out.", code="unknown_parameter", param=path)
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return Invalid(f"{path}: {message}." if path else f"{message}.", param=path or None)
