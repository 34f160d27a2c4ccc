"""A real Chromium without a window, driven over its DevTools protocol with what is installed anyway.

The page it looks at is the demo's own. Where there is no Chromium the tests are skipped and say so; under
CODETASK_REQUIRE_CHROMIUM=1 they fail instead.
"""

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

Json = dict[str, Any]
START_S = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str:
    """The program, or the test is skipped."""
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), "")
    if not found:
        say = "NO CHROMIUM FOUND: the demo page was not looked at (apt install chromium, or set CHROMIUM)"
        if os.environ.get("CODETASK_REQUIRE_CHROMIUM") == "1":
            pytest.fail(say)
        pytest.skip(say)
    return found


class Tab:
    """One page. `problems` are the errors it logged: exceptions, console errors, refused by the content policy."""

    def __init__(self, browser: "Browser", target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self.problems: list[str] = []

    async def send(self, method: str, **params: Any) -> Json:
        """One DevTools command on this tab."""
        return await self._browser.send(method, session=self._session, **params)

    async def open(self, url: str) -> None:
        """Goes there; returns when the page is loaded."""
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited. An exception in it fails the test."""
        told = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise AssertionError(f"{script}\n{told['exceptionDetails']}")
        return told["result"].get("value")

    async def until(self, script: str, seconds: float = 20.0) -> Any:
        """The first truthy value of an expression, asked again with every frame drawn."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            with suppress(DevToolsError):  # the page is just being replaced
                if value := await self.run(f"new Promise(r => setTimeout(() => r({script}), 30))"):
                    return value
            if asyncio.get_running_loop().time() > end:
                text = await self.run("document.body.innerText")
                raise AssertionError(f"not within {seconds} s: {script}\nproblems: {self.problems}\npage:\n{text}")

    async def click(self, selector: str) -> None:
        """A real press of the mouse on the middle of the element, which has to be the one that is hit there."""
        await self.send("Input.dispatchMouseEvent", type="mouseMoved", **await self._spot(selector, "true"))
        spot = await self._spot(selector, "node.contains(document.elementFromPoint(at.x, at.y))")
        told = {"button": "left", "clickCount": 1, **spot}
        both = [self.send("Input.dispatchMouseEvent", type=kind, **told) for kind in ("mousePressed", "mouseReleased")]
        await asyncio.gather(*both)  # at once, so that nothing moves in between

    async def _spot(self, selector: str, free: str) -> Json:
        return await self.until(_SPOT.replace("SELECTOR", json.dumps(selector)).replace("FREE", free))

    async def type(self, text: str) -> None:
        """Text into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def key(self, name: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code)

    async def key_press_enter(self) -> None:
        """Enter as a person presses it, which presses the button that has the focus."""
        for kind, text in (("keyDown", "\r"), ("keyUp", "")):
            await self.send("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text=text)

    async def close(self) -> None:
        """Away with it."""
        await self._browser.send("Target.closeTarget", targetId=self._target)

    async def look(
        self, width: int, height: int, *, dark: bool = False, touch: bool = False, still: bool = True, zoom: float = 1
    ) -> None:
        """The size of the window and what the person prefers."""
        device = {"width": int(width / zoom), "height": int(height / zoom), "deviceScaleFactor": zoom, "mobile": touch}
        await self.send("Emulation.setDeviceMetricsOverride", **device)
        await self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features["prefers-reduced-motion"] = "reduce" if still else "no-preference"
        told = [{"name": name, "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", features=told)

    async def picture(self) -> bytes:
        """A PNG of what is seen."""
        told = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])

    def hear(self, method: str, params: Json) -> None:
        """Keeps what went wrong in the page."""
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
            self.problems.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


_SPOT = """(() => {
  const node = document.querySelector(SELECTOR);
  if (!node || node.disabled) return null;
  node.scrollIntoView({ block: "center", inline: "center" });
  const box = node.getBoundingClientRect();
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  return FREE ? at : null;
})()"""


class DevToolsError(Exception):
    """The browser refused a command."""


class Browser:
    """A running Chromium."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._hearers: dict[str, Callable[[str, Json], None]] = {}
        self.new_tabs: asyncio.Queue[str] = asyncio.Queue()
        """Target ids of the tabs that pages opened themselves."""
        self.home = ""
        """The page that its tabs start from."""

    async def send(self, method: str, session: str = "", **params: Any) -> Json:
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        told = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        await self._socket.send_str(json.dumps(told))
        return await asyncio.wait_for(future, 60)

    async def listen(self) -> None:
        """Hands answers and events on, until the browser ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                future = self._waiting.pop(told["id"])
                if "error" in told:
                    future.set_exception(DevToolsError(str(told["error"])))
                else:
                    future.set_result(told["result"])
            elif told["method"] == "Target.targetCreated" and told["params"]["targetInfo"].get("openerId"):
                self.new_tabs.put_nowait(told["params"]["targetInfo"]["targetId"])
            elif hear := self._hearers.get(told.get("sessionId", "")):
                hear(told["method"], told["params"])

    async def tab(self, target: str = "") -> Tab:
        """A new tab, or one that a page opened."""
        if not target:
            target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = Tab(self, target, session)
        self._hearers[session] = tab.hear
        for domain in ("Page", "Runtime", "Log"):
            await tab.send(f"{domain}.enable")
        return tab


@asynccontextmanager
async def open_browser(program: str, folder: Path) -> AsyncIterator[Browser]:
    """Chromium with a profile of its own in `folder`; gone with all its processes at the end."""
    process = await asyncio.create_subprocess_exec(
        program,
        *_arguments(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        start_new_session=True,
    )
    try:
        address = await asyncio.wait_for(_address(process), START_S)
        draining = asyncio.create_task(_drain(process))
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            browser = Browser(socket)
            listening = asyncio.create_task(browser.listen())
            await browser.send("Target.setDiscoverTargets", discover=True)
            yield browser
            with suppress(DevToolsError, ConnectionError, TimeoutError):
                await browser.send("Browser.close")
            listening.cancel()
        draining.cancel()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


def _arguments(folder: Path) -> Sequence[str]:
    given = [
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-background-timer-throttling",
        "--disable-renderer-backgrounding",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--lang=en-GB",
        # Chromium's own sandbox needs what containers and root do not have. It only ever opens the demo's own page.
        "--no-sandbox",
    ]
    return [*given, "about:blank"]


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said: list[str] = []
    while line := await process.stderr.readline():
        said.append(line.decode("utf-8", "replace"))
        if found := re.search(r"DevTools listening on (ws://\S+)", said[-1]):
            return found[1]
    raise AssertionError(f"Chromium did not start: {''.join(said)[-2000:]}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.read(65536):
        pass
