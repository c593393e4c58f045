"""The body of `POST /v1/chat/completions` and `/v1/estimate`, in OpenAI's shape, and its way into an Ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from app.api.body import WHOLE
from app.base.errors import Invalid
from app.base.messages import Ask, Audience, Caller, Json, Message, PictureUrl, Text, ToolCall
from app.base.settings import Jurisdiction
from app.clinic.patient import PatientShape

MESSAGES_MAX = 2_000
EXAMPLE: JsonDict = {
    "model": "vetx-23",
    "messages": [{"role": "user", "content": "My 12 kg dog ate 200 g of dark chocolate an hour ago"}],
    "max_tokens": 200,
    "vetx": {"patient": {"species": "dog", "weight_kg": 12}, "audience": "owner"},
}
TOOLS_MAX = 128
PATIENTS_MAX = 20
TOKENS_MAX = 2**31 - 1
_KNOWN_IN_PASSTHROUGH = (
    "top_p",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "reasoning_effort",
)


class _Open(BaseModel):
    """Unknown fields are kept: they are for engines that can use them."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class _Closed(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextPart(_Open):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(_Open):
    """Where a picture is: always a data URL."""

    url: str = Field(
        description="`data:image/jpeg;base64,…`: JPEG, PNG, WebP, GIF, HEIC, AVIF, TIFF, BMP; also "
        "`data:application/dicom;base64,…`, with `;frame=N` where it holds many."
    )
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Open):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FileData(_Open):
    """A PDF or DICOM file, or a picture, as a data URL. Its name is not used: it may name people."""

    filename: Annotated[str, Field(max_length=1_024)] | None = None
    file_data: str = Field(description="`data:application/pdf;base64,…` or `data:application/dicom;base64,…`.")

    @model_validator(mode="before")
    @classmethod
    def _no_id(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("file_id") is not None:
            raise ValueError("no files are kept here; send the file itself as file_data instead of a file_id")
        return given


class FilePart(_Open):
    """A file."""

    type: Literal["file"]
    file: FileData


def _which_part(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if kind in ("text", "image_url", "file") else "(other)"


class OtherPart(_Open):
    """A kind of part that isn't taken here; naming it gives a clear refusal."""

    type: str

    @model_validator(mode="after")
    def _refuse(self) -> OtherPart:
        raise ValueError(f"a part of type {self.type[:40]!r} is not taken here; send text, image_url and file parts")


Part = Annotated[
    Annotated[TextPart, Tag("(text)")]
    | Annotated[ImagePart, Tag("(image_url)")]
    | Annotated[FilePart, Tag("(file)")]
    | Annotated[OtherPart, Tag("(other)")],
    Discriminator(_which_part),
]


def _which_content(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(parts)"


Content = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[Part], Tag("(parts)"), Field(max_length=MESSAGES_MAX)],
    Discriminator(_which_content),
]


class FunctionCall(_Open):
    """What a model called: its name, and its arguments as JSON text."""

    name: str
    arguments: str


class AssistantToolCall(_Open):
    """A call the assistant made in an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


def _message_schema(schema: Json) -> None:
    """What `to_message` refuses, in JSON Schema."""
    some_content = {"content": {"not": {"type": "null"}}}
    some_calls = {"tool_calls": {"type": "array", "minItems": 1}}
    schema["anyOf"] = [
        {
            "properties": {"role": {"enum": ["system", "developer", "user", "assistant"]}, **some_content},
            "required": ["content"],
        },
        {"properties": {"role": {"const": "assistant"}, **some_calls}, "required": ["tool_calls"]},
        {
            "properties": {"role": {"const": "tool"}, **some_content, "tool_call_id": {"type": "string"}},
            "required": ["content", "tool_call_id"],
        },
    ]


class ChatMessage(_Open):
    """One message of the conversation."""

    model_config = ConfigDict(json_schema_extra=_message_schema)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    name: Annotated[str, Field(max_length=64)] | None = None
    tool_calls: Annotated[list[AssistantToolCall], Field(max_length=TOOLS_MAX)] | None = None
    tool_call_id: str | None = None

    def to_message(self, index: int) -> Message:
        """The record of it; pictures keep the path of their field for refusals.

        Raises:
            Invalid: it has no content, or answers no tool call.
        """
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise _missing(f"messages[{index}].content")
        if self.role == "tool" and self.tool_call_id is None:
            raise _missing(f"messages[{index}].tool_call_id")
        parts: list[Text | PictureUrl] = []
        if isinstance(self.content, str):
            parts.append(Text(self.content))
        for number, part in enumerate(self.content if isinstance(self.content, list) else ()):
            if isinstance(part, TextPart):
                parts.append(Text(part.text))
            elif isinstance(part, ImagePart):
                parts.append(PictureUrl(part.image_url.url, f"messages[{index}].content[{number}].image_url.url"))
            elif isinstance(part, FilePart):
                parts.append(PictureUrl(part.file.file_data, f"messages[{index}].content[{number}].file.file_data"))
        calls = tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in self.tool_calls or ())
        return Message(self.role, tuple(parts), self.name, calls, self.tool_call_id)


def _missing(param: str) -> Invalid:
    return Invalid(f"{param} is missing.", code="missing_required_parameter", param=param)


class StreamOptions(_Open):
    """How a stream ends."""

    include_usage: bool | None = None


class Extension(_Closed):
    """The `vetx` object of a request: what a veterinary service can use beyond OpenAI's fields."""

    patient: PatientShape | None = None
    patients: Annotated[list[PatientShape], Field(max_length=PATIENTS_MAX)] | None = None
    audience: Audience | None = None
    jurisdiction: Jurisdiction | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)] | None = None
    memory: Literal["off", "read", "read_write"] | None = None


Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
StopWord = Annotated[str, Field(min_length=1)]
TokenLimit = Annotated[int, Field(ge=1, le=TOKENS_MAX), WHOLE]


class ChatRequest(_Open):
    """A chat request. Fields beyond these are passed on to engines that can use them."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MESSAGES_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    n: Annotated[int, Field(ge=1, le=1), WHOLE] | None = None
    stop: StopWord | Annotated[list[StopWord], Field(max_length=4)] | None = None
    top_p: Share | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=TOOLS_MAX)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = Field(
        None,
        description='`{"type": "json_schema", "json_schema": {"name": "vetx_soap"}}` for a document of /v1/schemas.',
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    vetx: Extension | None = None

    @contextmanager
    def naming_patients(self) -> Iterator[None]:
        """Within the block a refusal that names the ask's `patients[0].…` names the field of this body instead."""
        try:
            yield
        except Invalid as refused:
            if (param := refused.param) is not None and param.startswith("patients["):
                alone = self.vetx is not None and self.vetx.patient is not None
                refused.param = "vetx." + (param.replace("patients[0]", "patient", 1) if alone else param)
            raise

    def to_ask(self, caller: Caller) -> Ask:
        """The ask of this request.

        Raises:
            Invalid: both `patient` and `patients` were given.
        """
        extension = self.vetx or _NO_EXTENSION
        if extension.patient is not None and extension.patients is not None:
            raise Invalid("Give vetx.patient or vetx.patients, not both.", param="vetx.patients")
        shapes = extension.patients or () if extension.patient is None else (extension.patient,)
        patients: tuple[Json, ...] = tuple(shape.model_dump(exclude_unset=True) for shape in shapes)
        extra = dict(self.model_extra or {})
        for name in _KNOWN_IN_PASSTHROUGH:
            if (value := getattr(self, name)) is not None:
                extra[name] = value
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        wanted = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return Ask(
            caller=caller,
            model=self.model,
            messages=tuple(message.to_message(index) for index, message in enumerate(self.messages)),
            stream=bool(self.stream),
            include_usage=bool(self.stream_options and self.stream_options.include_usage),
            temperature=self.temperature,
            max_tokens=wanted,
            stop=stop,
            audience=extension.audience or "clinician",
            jurisdiction=extension.jurisdiction or caller.jurisdiction,
            language=extension.language,
            patients=patients,
            metadata=dict(self.metadata) if self.metadata is not None else None,
            passthrough=extra,
        )


_NO_EXTENSION = Extension()
