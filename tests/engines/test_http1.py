"""The wire, on both event loops: what a server may do to it, and what it does about it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.engines import http1
from app.engines.http1 import Broken, NotReached, Pool, TimedOut
from tests.engines.upstreams import Behaviour, Exchange, Server, serving

LOOPS = ["asyncio"] if sys.platform == "win32" else ["asyncio", "uvloop"]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Use = Callable[[Pool, Server], Awaitable[Any]]


@pytest.fixture(params=LOOPS)
def use(request: pytest.FixtureRequest) -> Callable[[Behaviour, Use], Any]:
    """Run `use(pool, server)` on one of the loops; every connection must be closed afterwards."""

    async def both(behave: Behaviour, use: Use) -> Any:
        async with serving(behave) as server:
            pool = Pool(server.url, headers={}, connect_timeout_s=1)
            try:
                return await use(pool, server)
            finally:
                pool.close()
                await asyncio.sleep(0.02)
                assert pool.open_connections == 0

    def run(behave: Behaviour, use: Use) -> Any:
        if request.param == "uvloop":
            import uvloop

            factory: Any = uvloop.new_event_loop
        else:
            factory = asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(both(behave, use))

    return run


async def body_of(pool: Pool, server: Server, timeout_s: float = 10) -> bytes:
    connection = await pool.post("/x", b"{}", timeout_s)
    try:
        return await connection.read_all(1000)
    finally:
        connection.finish()


def sends(*pieces: bytes, close: bool = False) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            await asyncio.sleep(0.005)
        if close:
            exchange.writer.close()

    return behave


@pytest.mark.parametrize(
    ("pieces", "close"),
    [
        ([OK + b"Content-Length: 2\r\n\r\nhi"], False),
        ([OK + b"Content-Length: 2\r\n\r\n", b"h", b"i"], False),
        (
            [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", b"1;name=value\r\ni\r\n0\r\nX-Trailer: a\r\n\r\n"],
            False,
        ),
        ([OK + b"\r\nh", b"i"], True),
        ([b"HTTP/1.0 200 OK\r\n\r\nhi"], True),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 2\r\n\r\nhi"], False),
        ([bytes([byte]) for byte in OK + b"Content-Length: 2\r\n\r\nhi"], False),
    ],
)
def test_every_way_to_send_a_body_is_read(use: Any, pieces: list[bytes], close: bool) -> None:
    assert use(sends(*pieces, close=close), body_of) == b"hi"


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"SSH-2.0-OpenSSH\r\n"],
        [b"\x16\x03\x01garbage"],
        [OK],
        [OK + b"Content-Length: 10\r\n\r\nhalf"],
        [OK + b"Content-Length: -1\r\n\r\nhalf"],
        [OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhalf"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf"],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
        [OK + b"X: " + b"x" * 200_000],
        [b"HTTP/1.1 200 " + b"x" * 200_000],
        [OK + b"X: y\r\n" * 20_000],
        [OK + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001],
    ],
)
def test_what_is_not_a_whole_answer_is_broken(use: Any, pieces: list[bytes]) -> None:
    with pytest.raises(Broken):
        use(sends(*pieces, close=True), body_of)


@pytest.mark.parametrize(
    "pieces", [[], [OK[:20]], [OK + b"Content-Length: 9\r\n\r\nhalf"], [OK + b"Transfer-Encoding: chunked\r\n\r\n1;"]]
)
def test_a_server_that_stops_in_the_middle_is_timed_out(use: Any, pieces: list[bytes]) -> None:
    with pytest.raises(TimedOut):
        use(sends(*pieces), partial(body_of, timeout_s=0.5))


def test_a_drip_of_headers_is_timed_out(use: Any) -> None:
    async def behave(exchange: Exchange) -> None:
        for byte in OK * 100:
            await exchange.send(bytes([byte]))
            await asyncio.sleep(0.01)

    with pytest.raises(TimedOut):
        use(behave, partial(body_of, timeout_s=0.5))


def test_a_second_answer_is_never_taken_for_the_next_one(use: Any) -> None:
    first = OK + b"Content-Length: 5\r\n\r\nfirst"

    async def behave(exchange: Exchange) -> None:
        number = len(seen.exchanges)
        if number == 1:
            await exchange.send(first + OK + b"Content-Length: 4\r\n\r\nevil")
        elif number == 2:
            await exchange.send(first)
            await asyncio.sleep(0.01)
            await exchange.send(OK + b"Content-Length: 4\r\n\r\nevil")
        else:
            await exchange.send(first)

    async def four(pool: Pool, server: Server) -> list[bytes]:
        nonlocal seen
        seen = server
        answers = []
        for is_spoilt in (True, True, False, False):
            answers.append(await body_of(pool, server))
            if is_spoilt:
                await asyncio.wait_for(server.closed.wait(), 10)
                server.closed.clear()
        assert server.connections == 3
        return answers

    seen = Server()
    assert use(behave, four) == [b"first"] * 4


def test_a_connection_that_the_server_ends_is_not_kept(use: Any) -> None:
    async def twice(pool: Pool, server: Server) -> int:
        for _ in range(2):
            assert await body_of(pool, server) == b"hi"
        return server.connections

    assert use(sends(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"), twice) == 2
    assert use(sends(OK + b"Content-Length: 2\r\n\r\nhi"), twice) == 1


def test_a_refused_connection_is_not_a_timeout(use: Any) -> None:
    async def gone(pool: Pool, server: Server) -> None:
        for url in ("http://127.0.0.1:9/v1", "http://[::1]:9/v1", "http://no-such-host.invalid/v1"):
            await body_of(Pool(url, headers={}, connect_timeout_s=5), server)

    with pytest.raises(NotReached):
        use(sends(), gone)


def test_cancelling_while_connecting_leaves_nothing_open(use: Any) -> None:
    async def cancelled(pool: Pool, server: Server) -> None:
        for rounds in range(20):
            task = asyncio.create_task(body_of(pool, server))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert pool.open_connections == 0

    async def hang(exchange: Exchange) -> None:
        await exchange.reader.read()

    use(hang, cancelled)


def test_many_calls_at_once_each_get_their_own_answer(use: Any) -> None:
    async def echo(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        await exchange.answer(exchange.body)

    async def many(pool: Pool, server: Server) -> None:
        async def one(number: int) -> None:
            connection = await pool.post("/x", str(number).encode(), 5)
            try:
                assert await connection.read_all(100) == str(number).encode()
            finally:
                connection.finish()

        for _ in range(3):
            await asyncio.gather(*(one(number) for number in range(100)))
        assert server.connections <= 100

    use(echo, many)


def own_certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody but this test trusts, written to `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize("trusted", [True, False])
def test_a_server_is_believed_only_with_a_certificate_that_is_trusted(
    use: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    context = own_certificate(tmp_path)

    async def over_tls(pool: Pool, server: Server) -> bytes:
        async with serving(sends(OK + b"Content-Length: 2\r\n\r\nhi"), tls=context) as secure:
            own = Pool(secure.url, headers={}, connect_timeout_s=2)
            try:
                answers = [await body_of(own, secure) for _ in range(3)]
            finally:
                own.close()
                await asyncio.sleep(0.02)
                assert own.open_connections == 0
                assert len(secure.exchanges) == (3 if trusted else 0)
            return answers[0]

    if trusted:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        monkeypatch.setattr(http1, "_tls", lambda: trusting)
        assert use(sends(), over_tls) == b"hi"
    else:
        with pytest.raises(NotReached):
            use(sends(), over_tls)
