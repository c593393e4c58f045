"""What an operator can set: read from the environment and `.env` once, at the front door, and passed on as values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.base.errors import StartRefused

Jurisdiction = Literal["US", "EU", "UK", "CA", "AU"]
PREFIX = "VETX_"


class Settings(BaseModel):
    """Every setting, frozen; the name in the environment is `VETX_` and the field in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(None, repr=False, description="PostgreSQL 15 or newer; absent: the embedded one.")
    migration_url: str | None = Field(
        None, repr=False, description="The same database as an owner role, for migrations only."
    )
    data_dir: Path | None = Field(None, description="Folder of the embedded database and the master key.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=256, description="Processes that answer requests.")
    public_url: str | None = Field(None, description="Where clients reach this service.")
    support_url: str | None = Field(None, description="Named in 402 and 429 answers.")
    jurisdiction: Jurisdiction | None = Field(None, description="Whose drug law holds where nobody says.")
    master_key: SecretStr | None = Field(None, description="Peppers key digests; absent: made once and kept on disk.")
    upstream_url: str | None = Field(None, description="An OpenAI-compatible server for the vetx models.")
    upstream_key: SecretStr | None = Field(None, description="Its key.")
    upstream_model: str | None = Field(None, description="Its model for vetx-23.")
    upstream_vision_model: str | None = Field(None, description="Its model for vetx-23-vision.")
    upstream_vision: bool = Field(False, description="Pictures go on to VETX_UPSTREAM_MODEL.")
    upstream_tools: bool = Field(
        False, description="The clinic's tools are offered to the models of VETX_UPSTREAM_URL."
    )
    catalog: Path | None = Field(None, description="A TOML file of further upstreams and models.")

    @field_validator("database_url", "migration_url")
    @classmethod
    def _is_postgresql(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("write it as postgresql://user:password@host:port/name")
        return value


def read_env_file(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a `.env` file; quotes around a value and lines starting with # are dropped."""
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and not name.lstrip().startswith("#"):
            stripped = value.strip()
            quoted = len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "\"'"
            values[name.strip()] = stripped[1:-1] if quoted else stripped
    return values


def read_settings(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Settings of an environment; what it names wins over the `.env` file.

    Raises:
        StartRefused: a value is out of its range; names the variable, never its value.
    """
    merged = {**(read_env_file(env_file) if env_file else {}), **environ}
    known = {
        name: merged[PREFIX + name.upper()] for name in Settings.model_fields if merged.get(PREFIX + name.upper(), "")
    }
    try:
        return Settings.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        variable = PREFIX + str(first["loc"][0]).upper()
        raise StartRefused(f"{variable}: {first['msg']}.") from None
