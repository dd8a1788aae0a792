"""JupyterLab in headless Chromium: open a notebook, run it, use its widgets.

Only what the tests need. Errors in a widget's callback appear in no cell, so the kernel's
messages are watched too.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

APPLICATIONS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
#: no pop-ups, and all cells in the page, not only those in view
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
PANEL = "[...window.jupyterapp.shell.widgets('main')].find(w => w.sessionContext && w.content.widgets)"


def browser_path() -> str | None:
    """An installed Chromium or Chrome; the variable CHROMIUM goes first."""
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, APPLICATIONS), MAC]
    return next((path for path in found if path and Path(path).exists()), None)


class Lab:
    """A server and a browser, as a context manager. ``root`` is the folder that is served."""

    def __init__(self, root: Path, work: Path):
        self.root, self.work = root, work

    def __enter__(self) -> "Lab":
        for name, content in SETTINGS.items():
            path = self.work / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        folders = {"SETTINGS": "settings", "WORKSPACES": "workspaces"}
        environment = os.environ | {f"JUPYTERLAB_{k}_DIR": str(self.work / v) for k, v in folders.items()}
        environment |= {"JUPYTER_TOKEN": self.token, "JUPYTER_CONFIG_DIR": str(self.work / "config")}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}"]
        command += [f"--ServerApp.root_dir={self.root}", "--LabApp.expose_app_in_browser=True"]
        self.log = open(self.work / "lab.log", "wb")
        self.server = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=environment)
        self._until(self._answers, "JupyterLab does not start; see its log " + str(self.work / "lab.log"))
        self.playwright = sync_playwright().start()
        arguments = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        self.browser = self.playwright.chromium.launch(executable_path=browser_path(), args=arguments)
        return self

    def __exit__(self, *_) -> None:
        self.browser.close()
        self.playwright.stop()
        self.server.terminate()
        self.server.wait(30)
        self.log.close()

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status?token={self.token}", timeout=5).status == 200
        except OSError:
            return False

    @staticmethod
    def _until(condition, message: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, message
            time.sleep(0.2)

    def open(self, name: str) -> "Page":
        return Page(self, name)


class Page:
    """One notebook in the browser."""

    def __init__(self, lab: Lab, name: str):
        self.errors: list[str] = []
        self.page = lab.browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(120_000)
        self.page.on("pageerror", lambda error: self.errors.append(f"page: {error}"))
        self.page.on("console", self._console)
        self.page.goto(f"http://127.0.0.1:{lab.port}/lab/workspaces/test/tree/{name}?reset&token={lab.token}")
        ready = f"() => window.jupyterapp && ({PANEL})?.sessionContext.session?.kernel?.status === 'idle'"
        self.page.wait_for_function(ready)
        self.page.evaluate(f"""() => {{ window.kernelErrors = [];
            ({PANEL}).sessionContext.session.kernel.anyMessage.connect((_, {{ msg }}) => {{
                if (msg.header.msg_type === 'error') window.kernelErrors.push(msg.content.ename + ': ' + msg.content.evalue) }}) }}""")

    def _console(self, message) -> None:
        harmless = ("favicon", "Failed to load resource", "net::", "preload")
        if message.type == "error" and not any(word in message.text for word in harmless):
            self.errors.append(f"console: {message.text}")

    def run_all(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait()

    def wait(self, quiet: float = 1.0, seconds: float = 300) -> None:
        """Until the kernel has been idle, and every widget drawn, for a moment."""
        idle = f"""() => {{ const panel = {PANEL};
            const running = panel.content.widgets.some(c => c.model.executionState === 'running');
            return panel.sessionContext.session.kernel.status === 'idle' && !running
                && !panel.node.innerText.includes('Loading widget') && [...panel.node.querySelectorAll('img')].every(i => i.complete) }}"""
        end, since = time.monotonic() + seconds, None
        while since is None or time.monotonic() - since < quiet:
            assert time.monotonic() < end, "the kernel is still busy"
            since = (since or time.monotonic()) if self.page.evaluate(idle) else None
            time.sleep(0.1)

    def kernel(self, code: str):
        """The value of an expression in the notebook's kernel, as JSON carries it."""
        text = self.page.evaluate(
            f"""async code => {{ let text = ''; const kernel = ({PANEL}).sessionContext.session.kernel;
                const future = kernel.requestExecute({{ code, store_history: false }});
                future.onIOPub = m => {{
                    if (m.header.msg_type === 'stream') text += m.content.text;
                    if (m.header.msg_type === 'error') text = m.content.evalue }};
                await future.done; return text }}""",
            f"import json; print('VALUE' + json.dumps({code}))",
        )
        assert "VALUE" in text, text
        return json.loads(text.split("VALUE", 1)[1])

    def all_errors(self) -> list[str]:
        """Of the page, its console, the kernel, and cells that did not run."""
        cells = self.page.evaluate(f"""() => ({PANEL}).content.widgets.filter(c => c.model.type === 'code')
            .map(c => c.model.sharedModel.toJSON()).filter(c => c.execution_count === null).map(c => 'not run: ' + c.id)""")
        return self.errors + self.page.evaluate("() => window.kernelErrors") + cells

    def drag(self, element, path: list[tuple[float, float]]) -> None:
        """Press the mouse at the first point, move through the others, release; fractions of the element's box."""
        element.scroll_into_view_if_needed()
        time.sleep(0.3)
        box = element.bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=8)
        self.page.mouse.up()
        self.wait()

    def close(self) -> None:
        self.page.evaluate(f"async () => {{ await ({PANEL}).sessionContext.shutdown() }}")
        self.page.close()
