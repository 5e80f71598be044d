"""A real browser, Chromium, driven by the DevTools protocol: pages, fields, files, what it sent and what its policy refused. It judges
nothing itself."""
import atexit
import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.sync.client import connect

import planes

PATIENCE = 20
# What a person sees: elements by the words on them.
FIND = """
window.seen = {
  words: (e) => (e.getAttribute('aria-label') || e.innerText || '').trim(),
  shown: (e) => e.getClientRects().length > 0,
  top: () => [...document.querySelectorAll('dialog[open]')].pop() || document,
  button: (said) => [...seen.top().querySelectorAll('button, a, summary')]
    .find((e) => seen.shown(e) && !e.disabled && seen.words(e) === said),
  field: (said) => {
    const label = [...seen.top().querySelectorAll('label')].find((e) => seen.shown(e) && e.innerText.trim().startsWith(said));
    return label && (label.htmlFor ? document.getElementById(label.htmlFor) : label.querySelector('input, select, textarea'));
  },
};
"""


def program():
    """The browser, or None where there is none."""
    return planes.tool("chromium", "chromium-browser", "google-chrome")


class Chromium:
    """One page of a fresh browser that trusts this server's certificate and no other private one."""

    def __init__(self, address, downloads):
        host, port = address.split(":")
        leaf = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode())
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
        self.profile = tempfile.mkdtemp(prefix="countersign-chromium-")
        atexit.register(shutil.rmtree, self.profile, ignore_errors=True)
        # A container's root has no sandbox, and its /dev/shm is small.
        self.child = subprocess.Popen(
            [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.profile}",
             f"--ignore-certificate-errors-spki-list={pin}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.child.kill)
        self.requests, self.refused, self.number = [], [], 0
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port()}/json/list", timeout=PATIENCE) as answer:
            page = next(one for one in json.load(answer) if one["type"] == "page")
        self.socket = connect(page["webSocketDebuggerUrl"], max_size=None)
        self.version = self.call("Browser.getVersion")["product"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=FIND)
        self.downloads = downloads
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=downloads, eventsEnabled=True)

    def _port(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with open(os.path.join(self.profile, "DevToolsActivePort")) as f:
                    return int(f.readline())
            except (OSError, ValueError):
                time.sleep(0.05)
        raise SystemExit("chromium does not start")

    def call(self, method, **params):
        self.number += 1
        number = self.number
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv(PATIENCE))
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}")
                return said["result"]
            self._heard(said)

    def _heard(self, event):
        params = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"])
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            entry = params["entry"]
            # A refusal by the API is an error to the browser's log; what it did not run or load is one to us.
            if entry["source"] != "network":
                self.refused.append(entry["text"])
        elif event["method"] == "Audits.issueAdded" and params["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.refused.append(json.dumps(params["issue"]["details"]))
        elif event["method"] == "Runtime.exceptionThrown":
            self.refused.append(json.dumps(params["exceptionDetails"])[:500])

    def run(self, script):
        """The value of an expression in the page; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            failed = done["exceptionDetails"]
            raise RuntimeError(f"{script}: {failed.get('exception', {}).get('description', failed['text'])}")
        return done["result"].get("value")

    def until(self, condition, what=None):
        """Waits until an expression holds, also over a change of page."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                turns = f"""new Promise((done) => {{ let left = 40; const look = () => {{ let value = {condition};
                    value || (left -= 1) === 0 ? done(Boolean(value)) : setTimeout(look, 50); }}; look(); }})"""
                if self.run(turns):
                    return
            except RuntimeError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"{what or condition} never held; the page says: {self.text()[:1500]}")

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until(f"document.readyState === 'complete' && location.href !== 'about:blank'")

    def text(self):
        return self.run("document.body.innerText")

    def says(self, text):
        self.until(f"document.body.innerText.includes({json.dumps(text)})", f"the words {text!r}")

    def press(self, said):
        self.until(f"seen.button({json.dumps(said)})", f"a button {said!r}")
        self.run(f"(() => {{ const e = seen.button({json.dumps(said)}); e.focus(); e.click(); }})()")

    def fill(self, said, text):
        """Types into the field of this label, over what stands there."""
        self.until(f"seen.field({json.dumps(said)})", f"a field {said!r}")
        self.run(f"(() => {{ const e = seen.field({json.dumps(said)}); e.focus(); e.select(); }})()")
        self.call("Input.insertText", text=text)

    def choose(self, said, value):
        """One of a select, as a person's choice reaches the page."""
        options = f"[...(seen.field({json.dumps(said)})?.options ?? [])]"
        self.until(f"{options}.some((e) => e.value === {json.dumps(value)})", f"{value} in {said!r}")
        self.run(f"""(() => {{ const e = seen.field({json.dumps(said)});
            Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value').set.call(e, {json.dumps(value)});
            e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()""")

    def upload(self, said, path):
        self.until(f"seen.field({json.dumps(said)})", f"a field {said!r}")
        found = self.call("Runtime.evaluate", expression=f"seen.field({json.dumps(said)})")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[path], objectId=found)

    def key(self, name, code, text=None):
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **more)

    def saved(self, name):
        """The path of a file that the page saves, once it is whole."""
        path = os.path.join(self.downloads, name)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(path) or os.path.exists(path + ".crdownload") or not os.path.getsize(path):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} was not saved; there is {os.listdir(self.downloads)}")
            time.sleep(0.05)
        return path

    def unnamed(self):
        """Controls without a name for who does not see them."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "link", "textbox", "combobox", "radio", "checkbox", "dialog", "listbox"}
        return [node["role"]["value"] for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in roles
                and not node.get("name", {}).get("value", "").strip()]

    def screenshot(self, path, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
