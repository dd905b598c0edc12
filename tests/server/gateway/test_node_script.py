# SPDX-License-Identifier: Apache-2.0
"""The script by which amazon-ssm-agent does a step of ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from patchwright.server.gateway.node_script import CHECK, script_of

PROGRAM = b"import sys\nprint('done by', *sys.argv[1:])\nsys.exit(194)\n"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()
PATH = "/agent/patchwright-agent.pyz"
TOOLS = ["sh", "mkdir", "rm", "mv", "find", "python3"]


@pytest.fixture
def served():
    """A server that hands out `body`, and what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        body, asked, status = PROGRAM, [], 200

        def log_message(self, *_):
            """Quiet."""

        def do_GET(self):
            Handler.asked.append(self.path)
            self.send_response(Handler.status)
            self.end_headers()
            self.wfile.write(Handler.body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path, served):
    """Runs the script as the agent does, with a directory of its own for what it keeps, and only some tools."""

    def start(text, *tools):
        (tmp_path / "bin").mkdir(exist_ok=True)
        for name in (*TOOLS, *tools):
            place = next(
                f"{one}/{name}" for one in ("/usr/bin", "/bin", "/usr/local/bin") if os.path.exists(f"{one}/{name}")
            )
            (tmp_path / "bin" / name).unlink(missing_ok=True)
            (tmp_path / "bin" / name).symlink_to(place)
        text = text.replace("/var/lib/patchwright-node", str(tmp_path / "kept"))
        text = text.replace("PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "")
        environment = {"PATH": str(tmp_path / "bin")}
        return subprocess.run(
            ["/bin/sh", "-c", text], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    return start


@pytest.mark.parametrize("tools", [("curl",), ("wget",), ()], ids=["curl", "wget", "python"])
def test_the_program_is_downloaded_once_checked_and_started(run, served, tools):
    """By whatever the node has to download with; its exit code is the script's."""
    if tools and not any(os.path.exists(f"{one}/{tools[0]}") for one in ("/usr/bin", "/bin")):
        pytest.skip(f"no {tools[0]} here")
    text = script_of("PatchLinux", served.url + PATH, DIGEST)
    served.asked.clear()
    for _ in range(2):
        done = run(text, *tools)
        assert (done.returncode, done.stderr) == (194, "")
        assert done.stdout == f"done by patch --server {served.url} --step PatchLinux --insecure-http\n"
    assert served.asked == [PATH]


def test_a_script_of_a_document_within_a_document_says_where_it_lies(run, served, tmp_path):
    """As amazon-ssm-agent starts it: the path of the script is all that it is told of the step that runs its document."""
    place = tmp_path / "orchestration" / "c-1" / "Outer" / "PatchLinux" / "_script.sh"
    place.parent.mkdir(parents=True)
    text = script_of("PatchLinux", served.url + PATH, DIGEST, within=True)
    place.write_text(text.replace("/var/lib/patchwright-node", str(tmp_path / "kept")))
    place.chmod(0o700)

    done = run(str(place))

    assert done.stdout.split()[-2:] == ["--within", str(place)]


def test_another_program_than_the_one_that_was_named_is_not_started(run, served, tmp_path):
    """Nor kept; nor one that somebody has changed on the node."""
    text = script_of("PatchLinux", served.url + PATH, DIGEST)
    served.body = b"print('evil')"
    done = run(text)
    assert (done.returncode, done.stdout) == (155, "")
    assert "not the node program" in done.stderr
    assert list((tmp_path / "kept" / "program").iterdir()) == []

    (tmp_path / "kept" / "program" / f"{DIGEST}.pyz").write_bytes(b"print('evil')")
    served.body = PROGRAM
    assert run(text).returncode == 194


def test_a_download_that_fails_says_from_where(run, served):
    """Exit code 156, as AWS's document has it."""
    served.status = 404
    done = run(script_of("PatchLinux", served.url + PATH, DIGEST))
    assert done.returncode == 156
    assert f"cannot be downloaded from {served.url}{PATH}" in done.stderr


def test_a_node_without_a_python_is_told_what_it_lacks(run, served):
    """Exit code 1, and nothing is downloaded."""
    text = script_of("PatchLinux", served.url + PATH, DIGEST)
    served.asked.clear()
    done = run(text.replace("python3", "python-of-nowhere").replace("/usr/libexec/platform-python", ""))
    assert done.returncode == 1
    assert "Python 3.8" in done.stderr
    assert served.asked == []


def test_a_check_is_another_word_over_tls_without_a_permission_to_do_without():
    """The rest is the same script."""
    patch = script_of("VerifyOperation", "https://patch.example" + PATH, DIGEST)
    check = script_of("VerifyOperation", "https://patch.example" + PATH, DIGEST, word=CHECK)
    assert patch.splitlines()[:-1] == check.splitlines()[:-1]
    assert (
        check.splitlines()[-1]
        == 'exec "$python" -I "$program" patch-check --server https://patch.example --step VerifyOperation'
    )


def test_amazons_agent_finds_nothing_to_fill_in_and_sh_nothing_to_complain_of(tmp_path):
    """It substitutes what stands in double braces; `sh -n` reads the whole script."""
    text = script_of("PatchLinux", "https://patch.example" + PATH, DIGEST)
    assert "{{" not in text
    assert "@" not in text
    assert subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("step", "url", "digest", "word"),
    [
        ("a b", "https://x" + PATH, DIGEST, "patch"),
        ("a;b", "https://x" + PATH, DIGEST, "patch"),
        ("", "https://x" + PATH, DIGEST, "patch"),
        ("a", "https://x/$(id)", DIGEST, "patch"),
        ("a", "https://x/a'b", DIGEST, "patch"),
        ("a", "file:///x", DIGEST, "patch"),
        ("a", "https://x" + PATH, DIGEST[:-1], "patch"),
        ("a", "https://x" + PATH, DIGEST, "enroll"),
    ],
)
def test_nothing_that_could_be_a_word_of_the_shell_gets_in(step, url, digest, word):
    """Names, URLs and digests that are none are refused."""
    with pytest.raises(ValueError, match="no script"):
        script_of(step, url, digest, word=word)
