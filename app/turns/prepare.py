"""The first half of a request: everything that is looked at before money is held."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.base.catalogue import CallFacts, Model, Quote
from app.base.clock import utc_now
from app.base.errors import Forbidden, NotFound
from app.base.messages import Ask, Facts, Message, Picture, PictureUrl, Written
from app.base.record import record
from app.billing.prices import quote_for
from app.billing.tokens import INLINE_CHARACTERS_MAX
from app.clinic import Clinic
from app.media import described, file_says
from app.turns.forms import Form, form_of
from app.turns.house import House
from app.turns.tools import Offer, room_for, wants_tools

SPARE_TOKENS = 16
"""A meter that is exactly full ends an answer as cut."""
T = TypeVar("T")
VISION_TWIN = {"vetx-23": "vetx-23-vision"}


@record(frozen=True, slots=True)
class Ready:
    """What is known of a request before money is held: also what `/v1/estimate` answers from."""

    ask: Ask
    model: Model
    facts: Facts | None
    pictures: tuple[Picture, ...]
    prompt_tokens: int
    image_tokens: int
    system: str
    quote: Quote
    form: Form | None = None
    offer: Offer | None = None


async def prepare(ask: Ask, house: House) -> Ready:
    """Check the model, the pictures and the words, and let the clinic assess them; nothing is held yet.

    Raises:
        NotFound: model_not_found.
        Forbidden: model_not_allowed.
        Invalid: a picture or a field that can't be served.
        ContextTooLong: it doesn't fit the model's window.
    """
    has_pictures = any(isinstance(part, PictureUrl) for message in ask.messages for part in message.parts)
    name = VISION_TWIN.get(ask.model, ask.model) if has_pictures else ask.model
    model = house.catalogue.models.get(name)
    if model is None or ask.model not in house.catalogue.models:
        raise NotFound(
            f"There is no model {ask.model[:80]!r}; GET /v1/models lists what there is.",
            code="model_not_found",
            param="model",
        )
    allowed = ask.caller.allowed_models
    if allowed and ask.model not in allowed:
        raise Forbidden(
            f"This key may not use {ask.model}; name one of its allowed_models.",
            code="model_not_allowed",
            param="model",
        )
    house.engines.check_supported(ask, model, formed=model.veterinary)
    pictures: tuple[Picture, ...] = ()
    files: Sequence[Sequence[Picture]] = ()
    if has_pictures:
        checked = await house.pictures.check(
            [part for message in ask.messages for part in message.parts if isinstance(part, PictureUrl)]
        )
        files = [[_known(picture, model, house.clinic) for picture in file] for file in checked]
        pictures = tuple(picture for file in files for picture in file)
    facts = None
    system = ""
    today = utc_now().date()
    if model.veterinary:
        written, unread = await _written(pictures, house)
        facts = await _assessed(ask, house.clinic.facts_for, ask, house.settings.jurisdiction, today, written)
        system = house.clinic.render_prompt(facts, has_pictures, wants_tools(ask, model))
        pictures = tuple(_read(picture, facts, unread) for picture in pictures)
        if pictures:
            system = f"{system}\n\n## Pictures, as checked and measured\n{described(pictures)}"
    if has_pictures:
        left = iter(pictures)
        ask = replace(ask, messages=_with_pictures(ask.messages, [[next(left) for _ in file] for file in files]))
    form = None
    if "response_format" in ask.passthrough:
        form = await _assessed(ask, form_of, ask, model, facts, house, today)
    if form is not None and form.document is not None:
        system = f"{system}\n\n{form.document.task}"
    image_tokens = sum(picture.tokens for picture in pictures)
    prompt_tokens = image_tokens + await house.tokens.count_ask(ask)
    overhead = await _overhead(system, model, prompt_tokens, house)
    quote = quote_for(await _roomy(model, form, house), prompt_tokens, ask.max_tokens, overhead)
    offer = None
    if facts is not None and wants_tools(ask, model):
        spare = model.context_tokens - prompt_tokens - overhead - quote.output_tokens
        offer = room_for(ask, facts, spare, house.tokens)
    return Ready(ask, model, facts, pictures, prompt_tokens, image_tokens, system, quote, form, offer)


async def _roomy(model: Model, form: Form | None, house: House) -> Model:
    """The model with a default length at which our part of a document isn't cut."""
    if form is None or form.prepared is None:
        return model
    ours = await house.tokens.count_many([form.prepared.text()]) + SPARE_TOKENS
    wanted = ours if model.engine == "builtin" else ours + model.output_tokens_default
    return replace(model, output_tokens_default=min(model.output_tokens_max, wanted))


async def _assessed(ask: Ask, work: Callable[..., T], *given: Any) -> T:
    """What the clinic makes of an ask; of a long conversation in a thread, so that others are answered meanwhile."""
    if sum(len(message.text) for message in ask.messages) <= INLINE_CHARACTERS_MAX:
        return work(*given)
    return await asyncio.to_thread(work, *given)


def _known(picture: Picture, model: Model, clinic: Clinic) -> Picture:
    """The picture with the animal that its file names in the clinic's words, and a note where nobody looks at it."""
    facts = picture.facts
    if "dicom" in facts:
        animal = clinic.animal_named(facts["dicom"].get("species"), facts["dicom"].get("breed"))
        kept = {name: value for name, value in facts["dicom"].items() if name not in animal}
        dicom = kept | {name: value for name, value in animal.items() if value is not None}
        says = file_says(dicom)
        facts = {**facts, "dicom": dicom, "notes": [*([says] if says else []), *facts["notes"]]}
    if not model.sees_pictures:
        unseen = "No vision model is connected: nobody looked at the picture itself."
        facts = {**facts, "notes": [*facts["notes"], unseen]}
    return replace(picture, facts=facts)


async def _written(pictures: Sequence[Picture], house: House) -> tuple[list[Written], dict[int, str]]:
    """What stands in the pictures, and why the others weren't read; the text that a PDF brings is read as it is."""
    own = [Written(picture.facts["index"], text=picture.words) for picture in pictures if picture.words]
    sheets = {row.picture: row for row in own if house.clinic.sheet_of(row) is not None}
    rest = [picture for picture in pictures if picture.facts["index"] not in sheets]
    found, unread = await house.recognition.read(rest) if rest else ([], {})
    return [*sheets.values(), *found], unread


def _read(picture: Picture, facts: Facts, unread: Mapping[int, str]) -> Picture:
    """The picture with the sheet that was read from it, or why it wasn't."""
    index = picture.facts["index"]
    notes = [*picture.facts["notes"], *([unread[index]] if index in unread else []), *_of_another(picture, facts)]
    sheet = next((row for row in facts.sheets if row["picture"] == index), None)
    if sheet is None:
        return replace(picture, facts={**picture.facts, "notes": notes})
    rows = [{name: value for name, value in row.items() if name != "result"} for row in sheet["rows"]]
    unsure = sum(not row["sure"] for row in rows)
    notes.append(f"A laboratory sheet: {len(rows) - unsure} values read, {unsure} unsure. Compare them with it.")
    shown = {"species": sheet["species"], "rows": rows}
    return replace(picture, facts={**picture.facts, "kind": "lab_sheet", "notes": notes, "sheet": shown})


def _of_another(picture: Picture, facts: Facts) -> list[str]:
    """A warning where a file names a kind of animal that nobody spoke of."""
    named = picture.facts.get("dicom", {}).get("species")
    spoken = {str(patient["species"]) for patient in facts.patients if patient.get("species")}
    if named is None or not spoken or named in spoken:
        return []
    return [f"The file says {named}, the words say {' and '.join(sorted(spoken))}: check whose picture this is."]


async def _overhead(system: str, model: Model, prompt_tokens: int, house: House) -> int:
    """How much of the window our own words take [tokens]; counted only where their bytes alone might not fit."""
    at_most = len(system.encode())
    if prompt_tokens + at_most + model.output_tokens_max <= model.context_tokens:
        return at_most
    return await house.tokens.count_many([system])


def _with_pictures(messages: Sequence[Message], files: Sequence[Sequence[Picture]]) -> tuple[Message, ...]:
    left = deque(files)
    return tuple(
        replace(
            message,
            parts=tuple(
                one for part in message.parts for one in (left.popleft() if isinstance(part, PictureUrl) else (part,))
            ),
        )
        for message in messages
    )


def call_facts(ready: Ready) -> CallFacts:
    """What the ledger records of the call beside its money."""
    caller = ready.ask.caller
    facts = ready.facts
    species = {patient.get("species") for patient in facts.patients} - {None} if facts else set()
    return CallFacts(
        model=ready.model.id,
        engine=ready.model.engine,
        upstream=ready.model.upstream or None,
        api_key_id=caller.key_id,
        user_id=caller.user_id,
        user_id_source=caller.user_id_source,
        app_source=caller.app_source,
        species=species.pop() if len(species) == 1 else None,
        image_tokens=ready.image_tokens,
        num_images=len(ready.pictures),
    )
