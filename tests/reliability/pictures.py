"""The largest pictures that are taken, offered faster than they can be read: told so, while chat goes on."""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import psutil
from PIL import Image

from tests.engines.upstreams import Exchange, whole
from tests.reliability.calls import Told, call, question
from tests.reliability.running import ROOT, Account, Claims, Service, running

NAME = "pictures"
WIDTH, HEIGHT = 8_160, 6_120
CHAT_PER_S = 20
PEAK_MIB_MAX = 500


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--per-second", type=float, default=50.0, help="Pictures of 50 megapixels offered.")


async def _yes(exchange: Exchange) -> None:
    await exchange.answer(whole("yes"))


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module."""
    async with running(chosen, _yes, upstream_vision="1") as (service, _):
        account = await service.account()
        body = _body()
        first = await call(service.port, account.key, body)
        claims.must(first.status == 200, f"a picture alone: {first.status} {first.error}")
        idle = await _chat(service, account, chosen.seconds / 2)
        peaks: dict[int, int] = {}
        watch = asyncio.ensure_future(_peaks(service, peaks))
        offered = asyncio.ensure_future(_offered_apart(service, account, chosen))
        busy = await _chat(service, account, chosen.seconds)
        told = await offered
        watch.cancel()
        statuses = Counter(one.status for one in told)
        claims.figures |= {
            "offered": len(told),
            "read": statuses[200],
            "read_per_s": statuses[200] / chosen.seconds,
            "refused_503": statuses[503],
            "decoder_peak_mib": max(peaks.values(), default=0),
            "chat_calls": len(busy),
            "chat_p99_idle_ms": _p99_ms(idle),
            "chat_p99_ms": _p99_ms(busy),
            "ratio": _p99_ms(busy) / _p99_ms(idle),
        }
        claims.must(set(statuses) <= {200, 503}, f"other answers to pictures: {dict(statuses)} {_others(told)}")
        claims.must(statuses[200] > 0, "no picture was read")
        silent = [one for one in told if one.status == 503 and "retry-after" not in one.headers]
        claims.must(not silent, f"{len(silent)} answers 503 without Retry-After")
        chat = Counter(one.status for one in [*idle, *busy])
        claims.must(set(chat) == {200}, f"answers to chat: {dict(chat)}")
        claims.must(claims.figures["decoder_peak_mib"] <= PEAK_MIB_MAX, "the decoding process grew too large")
        await service.audit(claims)


def _body() -> dict[str, Any]:
    """A picture of 50 megapixels whose file is small, so that the client isn't what is measured."""
    ramp = np.add.outer(np.arange(HEIGHT) // 7 % 256, np.arange(WIDTH) // 5 % 256).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(ramp, "L").convert("RGB").save(out, "JPEG", quality=70)
    url = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
    body = question("What is this?", max_tokens=8)
    body["messages"][0]["content"] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return body


async def _chat(service: Service, account: Account, seconds: float) -> list[Told]:
    """Paced calls without pictures."""
    calls = []
    for _ in range(int(seconds * CHAT_PER_S)):
        calls.append(asyncio.ensure_future(call(service.port, account.key, question("hello", max_tokens=8))))
        await asyncio.sleep(1 / CHAT_PER_S)
    return list(await asyncio.gather(*calls))


async def _offered_apart(service: Service, account: Account, chosen: argparse.Namespace) -> list[Told]:
    """What `_offer` is told; it has a process of its own, so that nobody's chat waits for whom it keeps busy."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(service.port), str(chosen.seconds), str(chosen.per_second)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    said, _ = await process.communicate(account.key.encode())
    return [Told(**row) for row in json.loads(said)]


async def _offer(port: int, key: str, seconds: float, per_second: float) -> list[Told]:
    """Pictures at their pace, whether the last was answered or not."""
    calls = []
    body = json.dumps(_body()).encode()
    began = time.monotonic()
    for number in range(int(seconds * per_second)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        calls.append(asyncio.ensure_future(call(port, key, body, timeout_s=120)))
    return list(await asyncio.gather(*calls))


def _offer_alone(port: str, seconds: str, per_second: str) -> None:
    """Offer, and print what was told as JSON."""
    told = asyncio.run(_offer(int(port), sys.stdin.read(), float(seconds), float(per_second)))
    kept = ("status", "headers", "error", "broken", "sent_at", "heard_at")
    print(json.dumps([{name: getattr(one, name) for name in kept} for one in told]))


async def _peaks(service: Service, peaks: dict[int, int]) -> None:
    """The most memory that each decoding process ever held [MiB], until cancelled; Linux tells it."""
    assert service.process is not None
    while True:
        for child in psutil.Process(service.process.pid).children(recursive=True):
            try:
                if "app.media.worker" in " ".join(child.cmdline()):
                    peaks[child.pid] = _peak_mib(child.pid)
            except (psutil.Error, OSError, IndexError):
                continue
        await asyncio.sleep(0.25)


def _peak_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


def _p99_ms(told: list[Told]) -> float:
    return quantiles([(one.heard_at - one.sent_at) * 1_000 for one in told], n=100)[98]


def _others(told: list[Told]) -> list[object]:
    return [(one.status, one.error, one.broken) for one in told if one.status not in (200, 503)][:3]


if __name__ == "__main__":
    _offer_alone(*sys.argv[1:])
