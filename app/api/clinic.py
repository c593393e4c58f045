"""`/v1/clinic/…`: the clinic's own answers, without a language model and without a charge."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from pydantic import BaseModel, ConfigDict, Field

from app.api.answers import (
    Calculated,
    Checked,
    Differentiated,
    Dosed,
    Exposed,
    Extracted,
    Guarded,
    Judged,
    Listed,
    Record,
    Triaged,
)
from app.api.body import read_body, read_query
from app.api.guards import GivenCaller, GivenHouse
from app.base.clock import utc_now
from app.base.messages import Caller
from app.clinic.questions import (
    CalculateBody,
    CheckBody,
    DifferentialsBody,
    DoseBody,
    ExposureBody,
    ExtractBody,
    GuardBody,
    LabsBody,
    TriageBody,
)
from app.turns.house import House

Json = dict[str, Any]


class BreedsQuery(BaseModel):
    """`?species=`: breeds or conditions of one species only."""

    model_config = ConfigDict(extra="forbid")

    species: str | None = Field(None, max_length=200)


def _law(caller: Caller, house: House) -> str | None:
    """Whose law holds where the body names none: the account's, else the service's."""
    return caller.jurisdiction or house.settings.jurisdiction


def _page(rows: list[Json]) -> Json:
    return {"object": "list", "data": rows, "has_more": False, "next_page": None}


class ClinicController(Controller):
    """What is medically true, computed and sourced."""

    path = "/clinic"
    tags = ["clinic"]
    opt = {"scope": "clinic"}

    @post("/extract", opt={"body": ExtractBody, "answer": Extracted}, status_code=HTTP_200_OK)
    async def extract(self, request: Request[Any, Any, Any], house: GivenHouse) -> Json:
        """Animals, drugs, poisons, values and signs that a text names."""
        return house.clinic.extract(await read_body(request, ExtractBody), utc_now().date())

    @post("/dose", opt={"body": DoseBody, "answer": Dosed}, status_code=HTTP_200_OK)
    async def dose(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """The recorded doses of a drug, computed for one animal."""
        body = await read_body(request, DoseBody)
        return house.clinic.dose(body, _law(caller, house), utc_now().date())

    @post("/exposure", opt={"body": ExposureBody, "answer": Exposed}, status_code=HTTP_200_OK)
    async def exposure(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """How grave something swallowed is, and what to do."""
        body = await read_body(request, ExposureBody)
        return house.clinic.exposure(body, _law(caller, house), utc_now().date())

    @post("/check", opt={"body": CheckBody, "answer": Checked}, status_code=HTTP_200_OK)
    async def check(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """Drugs against an animal, each other and their doses."""
        body = await read_body(request, CheckBody)
        return house.clinic.check(body, _law(caller, house), utc_now().date())

    @post("/triage", opt={"body": TriageBody, "answer": Triaged}, status_code=HTTP_200_OK)
    async def triage(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """How soon an animal must be seen."""
        body = await read_body(request, TriageBody)
        return house.clinic.triage(body, _law(caller, house), utc_now().date())

    @post("/differentials", opt={"body": DifferentialsBody, "answer": Differentiated}, status_code=HTTP_200_OK)
    async def differentials(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """Conditions to think of, can't-miss first, with what speaks for and against each."""
        body = await read_body(request, DifferentialsBody)
        return house.clinic.differentials(body, _law(caller, house), utc_now().date())

    @get("/conditions", opt={"query": BreedsQuery, "refusals": [404], "answer": Listed[Record]}, sync_to_thread=False)
    def conditions(self, request: Request[Any, Any, Any], house: GivenHouse) -> Json:
        """Every condition on record; `?species=` one species' only."""
        return _page(house.clinic.conditions(read_query(request, BreedsQuery).species))

    @post("/labs", opt={"body": LabsBody, "answer": Judged}, status_code=HTTP_200_OK)
    async def labs(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """Laboratory values against an animal's intervals, and what they say together."""
        body = await read_body(request, LabsBody)
        return house.clinic.labs(body, _law(caller, house), utc_now().date())

    @post("/calculate", opt={"body": CalculateBody, "answer": Calculated}, status_code=HTTP_200_OK)
    async def calculate(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """A calculator's answer, with its formula, steps and sources."""
        body = await read_body(request, CalculateBody)
        return house.clinic.calculate(body, _law(caller, house), utc_now().date())

    @post("/guard", opt={"body": GuardBody, "answer": Guarded}, status_code=HTTP_200_OK)
    async def guard(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> Json:
        """Any model's words as chat's guard would let them out, and why they were changed."""
        body = await read_body(request, GuardBody)
        return house.clinic.guarded(body, _law(caller, house), utc_now().date())

    @get("/calculators", opt={"answer": Listed[Record]}, sync_to_thread=False)
    def calculators(self, house: GivenHouse) -> Json:
        """Every calculator, with a worked example."""
        return _page(house.clinic.calculators())

    @get("/species", opt={"answer": Listed[Record]}, sync_to_thread=False)
    def species(self, house: GivenHouse) -> Json:
        """Every species on record."""
        return _page(house.clinic.species())

    @get("/breeds", opt={"query": BreedsQuery, "refusals": [404], "answer": Listed[Record]}, sync_to_thread=False)
    def breeds(self, request: Request[Any, Any, Any], house: GivenHouse) -> Json:
        """Every breed on record; `?species=` one species' only."""
        return _page(house.clinic.breeds(read_query(request, BreedsQuery).species))

    @get("/drugs", opt={"answer": Listed[Record]}, sync_to_thread=False)
    def drugs(self, house: GivenHouse) -> Json:
        """Every drug on record."""
        return _page(house.clinic.drugs())

    @get("/drugs/{name:str}", opt={"answer": Record}, sync_to_thread=False)
    def drug(self, name: FromPath[str], house: GivenHouse) -> Json:
        """One drug, by any of its names."""
        return house.clinic.drug(name)

    @get("/toxins", opt={"answer": Listed[Record]}, sync_to_thread=False)
    def toxins(self, house: GivenHouse) -> Json:
        """Every toxin on record."""
        return _page(house.clinic.toxins())

    @get("/analytes", opt={"answer": Listed[Record]}, sync_to_thread=False)
    def analytes(self, house: GivenHouse) -> Json:
        """Every analyte on record."""
        return _page(house.clinic.analytes())
