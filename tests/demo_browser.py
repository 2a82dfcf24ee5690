"""The demo's page in a browser without a window, driven through chromedriver."""

import json
import shutil
import time

import numpy as np
from selenium import webdriver

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


class Page:
    """The page in one browser."""

    def __init__(self, folder, width=1280, height=860):
        self.folder = folder
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.resize(width, height)

    def resize(self, width, height):
        told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", told)

    def open(self, port):
        self.driver.get(f"http://127.0.0.1:{port}/")
        self.wait("return document.querySelectorAll('#examples button').length === 4")
        self.requests()
        return self

    def run(self, script, *values):
        return self.driver.execute_script(script, *values)

    def wait(self, script, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(script):
                return
            time.sleep(0.03)
        raise AssertionError(f"waited {seconds} s for {script}; status: {self.text('status')}; {self.text('error')}")

    def at(self, name):
        return self.driver.find_element("id", name)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent.trim()", name)

    def example(self, number=1):
        self.run("document.querySelectorAll('#examples button')[arguments[0]].click()", number)
        self.answered()

    def upload(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        self.at("file").send_keys(str(path))
        self.answered()

    def answered(self):
        self.wait("return !document.getElementById('status').classList.contains('busy')")

    def slide(self, name, value):
        """Move a slider as a hand does; the page must have drawn when this returns."""
        script = "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
        self.run(f"{script} one.dispatchEvent(new Event('input', {{ bubbles: true }}))", name, value)

    def pixels(self):
        """The canvas as uint8 (height, width, 4)."""
        script = """const one = document.getElementById('canvas');
            const { data } = one.getContext('2d').getImageData(0, 0, one.width, one.height);
            return [one.height, one.width, Array.from(data)]
        """
        height, width, data = self.run(script)
        return np.array(data, np.uint8).reshape(height, width, 4)

    def orange(self):
        """Where the mask is drawn: bool (height, width)."""
        red, _, blue = np.moveaxis(self.pixels()[..., :3].astype(int), -1, 0)
        return red - blue > 20

    def requests(self):
        """(method, address) of what the page asked for since the last call."""
        messages = [json.loads(one["message"])["message"] for one in self.driver.get_log("performance")]
        sent = [one["params"]["request"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [(one["method"], one["url"]) for one in sent if one["url"].startswith("http")]

    def complaints(self):
        """What the browser's console says, but for answers that are errors and how often these tests look."""
        said = [one["message"] for one in self.driver.get_log("browser")]
        return [one for one in said if "Failed to load resource" not in one and "willReadFrequently" not in one]
