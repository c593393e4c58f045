"""Settings: read once, each checked, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.base.errors import StartRefused
from app.base.settings import read_env_file, read_settings


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("VETX_PORT=8100\nexport VETX_HOST='0.0.0.0'\n# VETX_WORKERS=9\nOTHER=1\n")

    settings = read_settings({"VETX_PORT": "8200", "PATH": "x"}, file)

    assert (settings.port, settings.host, settings.workers) == (8200, "0.0.0.0", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VETX_PORT", "seventy"),
        ("VETX_PORT", "70000"),
        ("VETX_WORKERS", "0"),
        ("VETX_DATABASE_URL", "mysql://hunter2@x/y"),
        ("VETX_JURISDICTION", "Mars"),
        ("VETX_UPSTREAM_VISION", "perhaps"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_variable_and_not_the_value(name: str, value: str) -> None:
    with pytest.raises(StartRefused) as refused:
        read_settings({name: value})

    assert name in str(refused.value)
    assert value not in str(refused.value) or value == "0"


def test_secrets_are_not_in_the_settings_words() -> None:
    settings = read_settings(
        {
            "VETX_DATABASE_URL": "postgresql://vetx:hunter2@127.0.0.1/vetx",
            "VETX_MASTER_KEY": "correct horse",
            "VETX_UPSTREAM_KEY": "sk-battery",
        }
    )

    assert not any(secret in repr(settings) + str(settings) for secret in ("hunter2", "correct horse", "sk-battery"))


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert read_settings({"VETX_UPSTREAM_URL": "", "VETX_PORT": ""}).port == 8000


def test_a_missing_env_file_says_nothing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}
