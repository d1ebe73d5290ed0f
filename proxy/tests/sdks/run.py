"""Starts fake clouds and Riparian before them, and runs each SDK's script against it, its base URL changed and nothing else.

    run.py RIPARIAN RIPARIAN_LOADTEST [--npm DIRECTORY] [SCRIPT...]

Every family is spoken by two clouds at least, and each answers a handle that is not its own with the vendor's error: a
continuation that goes astray fails the script. Each script runs twice: through one Riparian that keeps pins in memory, and through
two that share nothing but secrets (`store: sealed`), with every request going to either. DIRECTORY is where the SDKs from npm are
installed; without it their scripts are left out. Needs `cryptography`, for a certificate; the scripts need their SDK.
"""

import argparse
import collections
import concurrent.futures
import datetime
import hashlib
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from relay import Relay

HERE = pathlib.Path(__file__).parent
SCRIPTS = ["openai_sdk.py", "openai_sdk.mjs", "anthropic_sdk.py", "boto3_sdk.py", "mcp_sdk.py"]
REGION = "us-east-1"
START_WITHIN = 30  # seconds, on a machine that has other things to do
SCRIPT_WITHIN = 300
GPT = ["gpt-5.5", "text-embedding-3-small", "gpt-realtime"]
CLAUDE = ["claude-sonnet-5"]
BEDROCK = ["us.anthropic.claude-sonnet-5"]
SECRETS = {"SESSION_KEY": "k" * 40, "SEAL_KEY": "s" * 40}
SEALED = "{ key: { env: SESSION_KEY }, pins: { store: sealed, keys: [{ env: SEAL_KEY }] } }"
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

    def port(self, listener):
        """Riparian says where each of its listeners is."""
        line = re.compile(rf"listening listener={listener} address=127\.0\.0\.1:(\d+)$", re.MULTILINE)
        return int(self.wait_for(lambda: line.search(self.log.read_text()))[1])

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


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


def certificate(directory):
    """Of this address, signed by itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    signed = builder.add_extension(address, critical=True).sign(key, hashes.SHA256())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files = directory / "tls.crt", directory / "tls.key"
    files[0].write_bytes(signed.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return files


def configuration(tls, urls, sessions, env):
    lines = [
        "version: 1",
        "listeners:",
        "  - { name: apps, bind: 127.0.0.1:0 }",
        f"  - {{ name: tls, bind: 127.0.0.1:0, tls: {{ certificate: {{ file: {tls[0]} }}, key: {{ file: {tls[1]} }} }} }}",
        "clouds:",
    ]
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
        f"sessions: {sessions}",
        "contract:",
        "  enforce: memory-is-state",
        "  readings:",
        "    memory-is-state: { stateful_from: continues }",
        "  terms:",
        f"    - {{ id: anywhere, only: [{', '.join(clouds)}] }}",
    ]
    return "\n".join(lines) + "\n"


class Pass:
    """One way of keeping pins: so many replicas, and where clients find them, in the clear and with TLS."""

    def __init__(self, store, replicas, sessions):
        self.store, self.count, self.sessions = store, replicas, sessions
        self.replicas = []

    def start(self, riparian, directory, tls, urls, started):
        """Puts whatever has to be ended into `started`."""
        for at in range(self.count):
            name, env = f"riparian-{self.store}-{at}", dict(SECRETS)
            config = directory / f"{name}.yaml"
            config.write_text(configuration(tls, urls, self.sessions, env))
            self.replicas.append(Process(name, directory, [riparian, "run", "-c", str(config)], env))
            started.append(self.replicas[at])
        to = [replica.port("apps") for replica in self.replicas]
        self.plain, self.secure = to[0], self.replicas[0].port("tls")
        if self.count > 1:
            relays = [Relay(to), Relay(to, tls)]
            self.plain, self.secure = (relay.port for relay in relays)
            started += relays

    def run(self, script, npm, tls):
        """Whether it was content; it has the address, and of no cloud anything."""
        # No proxy of the machine's between the SDK and Riparian, and no credential of the machine's in the SDK's hands.
        unwanted = ("proxy", "aws_", "openai_", "anthropic_")
        env = {k: v for k, v in os.environ.items() if not any(word in k.lower() for word in unwanted)}
        if script.endswith(".mjs"):
            env["NODE_EXTRA_CA_CERTS"] = str(tls[0])
            args = ["node", str(HERE / script), f"https://127.0.0.1:{self.secure}", npm]
        else:
            args = [sys.executable, "-B", str(HERE / script), f"http://127.0.0.1:{self.plain}", self.store]
        try:
            ran = subprocess.run(args, env=env, timeout=SCRIPT_WITHIN, stdout=subprocess.PIPE, text=True)
        except subprocess.TimeoutExpired:
            print(f"{script}: not done after {SCRIPT_WITHIN} s", file=sys.stderr)
            return False
        if ran.stdout:
            print(f"{self.store}: {ran.stdout}", end="", flush=True)
        return ran.returncode == 0

    def complaints(self):
        """What is wrong with the replicas, which have ended."""
        unread, seen = 0, collections.defaultdict(list)
        for replica in self.replicas:
            # Every answer that may give birth to a handle could be read: none was encoded, or of a type that nobody knows.
            unread += sum("handles are due" in line for line in replica.log.read_text().splitlines())
            for line in replica.out.read_text().splitlines():
                seen[json.loads(line).get("session")].append(replica.name)
        if unread:
            yield f"{unread} answers were not read"
        seen.pop(None, None)
        carried = [len(set(names)) for names in seen.values() if len(names) > 1]
        if self.count > 1:
            both = sum(replicas > 1 for replicas in carried)
            print(f"{self.store}: of {len(carried)} sessions of several requests {both} went through both replicas")
            if 2 * both < len(carried):
                yield "most sessions stayed with one replica: nothing is shown"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("riparian")
    parser.add_argument("loadtest")
    parser.add_argument("--npm")
    parser.add_argument("scripts", nargs="*")
    asked = parser.parse_intermixed_args()
    scripts = [script for script in asked.scripts or SCRIPTS if asked.npm or not script.endswith(".mjs")]
    with tempfile.TemporaryDirectory(prefix="riparian-sdks-") as name:
        directory = pathlib.Path(name)
        started = []
        try:
            fakes = [start_fake(asked.loadtest, directory, fake) for fake in FAKES]
            started += fakes
            urls = {fake.name: fake.url() for fake in fakes}
            tls = certificate(directory)
            passes = [Pass("memory", 1, "{ pins: { store: memory } }"), Pass("sealed", 2, SEALED)]
            for each in passes:
                each.start(asked.riparian, directory, tls, urls, started)
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                runs = [(each, script, pool.submit(each.run, script, asked.npm, tls)) for each in passes for script in scripts]
                failed = [f"{script} with {each.store}" for each, script, ran in runs if not ran.result()]
            for each in passes:
                for replica in each.replicas:
                    replica.end()
                failed += each.complaints()
            if failed:
                # What each logged, and its last lines about requests.
                for replica in (replica for each in passes for replica in each.replicas):
                    lines = replica.log.read_text().splitlines()[-20:] + replica.out.read_text().splitlines()[-20:]
                    print(replica.name, *lines, sep="\n", file=sys.stderr)
                sys.exit(f"failed: {', '.join(failed)}")
        finally:
            for process in reversed(started):
                process.end()


main()
