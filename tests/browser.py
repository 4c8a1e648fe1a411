"""A page in headless Chromium, on a machine without a GPU too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Playwright's page on a file. Afterwards it had no error, and no request but for itself and its own parts."""
    driver = pytest.importorskip("playwright.sync_api", reason="a browser: pip install playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("a browser: install Chromium")
    faults, own = [], ("data:", "blob:", file.as_uri())
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.set_default_timeout(180_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(own) else faults.append(request.url))
        page.goto(file.as_uri())
        yield page
        browser.close()
    assert not faults
