"""The clinic's questions as tools that a language model can call: small schemas, and answers it can read.

A model's call is words of a stranger like any other: what it asks for is checked as a body of the API is, whom the
answer is for and whose law holds are the conversation's, and the answer is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from app.base.errors import Invalid, Refused
from app.base.messages import Facts
from app.clinic.calculators import ALL as CALCULATORS
from app.clinic.questions import CalculateBody, CheckBody, DoseBody, ExposureBody, LabsBody, Question
from app.clinic.sums import OWNERS_TOO

if TYPE_CHECKING:
    from datetime import date

    from app.clinic import Clinic

Json = dict[str, Any]

MARK = "[vetx] "
"""Begins the description of each, so that a model can tell ours from the caller's."""
ANSWER_BYTES_MAX = 6_000
_LEFT_OUT_BYTES = 200


@dataclass(frozen=True, slots=True)
class Tool:
    """One question as a tool.

    Attributes:
        needed: fields without which there is nothing to answer.
        for_owners: nothing that only a vet decides comes of it.
    """

    name: str
    about: str
    body: type[Question]
    needed: tuple[str, ...]
    for_owners: bool = True


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "dose",
            "Recorded doses of one drug for the animal, computed: per kg, amount, route, interval, warnings.",
            DoseBody,
            ("drug",),
            for_owners=False,
        ),
        Tool(
            "exposure",
            "How dangerous something swallowed or met is for the animal: dose per kg, severity, what to do.",
            ExposureBody,
            ("exposures",),
        ),
        Tool(
            "labs",
            "Laboratory values against the species' intervals, what they say together, and figures derived from them.",
            LabsBody,
            ("analytes",),
        ),
        Tool("calculate", "One clinical calculation with its working.", CalculateBody, ("calculator", "inputs")),
        Tool(
            "check",
            "Drugs against the animal (species, breed, age, disease), each other and their dose ranges.",
            CheckBody,
            ("drugs",),
        ),
    )
}
_KEPT = {
    "DoseBody": ("patient", "drug", "route", "indication", "strength", "tablet_strengths_mg", "per_kg"),
    "ExposureBody": ("patient", "exposures"),
    "LabsBody": ("patient", "analytes"),
    "CalculateBody": ("patient", "calculator", "inputs"),
    "CheckBody": ("patient", "drugs"),
    "PatientShape": ("name", "species", "breed", "age", "weight", "pregnant", "lactating", "conditions", "medications"),
    "WeightShape": ("value", "unit"),
    "ExposureShape": ("substance", "amount", "product", "strength", "hours_ago", "route"),
    "LabShape": ("name", "value", "comparator", "unit", "reference"),
}
"""What a model is shown of the fields of a body; the others are for programs."""
_WORDS_OF_SCHEMAS = frozenset(("type", "description", "enum", "format"))
_NOT_THE_MODELS = frozenset(("text", "jurisdiction", "audience", "language"))
"""What the conversation decides, whatever a model writes."""
_LEFT_OUT = frozenset(
    """object ruleset audience recorded_species calculation source sources severity_label assumed rounding drugs_named
    per_administration basis conventional record_interval specimen span spans toxin id rules exposures""".split()  # noqa: SIM905
)
_FIRST_LEFT_OUT = ("formulations", "sources", "checked")
_ONE_FACT = (("weight", "weight_kg"), ("age", "age_months", "birth_date"))
_LISTED = ("conditions", "allergies", "medications")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call gives: JSON for the model, and rows of `vetx.calculations` and `vetx.safety.not_checked`."""

    content: str
    calculations: tuple[Json, ...] = ()
    not_checked: tuple[Json, ...] = ()


# What is offered.


def warm_up() -> None:
    """Make the schemas now: it takes 0.2 s."""
    for audience in ("clinician", "owner"):
        offered(audience)


@cache
def offered(audience: str, taken: frozenset[str] = frozenset()) -> tuple[Json, ...]:
    """The tools as an upstream is told of them; none whose name is `taken` by a tool of the caller's."""
    return tuple(
        _function(tool, audience)
        for tool in TOOLS.values()
        if tool.name not in taken and (tool.for_owners or audience != "owner")
    )


def _function(tool: Tool, audience: str) -> Json:
    whole = tool.body.model_json_schema()
    parameters = _small({**whole, "description": None}, whole["$defs"]) | {"required": list(tool.needed)}
    if tool.name == "calculate":
        names = calculators_for(audience)
        shown = "; ".join(f"{name}({_signature(name)})" for name in names)
        parameters["properties"]["calculator"] = {"type": "string", "enum": list(names)}
        parameters["properties"]["inputs"]["description"] = f"By name, a number in the unit shown or words: {shown}"
    parameters["properties"]["patient"]["description"] = "Only what is new about it, or which of several is meant."
    function = {"name": tool.name, "description": MARK + tool.about, "parameters": parameters}
    return {"type": "function", "function": function}


def calculators_for(audience: str) -> tuple[str, ...]:
    """The calculators that this audience may have worked out."""
    return tuple(name for name in CALCULATORS if audience != "owner" or name in OWNERS_TOO)


def _signature(name: str) -> str:
    """`rate_ml_per_h, sodium mEq/L, [factor]`: what may be left out in brackets; the weight is the animal's."""
    shown = []
    for row in CALCULATORS[name].inputs:
        unit = "" if row.name.endswith(row.unit.lower().replace("/", "_per_").replace("%", "percent")) else row.unit
        words = f"{row.name} {unit}".strip()
        shown += [] if row.name == "weight_kg" else [words if row.required else f"[{words}]"]
    return ", ".join(shown)


def _small(node: Mapping[str, Any], shapes: Mapping[str, Any]) -> Json:
    """A schema with its references put in, one form of each field, and only what a model needs."""
    about = node.get("description")
    while "$ref" in node or "anyOf" in node or "oneOf" in node:
        forms = node.get("anyOf") or node.get("oneOf") or [node]
        node = next(form for form in forms if form.get("type") != "null")
        if "$ref" in node:
            name = str(node["$ref"]).rpartition("/")[2]
            node = {**shapes[name], "title": name}
    out: Json = {word: node[word] for word in _WORDS_OF_SCHEMAS if word in node and word != "description"}
    if about or ("description" in node and "properties" not in node):
        out["description"] = about or node["description"]
    if "items" in node:
        out["items"] = _small(node["items"], shapes)
    if "properties" in node:
        kept = _KEPT.get(node["title"], tuple(node["properties"]))
        out["properties"] = {name: _small(node["properties"][name], shapes) for name in kept}
        if required := [name for name in node.get("required", ()) if name in kept]:
            out["required"] = required
    return out


# What a call gives.


def answered(name: str, arguments: str, facts: Facts, clinic: Clinic, today: date, bytes_max: int) -> Answered:
    """The answer to one call; what can't be answered is said so in it, for the model to mend.

    Args:
        arguments: JSON text as the model wrote it.
        facts: of the conversation: its animals fill in what the call leaves out.
        bytes_max: of the answer; it then has fewer rows and says how many are missing.
    """
    tool = TOOLS.get(name)
    if tool is None or (facts.audience == "owner" and not tool.for_owners):
        names = ", ".join(one["function"]["name"] for one in offered(facts.audience))
        return _failed(f"There is no tool of that name; there are {names}.")
    try:
        given = msgspec.json.decode(arguments.strip() or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _failed("The arguments are not JSON; send one object.")
    if not isinstance(given, dict):
        return _failed("The arguments are one JSON object.")
    asked = {key: value for key, value in given.items() if key not in _NOT_THE_MODELS}
    question: Callable[..., Json] = getattr(clinic, name)
    try:
        if name == "calculate" and facts.audience == "owner":
            _check_for_owners(asked)
        patient = _patient(asked.get("patient"), facts.patients, clinic)
        answer = question({**asked, "patient": patient, "audience": facts.audience}, facts.jurisdiction, today)
    except Refused as refused:
        return _failed(str(refused), refused.param)
    told = _short(answer, min(bytes_max, ANSWER_BYTES_MAX))
    return Answered(told, tuple(_calculations(name, answer)), tuple(answer["not_checked"]))


def _failed(why: str, param: str | None = None) -> Answered:
    told: Json = {"error": why[:1_000]}
    if param is not None:
        told["param"] = param[:200]
    return Answered(msgspec.json.encode(told).decode())


def _check_for_owners(asked: Mapping[str, Any]) -> None:
    name = asked.get("calculator")
    if isinstance(name, str) and name in CALCULATORS and name not in OWNERS_TOO:
        raise Invalid(f"{name} is a veterinarian's to work out; say so.", param="calculator")


def _patient(given: Any, known: tuple[Json, ...], clinic: Clinic) -> Any:
    """The animal that a call means: what the call says of it, and what the conversation says beside that."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return given
    given = {name: value for name, value in given.items() if value is not None}
    species = given.get("species")
    if isinstance(species, str):
        species = clinic.animal_named(species, None)["species"] or species
    called = given.get("name")
    same = [one for one in known if _agree(species, one["species"]) and _agree(called, one.get("name"))]
    same = [one for one in same if called is not None and one.get("name")] or same
    if len(same) != 1:
        return given
    one = {name: value for name, value in same[0].items() if value is not None and name not in ("span", "spans")}
    for group in _ONE_FACT:
        if any(name in given for name in group):
            one = {name: value for name, value in one.items() if name not in group}
    merged = {**one, **given}
    for name in _LISTED:
        if isinstance(lines := given.get(name, []), list):
            merged[name] = [*lines, *(line for line in one.get(name, ()) if line not in lines)]
    return merged


def _agree(said: Any, known: Any) -> bool:
    """Whether two names can be one animal's; one that is not said agrees with all."""
    return said is None or known is None or str(said).strip().lower() == str(known).lower()


def _short(answer: Mapping[str, Any], bytes_max: int) -> str:
    """The answer as JSON within its bounds: no empty fields, titles for sources, the last rows left out first."""
    told: Json = {name: value for name, value in _plain(answer).items() if name != "patient"}
    patient = answer["patient"]
    told["patient"] = {
        name: patient[name] for name in ("name", "species", "breed", "weight_kg", "age_months") if patient.get(name)
    }
    told["sources"] = list(dict.fromkeys(source["title"] for source in _sources(answer)))
    missing: dict[str, int] = {}
    while len(text := _encoded(told)) > bytes_max - (_LEFT_OUT_BYTES if missing else 0):
        name = next((one for one in _FIRST_LEFT_OUT if one in told), None)
        name = name or max(told, key=lambda one: len(_encoded(told[one])))
        missing[name] = missing.get(name, 0) + 1
        if isinstance(told[name], list) and len(told[name]) > 1:
            told[name] = told[name][:-1]
        else:
            del told[name]
    if missing:
        text = _encoded({**told, "left_out_for_length": missing})
    return text.decode()


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def _plain(value: Any) -> Any:
    """Without what is empty and what only programs read."""
    if isinstance(value, Mapping):
        kept = ((name, _plain(one)) for name, one in value.items() if name not in _LEFT_OUT)
        return {name: one for name, one in kept if one not in (None, "", [], {}) or name == "findings"}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _sources(value: Any) -> Iterable[Mapping[str, Any]]:
    """Every source that stands anywhere in an answer."""
    if isinstance(value, Mapping):
        if "title" in value and "url" in value:
            yield value
        for one in value.values():
            yield from _sources(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _sources(one)


def _calculations(name: str, answer: Mapping[str, Any]) -> Iterable[Json]:
    """The figures of an answer as rows of `vetx.calculations`."""
    if name in ("dose", "exposure"):
        for row in answer.get("agents") or [answer]:
            if row["calculation"]:
                yield row["calculation"]
    elif name == "calculate":
        if answer["result"] or answer["results"] or answer["rows"]:
            kept = ("inputs", "formula", "result", "results", "rows", "steps", "notes", "sources")
            yield {"name": answer["title"], "calculator": answer["calculator"]} | {one: answer[one] for one in kept}
    elif name == "labs":
        shown = ("analyte", "value", "comparator", "unit", "si", "interval", "flag")
        judged = [row for row in answer["results"] if row["si"] or row["interval"]]
        if judged:
            yield {
                "name": "labs",
                "inputs": {row["name"]: {"value": row["value"], "unit": row["unit"]} for row in judged},
                "formula": "each value against its interval, in one unit",
                "result": [{one: row[one] for one in shown} for row in judged],
                "sources": answer["sources"],
            }
        yield from answer["derived"]
    elif answer["findings"]:
        yield {
            "name": "check",
            "inputs": {"drugs": [row["as"] for row in answer["checked"]]},
            "formula": "each drug against the animal, the others and its dose range",
            "result": [{one: row[one] for one in ("rule", "severity", "drugs", "text")} for row in answer["findings"]],
            "sources": list(_once(source for row in answer["findings"] for source in row["sources"])),
        }


def _once(rows: Iterable[Json]) -> Iterable[Json]:
    """Each row the first time it comes."""
    return {row["url"]: row for row in rows}.values()
