"""HTML to PDF with a browser that is there already; the doctor asks, too."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PLACES = (  # on the PATH, and where Windows and macOS keep them
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
    "chrome", "msedge", "microsoft-edge",
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
    r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
    r"%ProgramFiles%\Microsoft\Edge\Application\msedge.exe",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
SECONDS = 120
OPTIONS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-pdf-header-footer",
    # The page asks for nothing; should a browser have a wish of its own.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class BrowserError(RuntimeError):
    """No PDF can be made; the message says why."""


def find() -> str:
    """The path of a browser of the Chromium family, or a BrowserError."""
    for place in PLACES:
        if found := shutil.which(os.path.expandvars(place)):
            return found
    raise BrowserError(
        "--pdf needs Chromium, Chrome or Edge, and none is on the PATH. "
        "Install one, or leave --pdf out and print the HTML file to PDF "
        "from your own browser.")


def to_pdf(browser: str, page: str) -> bytes:
    """A page as PDF, or a BrowserError that says why there is none."""
    # Chromium's own files may be written a moment after it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Plain names: not every browser takes all letters in its options.
        source, target = folder / "report.html", folder / "report.pdf"
        source.write_text(page, encoding="utf-8")
        # Chromium refuses to run as root with its sandbox.
        root = sys.platform != "win32" and os.geteuid() == 0
        sandbox = ["--no-sandbox"] if root else []
        said = ""  # its last words where they may help
        try:
            done = subprocess.run(
                [browser, *OPTIONS, *sandbox, f"--print-to-pdf={target}",
                 f"--user-data-dir={folder / 'own'}", source.as_uri()],
                capture_output=True, timeout=SECONDS, check=False)
            lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
            if done.returncode and lines[-1]:
                said = f" ({lines[-1]})"
        except subprocess.TimeoutExpired:
            said = f" in {SECONDS} seconds"
        except OSError as error:
            said = f" ({error.strerror})"
        data = target.read_bytes() if target.is_file() else b""
    if not data.startswith(b"%PDF"):
        raise BrowserError(
            f"{browser} made no PDF{said}. Open the HTML file in a browser "
            "and print it to PDF there.")
    return data
