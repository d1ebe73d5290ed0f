"""Starts fake clouds and Riparian before them, and runs each SDK's script against it, its base URL changed and nothing else.

    run.py RIPARIAN RIPARIAN_LOADTEST [SCRIPT...]

Every family is spoken by two clouds at least, and each answers a handle that is not its own with the vendor's error: a
continuation that goes astray fails the script. Needs the standard library alone; the scripts need their SDK.
"""

import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
SCRIPTS = ["openai_sdk.py", "anthropic_sdk.py", "boto3_sdk.py", "mcp_sdk.py"]
REGION = "us-east-1"
START_WITHIN = 30  # seconds, on a machine that has other things to do
SCRIPT_WITHIN = 300
GPT = ["gpt-5.5", "text-embedding-3-small", "gpt-realtime"]
CLAUDE = ["claude-sonnet-5"]
BEDROCK = ["us.anthropic.claude-sonnet-5"]
# Cloud, kind of fake, dialect, family that it speaks, credential, models.
FAKES = [
    ("azure", "azure", "azure-openai", "openai", "api_key", GPT),
    ("openai", "openai", "openai", "openai", "bearer", GPT),
]
for cloud, kind in (("azure", "azure"), ("aws", "bedrock")):
    FAKES += [
        (cloud, kind, "anthropic", "anthropic", "api_key", CLAUDE),
        (cloud, kind, "bedrock", "bedrock", "sigv4", BEDROCK),
        (cloud, kind, "bedrock-agents", "bedrock-agents", "sigv4", BEDROCK),
        (cloud, kind, "bedrock-agentcore", "bedrock-agentcore", "sigv4", []),
        (cloud, kind, "mcp", "mcp", "bearer", []),
    ]


class Process:
    """A process of ours, ended by its id."""

    def __init__(self, name, directory, args, env=None):
        self.name, self.out, self.log = name, directory / f"{name}.out", directory / f"{name}.log"
        environment = dict(os.environ, **(env or {}))
        with self.out.open("w") as out, self.log.open("w") as log:
            self.process = subprocess.Popen(args, stdout=out, stderr=log, env=environment)

    def wait_for(self, what):
        """What `what` gives when it gives something."""
        end = time.monotonic() + START_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            if given := what():
                return given
            time.sleep(0.02)
        sys.exit(f"{self.name} did not start: {self.log.read_text()[-4000:]}")

    def url(self):
        """A fake cloud says its address on its first line."""
        return self.wait_for(lambda: self.out.read_text().rpartition("\n")[0])

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_fake(loadtest, directory, fake):
    cloud, kind, _, family, _, models = fake
    name = f"{cloud}-{family}"
    args = [loadtest, "fake", "--kind", kind, "--name", name, "--speaks", family]
    if models:
        args += ["--models", ",".join(models)]
    return Process(name, directory, args)


def credential(name, kind, env):
    """How Riparian proves itself to that fake: what a fake cloud of this name expects when it is told nothing else."""
    variable = name.upper().replace("-", "_")
    if kind != "sigv4":
        env[f"{variable}_KEY"] = f"key-of-{name}"
        return f"{{ {kind}: {{ env: {variable}_KEY }} }}"
    letters = "".join(chr(ord("A") + byte % 26) for byte in hashlib.sha256(name.encode()).digest()[:16])
    env[f"{variable}_ID"], env[f"{variable}_SECRET"] = f"AKIA{letters}", f"secret-of-{name}"
    service = "bedrock-agentcore" if name.endswith("agentcore") else "bedrock"
    keys = f"access_key_id: {{ env: {variable}_ID }}, secret_access_key: {{ env: {variable}_SECRET }}"
    return f"{{ sigv4: {{ service: {service}, {keys} }} }}"


def configuration(port, urls, env):
    lines = ["version: 1", "listeners:", f"  - {{ name: apps, bind: 127.0.0.1:{port} }}", "clouds:"]
    clouds = list(dict.fromkeys(fake[0] for fake in FAKES))
    for cloud in clouds:
        lines += [f"  {cloud}:", "    endpoints:"]
        for owner, _, dialect, family, kind, models in FAKES:
            if owner != cloud:
                continue
            name = f"{cloud}-{family}"
            origin = "/".join(urls[name].split("/")[:3])
            lines += [
                f"      - name: {name}",
                f"        dialect: {dialect}",
                f"        url: {origin}",
                f"        region: {REGION}",
                f"        credential: {credential(name, kind, env)}",
            ]
            if models:
                lines += ["        models:"] + [f"          {model}: {model}" for model in models]
    lines += [
        "sessions: { pins: { store: memory } }",
        "contract:",
        "  enforce: memory-is-state",
        "  readings:",
        "    memory-is-state: { stateful_from: continues }",
        "  terms:",
        f"    - {{ id: anywhere, only: [{', '.join(clouds)}] }}",
    ]
    return "\n".join(lines) + "\n"


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def run_script(script, port):
    """Whether it was content; it has the proxy's address, and of no cloud anything."""
    args = [sys.executable, "-B", str(HERE / script), f"http://127.0.0.1:{port}"]
    # No proxy of the machine's between the SDK and Riparian, and no credential of the machine's in the SDK's hands.
    unwanted = ("proxy", "aws_", "openai_", "anthropic_")
    env = {k: v for k, v in os.environ.items() if not any(word in k.lower() for word in unwanted)}
    try:
        return subprocess.run(args, env=env, timeout=SCRIPT_WITHIN).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{script}: not done after {SCRIPT_WITHIN} s", file=sys.stderr)
        return False


def main():
    riparian, loadtest, *scripts = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="riparian-sdks-") as name:
        directory = pathlib.Path(name)
        started = []
        try:
            fakes = [start_fake(loadtest, directory, fake) for fake in FAKES]
            started += fakes
            urls = {fake.name: fake.url() for fake in fakes}
            port, env = free_port(), {}
            config = directory / "riparian.yaml"
            config.write_text(configuration(port, urls, env))
            proxy = Process("riparian", directory, [riparian, "run", "-c", str(config)], env)
            started.append(proxy)
            proxy.wait_for(lambda: listens(port))
            failed = [script for script in scripts or SCRIPTS if not run_script(script, port)]
            proxy.end()
            # Every answer that may give birth to a handle could be read: none was encoded, or of a type that nobody knows.
            unread = [line for line in proxy.log.read_text().splitlines() if "handles are due" in line]
            if unread:
                failed.append(f"{len(unread)} answers were not read")
            if failed:
                # What it logged, and its last lines about requests.
                lines = proxy.log.read_text().splitlines()[-20:] + proxy.out.read_text().splitlines()[-20:]
                print(*lines, sep="\n", file=sys.stderr)
                sys.exit(f"failed: {', '.join(failed)}")
        finally:
            for process in reversed(started):
                process.end()


main()
