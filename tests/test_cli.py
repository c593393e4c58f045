"""The `vetx` command as people run it: real processes over one real embedded database, beside a running server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.media.files import dicom, noise, pdf

ROOT = Path(__file__).resolve().parents[1]
KEY = re.compile(r"vt_key_[0-9A-Za-z]+")
DOG = json.dumps({"species": "dog", "weight_kg": 12})
SECOND_START_S = 3.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


# Runs each command in a fork, so that what all of them import is imported once.
FORKING = """
import json, os, signal, sys, tempfile
from app.cli import main
nothing = os.open(os.devnull, os.O_RDONLY)
for line in sys.stdin:
    words, variables = json.loads(line)
    files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    child = os.fork()
    if not child:
        signal.alarm(90)
        os.environ.update(variables)
        for number, file in enumerate((nothing, *(file.fileno() for file in files))):
            os.dup2(file, number)
        try:
            main(words)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)  # without the second of taking apart what was imported
    _, status = os.waitpid(child, 0)
    texts = [os.pread(file.fileno(), 1_000_000, 0).decode() for file in files]
    print(json.dumps([os.waitstatus_to_exitcode(status), *texts]), flush=True)
"""


@dataclass
class Vetx:
    """A folder with a database, and the command over it."""

    folder: Path
    _forking: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VETX_")}
        return {**kept, "PYTHONPATH": str(ROOT), "VETX_DATA_DIR": str(self.folder / "data")}

    def __call__(self, *words: str, **variables: str) -> Ran:
        """Run `vetx` with these words, in a process of its own."""
        if not hasattr(os, "fork"):
            return self.from_the_start(*words, **variables)
        if self._forking is None:
            command = [sys.executable, "-c", FORKING]
            pipe = subprocess.PIPE
            self._forking = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdin=pipe, stdout=pipe, text=True
            )
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        print(json.dumps([words, variables]), file=self._forking.stdin, flush=True)
        return Ran(*json.loads(self._forking.stdout.readline()))

    def from_the_start(self, *words: str, **variables: str) -> Ran:
        """The same, and as people start it."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """No more commands."""
        if self._forking is not None:
            self._forking.communicate()

    def serve(self, *words: str) -> Server:
        """Start `vetx serve` on a free port."""
        log = (self.folder / f"serve-{time.monotonic_ns()}.out").open("w+b")
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=subprocess.DEVNULL,
        )
        server = Server(process, Path(log.name), began)
        log.close()
        return server


class Server:
    """A started `vetx serve`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, began: float) -> None:
        self.process = process
        self._log = log
        self._began = began

    @property
    def said(self) -> str:
        return self._log.read_text()

    def waited(self) -> float:
        """How long it and the database it started waited for a processor that others had [s]; 0 where nobody tells."""
        nanoseconds = 0
        own = psutil.Process(self.process.pid)
        for process in (own, *own.children(recursive=True)):
            with suppress(OSError):  # it may be gone by now
                for thread in Path(f"/proc/{process.pid}/task").iterdir():
                    nanoseconds += int((thread / "schedstat").read_text().split()[1])
        return nanoseconds / 1e9

    def ready(self) -> float:
        """Wait until it is; how long it took since its start [s]."""
        while time.monotonic() - self._began < 60:
            assert self.process.poll() is None, self.said
            address = re.search(r"http://[\d.:]+", self.said)
            if address is not None:
                try:
                    if httpx.get(f"{address[0]}/health/ready", timeout=1).status_code == 200:
                        return time.monotonic() - self._began
                except httpx.TransportError:
                    pass
            time.sleep(0.05)
        raise AssertionError(self.said)

    @property
    def address(self) -> str:
        found = re.search(r"http://[\d.:]+", self.said)
        assert found is not None
        return found[0]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture(scope="module")
def vetx() -> Iterator[Vetx]:
    """A data folder that the embedded server may use, whoever runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="vetx-cli-"))
    folder.chmod(0o755)
    opened = Vetx(folder)
    yield opened
    opened.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def first(vetx: Vetx) -> Iterator[Server]:
    """The very first start, running while the other commands are tried."""
    server = vetx.serve()
    server.ready()
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def account(vetx: Vetx, first: Server) -> str:
    """The id of an account with money, made beside the running server."""
    made = vetx("accounts", "create", "Elm Street Clinic", "--plan", "pro", "--credit", "20", "--json")
    assert made.code == 0, made.err
    return str(made.json["account"]["id"])


def test_the_first_start_prints_address_and_key_and_a_curl_line_that_works(vetx: Vetx, first: Server) -> None:
    said = first.said
    keys = set(KEY.findall(said))
    curl = next(line.strip() for line in said.splitlines() if line.strip().startswith("curl "))

    assert len(keys) == 1
    assert f"{first.address}/v1" in said
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    ran = subprocess.run(shlex.split(curl), capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.endswith("data: [DONE]\n\n")
    assert '"finish_reason":"stop"' in ran.stdout


def test_an_account_made_beside_a_running_server_can_ask_in_turn(vetx: Vetx, first: Server) -> None:
    made = vetx("accounts", "create", "Beside", "--credit", "1", "--plan", "internal", "--admin", "--json").json
    headers = {"authorization": f"Bearer {made['key']['value']}"}

    assert set(made) == {"account", "key"}
    assert made["account"]["plan"] == "internal"
    assert httpx.get(f"{first.address}/v1/admin/accounts", headers=headers).status_code == 200
    assert httpx.get(f"{first.address}/v1/credits", headers=headers).json()["balance"] == "1.000000000"


def test_accounts_are_made_listed_and_put_on_other_plans(vetx: Vetx, account: str) -> None:
    made = vetx("accounts", "create", "Wordy", "--plan", "free")

    assert len(KEY.findall(made.out)) == 1
    assert account in vetx("accounts", "list").out
    listed = {row["id"]: row for row in vetx("accounts", "list", "--json").json}
    assert listed[account] == {"id": account, "name": "Elm Street Clinic", "plan": "pro", "balance": "20.000000000"}
    assert vetx("accounts", "plan", account, "ultra").out == f"{account} is on ultra\n"
    assert vetx("accounts", "plan", account, "pro", "--json").json["plan"] == "pro"


def test_keys_are_made_listed_rotated_and_revoked(vetx: Vetx, account: str, first: Server) -> None:
    def status(plain: str) -> int:
        return httpx.get(f"{first.address}/v1/key", headers={"authorization": f"Bearer {plain}"}).status_code

    made = vetx("keys", "create", account, "--name", "Desk", "--scope", "chat", "--json").json
    assert status(made["value"]) == 200
    rotated = vetx("keys", "rotate", account, made["id"], "--grace", "600", "--json").json
    assert (status(made["value"]), status(rotated["value"])) == (200, 200)
    rows = {row["id"]: row for row in vetx("keys", "list", account, "--json").json}
    assert rows[rotated["id"]]["scopes"] == ["chat"]
    assert rows[rotated["id"]]["redacted_value"].endswith(rotated["value"][-4:])
    assert "Desk" in vetx("keys", "list", account).out
    assert not KEY.search(vetx("keys", "list", account).out)
    assert vetx("keys", "revoke", account, rotated["id"]).out == f"{rotated['id']} is revoked\n"
    deadline = time.monotonic() + 5
    while status(rotated["value"]) != 401:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_payment_is_added_once(vetx: Vetx) -> None:
    account = vetx("accounts", "create", "Payer", "--json").json["account"]["id"]

    assert vetx("credits", "add", account, "12.5", "--ref", "pay-1", "--json").json == {
        "added": True,
        "balance": "12.500000000",
    }
    assert "added before" in vetx("credits", "add", account, "12.5", "--ref", "pay-1").out
    other = vetx("credits", "add", account, "13", "--ref", "pay-1")
    assert (other.code, other.out) == (2, "")
    shown = vetx("credits", "show", account, "--json").json
    assert shown == {"balance": "12.500000000", "held": "0.000000000", "available": "12.500000000"}
    assert "$12.500000000" in vetx("credits", "show", account).out


def test_usage_is_a_table_or_csv_or_json(vetx: Vetx, first: Server) -> None:
    made = vetx("accounts", "create", "User", "--credit", "1", "--json").json
    body = {"model": "vetx-23", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
    headers = {"authorization": f"Bearer {made['key']['value']}"}
    httpx.post(f"{first.address}/v1/chat/completions", json=body, headers=headers).raise_for_status()
    account = made["account"]["id"]

    totals = vetx("usage", account, "--json").json["totals"]
    assert (totals["num_model_requests"], totals["output_tokens"]) == (1, 9)
    table = vetx("usage", account, "--group-by", "model", "--tz", "Europe/Vienna").out.splitlines()
    assert table[0].split()[:3] == ["day", "model", "requests"]
    assert table[1].split()[1:3] == ["vetx-23", "1"]
    lines = vetx("usage", account, "--csv").out.splitlines()
    assert lines[0].startswith("start_time,end_time,start,input_tokens,output_tokens")
    assert len(lines) == 2
    assert vetx("usage", account, "--from", "2020-01-01", "--to", "2020-01-02").out.startswith("Nothing was used")


def test_ask_streams_an_answer_and_then_says_what_it_cost(vetx: Vetx, account: str) -> None:
    ran = vetx("ask", "How much meloxicam for my dog?", "--patient", DOG, "--audience", "owner")

    assert ran.code == 0, ran.err
    assert "meloxicam" in ran.out
    assert re.search(r"vetx-23 on builtin: \d+ tokens in, \d+ out, \$\d\.\d{9}", ran.err)
    whole = vetx("ask", "hello", "--patient", DOG, "--json").json
    assert whole["object"] == "chat.completion"
    assert whole["vetx"]["patient"]["species"] == "dog"
    assert whole["usage"]["cost"] > 0


def test_ask_sends_pictures(vetx: Vetx, account: str) -> None:
    Image.new("RGB", (300, 200), (180, 40, 40)).save(vetx.folder / "skin.jpg")

    whole = vetx("ask", "What is this on my cat's skin?", "--image", "skin.jpg", "--json").json

    assert whole["model"] == "vetx-23-vision"
    assert whole["vetx"]["images"][0]["width"] == 300
    assert "300 x 200" in vetx("ask", "And this?", "--image", "skin.jpg", "--image", "skin.jpg").err


def test_ask_sends_a_radiograph_and_a_pdf_by_what_they_are_not_by_their_names(vetx: Vetx, account: str) -> None:
    (vetx.folder / "left stifle.bin").write_bytes(dicom(np.asarray(noise(64, 64, "L")), BodyPartExamined="STIFLE"))
    (vetx.folder / "report.txt").write_bytes(pdf(2, words="Creatinine"))

    ran = vetx("ask", "Why is my dog lame?", "--image", "left stifle.bin", "--image", "report.txt")

    assert ran.code == 0, ran.err
    assert "reading left stifle.bin: DICOM" in ran.err
    assert "picture 1: radiograph, DICOM, 64 x 64" in ran.err
    assert "picture 3: document, PDF" in ran.err
    (vetx.folder / "notes.txt").write_bytes(b"no picture")
    refused = vetx("ask", "And this?", "--image", "notes.txt")
    assert (refused.code, "none of the formats" in refused.err) == (2, True)


def test_the_clinic_answers_in_words_and_in_json_without_a_database(vetx: Vetx) -> None:
    def clinic(*words: str) -> tuple[str, Any]:
        nowhere = {"VETX_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
        spoken, machine = vetx("clinic", *words, **nowhere), vetx("clinic", *words, "--json", **nowhere)
        assert (spoken.code, machine.code) == (0, 0), spoken.err + machine.err
        return spoken.out, machine.json

    text, found = clinic("extract", "--text", "10 kg dog on carprofen ate grapes")
    assert "carprofen" in text
    assert found["patient"]["weight_kg"] == 10
    text, found = clinic("dose", "--drug", "meloxicam", "--patient", DOG, "--jurisdiction", "US")
    assert "mg/kg" in text
    assert found["doses"]
    text, found = clinic(
        "exposure", "--substance", "chocolate", "--amount", '{"value":200,"unit":"g"}', "--patient", DOG
    )
    assert "Severity" in text
    assert found["severity"]
    text, found = clinic("check", "--drugs", "prednisolone 5 mg PO BID", "--drugs", "meloxicam", "--patient", DOG)
    assert "contraindicated" in text
    assert found["findings"]
    text, found = clinic(
        "triage", "--text", "my 12 kg dog ate 200 g chocolate, had a seizure last year", "--patient", DOG
    )
    assert "EMERGENCY" in text
    assert "(past)" in text
    assert found["level"] == "emergency"
    text, found = clinic(
        "triage", "--vitals", '[{"name":"temp","value":41},{"name":"SpO2","value":90}]', "--patient", DOG
    )
    assert "far above" in text
    assert found["vitals"]
    text, found = clinic("differentials", "--signs", "vomiting", "--signs", "no fever", "--patient", DOG)
    assert "Findings: vomiting, no fever" in text
    assert found["differentials"]


def test_the_guard_reads_a_file_or_standard_input(vetx: Vetx) -> None:
    (vetx.folder / "answer.txt").write_text("Rest.\nGive her half a tablet of paracetamol.\n", encoding="utf-8")
    (vetx.folder / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    cat = '{"species":"cat","weight_kg":4}'

    named = vetx("clinic", "guard", "answer.txt", "--patient", cat, "--json")
    told = vetx("clinic", "guard", "--text", "Rest.", "--patient", cat)
    piped = subprocess.run(
        [sys.executable, "-m", "app.cli", "clinic", "guard", "--patient", cat],
        cwd=vetx.folder, env=vetx.environment, input="Give paracetamol.\n", capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert named.json["findings"][0]["rule"] == "acetaminophen-cat"
    assert named.json["corrected"].startswith("Rest.\n")
    assert "Verdict: safe" in told.out
    assert "Verdict: unsafe" in piped.stdout
    assert "[Withheld" in piped.stdout
    assert vetx("clinic", "guard", "nowhere.txt").code == 2
    assert vetx("clinic", "guard", "picture.jpg").code == 2


def test_the_clinics_law_is_the_settings_where_the_option_names_none(vetx: Vetx) -> None:
    words = ("clinic", "dose", "--drug", "meloxicam", "--patient", DOG, "--json")

    assert vetx(*words, VETX_JURISDICTION="UK").json["jurisdiction"] == "UK"
    assert vetx(*words, "--jurisdiction", "CA", VETX_JURISDICTION="UK").json["jurisdiction"] == "CA"
    assert vetx(*words).json["jurisdiction"] is None


def test_doctor_says_what_is_well_and_how_to_mend_what_is_not(vetx: Vetx, first: Server) -> None:
    well = vetx.from_the_start("doctor", "--json")
    assert (well.code, well.json["ok"]) == (0, True)
    assert [check["name"] for check in well.json["checks"]] == ["data files", "vocabulary", "database", "upstreams"]

    ill = vetx("doctor", "--database", "postgresql://u:secret@127.0.0.1:1/none")
    assert ill.code == 1
    assert "MEND  database: " in ill.out
    assert "secret" not in ill.out + ill.err


def test_reconcile_finds_the_books_in_order(vetx: Vetx, first: Server, account: str) -> None:
    assert vetx("reconcile").out == "The books add up: no invariant returns a row.\n"
    assert vetx("reconcile", "--json").json == {"ok": True, "rows": []}


WRONG = [
    (2, ["nonsense"], "No such command"),
    (2, ["accounts", "create"], "Missing argument 'NAME'"),
    (2, ["accounts", "create", ""], "name: give 1 to 200"),
    (2, ["accounts", "create", "x", "--plan", "gold"], "plan: there are free, internal, pro, ultra."),
    (2, ["accounts", "create", "x", "--credit", "much"], "an amount is a plain decimal"),
    (2, ["accounts", "create", "x", "--credit", "-1"], "can't be negative"),
    (2, ["accounts", "create", "x", "--jurisdiction", "DE"], "is not one of"),
    (2, ["accounts", "plan", "acct_999999", "pro"], "There is no account acct_999999"),
    (2, ["accounts", "plan", "mine", "pro"], "write it like acct_1000"),
    (2, ["keys", "create", "acct_999999"], "There is no account"),
    (2, ["keys", "create", "acct_1000", "--scope", "root"], "scopes[0]: "),
    (2, ["keys", "revoke", "acct_1000", "key_999999"], "There is no such key"),
    (2, ["keys", "rotate", "acct_1000", "it"], "write it like key_7"),
    (2, ["credits", "add", "acct_1000", "5"], "Missing option '--ref'"),
    (2, ["credits", "add", "acct_1000", "0", "--ref", "r"], "add more than nothing"),
    (2, ["credits", "show", "acct_999999"], "There is no such account"),
    (2, ["usage", "acct_999999"], "There is no account"),
    (2, ["usage", "acct_1000", "--tz", "Mars"], "tz is not an IANA time zone"),
    (2, ["usage", "acct_1000", "--from", "soon"], "from: write a date"),
    (2, ["usage", "acct_1000", "--group-by", "password"], "group_by[0]"),
    (2, ["ask"], "Missing argument 'WORDS'"),
    (2, ["ask", "hello", "--patient", "{bad"], "--patient is not JSON"),
    (2, ["ask", "hello", "--patient", '{"sex":"both"}'], "Write sex as male or female"),
    (2, ["ask", "hello", "--patient", '{"x":1}'], "vetx.patient.x is not a field here"),
    (2, ["ask", "hello", "--image", "missing.jpg"], "No such file"),
    (2, ["ask", "hello", "--model", "gpt"], "There is no model 'gpt'"),
    (2, ["clinic", "dose"], "Name the drug."),
    (2, ["clinic", "dose", "--drug", "meloxicam", "--patient", '{"weight_kg":-1}'], "patient.weight_kg: must be"),
    (2, ["clinic", "dose", "--drug", "meloxicam", "--patient", "{"], "--patient is not JSON"),
    (2, ["clinic", "dose", "--dose", "1"], "No such option"),
    (2, ["clinic", "extract"], "text is missing."),
    (2, ["clinic", "check"], "Name at least one drug."),
    (2, ["serve", "--port", "99999"], "is not in the range"),
    (2, ["accounts", "list", "--database", "mysql://x"], "database_url: write it as postgresql://"),
    (1, ["accounts", "list", "--database", "postgresql://127.0.0.1:1/none"], "The database can't be reached"),
]


def test_what_is_wrong_is_said_on_one_line_of_stderr(vetx: Vetx, first: Server) -> None:
    wrong = []
    for code, words, said in WRONG:
        ran = vetx(*words)
        one_line = ran.err.startswith("vetx: ") and ran.err.count("\n") == 1
        if ran.code != code or ran.out or not one_line or said not in ran.err:
            wrong.append(f"{words}: exit {ran.code}, stdout {ran.out[:200]!r}, stderr {ran.err[-400:]!r}")

    assert not wrong, "\n".join(wrong)


def test_every_command_tells_what_it_does(vetx: Vetx) -> None:
    groups = {"accounts": ("create", "list", "plan"), "keys": ("create", "list", "rotate", "revoke"),
              "credits": ("add", "show"), "clinic": ("extract", "dose", "exposure", "check")}  # fmt: skip
    commands: list[tuple[str, ...]] = [(), *((name,) for name in ("serve", "usage", "ask", "doctor", "reconcile"))]
    commands += [(group, name) for group, names in groups.items() for name in names] + [(group,) for group in groups]
    for words in commands:
        ran = vetx(*words, "--help")
        assert ran.code == 0
        assert ran.out.startswith(f"Usage: {' '.join(('vetx', *words))} ")
        if len(words) == 2 or words in {("serve",), ("usage",), ("ask",), ("doctor",), ("reconcile",)}:
            assert "--json" in ran.out


def test_a_taken_port_is_one_sentence(vetx: Vetx, first: Server) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        port = door.getsockname()[1]
        ran = vetx("serve", "--port", str(port))

    assert ran.code == 1
    assert ran.err.splitlines()[-1] == (
        f"vetx: 127.0.0.1:{port} can't be listened on (Address already in use); name another with --port."
    )
    assert not ran.out


def test_the_second_start_shows_no_key_and_is_ready_within_3_s(vetx: Vetx, first: Server) -> None:
    assert first.stop() == 0

    took_s = []
    while len(took_s) < 3 and min(took_s, default=SECOND_START_S) >= SECOND_START_S:  # other work may slow one down
        second = vetx.serve()
        try:
            took_s.append(second.ready() - second.waited())
            assert not KEY.search(second.said)
            assert "vetx keys create" in second.said
        finally:
            second.stop()
    assert min(took_s) < SECOND_START_S


def test_asking_before_the_first_start_shows_the_key_too() -> None:
    folder = Path(tempfile.mkdtemp(prefix="vetx-cli-"))
    folder.chmod(0o755)
    try:
        vetx = Vetx(folder)
        ran = vetx.from_the_start("ask", "hello", "--json")
        assert (ran.code, len(KEY.findall(ran.err))) == (0, 1)
        assert ran.json["object"] == "chat.completion"
        assert not KEY.search(vetx.from_the_start("ask", "hello").err)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
